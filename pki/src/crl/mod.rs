//! Certificate revocation lists (RFC 5280, 5): entries are encoded once and kept so, the list is signed once.
//!
//! As with certificates there are two steps: the number must be stored before [`UnsignedCrl::sign`], so that no two
//! lists of a scope ever have the same one.

mod entry;

pub use entry::RevokedEntry;

use der::asn1::Int;
use x509_cert::certificate::Version;

use crate::{CertificateSigner, Error, Issuer, asn1, extensions, issue, signature, validity};

const WHAT: &str = "CRL";

/// What a list says besides its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlProfile<'a> {
    /// The number: grows with each list of the same scope.
    pub number: u64,
    /// When it is made, unix seconds.
    pub this_update: u64,
    /// When the next one is there at the latest, unix seconds.
    pub next_update: u64,
    /// The URI that the certificates of this part name, byte for byte; none for a list of all that the issuer revoked.
    pub distribution_point: Option<&'a str>,
}

impl CrlProfile<'_> {
    /// Puts the list together; the entries come in the order in which they are to stand.
    pub fn prepare<'e>(
        &self,
        issuer: &Issuer,
        entries: impl IntoIterator<Item = &'e RevokedEntry>,
    ) -> Result<UnsignedCrl, Error> {
        if self.this_update >= self.next_update {
            let reason = "it must lie after thisUpdate";
            return Err(Error::InvalidField { field: "nextUpdate", reason });
        }
        let entries: Vec<&[u8]> = entries.into_iter().map(RevokedEntry::der).collect();
        // RFC 5280, 5.1.2.6: absent, not empty.
        let entries = if entries.is_empty() { Vec::new() } else { asn1::sequence(WHAT, &entries)? };
        let mut list =
            vec![extensions::authority_key(issuer.key_identifier())?, extensions::crl_number(self.number)?];
        if let Some(uri) = self.distribution_point {
            list.push(extensions::issuing_distribution_point(uri)?);
        }
        let body = asn1::sequence(
            WHAT,
            &[
                &asn1::encode(WHAT, &Version::V2)?,
                &asn1::encode(WHAT, &signature::algorithm_of(issuer.public_key().key_type()))?,
                &asn1::encode(WHAT, issuer.subject())?,
                &asn1::encode(WHAT, &validity::time(self.this_update)?)?,
                &asn1::encode(WHAT, &validity::time(self.next_update)?)?,
                &entries,
                &asn1::tagged(WHAT, 0, &[&asn1::encode(WHAT, &list)?])?,
            ],
        )?;
        Ok(UnsignedCrl { body, issuer: issuer.public_key().clone() })
    }
}

/// A list before its signature.
#[derive(Clone, Debug)]
pub struct UnsignedCrl {
    body: Vec<u8>,
    issuer: fdo_protocol::crypto::VerifyingKey,
}

impl UnsignedCrl {
    /// The DER `TBSCertList`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.body
    }

    /// Signs; the signer must hold the issuer's key. Gives the list in DER.
    pub fn sign(&self, signer: &dyn CertificateSigner) -> Result<Vec<u8>, Error> {
        if *signer.public_key() != self.issuer {
            return Err(Error::Signer("the signer holds another key than the issuer's".to_owned()));
        }
        issue::seal(&self.body, signer)
    }
}

/// An integer out of octets, the most significant first; zeros at the front do not count.
pub(crate) fn integer(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let first = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len().saturating_sub(1));
    let mut octets = octets[first..].to_vec();
    if octets.is_empty() || octets[0] & 0x80 != 0 {
        octets.insert(0, 0);
    }
    let number = Int::new(&octets).map_err(Error::encoding("serial number"))?;
    asn1::encode("serial number", &number)
}
