//! Keys and the ciphers of TO2's tunnel. All public-key work goes through one backend, chosen by a Cargo feature:
//! `aws_lc` by default, `portable` (p256, p384) without it. Nothing outside this folder names a backend.

mod backend;
mod certificate_signature;
mod cipher_suite;
mod kdf;
mod kex;
mod key_type;
#[cfg(test)]
pub(crate) mod recorded_keys;
mod rsa;
mod signing_key;
mod suite;
mod tunnel;
mod verifying_key;

pub use certificate_signature::{CertificateAlgorithm, verify_certificate_signature};
pub use cipher_suite::{CipherSuite, EtmForm};
pub use kdf::SharedSecret;
pub use kex::{KeyExchangeReply, OwnerKeyExchange};
pub use key_type::{Curve, KeyType};
pub use signing_key::{OwnerKey, SigningKey};
pub use suite::KexSuite;
pub use tunnel::Tunnel;
pub use verifying_key::VerifyingKey;
