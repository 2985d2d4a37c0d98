//! Imports a file of vouchers: each is judged for itself, many are one transaction, each has its audit entry.

use fdo_protocol::Guid;
use fdo_protocol::voucher::Voucher;
use fdo_service::database::{self, DatabaseTransaction, DbErr, TransactionTrait};
use fdo_service::operators::audit::{self, Event, Outcome};

use super::{Acceptance, AcceptedVoucher, Error, Imported, store};
use crate::app::App;
use crate::trust::Trust;

/// How many vouchers are one transaction: on SQLite everybody else waits for it.
const BATCH: usize = 100;
/// Bytes of a file, many vouchers in PEM.
pub const MAX_FILE: usize = 64 * 1024 * 1024;

/// What became of one voucher of a file.
pub struct Item {
    /// None where it does not even decode.
    pub guid: Option<Guid>,
    pub serial: Option<String>,
    pub result: Result<Imported, Error>,
}

/// A voucher of a file that may be imported, and its place in the answer.
struct Waiting {
    place: usize,
    accepted: AcceptedVoucher,
}

/// Imports every voucher of a file, PEM blocks or one in CBOR. The answer has their order.
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
    for bodies in bodies.chunks(BATCH) {
        let mut waiting = Vec::new();
        for body in bodies {
            let place = items.len();
            match acceptance.check(body) {
                Ok(accepted) => {
                    let (guid, serial) = (accepted.voucher().guid(), accepted.serial().map(str::to_owned));
                    // Overwritten below, in any case.
                    items.push(Item { guid: Some(guid), serial, result: Err(Error::NotFound(guid)) });
                    waiting.push(Waiting { place, accepted });
                }
                Err(error) => {
                    let guid = Voucher::from_bytes(body).ok().map(|voucher| voucher.guid());
                    items.push(Item { guid, serial: None, result: Err(error) });
                }
            }
        }
        import_all(app, actor, waiting, &mut items).await;
    }
    app.registrar.wake();
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

async fn import_all(app: &App, actor: &str, mut waiting: Vec<Waiting>, items: &mut [Item]) {
    let places: Vec<usize> = waiting.iter().map(|voucher| voucher.place).collect();
    // Two imports at once that have devices in common take their rows in the same order. The sort is stable: of the
    // same device, the file's order counts.
    waiting.sort_by(|one, other| one.accepted.device_id.cmp(&other.accepted.device_id));
    match batch(app, actor, &waiting).await {
        Ok(results) => {
            for (voucher, result) in waiting.iter().zip(results) {
                items[voucher.place].result = result;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "a batch of vouchers was not imported; trying them one by one");
            for voucher in waiting {
                let alone = batch(app, actor, std::slice::from_ref(&voucher)).await;
                let result = alone
                    .map_err(Error::from)
                    .and_then(|results| results.into_iter().collect::<Result<Vec<_>, _>>());
                items[voucher.place].result =
                    result.map(|results| results.first().copied().unwrap_or(Imported::Same));
            }
        }
    }
    for voucher in places.into_iter().map(|place| &items[place]) {
        if let (Some(guid), Err(Error::Fork(_))) = (&voucher.guid, &voucher.result) {
            alarm(app, actor, guid).await;
        }
    }
}

/// One transaction. What is refused leaves no trace in it; a failing database leaves none of all.
async fn batch(app: &App, actor: &str, waiting: &[Waiting]) -> Result<Vec<Result<Imported, Error>>, DbErr> {
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let mut results = Vec::with_capacity(waiting.len());
    for Waiting { accepted, .. } in waiting {
        let savepoint = transaction.begin().await?;
        match store::import(&savepoint, now, accepted).await {
            Err(Error::Database(error) | Error::Inventory(crate::inventory::Error::Database(error))) => {
                return Err(error);
            }
            Err(refused) => {
                savepoint.rollback().await?;
                results.push(Err(refused));
            }
            imported => {
                savepoint.commit().await?;
                results.push(imported);
            }
        }
    }
    // At the end, since other appenders to the trail wait from here on.
    for (Waiting { accepted, .. }, result) in waiting.iter().zip(&results) {
        if let Ok(imported @ (Imported::New | Imported::Extended)) = result {
            record(&transaction, now, actor, accepted, *imported).await?;
        }
    }
    transaction.commit().await?;
    for _ in results.iter().filter(|result| matches!(result, Ok(Imported::New | Imported::Extended))) {
        app.metrics.count("firstlight_vouchers_imported_total");
    }
    Ok(results)
}

async fn record(
    transaction: &DatabaseTransaction,
    now: u64,
    actor: &str,
    accepted: &AcceptedVoucher,
    imported: Imported,
) -> Result<(), DbErr> {
    let guid = accepted.voucher().guid().to_string();
    let detail = match (imported, accepted.trusted) {
        (Imported::Extended, _) => "longer chain",
        (_, true) => "maker trusted",
        (_, false) => "maker not known, allowed by the operator",
    };
    let event = Event { actor, action: "voucher.import", subject: &guid, outcome: Outcome::Success, detail };
    audit::record(transaction, now, event).await
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
