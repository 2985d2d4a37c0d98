//! Checks on what an EST service sent: CA certificates, and a certificate for the key that was asked for.

use fdo_pki::{Certificate, ChainPolicy, DeviceChain, LeafValidity, TrustedCas, decode_base64, pem, pkcs7};
use fdo_protocol::crypto::VerifyingKey;

use super::{BODY_LIMIT, EstError};

/// A server's clock may be so many seconds ahead of the device's.
pub const CLOCK_TOLERANCE: u64 = 300;

// As `map_err` calls it.
#[allow(clippy::needless_pass_by_value)]
fn unusable(why: impl ToString) -> EstError {
    EstError::Unusable(why.to_string())
}

/// The certificates in a body: base64 in any form (RFC 8951), DER or PEM; certs-only CMS, or one certificate.
///
/// # Errors
/// [`EstError::Unusable`].
pub fn certificates(body: &[u8]) -> Result<Vec<Vec<u8>>, EstError> {
    let body = body.trim_ascii();
    if body.starts_with(b"-----BEGIN CERTIFICATE-----") {
        return pem::decode_certificates(&String::from_utf8_lossy(body)).map_err(unusable);
    }
    let der = match body.first() {
        Some(0x30) => body.to_vec(),
        _ => decode_base64(body, BODY_LIMIT).map_err(unusable)?,
    };
    pkcs7::parse_certs_only(&der).or_else(|error| match Certificate::parse(&der) {
        Ok(_) => Ok(vec![der]),
        Err(_) => Err(unusable(error)),
    })
}

/// CA certificates: all of them are CAs, and at least one is valid now.
///
/// # Errors
/// [`EstError::Unusable`].
pub fn authorities(body: &[u8], now: u64) -> Result<Vec<Vec<u8>>, EstError> {
    let list = certificates(body)?;
    let mut valid = 0;
    for der in &list {
        let certificate = Certificate::parse(der).map_err(unusable)?;
        if !certificate.is_ca() {
            return Err(unusable("a certificate among those of the CAs is no CA's"));
        }
        valid += usize::from(certificate.check_validity("CA certificate", now).is_ok());
    }
    match valid {
        0 => Err(unusable("none of the CA certificates is valid at this device's time")),
        _ => Ok(list),
    }
}

/// What a new certificate must be.
pub struct Expected<'a> {
    /// For this key.
    pub key: &'a VerifyingKey,
    /// Under these CAs, in DER.
    pub authorities: &'a [Vec<u8>],
    /// With the name of this certificate, if it is to follow one.
    pub follows: Option<&'a Certificate>,
    /// Else with this serial number, if it has any.
    pub serial: &'a str,
    /// The device's time, unix seconds.
    pub now: u64,
}

impl Expected<'_> {
    /// The device's certificate out of what was sent, checked.
    ///
    /// # Errors
    /// [`EstError::Unusable`] with what does not hold.
    pub fn check(&self, sent: &[Vec<u8>]) -> Result<Certificate, EstError> {
        let leaf = sent
            .iter()
            .filter_map(|der| Certificate::parse(der).ok())
            .find(|certificate| certificate.spki() == self.key.spki_der())
            .ok_or_else(|| unusable("the certificate is for another key"))?;
        if leaf.is_ca() {
            return Err(unusable("the certificate is a CA's"));
        }
        self.check_name(&leaf)?;
        self.check_validity(&leaf)?;
        self.check_chain(&leaf, sent)?;
        Ok(leaf)
    }

    fn check_name(&self, leaf: &Certificate) -> Result<(), EstError> {
        if let Some(earlier) = self.follows {
            return match leaf.subject() == earlier.subject() && leaf.uris() == earlier.uris() {
                true => Ok(()),
                false => Err(unusable("the certificate has another name than the one that it follows")),
            };
        }
        match leaf.subject_serial_number() {
            Some(serial) if serial != self.serial => Err(unusable("the certificate names another device")),
            _ => Ok(()),
        }
    }

    fn check_validity(&self, leaf: &Certificate) -> Result<(), EstError> {
        if leaf.not_before() > self.now.saturating_add(CLOCK_TOLERANCE) {
            return Err(unusable("the certificate is not valid yet; is this device's clock right?"));
        }
        if leaf.not_after() <= self.now.max(leaf.not_before()) {
            return Err(unusable("the certificate has expired already; is this device's clock right?"));
        }
        Ok(())
    }

    fn check_chain(&self, leaf: &Certificate, sent: &[Vec<u8>]) -> Result<(), EstError> {
        let mut trusted = TrustedCas::new();
        for der in self.authorities {
            trusted.pin_certificate(Certificate::parse(der).map_err(unusable)?);
        }
        let others = sent.iter().filter(|der| der.as_slice() != leaf.der()).map(Vec::as_slice);
        let chain: Vec<&[u8]> = std::iter::once(leaf.der()).chain(others).collect();
        let at = LeafValidity::Ignored;
        let verify = |chain: &[&[u8]]| {
            DeviceChain::parse(chain)?.verify(&trusted, &ChainPolicy { leaf_validity: at }).map(|_| ())
        };
        // What else was sent need not belong to the chain.
        verify(&chain[..1])
            .or_else(|_| verify(&chain))
            .map_err(|_| unusable("the certificate does not chain to the CA certificates"))
    }
}
