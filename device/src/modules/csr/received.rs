//! What an owner's CA sent, in its forms, and the checks on it.

use fdo_pki::{Certificate, ChainPolicy, DeviceChain, TrustedCas};
use fdo_protocol::Error;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::csr::EstBody;

/// The CA certificates: certs-only CMS, or one certificate.
pub fn authorities(body: &EstBody) -> Result<Vec<Vec<u8>>, Error> {
    let der = body.der()?;
    fdo_pki::pkcs7::parse_certs_only(&der)
        .or_else(|_| Certificate::parse(&der).map(|_| vec![der.to_vec()]))
        .map_err(|_| Error::Malformed("CA certificates"))
}

/// The device's certificate: alone, or alone in certs-only CMS.
pub fn certificate(der: &[u8]) -> Result<Vec<u8>, Error> {
    let certificate = match fdo_pki::pkcs7::parse_certs_only(der) {
        Ok(mut certificates) if certificates.len() == 1 => certificates.remove(0),
        _ => der.to_vec(),
    };
    if certificate.len() > fdo_pki::MAX_CERTIFICATE {
        return Err(Error::Malformed("certificate"));
    }
    Certificate::parse(&certificate).map_err(|_| Error::Malformed("certificate"))?;
    Ok(certificate)
}

/// Once both halves are there: the certificate must be for our key and chain to the CA certificates.
pub fn check(
    key: Option<&SigningKey>,
    certificate: Option<&[u8]>,
    authorities: Option<&[Vec<u8>]>,
) -> Result<(), Error> {
    let (Some(key), Some(certificate)) = (key, certificate) else { return Ok(()) };
    let chain = DeviceChain::parse(&[certificate]).map_err(|_| Error::Malformed("certificate"))?;
    if chain.leaf_key() != key.verifying_key() {
        return Err(Error::Rejected("a certificate for another key"));
    }
    if chain.leaf().is_ca() {
        return Err(Error::Rejected("a CA's certificate for a device"));
    }
    let Some(authorities) = authorities else { return Ok(()) };
    chain
        .verify(&trusted(authorities)?, &ChainPolicy::default())
        .map(|_| ())
        .map_err(|_| Error::Rejected("a certificate that does not chain to the CA certificates"))
}

/// Whether these CAs issued it.
pub fn is_issued_by(certificate: &Certificate, authorities: Option<&[Vec<u8>]>) -> bool {
    let Some(trusted) = authorities.and_then(|authorities| trusted(authorities).ok()) else { return false };
    DeviceChain::parse(&[certificate.der()])
        .is_ok_and(|chain| chain.verify(&trusted, &ChainPolicy::default()).is_ok())
}

fn trusted(authorities: &[Vec<u8>]) -> Result<TrustedCas, Error> {
    let mut trusted = TrustedCas::new();
    for der in authorities {
        trusted.pin_certificate(Certificate::parse(der).map_err(|_| Error::Malformed("CA certificates"))?);
    }
    Ok(trusted)
}
