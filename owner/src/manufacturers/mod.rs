//! The manufacturers that this owner is enrolled at: identity pinned, our keys proven, their keys and device CAs pinned.

pub mod connection;
pub mod routes;
mod store;
mod wire;

use fdo_protocol::crypto::SigningKey;
use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};

use crate::app::App;
use crate::trust::{self, Kind, TrustedKey};

pub use fdo_service::transfer::client::{CallError, Connection, Download, Session};
pub use store::{delete, find, list};
pub use wire::{ClaimAnswer, TrustAnswer};

/// A manufacturer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manufacturer {
    /// The beginning of its identity's fingerprint.
    pub id: String,
    pub name: String,
    pub url: String,
    /// SHA-256 of the identity key's SubjectPublicKeyInfo, in hexadecimal.
    pub identity: String,
    pub created: u64,
    pub contacted: Option<u64>,
}

/// Why a manufacturer cannot be added or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a fingerprint has 64 hexadecimal digits; `fdo-manufacturer buyer add` prints it")]
    Fingerprint,
    #[error("there is no manufacturer {0}; `fdo-owner manufacturer list` shows them")]
    NotFound(String),
    #[error("name the manufacturer: there are {0} of them")]
    Unnamed(usize),
    #[error("{0} is the address of another manufacturer here; remove that one first")]
    Url(String),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Trust(#[from] trust::Error),
    #[error("the manufacturers' database failed")]
    Database(#[from] DbErr),
}

/// Reads a fingerprint as people type it: upper case, colons and spaces are fine.
pub fn parse_fingerprint(text: &str) -> Result<[u8; 32], Error> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ' | '\t' | '\n' | '\r')).collect();
    let mut pin = [0_u8; 32];
    hex::decode_to_slice(digits, &mut pin).map_err(|_| Error::Fingerprint)?;
    Ok(pin)
}

/// Enrols every preferred owner key with a one-time code, then pins the maker's keys and device CAs.
pub async fn add(
    app: &App,
    actor: &str,
    url: &str,
    fingerprint: &str,
    code: &str,
) -> Result<(Manufacturer, Vec<TrustedKey>), Error> {
    let pin = parse_fingerprint(fingerprint)?;
    let connection = connection::open(&app.guard, url, pin).await?;
    let keys: Vec<&SigningKey> = app.keys.preferred().collect();
    let mut answer = None;
    for (index, key) in keys.iter().copied().enumerate() {
        let session = connection.authenticate(key, &[], app.clock.now(), &mut app.random.rng()).await?;
        let last = index + 1 == keys.len();
        connection::enrol(&session, code, last).await?;
        if last {
            answer = Some(connection::trust(&session).await?);
        }
    }
    let answer = answer.ok_or_else(|| CallError::Settings("there is no owner key".to_owned()))?;
    let identity = hex::encode(pin);
    let now = app.clock.now();
    let manufacturer = Manufacturer {
        id: identity[..12].to_owned(),
        name: answer.manufacturer.chars().filter(|c| !c.is_control()).take(100).collect(),
        url: url.to_owned(),
        identity,
        created: now,
        contacted: Some(now),
    };
    let pins = keep(app, actor, &manufacturer, &answer, "manufacturer.add").await?;
    Ok((manufacturer, pins))
}

/// Fetches the maker's keys and device CAs again, and pins what is new.
pub async fn refresh(app: &App, actor: &str, name: &str) -> Result<(Manufacturer, Vec<TrustedKey>), Error> {
    let mut manufacturer = resolve(app, Some(name)).await?;
    let connection = connect(app, &manufacturer).await?;
    let key = app.keys.all().first().map(|file| &file.key);
    let key = key.ok_or_else(|| CallError::Settings("there is no owner key".to_owned()))?;
    let session = connection.authenticate(key, &[], app.clock.now(), &mut app.random.rng()).await?;
    let answer = connection::trust(&session).await?;
    manufacturer.contacted = Some(app.clock.now());
    let pins = keep(app, actor, &manufacturer, &answer, "manufacturer.refresh").await?;
    Ok((manufacturer, pins))
}

async fn keep(
    app: &App,
    actor: &str,
    manufacturer: &Manufacturer,
    answer: &TrustAnswer,
    action: &str,
) -> Result<Vec<TrustedKey>, Error> {
    let now = app.clock.now();
    let mut pins = Vec::new();
    let mut pin = |kind, pem: &str| -> Result<(), Error> {
        let (_, der) = pem_rfc7468::decode_vec(pem.trim().as_bytes())
            .map_err(|error| CallError::Answer(format!("a key or CA is not PEM: {error}")))?;
        pins.push(TrustedKey::parse(kind, &manufacturer.name, Some(&manufacturer.id), &der, now)?);
        Ok(())
    };
    for key in &answer.voucher_signing_keys {
        pin(Kind::ManufacturerKey, &key.public_key)?;
    }
    for ca in &answer.device_cas {
        pin(Kind::DeviceCa, &ca.certificate)?;
    }
    let transaction = database::begin(&app.db).await?;
    store::upsert(&transaction, manufacturer).await?;
    for pin in &pins {
        trust::insert(&transaction, pin).await?;
    }
    let detail = format!("{} at {}, {} keys and CAs pinned", manufacturer.name, manufacturer.url, pins.len());
    let event = Event { actor, action, subject: &manufacturer.id, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    Ok(pins)
}

/// A manufacturer by its id or name; without one, the only one there is.
pub async fn resolve(app: &App, name: Option<&str>) -> Result<Manufacturer, Error> {
    let mut all = list(&app.db).await?;
    if let Some(name) = name {
        let found = all.into_iter().find(|maker| maker.id == name || maker.name == name);
        return found.ok_or_else(|| Error::NotFound(name.to_owned()));
    }
    match all.len() {
        1 => Ok(all.remove(0)),
        count => Err(Error::Unnamed(count)),
    }
}

/// A connection to a manufacturer, with its pinned identity.
pub async fn connect(app: &App, manufacturer: &Manufacturer) -> Result<Connection, Error> {
    let pin = parse_fingerprint(&manufacturer.identity)?;
    Ok(connection::open(&app.guard, &manufacturer.url, pin).await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_people_type_it() {
        let plain = "ab".repeat(32);
        assert_eq!(parse_fingerprint(&format!("AB:{} ab", "ab".repeat(30))).unwrap(), [0xab; 32]);
        assert!(parse_fingerprint(&plain[2..]).is_err());
        assert!(parse_fingerprint("zz").is_err());
    }
}
