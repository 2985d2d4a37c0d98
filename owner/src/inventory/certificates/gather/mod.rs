//! Background work that keeps the list true: what the CA issued, what stands in vouchers that came before there was a list,
//! our CAs, keys and pins.
//!
//! LDevIDs are not listed by the TO2 that issues them, whose commit is the busiest of all: they are taken over here, a
//! second later, in the order in which their records changed. A record that a slow transaction commits behind this point
//! is found by the sweep.

mod store;

use std::collections::HashSet;

use fdo_pki::Certificate;
use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::voucher::Voucher;
use fdo_service::database::{self, ConnectionTrait, DbErr};
use fdo_service::lease;

use self::store::Issued;
use super::store as rows;
use super::{Found, Holder, Source, Standing};
use crate::app::App;

/// Rows in one transaction: SQLite has one connection, which TO2 waits for.
const BATCH: u64 = 200;
/// Batches in one run, so that a run ends.
const BATCHES: usize = 20;
const LEASE: &str = "inventory";
const LEASE_SECONDS: u64 = 30;
const ISSUED: &str = "inventory.issued";
const VOUCHERS: &str = "inventory.vouchers";
const DONE: &str = "done";
/// A transaction that began longer ago has ended.
const LATE_SECONDS: u64 = 600;

/// Takes over what is new; one replica does.
pub async fn run(app: &App) -> Result<(), DbErr> {
    if !is_anything_new(app).await? {
        return Ok(());
    }
    if !lease::try_acquire(&app.db, LEASE, &app.replica, app.clock.now(), LEASE_SECONDS).await? {
        return Ok(());
    }
    for _ in 0..BATCHES {
        if !issued(app).await? {
            break;
        }
    }
    settle(app).await?;
    for _ in 0..BATCHES {
        if !vouchers(app).await? {
            break;
        }
    }
    Ok(())
}

/// Reads only, so that nothing is written while nothing happens.
async fn is_anything_new(app: &App) -> Result<bool, DbErr> {
    let is_listed = rows::cursor(&app.db, VOUCHERS).await?.as_deref() == Some(DONE);
    Ok(!is_listed
        || !store::settled(&app.db, 1).await?.is_empty()
        || !store::changed(&app.db, after(app).await?, 1).await?.is_empty())
}

/// Up to where what the CA issued is listed.
async fn after(app: &App) -> Result<Option<(u64, String)>, DbErr> {
    let cursor = rows::cursor(&app.db, ISSUED).await?;
    let after = cursor.as_deref().and_then(|text| text.split_once('/'));
    Ok(after.and_then(|(updated, serial)| Some((updated.parse().ok()?, serial.to_owned()))))
}

/// What may have been missed, and what is few: CAs, keys, pins.
pub async fn sweep(app: &App) -> Result<(), DbErr> {
    if !lease::try_acquire(&app.db, LEASE, &app.replica, app.clock.now(), LEASE_SECONDS).await? {
        return Ok(());
    }
    let since = app.clock.now().saturating_sub(LATE_SECONDS);
    for _ in 0..BATCHES {
        let missed = store::missed(&app.db, since, BATCH).await?;
        if missed.is_empty() {
            break;
        }
        let transaction = database::begin(&app.db).await?;
        take(&transaction, &missed).await?;
        transaction.commit().await?;
        if (missed.len() as u64) < BATCH {
            break;
        }
    }
    standing(app).await
}

/// The next batch of certificates whose records changed; false where there was none.
async fn issued(app: &App) -> Result<bool, DbErr> {
    let changed = store::changed(&app.db, after(app).await?, BATCH).await?;
    let Some(last) = changed.last() else { return Ok(false) };
    let transaction = database::begin(&app.db).await?;
    take(&transaction, &changed).await?;
    rows::set_cursor(&transaction, ISSUED, &format!("{}/{}", last.updated, last.serial)).await?;
    transaction.commit().await?;
    Ok(changed.len() as u64 == BATCH)
}

/// The TO2 of some ended: with 70, their certificates are the devices' own.
async fn settle(app: &App) -> Result<(), DbErr> {
    let settled = store::settled(&app.db, BATCH).await?;
    if settled.is_empty() {
        return Ok(());
    }
    let transaction = database::begin(&app.db).await?;
    take(&transaction, &settled).await?;
    transaction.commit().await
}

/// Lists what the CA issued, and marks what a device's newer certificate took the place of.
async fn take(conn: &impl ConnectionTrait, issued: &[Issued]) -> Result<(), DbErr> {
    let found: Vec<Found> = issued.iter().filter_map(listed).collect();
    if found.is_empty() {
        return Ok(());
    }
    rows::record(conn, &found).await?;
    let devices: HashSet<&String> = issued.iter().map(|issued| &issued.device_id).collect();
    let mut active = rows::active_ldevids(conn, devices.into_iter().cloned().collect()).await?;
    // The newest of each device and profile first.
    active.sort_by(|a, b| (&a.0, &a.1, b.2, &b.3).cmp(&(&b.0, &b.1, a.2, &a.3)));
    let older = active.windows(2).filter(|pair| (&pair[0].0, &pair[0].1) == (&pair[1].0, &pair[1].1));
    let older: Vec<String> = older.map(|pair| pair[1].3.clone()).collect();
    rows::set_standing(conn, &older, Standing::Replaced).await
}

