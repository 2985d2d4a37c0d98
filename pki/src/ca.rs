//! The certificates of CAs (root, issuing, the maker's device CA) and of a pinned TLS listener (RFC 5280, 4.2.1).

use std::net::IpAddr;

use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
use der::Any;
use der::asn1::Ia5String;
use fdo_protocol::crypto::VerifyingKey;
use rand_core::CryptoRng;
use x509_cert::ext::pkix::name::GeneralName;

use crate::issue::Decided;
use crate::name::NameBuilder;
use crate::{Certificate, CertificateSigner, Error, Issued, Issuer, ToBeSigned, extensions, validity};

/// How long a CA or a listener's certificate lives, from `now` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// This many seconds.
    Seconds(u64),
    /// Until 9999-12-31, as 802.1AR has it for the issuers of IDevIDs.
    WithoutEnd,
}

impl Lifetime {
    /// That many years of 365.25 days.
    #[must_use]
    pub const fn years(years: u32) -> Self {
        Self::Seconds(years as u64 * 31_557_600)
    }

    fn end(self, now: u64) -> u64 {
        match self {
            Self::Seconds(seconds) => now.saturating_add(seconds).min(validity::WITHOUT_END),
            Self::WithoutEnd => validity::WITHOUT_END,
        }
    }
}

/// The name of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaSubject {
    /// Common name, 1 to 64 characters.
    pub common_name: String,
    /// Organization.
    pub organization: Option<String>,
}

impl CaSubject {
    fn build(&self) -> Result<Any, Error> {
        NameBuilder::default()
            .organization(self.organization.as_deref())?
            .common_name(Some(&self.common_name))?
            .build()
    }
}

/// A name by which a TLS server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// A DNS name.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

impl ServerName {
    pub(crate) fn general_name(&self) -> Result<GeneralName, Error> {
        const FIELD: &str = "server name";
        match self {
            Self::Ip(address) => Ok(GeneralName::from(*address)),
            Self::Dns(name) => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || "-._*".contains(c);
                if name.is_empty() || name.len() > 253 || !name.chars().all(allowed) {
                    let reason = "it must be a DNS name of 1 to 253 characters";
                    return Err(Error::InvalidField { field: FIELD, reason });
                }
                Ia5String::new(name).map(GeneralName::DnsName).map_err(Error::encoding(FIELD))
            }
        }
    }
}

/// Makes a self-signed root CA, which signs issuing CAs only.
pub fn make_root(
    subject: &CaSubject,
    signer: &dyn CertificateSigner,
    lifetime: Lifetime,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<Issued, Error> {
    self_signed_ca(subject, signer, Some(1), lifetime, now, rng)
}

/// Makes the maker's device CA: self-signed, so that owners pin it, and the issuer of end entities only.
pub fn make_device_ca(
    subject: &CaSubject,
    signer: &dyn CertificateSigner,
    lifetime: Lifetime,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<Issued, Error> {
    self_signed_ca(subject, signer, Some(0), lifetime, now, rng)
}

/// Decides an issuing CA under `root` for `key`: no CA may stand below it, and it does not outlive the root.
pub fn make_issuing_ca(
    subject: &CaSubject,
    key: &VerifyingKey,
    root: &Issuer,
    lifetime: Lifetime,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<ToBeSigned, Error> {
    let subject = subject.build()?;
    if subject == *root.subject() {
        let reason = "it must differ from the root's, or verifiers take it for a root";
        return Err(Error::InvalidField { field: "common name", reason });
    }
    let decided = Decided {
        subject,
        key,
        not_before: now,
        not_after: lifetime.end(now).min(root.not_after()),
        extensions: ca_extensions(key, root, Some(0))?,
    };
    ToBeSigned::new(root, decided, rng)
}

/// Makes a self-signed certificate for a TLS listener whose peers pin it.
pub fn make_tls_server(
    common_name: &str,
    names: &[ServerName],
    signer: &dyn CertificateSigner,
    lifetime: Lifetime,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<Issued, Error> {
    let names = general_names(names)?;
    let key = signer.public_key();
    let subject = NameBuilder::default().common_name(Some(common_name))?.build()?;
    let issuer = Issuer::of_itself(subject.clone(), key)?;
    let decided = Decided {
        subject,
        key,
        not_before: now,
        not_after: lifetime.end(now),
        extensions: vec![
            // Not a CA although it signs itself: TLS libraries refuse a CA as a server.
            extensions::end_entity()?,
            extensions::digital_signature()?,
            extensions::extended_key_usage(vec![ID_KP_SERVER_AUTH])?,
            extensions::subject_alternative_names(names)?,
            extensions::subject_key(issuer.key_identifier())?,
            extensions::authority_key(issuer.key_identifier())?,
        ],
    };
    ToBeSigned::new(&issuer, decided, rng)?.sign(signer)
}

/// Decides the certificate of a TLS server for `names` under `issuer`; it is good from five minutes ago on, for clients
/// whose clock is late.
pub fn prepare_tls_server(
    common_name: &str,
    names: &[ServerName],
    key: &VerifyingKey,
    issuer: &Issuer,
    lifetime: Lifetime,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<ToBeSigned, Error> {
    const LATE: u64 = 5 * 60;
    let names = general_names(names)?;
    let decided = Decided {
        subject: NameBuilder::default().common_name(Some(common_name))?.build()?,
        key,
        not_before: now.saturating_sub(LATE),
        not_after: lifetime.end(now).min(issuer.not_after()),
        extensions: vec![
            extensions::end_entity()?,
            extensions::digital_signature()?,
            extensions::extended_key_usage(vec![ID_KP_SERVER_AUTH])?,
            extensions::subject_alternative_names(names)?,
            extensions::subject_key(&extensions::key_identifier(key.spki_der())?)?,
            extensions::authority_key(issuer.key_identifier())?,
        ],
    };
    ToBeSigned::new(issuer, decided, rng)
}

/// Whether a server's certificate is for these names and for no others.
pub fn names_exactly(certificate: &Certificate, names: &[ServerName]) -> Result<bool, Error> {
    let expected = crate::asn1::encode("server name", &general_names(names)?)?;
    Ok(crate::requested::alternative_names_der(certificate)? == Some(expected))
}

fn general_names(names: &[ServerName]) -> Result<Vec<GeneralName>, Error> {
    if names.is_empty() {
        let reason = "give at least one DNS name or IP address";
        return Err(Error::InvalidField { field: "server name", reason });
    }
    names.iter().map(ServerName::general_name).collect()
}

fn self_signed_ca(
    subject: &CaSubject,
    signer: &dyn CertificateSigner,
    path_length: Option<u8>,
    lifetime: Lifetime,
    now: u64,
    rng: &mut dyn CryptoRng,
) -> Result<Issued, Error> {
    let key = signer.public_key();
    let subject = subject.build()?;
    let issuer = Issuer::of_itself(subject.clone(), key)?;
    let decided = Decided {
        subject,
        key,
        not_before: now,
        not_after: lifetime.end(now),
        extensions: ca_extensions(key, &issuer, path_length)?,
    };
    ToBeSigned::new(&issuer, decided, rng)?.sign(signer)
}

fn ca_extensions(
    key: &VerifyingKey,
    issuer: &Issuer,
    path_length: Option<u8>,
) -> Result<Vec<x509_cert::ext::Extension>, Error> {
    Ok(vec![
        extensions::authority(path_length)?,
        extensions::signs_certificates_and_crls()?,
        extensions::subject_key(&extensions::key_identifier(key.spki_der())?)?,
        extensions::authority_key(issuer.key_identifier())?,
    ])
}
