//! Selling a device on: its voucher is extended to the next owner's key, once, and the device is forgotten here only
//! when the new owner has it.
//!
//! `Sold` (signed, nothing has left) -> `HandedOver` (a byte may have left) -> `Delivered` (the new owner has it). Only
//! a sale of which nothing has left can be called off: two entries after the same one would be two owners.

pub mod routes;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::fmt;
use std::time::Duration;

use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, VerifyingKey};
use fdo_service::database::{self, DatabaseTransaction, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use serde::{Deserialize, Serialize};

pub use store::{find, list, list_of_key};

use crate::app::App;
use crate::ca::{self, Reason};
use crate::inventory::{self, Device, DeviceState};
use crate::vouchers::{self, State as VoucherState};
use crate::{keys, onboarding, registration};

/// How often, and at which distance, a sale asks whether the last registration has ended.
const REGISTRATION_TRIES: u32 = 100;
const REGISTRATION_PAUSE: Duration = Duration::from_millis(50);

/// How far a sale has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The voucher is extended and stored; nobody has seen it.
    Sold,
    /// The voucher was, or is being, given out.
    HandedOver,
    /// The new owner has it, and the device is forgotten here.
    Delivered,
}

impl State {
    const ALL: [Self; 3] = [Self::Sold, Self::HandedOver, Self::Delivered];

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sold => "sold",
            Self::HandedOver => "handed-over",
            Self::Delivered => "delivered",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device that was sold on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resale {
    pub guid: Guid,
    /// The inventory's id of the device.
    pub device_id: String,
    pub serial: Option<String>,
    pub state: State,
    /// The fingerprint of the new owner's key.
    pub next_key: String,
    /// How many entries the extended voucher has.
    pub entries: u32,
    /// Whether the device had been onboarded here.
    pub onboarded: bool,
    /// The extended voucher in CBOR. Nothing of it leaves before [`hand_over`] has been committed.
    pub bytes: Vec<u8>,
    pub sold: u64,
    pub handed_over: Option<u64>,
    pub delivered: Option<u64>,
}

/// What is to be sold to whom.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A GUID or a serial.
    pub name: &'a str,
    /// The next owner's key.
    pub next: &'a VerifyingKey,
    /// Sell it although it was never onboarded here.
    pub even_if_never_onboarded: bool,
}

