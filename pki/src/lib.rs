//! Device X.509: certification requests, the IDevID and LDevID profiles, CAs, issuance, chains and revocation.
//!
//! Pure: the time (`now`, unix seconds) and the randomness are parameters, the signing key is behind
//! [`CertificateSigner`]. A certificate comes to be in one way only: a [`VerifiedCsr`] and a profile give a
//! [`ToBeSigned`], whose bytes can be stored, and signing that gives an [`Issued`].
#![deny(missing_docs)]

mod asn1;
mod base64;
mod ca;
mod ca_chain;
mod certificate;
mod chain;
pub mod crl;
mod csr;
mod csr_attributes;
mod device_serial;
mod error;
mod extensions;
mod idevid;
mod issue;
mod key_description;
mod ldevid;
mod name;
pub mod ocsp;
pub mod pem;
pub mod pkcs7;
mod profile;
mod public_key;
mod reason;
mod requested;
mod serial_number;
mod signature;
mod signer;
mod template;
mod validity;

pub use base64::{decode_base64, encode_base64};
pub use ca::{
    CaSubject, Lifetime, ServerName, make_device_ca, make_issuing_ca, make_root, make_tls_server, names_exactly,
    prepare_tls_server,
};
pub use ca_chain::{check_ca_chain, check_issuing_chain};
pub use certificate::{Certificate, MAX_CERTIFICATE};
pub use chain::{ChainPolicy, DeviceChain, LeafValidity, MAX_CHAIN, TrustedCas, UnanchoredChain, VerifiedChain};
pub use csr::{Csr, MAX_CSR, VerifiedCsr, build_csr, build_renewal};
pub use csr_attributes::CsrAttributes;
pub use device_serial::DeviceSerial;
pub use error::Error;
pub use idevid::{HardwareModule, IdevidProfile, IdevidSubject};
pub use issue::{Issued, Issuer, ToBeSigned};
pub use key_description::describe_key;
pub use ldevid::{LdevidProfile, LdevidSubject, StatusPointers};
pub use profile::{ExtendedKeyUse, KeyUse, NameTemplate, SubjectAttribute};
pub use reason::Reason;
pub use requested::{OtherName, Requested};
pub use serial_number::CertificateSerial;
pub use signer::CertificateSigner;
pub use template::{Placeholder, Template};
