//! Revocation: certificates are withdrawn and, where they were only held, given back; CRLs and OCSP answers say so.
//!
//! A change and its mark (`certificate.unlisted`) are one transaction. While a shard has such marks its OCSP answers come
//! from the database and its CRL is due; the CRL that shows the change takes the marks away, and its number tells every
//! replica that what it had in memory of that shard is old.

pub mod ocsp;
pub mod lists;
pub mod routes;
pub mod status;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod view;
mod withdrawal;

use fdo_pki::Reason;
use fdo_service::database::DbErr;

pub use withdrawal::{
    Withdrawn, block, decommission, recommission, release, release_device, revoke, revoke_device,
};

use crate::{inventory, vouchers};

/// Why something is not revoked or not given back, or why there is no answer about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no certificate {0}")]
    NotFound(String),
    #[error("the certificate {serial} is revoked already ({reason}), which is final")]
    Revoked { serial: String, reason: String },
    #[error("the certificate {0} is not on hold; only certificateHold can be lifted, anything else is final")]
    NotHeld(String),
    #[error("no certificate of {0} is on hold")]
    NothingHeld(String),
    #[error("{0} is a reason that only delta CRLs have; take another")]
    Reason(Reason),
    #[error("{0} is sold; what was sold is revoked already")]
    Sold(String),
    #[error("{0} is in service")]
    InService(String),
    #[error("there is no CA {0} here, or its key is elsewhere")]
    NoAuthority(String),
    #[error("the list is being signed at this moment")]
    Busy,
    #[error("cannot sign: {0}")]
    Pki(#[from] fdo_pki::Error),
    #[error("cannot make a key: {0}")]
    Key(fdo_protocol::Error),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
    #[error("the revocations' database failed")]
    Database(#[from] DbErr),
}

/// What revocation keeps in memory.
pub struct Revocation {
    view: view::View,
    lists: lists::Lists,
    answers: ocsp::Answers,
    responders: ocsp::Responders,
}

impl Revocation {
    /// With room for so many OCSP answers.
    pub fn new(answers: usize) -> Self {
        Self {
            view: view::View::default(),
            lists: lists::Lists::default(),
            answers: ocsp::Answers::new(answers),
            responders: ocsp::Responders::default(),
        }
    }
}
