//! Imports a file of vouchers: each is judged for itself, and each is one transaction with its audit entry.

use fdo_protocol::Guid;
use fdo_protocol::voucher::Voucher;
use fdo_service::database::{self, TransactionTrait};
use fdo_service::operators::audit::{self, Event, Outcome};

use super::{Acceptance, Error, Imported, store};
use crate::app::App;
use crate::trust::Trust;

/// What became of one voucher of a file.
pub struct Item {
    /// None where it does not even decode.
    pub guid: Option<Guid>,
    pub serial: Option<String>,
    pub result: Result<Imported, Error>,
}

/// Imports every voucher of a file, PEM blocks or one in CBOR.
pub async fn import_file(
    app: &App,
    actor: &str,
    file: &[u8],
    allow_untrusted: bool,
) -> Result<Vec<Item>, ImportError> {
    let bodies = Voucher::bodies_in_file(file)?;
    let trust = Trust::load(&app.db).await?;
    let acceptance = Acceptance { keys: &app.keys, trust: &trust, allow_untrusted };
    let mut items = Vec::with_capacity(bodies.len());
    for body in bodies {
        items.push(import_one(app, actor, &acceptance, &body).await);
    }
    Ok(items)
}

/// Why no voucher of a file was looked at.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the file holds no voucher: {0}")]
    File(#[from] fdo_protocol::Error),
    #[error(transparent)]
    Trust(#[from] crate::trust::Error),
}

async fn import_one(app: &App, actor: &str, acceptance: &Acceptance<'_>, body: &[u8]) -> Item {
    let accepted = match acceptance.check(body) {
        Ok(accepted) => accepted,
        Err(error) => {
            let guid = Voucher::from_bytes(body).ok().map(|voucher| voucher.guid());
            return Item { guid, serial: None, result: Err(error) };
        }
    };
    let guid = accepted.voucher().guid();
    let result = commit(app, actor, &accepted).await;
    if let Err(Error::Fork(_)) = result {
        alarm(app, actor, &guid).await;
    }
    Item { guid: Some(guid), serial: accepted.serial().map(str::to_owned), result }
}

async fn commit(app: &App, actor: &str, accepted: &super::AcceptedVoucher) -> Result<Imported, Error> {
    let now = app.clock.now();
    let transaction = app.db.begin().await?;
    let imported = store::import(&transaction, now, accepted).await?;
    if imported != Imported::Same {
        let guid = accepted.voucher().guid().to_string();
        let detail = match (imported, accepted.trusted) {
            (Imported::Extended, _) => "longer chain",
            (_, true) => "maker trusted",
            (_, false) => "maker not known, allowed by the operator",
        };
        let event = Event { actor, action: "voucher.import", subject: &guid, outcome: Outcome::Success, detail };
        audit::record(&transaction, now, event).await?;
        app.metrics.count("firstlight_vouchers_imported_total");
    }
    transaction.commit().await?;
    app.registrar.wake();
    Ok(imported)
}

/// Two different chains over one GUID: told in the trail, in the log and in the metrics.
pub async fn alarm(app: &App, actor: &str, guid: &Guid) {
    tracing::error!(%guid, "a voucher with a different chain of owners was refused: the device may have been sold twice");
    app.metrics.count("firstlight_voucher_forks_total");
    let recorded = async {
        let transaction = database::begin(&app.db).await?;
        let event = Event {
            actor,
            action: "voucher.fork",
            subject: &guid.to_string(),
            outcome: Outcome::Refused,
            detail: "another chain of owners is here already",
        };
        audit::record(&transaction, app.clock.now(), event).await?;
        transaction.commit().await
    };
    if let Err(error) = recorded.await {
        tracing::error!(%guid, %error, "cannot write the fork to the audit trail");
    }
}
