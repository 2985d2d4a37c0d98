//! Vouchers that were sold on, for their new owners: each key sees what was extended to it. A byte that leaves settles
//! the sale; a push that arrives ends it.

use fdo_protocol::Guid;
use fdo_service::database::DbErr;
use fdo_service::transfer::listing::{Listed, Wanted};
use fdo_service::transfer::outbox::{Holder, Push};
use fdo_service::transfer::partners;
use fdo_service::transfer::push::Pushed;
use fdo_service::transfer::{checksum, voucher_id};

use crate::app::App;
use crate::resale::{self, Resale, State};

/// Who speaks in the audit trail when a push does.
const PUSHER: &str = "push";

impl From<Resale> for Listed {
    fn from(sale: Resale) -> Self {
        Self {
            guid: sale.guid,
            serial: sale.serial.unwrap_or_default(),
            model: String::new(),
            downloaded: sale.state != State::Sold,
            created: sale.sold,
            size: sale.bytes.len(),
            checksum: checksum(&sale.bytes),
        }
    }
}

/// What was sold to a key.
pub async fn list(app: &App, key: &str, wanted: &Wanted) -> Result<Vec<Listed>, DbErr> {
    let sales = resale::list_of_key(&app.db, key, wanted).await?;
    Ok(sales.into_iter().map(Listed::from).collect())
}

/// The sale of a voucher to a key; unknown and somebody else's look the same.
pub async fn find(app: &App, key: &str, guid: &Guid) -> Result<Option<Resale>, DbErr> {
    Ok(resale::find(&app.db, guid).await?.filter(|sale| sale.next_key == key))
}

/// The voucher for its new owner; from here on the sale stands.
pub async fn download(app: &App, key: &str, guid: &Guid) -> Result<Option<Resale>, resale::Error> {
    if find(app, key, guid).await?.is_none() {
        return Ok(None);
    }
    let sale = resale::hand_over(app, key, guid).await?;
    // Called off and sold to another key in between, it is not for this one.
    Ok(Some(sale).filter(|sale| sale.next_key == key))
}

impl Holder for App {
    type Error = resale::Error;

    async fn parcel(&self, push: &Push) -> Result<Option<Pushed>, resale::Error> {
        let Some(sale) = resale::find(&self.db, &push.guid).await? else { return Ok(None) };
        let keys = partners::keys_of(&self.db, &push.partner_id).await?;
        let theirs = keys.is_empty() || keys.iter().any(|key| partners::fingerprint(key) == sale.next_key);
        if !theirs {
            return Ok(None);
        }
        let next_key = sale.next_key;
        let sale = resale::hand_over(self, PUSHER, &push.guid).await?;
        if sale.next_key != next_key {
            return Ok(None);
        }
        Ok(Some(Pushed {
            guid: Some(voucher_id(&sale.guid)),
            serial: sale.serial,
            timestamp: Some(sale.sold),
            bytes: sale.bytes,
            ..Pushed::default()
        }))
    }

    async fn arrived(&self, push: &Push) -> Result<(), resale::Error> {
        resale::confirm(self, PUSHER, &push.guid).await.map(|_| ())
    }
}
