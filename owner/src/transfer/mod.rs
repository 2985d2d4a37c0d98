//! Voucher transfer between organisations (the FDO voucher transfer drafts), on a listener of its own: partners push
//! vouchers to us and pull what was sold to them; we pull from partners and push what was sold.

pub mod desk;
pub mod hold;
pub mod pull;
pub mod receive;
pub mod routes;
mod store;
pub mod targets;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::database::DbErr;
use fdo_service::transfer::did::{Did, Document};
use fdo_service::transfer::outbox;
use fdo_service::transfer::partners::PartnerError;
use fdo_service::transfer::{PULL_ROOT, PUSH_ROOT};

use crate::app::App;
use crate::{manufacturers, resale, trust, vouchers};

/// A voucher that a partner pushed to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub guid: Guid,
    pub partner_id: String,
    pub serial: Option<String>,
    pub model: Option<String>,
    pub manufacturer: Option<String>,
    /// SHA-256 of what was pushed last, in hexadecimal.
    pub sha256: String,
    pub size: u64,
    pub received: u64,
}

/// Why a transfer fails that an operator asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{0} is neither a partner nor a manufacturer here; add it with `fdo-owner partner add`, so that it is known by whom vouchers are given"
    )]
    UnknownSupplier(String),
    #[error("{0} names no place to pull vouchers from")]
    NoPullRoot(String),
    #[error("{0} is suspended")]
    Suspended(String),
    #[error("the partner {0} has no key that fits this device's voucher")]
    NoKey(String),
    #[error("there is no owner key")]
    NoOwnKey,
    #[error(transparent)]
    Call(#[from] manufacturers::CallError),
    #[error(transparent)]
    Partner(#[from] PartnerError),
    #[error(transparent)]
    Manufacturer(#[from] manufacturers::Error),
    #[error(transparent)]
    Resale(#[from] resale::Error),
    #[error(transparent)]
    Trust(#[from] trust::Error),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
    #[error("voucher transfer's database failed")]
    Database(#[from] DbErr),
}

/// The key that we sign challenges with, and push with: the first of our DID document.
pub fn identity(app: &App) -> Result<&SigningKey, Error> {
    let first = app.keys.for_type(KeyType::P256).or_else(|| app.keys.all().first().map(|file| &file.key));
    first.ok_or(Error::NoOwnKey)
}

/// Our DID document: each type's preferred owner key, the identity first.
pub fn document(app: &App) -> Document {
    let url = app.transfer_url();
    let parsed = reqwest::Url::parse(&url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    Document {
        id: Did::web(host, parsed.as_ref().and_then(reqwest::Url::port)),
        keys: app.keys.preferred().map(|key| key.verifying_key().clone()).collect(),
        push_root: Some(format!("{url}{PUSH_ROOT}")),
        pull_root: Some(format!("{url}{PULL_ROOT}")),
    }
}

/// Pushes what is due.
pub async fn push_due(app: &App) -> Result<(), Error> {
    Ok(outbox::run_due(&app.partners, identity(app)?, app).await?)
}
