//! Selling to a partner, or to whom a `did:key` names: the key that fits the device's voucher, and where it is pushed.

use fdo_protocol::crypto::VerifyingKey;
use fdo_service::transfer::did::Did;
use fdo_service::transfer::outbox::{self, Push};
use fdo_service::transfer::partners::{self, Partner, PartnerError};

use super::Error;
use crate::app::App;
use crate::resale::{self, Request, Resale};

/// Sells a device to a partner (by name, id or DID) or to the key of a `did:key`; where the partner takes pushes, the
/// voucher is put into the queue. The same again gets the same sale.
pub async fn sell(
    app: &App,
    actor: &str,
    name: &str,
    to: &str,
    even_if_never_onboarded: bool,
) -> Result<(Resale, Option<Push>), Error> {
    let (partner, keys) = buyer(app, to).await?;
    for next in &keys {
        let request = Request { name, next, even_if_never_onboarded };
        let sale = match resale::resell(app, actor, request).await {
            // Of its keys, the one of the voucher's type.
            Err(resale::Error::KeyType { .. }) => continue,
            other => other?,
        };
        let push = match partner.filter(|partner| partner.push_root.is_some()) {
            Some(partner) => {
                let serial = sale.serial.as_deref();
                Some(outbox::send_to(&app.partners, &sale.guid, serial, &partner.id).await?)
            }
            None => None,
        };
        return Ok((sale, push));
    }
    Err(Error::NoKey(to.to_owned()))
}

async fn buyer(app: &App, to: &str) -> Result<(Option<Partner>, Vec<VerifyingKey>), Error> {
    match partners::get(&app.db, to).await {
        Ok(partner) if partner.suspended => Err(Error::Suspended(partner.name)),
        Ok(partner) => {
            let keys = partners::keys_of(&app.db, &partner.id).await?;
            Ok((Some(partner), keys))
        }
        // A did:key is its key; a did:web is taken on by an operator first, who compares its keys.
        Err(PartnerError::Unknown(_)) => match to.parse::<Did>() {
            Ok(Did::Key { key, .. }) => Ok((None, vec![key])),
            _ => Err(PartnerError::Unknown(to.to_owned()).into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Puts a voucher that is sold already into the queue for a partner.
pub async fn push(app: &App, guid: &fdo_protocol::Guid, to: &str) -> Result<Push, Error> {
    let sale = resale::find(&app.db, guid).await?;
    let sale = sale.ok_or_else(|| resale::Error::NotFound(guid.to_string()))?;
    let partner = partners::get(&app.db, to).await?;
    let keys = partners::keys_of(&app.db, &partner.id).await?;
    if !keys.is_empty() && !keys.iter().any(|key| partners::fingerprint(key) == sale.next_key) {
        return Err(Error::NoKey(partner.name));
    }
    Ok(outbox::send_to(&app.partners, guid, sale.serial.as_deref(), &partner.id).await?)
}
