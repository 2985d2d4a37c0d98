//! A CA of somebody else's that is to be used here, with everything above it up to its root (RFC 5280, 6.1).

use crate::{Certificate, Error, Issuer};

/// More certificates than this stand above nobody.
const MAX_CHAIN: usize = 8;

/// Checks a CA and what stands above it, the nearest first and the root last: each may sign certificates, was signed by the
/// next, and is valid now.
pub fn check_ca_chain(chain: &[Certificate], now: u64) -> Result<(), Error> {
    let refused = |index, reason| Err(Error::WrongUse { index, reason });
    if chain.is_empty() || chain.len() > MAX_CHAIN {
        return refused(0, "a CA's chain has 1 to 8 certificates");
    }
    for (index, certificate) in chain.iter().enumerate() {
        Issuer::new(certificate)
            .map_err(|_| Error::WrongUse { index, reason: "it is not the certificate of a CA" })?;
        certificate.check_validity("CA certificate", now)?;
        let depth = certificate.basic_constraints().and_then(|constraints| constraints.path_len_constraint);
        if depth.is_some_and(|most| usize::from(most) < index) {
            return refused(index, "it allows fewer CAs below it");
        }
        let above = chain.get(index + 1).unwrap_or(certificate);
        if certificate.issuer() != above.subject() || certificate.verify_signed_by(above).is_err() {
            return refused(index, "it was not signed by the one that follows; end the chain with its root");
        }
    }
    Ok(())
}

/// [`check_ca_chain`] for a CA whose key is to sign here: CRLs too, and no CA stands below it.
pub fn check_issuing_chain(chain: &[Certificate], now: u64) -> Result<(), Error> {
    check_ca_chain(chain, now)?;
    let signs =
        chain.first().and_then(Certificate::key_usage).is_none_or(x509_cert::ext::pkix::KeyUsage::crl_sign);
    if !signs {
        return Err(Error::WrongUse { index: 0, reason: "it may not sign CRLs" });
    }
    Ok(())
}
