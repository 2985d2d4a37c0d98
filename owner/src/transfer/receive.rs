//! A voucher that a partner pushes: checked as any other, then voucher, device, receipt and the rendezvous' job in one
//! transaction, before it is acknowledged (voucher transfer, section 3).

use fdo_protocol::Guid;
use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::transfer::partners::Partner;
use fdo_service::transfer::push::Pushed;
use fdo_service::transfer::said;
use sha2::{Digest, Sha256};

use super::{Receipt, store};
use crate::app::App;
use crate::claims::canonical;
use crate::trust::{self, Trust};
use crate::vouchers::{self, Acceptance, AcceptedVoucher, Imported, upload};

/// Why a pushed voucher is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("the voucher is of the GUID {0}, which is not the one that came with it")]
    OtherGuid(Guid),
    #[error("the device's certificate names the serial {0}, not the one that came with it")]
    OtherSerial(String),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
    #[error(transparent)]
    Trust(#[from] trust::Error),
    #[error("voucher transfer's database failed")]
    Database(#[from] DbErr),
}

/// Takes a voucher. The same bytes again change nothing and are fine.
pub async fn receive(app: &App, partner: &Partner, pushed: &Pushed) -> Result<(Guid, Imported), ReceiveError> {
    let trust = Trust::load(&app.db).await?;
    let acceptance = Acceptance { keys: &app.keys, trust: &trust, allow_untrusted: false };
    let accepted = check(acceptance.check(&pushed.bytes)?, partner, pushed)?;
    let guid = accepted.voucher().guid();
    let imported = commit(app, partner, pushed, &accepted).await;
    if let Err(ReceiveError::Voucher(vouchers::Error::Fork(_))) = imported {
        upload::alarm(app, &partner.name, &guid).await;
    }
    Ok((guid, imported?))
}

fn check(accepted: AcceptedVoucher, partner: &Partner, pushed: &Pushed) -> Result<AcceptedVoucher, ReceiveError> {
    let guid = accepted.voucher().guid();
    if pushed.guid.as_ref().is_some_and(|said| said.parse::<Guid>().ok() != Some(guid)) {
        return Err(ReceiveError::OtherGuid(guid));
    }
    let Some(serial) = &pushed.serial else { return Ok(accepted) };
    match accepted.certified_serial() {
        Some(certified) if canonical(certified) != canonical(serial) => {
            Err(ReceiveError::OtherSerial(certified.to_owned()))
        }
        _ => {
            let maker = pushed.manufacturer.as_deref().unwrap_or(&partner.name);
            Ok(accepted.asserted(serial, pushed.model.as_deref(), maker))
        }
    }
}

async fn commit(
    app: &App,
    partner: &Partner,
    pushed: &Pushed,
    accepted: &AcceptedVoucher,
) -> Result<Imported, ReceiveError> {
    let (guid, now) = (accepted.voucher().guid(), app.clock.now());
    let receipt = Receipt {
        guid,
        partner_id: partner.id.clone(),
        serial: accepted.serial().map(str::to_owned),
        model: pushed.model.clone(),
        manufacturer: pushed.manufacturer.clone(),
        sha256: hex::encode(Sha256::digest(&pushed.bytes)),
        size: pushed.bytes.len() as u64,
        received: now,
    };
    let transaction = database::begin(&app.db).await?;
    let imported = vouchers::import(&transaction, now, accepted).await?;
    store::upsert(&transaction, &receipt).await?;
    if imported != Imported::Same {
        let detail = match &receipt.serial {
            Some(serial) => format!("{serial} from {}", said(&partner.name, 100)),
            None => format!("from {}", said(&partner.name, 100)),
        };
        let event = Event {
            actor: &partner.name,
            action: "voucher.receive",
            subject: &guid.to_string(),
            outcome: Outcome::Success,
            detail: &detail,
        };
        audit::record(&transaction, now, event).await?;
        app.metrics.count("firstlight_vouchers_received_total");
    }
    transaction.commit().await?;
    app.registrar.wake();
    Ok(imported)
}
