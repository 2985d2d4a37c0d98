//! The certificate of a delegated OCSP responder (RFC 6960, 4.2.2.2): issued by the very CA that it speaks for, for a
//! short time, since nobody can ask whether it is revoked.

use const_oid::db::rfc5280::ID_KP_OCSP_SIGNING;
use fdo_protocol::crypto::VerifyingKey;
use rand_core::CryptoRng;

use crate::issue::Decided;
use crate::name::NameBuilder;
use crate::{Error, Issuer, ToBeSigned, extensions};

/// How a responder's certificate looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponderProfile {
    /// Common name, 1 to 64 characters.
    pub common_name: String,
    /// Organization.
    pub organization: Option<String>,
    /// Life in seconds; cut where the issuer's own ends earlier.
    pub validity_seconds: u64,
    /// How far notBefore lies in the past, in seconds, for verifiers whose clock is late.
    pub backdate_seconds: u64,
}

impl ResponderProfile {
    /// Decides the certificate for `key`: store it, then sign it with the issuer's key.
    pub fn prepare(
        &self,
        key: &VerifyingKey,
        issuer: &Issuer,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<ToBeSigned, Error> {
        let decided = Decided {
            subject: NameBuilder::default()
                .organization(self.organization.as_deref())?
                .common_name(Some(&self.common_name))?
                .build()?,
            key,
            not_before: now.saturating_sub(self.backdate_seconds),
            not_after: now.saturating_add(self.validity_seconds).min(issuer.not_after()),
            extensions: vec![
                extensions::end_entity()?,
                extensions::digital_signature()?,
                extensions::subject_key(&extensions::key_identifier(key.spki_der())?)?,
                extensions::authority_key(issuer.key_identifier())?,
                extensions::extended_key_usage(vec![ID_KP_OCSP_SIGNING])?,
                extensions::ocsp_no_check()?,
            ],
        };
        ToBeSigned::new(issuer, decided, rng)
    }
}