fn listed(issued: &Issued) -> Option<Found> {
    let certificate = match Certificate::parse(&issued.der) {
        Ok(certificate) => certificate,
        Err(error) => {
            tracing::error!(serial = issued.serial, %error, "an issued certificate cannot be listed");
            return None;
        }
    };
    let holder = Holder {
        device_id: Some(&issued.device_id),
        serial: issued.device_serial.as_deref(),
        guid: Some(&issued.guid),
    };
    let mut found = Found::certificate(Source::Ldevid, &certificate, holder, issued.created);
    found.listed.last_seen = issued.updated;
    found.listed.profile = Some(issued.profile.clone());
    found.listed.reason = issued.reason.clone();
    if issued.revoked {
        found.listed.standing = Standing::Revoked;
        found.listed.attention = None;
    } else if !issued.confirmed {
        found.listed.standing = Standing::Pending;
        found.listed.attention = None;
    }
    Some(found)
}

/// The next batch of vouchers from before there was a list; false where there is none left.
async fn vouchers(app: &App) -> Result<bool, DbErr> {
    let cursor = rows::cursor(&app.db, VOUCHERS).await?;
    if cursor.as_deref() == Some(DONE) {
        return Ok(false);
    }
    let batch = store::vouchers(&app.db, cursor.as_deref(), BATCH).await?;
    let mut found = Vec::new();
    for held in &batch {
        match Voucher::from_bytes(&held.bytes) {
            Ok(voucher) => {
                let holder = Holder {
                    device_id: Some(&held.device_id),
                    serial: held.serial.as_deref(),
                    guid: Some(&held.guid),
                };
                let certificates = voucher.certificates().unwrap_or_default().iter().map(|der| &der[..]);
                found.extend(chain(certificates, holder, held.created));
            }
            Err(error) => tracing::error!(guid = held.guid, %error, "a stored voucher cannot be read"),
        }
    }
    let next = match batch.last() {
        Some(last) if batch.len() as u64 == BATCH => last.guid.as_str(),
        _ => DONE,
    };
    let transaction = database::begin(&app.db).await?;
    rows::record(&transaction, &found).await?;
    rows::set_cursor(&transaction, VOUCHERS, next).await?;
    transaction.commit().await?;
    Ok(next != DONE)
}

/// The certificates of a voucher: the device's, and the CAs above it. What cannot be read is left out; the voucher was
/// accepted all the same.
pub fn chain<'a>(certificates: impl Iterator<Item = &'a [u8]>, holder: Holder<'_>, now: u64) -> Vec<Found> {
    let read = |(place, der): (usize, &[u8])| {
        let certificate = Certificate::parse(der).ok()?;
        Some(match place {
            0 => Found::certificate(Source::Idevid, &certificate, holder, now),
            _ => Found::certificate(Source::DeviceCa, &certificate, Holder::default(), now),
        })
    };
    certificates.enumerate().filter_map(read).collect()
}

/// Our CAs, our keys, and whose vouchers are accepted: what is gone is retired.
async fn standing(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    let mut found = Vec::new();
    for (name, der) in store::authorities(&app.db).await? {
        if let Ok(certificate) = Certificate::parse(&der) {
            let listed = Found::certificate(Source::Authority, &certificate, Holder::default(), now);
            found.push(listed.named(Some(&name)));
        }
    }
    for file in app.keys.all() {
        let name = format!("owner key {}", file.key.key_type());
        found.push(Found::key(Source::OwnerKey, file.key.verifying_key(), &name, now));
    }
    for pin in store::pins(&app.db).await? {
        if pin.is_ca {
            if let Ok(certificate) = Certificate::parse(&pin.der) {
                let listed = Found::certificate(Source::DeviceCa, &certificate, Holder::default(), now);
                found.push(listed.named(Some(&pin.name)));
            }
        } else if let Ok(key) = VerifyingKey::from_spki_der(&pin.der) {
            found.push(Found::key(Source::MakerKey, &key, &pin.name, now));
        }
    }
    let transaction = database::begin(&app.db).await?;
    rows::record(&transaction, &found).await?;
    // A device CA may still stand in vouchers, so a pin that goes does not retire it.
    for source in [Source::Authority, Source::OwnerKey, Source::MakerKey] {
        let here: HashSet<&String> = found.iter().map(|found| &found.listed.fingerprint).collect();
        let gone: Vec<String> = rows::active_of(&transaction, source).await?;
        let gone: Vec<String> = gone.into_iter().filter(|fingerprint| !here.contains(fingerprint)).collect();
        rows::set_standing(&transaction, &gone, Standing::Retired).await?;
    }
    transaction.commit().await
}