/// Why a device is not sold on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{0} was never onboarded here, so nobody has seen that it works; onboard it first, or say that it may be sold all the same (--even-if-never-onboarded)"
    )]
    NeverOnboarded(Guid),
    #[error("{guid} is sold to the key {next_key} already; cancel that sale while nothing of it has left")]
    OtherKey { guid: Guid, next_key: String },
    #[error(
        "this device's voucher needs a {needed} key, as its maker's is, and the given one is {given}; ask the new owner for their {needed} key"
    )]
    KeyType { needed: KeyType, given: KeyType },
    #[error("{0} is extended to this very key already; to onboard it again, renew its registration")]
    OwnKey(Guid),
    #[error("this is no public key or certificate in PEM: {0}")]
    Key(String),
    #[error("the voucher of {0} has been given out; only its new owner can hand it back")]
    HandedOver(Guid),
    #[error("nothing of the voucher of {0} has left yet; hand it over first")]
    NothingLeft(Guid),
    #[error("{0} is being registered at a rendezvous at this moment; ask again in a minute")]
    Registering(Guid),
    #[error("there is no sale of {0}")]
    NotFound(String),
    #[error("the owner key that {0} ends in is not here any more")]
    KeyGone(Guid),
    #[error("the voucher cannot be extended: {0}")]
    Extend(#[from] fdo_protocol::Error),
    #[error(transparent)]
    Voucher(#[from] vouchers::Error),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the sales' database failed")]
    Database(#[from] DbErr),
}

/// The next owner's key out of a PEM file: a public key or a certificate.
pub fn next_key(pem: &str) -> Result<VerifyingKey, Error> {
    if pem.contains("PRIVATE KEY") {
        return Err(Error::Key(
            "it is a private key; keep that for yourself, and ask for the new owner's public key".to_owned(),
        ));
    }
    // A chain begins with the owner's own certificate.
    let first = pem.find("-----END").and_then(|end| pem[end + 5..].find("-----").map(|rest| end + 10 + rest));
    let block = pem[..first.unwrap_or(pem.len())].trim();
    let (label, der) = pem_rfc7468::decode_vec(block.as_bytes()).map_err(|error| Error::Key(error.to_string()))?;
    let key = match label {
        "PUBLIC KEY" => VerifyingKey::from_spki_der(&der).map_err(|error| error.to_string()),
        "CERTIFICATE" => fdo_pki::Certificate::parse(&der)
            .and_then(|certificate| certificate.public_key())
            .map_err(|error| error.to_string()),
        other => Err(format!("a PEM block labelled {other}")),
    };
    key.map_err(Error::Key)
}

/// Sells a device: one transaction, committed before this returns. The same request again gets the same bytes; another
/// key is refused. From here on the device is neither registered nor onboarded here, and its certificates are revoked.
pub async fn resell(app: &App, actor: &str, request: Request<'_>) -> Result<Resale, Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let device = match inventory::find_by_name(&transaction, request.name).await {
        Ok(device) => device,
        // It may be forgotten already, and this the repeated request of whoever lost the answer.
        Err(inventory::Error::NotFound(name)) => {
            let sale = store::find_by_name(&transaction, &name).await?;
            return same_again(sale.ok_or(inventory::Error::NotFound(name))?, request.next);
        }
        Err(error) => return Err(error.into()),
    };
    // Certificates, device, vouchers, in the order of 70: an onboarding or another sale is either waited for or refused.
    let gone = Reason::CessationOfOperation;
    ca::revoke_device(&transaction, &device.id, None, gone, now).await?;
    if !inventory::mark_sold(&transaction, now, &device.id).await? {
        return match store::find(&transaction, &device.guid).await? {
            Some(sale) if is_open(&transaction, &device).await? => same_again(sale, request.next),
            _ => Err(vouchers::Error::NotInUse(device.guid, VoucherState::Blocked).into()),
        };
    }
    let sale = sign(app, &transaction, &device, request, now).await?;
    vouchers::sell(&transaction, now, &device.id).await?;
    // Once more for what an onboarding was issued before its 70 let the device's row go.
    ca::revoke_device(&transaction, &device.id, None, gone, now).await?;
    let detail = match sale.onboarded {
        true => format!("to the key {}", sale.next_key),
        false => format!("to the key {}, never onboarded here", sale.next_key),
    };
    record(&transaction, now, actor, "voucher.resell", &sale.guid, &detail).await?;
    transaction.commit().await?;
    app.metrics.count("firstlight_resales_total");
    Ok(sale)
}

async fn is_open(transaction: &DatabaseTransaction, device: &Device) -> Result<bool, Error> {
    let now = inventory::find(transaction, &device.id).await?;
    Ok(now.is_none_or(|device| device.state == DeviceState::Sold))
}

fn same_again(sale: Resale, next: &VerifyingKey) -> Result<Resale, Error> {
    if sale.next_key == keys::fingerprint(next) {
        return Ok(sale);
    }
    Err(Error::OtherKey { guid: sale.guid, next_key: sale.next_key })
}

/// Extends the device's present voucher and stores that: signatures are random, so it is done once.
async fn sign(
    app: &App,
    transaction: &DatabaseTransaction,
    device: &Device,
    request: Request<'_>,
    now: u64,
) -> Result<Resale, Error> {
    // An onboarding may have given it another GUID before its row was taken.
    let device_now = inventory::find(transaction, &device.id).await?;
    let guid = device_now.map_or(device.guid, |device| device.guid);
    let for_sale = vouchers::for_sale(transaction, &guid).await?;
    let onboarded = for_sale.state == VoucherState::Onboarded;
    if !onboarded && !request.even_if_never_onboarded {
        return Err(Error::NeverOnboarded(guid));
    }
    let (present, next) = (for_sale.voucher.owner_key(), request.next);
    if present.key_type() != next.key_type() {
        return Err(Error::KeyType { needed: present.key_type(), given: next.key_type() });
    }
    if present == next {
        return Err(Error::OwnKey(guid));
    }
    let key = app.keys.owning(present).ok_or(Error::KeyGone(guid))?;
    let extended = for_sale.voucher.extend(key, next)?;
    let sale = Resale {
        guid,
        device_id: device.id.clone(),
        serial: device.serial.clone(),
        state: State::Sold,
        next_key: keys::fingerprint(next),
        entries: u32::try_from(extended.entries().len()).unwrap_or(u32::MAX),
        onboarded,
        bytes: extended.bytes().to_vec(),
        sold: now,
        handed_over: None,
        delivered: None,
    };
    store::insert(transaction, &for_sale.tip, &sale).await?;
    Ok(sale)
}

/// Says that the voucher leaves, before a byte of it does; from here on the sale stands. Gives the sale with its bytes,
/// again and again.
pub async fn hand_over(app: &App, actor: &str, guid: &Guid) -> Result<Resale, Error> {
    last_registration_ends(app, guid, REGISTRATION_TRIES).await?;
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let first = store::hand_over(&transaction, now, guid).await?;
    let sale = store::get(&transaction, guid).await?;
    if first {
        let detail = format!("to the key {}", sale.next_key);
        record(&transaction, now, actor, "voucher.hand-over", guid, &detail).await?;
        transaction.commit().await?;
    }
    Ok(sale)
}

/// A TO0 that was under way when the device was sold must not come after its new owner's.
async fn last_registration_ends(app: &App, guid: &Guid, tries: u32) -> Result<(), Error> {
    if store::get(&app.db, guid).await?.state != State::Sold {
        return Ok(());
    }
    for _ in 0..tries {
        if registration::is_idle(app, guid).await? {
            return Ok(());
        }
        tokio::time::sleep(REGISTRATION_PAUSE).await;
    }
    Err(Error::Registering(*guid))
}

/// Says that the new owner has the voucher: the device is forgotten, and only what was sold to whom is kept. Nothing
/// happens the second time.
pub async fn confirm(app: &App, actor: &str, guid: &Guid) -> Result<Resale, Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let first = store::deliver(&transaction, now, guid).await?;
    let sale = store::get(&transaction, guid).await?;
    if !first {
        return if sale.state == State::Delivered { Ok(sale) } else { Err(Error::NothingLeft(*guid)) };
    }
    // Where it was bought back meanwhile it is no longer sold, or sold once more to somebody who has nothing yet: it stays.
    if sale.state == State::Delivered && vouchers::deliver(&transaction, now, guid, &sale.device_id).await? {
        for (guid, _) in inventory::guids_of(&transaction, &sale.device_id).await? {
            registration::forget(&transaction, &guid).await?;
        }
        onboarding::forget(&transaction, &sale.device_id).await?;
        inventory::forget(&transaction, &sale.device_id).await?;
    }
    record(&transaction, now, actor, "voucher.deliver", guid, &format!("to the key {}", sale.next_key)).await?;
    transaction.commit().await?;
    Ok(sale)
}

/// Calls a sale off, while nothing of it has left; the signed voucher is destroyed. The certificates stay revoked.
pub async fn cancel(app: &App, actor: &str, guid: &Guid) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let sale = store::get(&transaction, guid).await?;
    if !store::delete_unseen(&transaction, guid).await? {
        return Err(Error::HandedOver(*guid));
    }
    vouchers::keep_after_all(&transaction, now, &sale.device_id).await?;
    inventory::unmark_sold(&transaction, now, &sale.device_id).await?;
    let detail = format!("was to the key {}", sale.next_key);
    record(&transaction, now, actor, "voucher.keep", guid, &detail).await?;
    transaction.commit().await?;
    app.registrar.wake();
    Ok(())
}

async fn record(
    transaction: &DatabaseTransaction,
    now: u64,
    actor: &str,
    action: &str,
    guid: &Guid,
    detail: &str,
) -> Result<(), DbErr> {
    let event = Event { actor, action, subject: &guid.to_string(), outcome: Outcome::Success, detail };
    audit::record(transaction, now, event).await
}
