//! `/api/v1/transfer`, `/api/v1/pulls`, and sales and pushes to partners.

use actix_web::web::{Data, Json, Path};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::problem::Problem;
use fdo_service::transfer::outbox::routes::PushView;
use fdo_service::transfer::partners;
use serde::{Deserialize, Serialize};

use super::super::{Error, document, pull, targets};
use crate::app::App;
use crate::resale::routes::ResaleView;

/// By what partners know us.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntroductionView {
    pub listening: bool,
    pub did: String,
    pub push_root: String,
    pub pull_root: String,
    /// SHA-256 of the TLS key, where no public CA vouches for it.
    pub tls_fingerprint: Option<String>,
}

/// `GET /api/v1/transfer`
pub async fn introduce(app: Data<App>, _: Require<Read>) -> Json<IntroductionView> {
    let document = document(&app);
    Json(IntroductionView {
        listening: app.settings.transfer.address.is_some(),
        did: document.id,
        push_root: document.push_root.unwrap_or_default(),
        pull_root: document.pull_root.unwrap_or_default(),
        tls_fingerprint: app.transfer_pin.get().cloned(),
    })
}

/// Whom to pull from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPull {
    /// Name, id, DID or URL of a partner or a manufacturer.
    pub from: String,
}

/// What a pull came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullView {
    pub supplier: String,
    pub imported: Vec<String>,
    /// Here already.
    pub known: u64,
    pub refused: Vec<RefusedView>,
}

/// A voucher that was not taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedView {
    pub voucher_id: String,
    pub detail: String,
}

/// `POST /api/v1/pulls`
pub async fn create_pull(
    app: Data<App>,
    _: Require<Write>,
    new: Json<NewPull>,
) -> Result<Json<PullView>, Problem> {
    let supplier = pull::supplier(&app, &new.from).await?;
    let pulled = pull::pull(&app, &supplier).await?;
    let refused = pulled.refused.into_iter().map(|(voucher_id, detail)| RefusedView { voucher_id, detail });
    Ok(Json(PullView {
        supplier: supplier.name,
        imported: pulled.imported.iter().map(ToString::to_string).collect(),
        known: pulled.known,
        refused: refused.collect(),
    }))
}

/// A sale to a partner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    /// Name, id or DID of a partner, or a did:key.
    pub to: String,
    #[serde(default)]
    pub even_if_never_onboarded: bool,
}

/// The sale, and how far its push has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferView {
    pub sale: ResaleView,
    pub push: Option<PushView>,
}

/// `POST /api/v1/vouchers/{guid or serial}/transfer`
pub async fn transfer(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
    new: Json<NewTransfer>,
) -> Result<Json<TransferView>, Problem> {
    let (sale, push) = targets::sell(&app, &who.id, &name, &new.to, new.even_if_never_onboarded).await?;
    Ok(Json(TransferView { sale: sale.into(), push: push.map(PushView::from) }))
}

/// Whom to push to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPush {
    pub to: String,
}

/// `POST /api/v1/resales/{guid}/push`
pub async fn push(
    app: Data<App>,
    _: Require<Write>,
    guid: Path<String>,
    new: Json<NewPush>,
) -> Result<Json<PushView>, Problem> {
    let wrong = |_| Problem::bad_request("guid", "This is not a GUID.");
    Ok(Json(targets::push(&app, &guid.parse().map_err(wrong)?, &new.to).await?.into()))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::UnknownSupplier(_) => Self::not_found("supplier-unknown", detail),
            Error::NoPullRoot(_) => Self::unprocessable("partner-lacks", detail),
            Error::NoKey(_) => Self::unprocessable("partner-key", detail),
            Error::Suspended(_) => Self::conflict("partner-suspended", detail),
            Error::Call(error) => partners::routes::call_problem(&error),
            Error::Partner(error) => error.into(),
            Error::Manufacturer(error) => error.into(),
            Error::Resale(error) => error.into(),
            Error::Trust(error) => error.into(),
            Error::Voucher(error) => error.into(),
            Error::NoOwnKey | Error::Database(_) => Self::internal(&error),
        }
    }
}
