//! Pulling: each owner key is proven, what is listed for it and not here yet is downloaded, checked (section 9.8) and
//! imported. Doing it twice, or by two replicas at once, changes nothing.

use std::collections::HashSet;

use fdo_protocol::Guid;
use fdo_protocol::crypto::VerifyingKey;
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::transfer::client::{ListItem, Session};
use fdo_service::transfer::partners::{self, Partner, PartnerError};
use fdo_service::transfer::{checksum, outbox, parse_timestamp, said, timestamp};
use rand_core::Rng;

use super::Error;
use crate::app::App;
use crate::claims::canonical;
use crate::keys;
use crate::manufacturers::{self, CallError, Manufacturer};
use crate::trust::Trust;
use crate::vouchers::{self, Acceptance, Imported, upload};

/// For so long whoever took a partner pulls; then another one may.
const PULLING_SECONDS: u64 = 600;
/// Partners that are due, at a time.
const BATCH: u64 = 4;
/// A holder that never comes to an end is left.
const MOST_PAGES: usize = 200;
/// The pause after a failure, and the longest.
const RETRY_SECONDS: u64 = 5;
const RETRY_MOST_SECONDS: u64 = 3600;
/// Asked for again at the next pull: clocks and transactions of the holder may overlap.
const OVERLAP_SECONDS: u64 = 3600;

/// Whom vouchers are pulled from.
pub struct Supplier {
    pub name: String,
    root: String,
    /// The keys that may sign its challenges; none where its pinned TLS key does.
    servers: Vec<VerifyingKey>,
    kind: Kind,
}

enum Kind {
    Partner(Box<Partner>),
    Manufacturer(Manufacturer),
}

/// What a pull came to.
#[derive(Clone, Debug, Default)]
pub struct Pulled {
    pub imported: Vec<Guid>,
    /// Here already.
    pub known: u64,
    /// The id that the holder gave, and why.
    pub refused: Vec<(String, String)>,
    /// Of the latest voucher in the list.
    latest: Option<u64>,
}

/// A supplier by its name, id, DID or URL.
pub async fn supplier(app: &App, name: &str) -> Result<Supplier, Error> {
    let name = name.trim_end_matches('/');
    match partners::get(&app.db, name).await {
        Ok(partner) => of_partner(app, partner).await,
        Err(PartnerError::Unknown(_)) => {
            let known = manufacturers::list(&app.db).await?;
            let names = |maker: &Manufacturer| {
                let (root, url) =
                    (manufacturers::connection::pull_root(&maker.url), maker.url.trim_end_matches('/'));
                maker.id == name || maker.name == name || url == name || root == name
            };
            let maker = known.into_iter().find(names).ok_or_else(|| Error::UnknownSupplier(said(name, 200)))?;
            Ok(Supplier {
                name: maker.name.clone(),
                root: manufacturers::connection::pull_root(&maker.url),
                servers: Vec::new(),
                kind: Kind::Manufacturer(maker),
            })
        }
        Err(error) => Err(error.into()),
    }
}

async fn of_partner(app: &App, partner: Partner) -> Result<Supplier, Error> {
    if partner.suspended {
        return Err(Error::Suspended(partner.name));
    }
    let root = partner.pull_root.clone().ok_or_else(|| Error::NoPullRoot(partner.name.clone()))?;
    let keys = partners::keys_of(&app.db, &partner.id).await?;
    let servers = outbox::servers(&partner, keys);
    Ok(Supplier { name: partner.name.clone(), root, servers, kind: Kind::Partner(Box::new(partner)) })
}

/// Pulls everything that is ours there. What was imported before a failure stays.
pub async fn pull(app: &App, supplier: &Supplier) -> Result<Pulled, Error> {
    let connection = match &supplier.kind {
        Kind::Partner(partner) => app.partners.connect(partner, &supplier.root).await?,
        Kind::Manufacturer(maker) => manufacturers::connect(app, maker).await?,
    };
    let trust = Trust::load(&app.db).await?;
    let mut pulled = Pulled::default();
    for (number, key) in app.keys.preferred().enumerate() {
        let (now, mut rng) = (app.clock.now(), app.random.rng());
        match connection.authenticate(key, &supplier.servers, now, &mut rng).await {
            Ok(session) => pull_with(app, supplier, &session, &trust, &mut pulled).await?,
            // A holder may know one of our keys only.
            Err(CallError::Refused { status: 400 | 403 | 404, .. }) if number > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
    tracing::info!(
        supplier = supplier.name,
        imported = pulled.imported.len(),
        known = pulled.known,
        refused = pulled.refused.len(),
        "vouchers pulled"
    );
    if let Kind::Partner(partner) = &supplier.kind {
        // What was refused is asked for again: an operator may come to trust its maker.
        let since =
            if pulled.refused.is_empty() { pulled.latest.or(partner.pull_since) } else { partner.pull_since };
        let (now, pause) = (app.clock.now(), app.settings.transfer.poll_seconds.max(1));
        partners::pulled(&app.db, &partner.id, now, now + jittered(app, pause), since).await?;
    }
    Ok(pulled)
}

async fn pull_with(
    app: &App,
    supplier: &Supplier,
    session: &Session<'_>,
    trust: &Trust,
    pulled: &mut Pulled,
) -> Result<(), Error> {
    let since = match &supplier.kind {
        Kind::Partner(partner) => partner.pull_since.map(|at| timestamp(at.saturating_sub(OVERLAP_SECONDS))),
        Kind::Manufacturer(_) => None,
    };
    let (mut continuation, mut seen) = (None::<String>, HashSet::new());
    for _ in 0..MOST_PAGES {
        let page = session.list(since.as_deref(), continuation.as_deref()).await?;
        let mut unseen = false;
        for item in page.vouchers {
            if seen.insert(item.voucher_id.clone()) {
                unseen = true;
                take(app, supplier, session, trust, item, pulled).await?;
            }
        }
        // Some holders ignore the continuation and give the first page for ever.
        if !page.has_more || !unseen || page.continuation.is_none() || page.continuation == continuation {
            return Ok(());
        }
        continuation = page.continuation;
    }
    Ok(())
}

async fn take(
    app: &App,
    supplier: &Supplier,
    session: &Session<'_>,
    trust: &Trust,
    item: ListItem,
    pulled: &mut Pulled,
) -> Result<(), Error> {
    let created = item.created_at.as_deref().and_then(parse_timestamp).filter(|at| *at <= app.clock.now());
    pulled.latest = pulled.latest.max(created);
    let id = said(&item.voucher_id, 64);
    let Ok(guid) = id.parse::<Guid>() else {
        pulled.refused.push((id, "the holder's voucher id is no GUID".to_owned()));
        return Ok(());
    };
    if let Some(here) = vouchers::find_by_guid(&app.db, &guid).await?
        && item.checksum.as_ref().is_some_and(|sum| *sum == format!("sha256:{}", hex::encode(&here.hash)))
    {
        pulled.known += 1;
        return Ok(());
    }
    match fetch(app, supplier, session, trust, &item, guid).await? {
        Ok(Imported::Same) => pulled.known += 1,
        Ok(_) => pulled.imported.push(guid),
        Err(why) => {
            tracing::warn!(supplier = supplier.name, %guid, reason = why, "a pulled voucher is not taken");
            pulled.refused.push((id, why));
        }
    }
    Ok(())
}

/// Downloads, checks and imports one voucher. What is wrong with the voucher is told inside.
async fn fetch(
    app: &App,
    supplier: &Supplier,
    session: &Session<'_>,
    trust: &Trust,
    item: &ListItem,
    guid: Guid,
) -> Result<Result<Imported, String>, Error> {
    let download = match session.download(&guid).await {
        Ok(download) => download,
        Err(error @ CallError::Refused { status: 400 | 403 | 404 | 410, .. }) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let sum = checksum(&download.bytes);
    let promised = [&item.checksum, &download.checksum];
    if promised.into_iter().flatten().any(|promised| !promised.eq_ignore_ascii_case(&sum)) {
        return Ok(Err("what came has another checksum than was promised".to_owned()));
    }
    let acceptance = Acceptance { keys: &app.keys, trust, allow_untrusted: false };
    let accepted = match acceptance.check(&download.bytes) {
        Ok(accepted) => accepted,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let voucher = accepted.voucher();
    if voucher.guid() != guid {
        return Ok(Err(format!("what came is the voucher of {}", voucher.guid())));
    }
    if keys::fingerprint(voucher.owner_key()) != session.fingerprint() {
        return Ok(Err("what came ends in another key than the one that was proven".to_owned()));
    }
    if let Kind::Manufacturer(maker) = &supplier.kind
        && !trust.is_maker_key(voucher.manufacturer_key(), &maker.id)
    {
        return Ok(Err("what came is not of this manufacturer's key".to_owned()));
    }
    let serial = item.serial.as_ref().or(item.serial_number.as_ref()).map(|serial| said(serial, 64));
    let model = item.model.as_ref().or(item.model_number.as_ref()).map(|model| said(model, 100));
    let (model, serial) = (model.filter(|text| !text.is_empty()), serial.filter(|text| !text.is_empty()));
    let accepted = match (serial, accepted.certified_serial()) {
        (Some(told), Some(certified)) if canonical(&told) != canonical(certified) => {
            return Ok(Err(format!("the device's certificate names the serial {certified}, the list {told}")));
        }
        (Some(told), _) => accepted.asserted(&told, model.as_deref(), &supplier.name),
        (None, _) => accepted,
    };
    match import(app, supplier, &accepted).await {
        Ok(imported) => Ok(Ok(imported)),
        Err(vouchers::Error::Database(error)) => Err(error.into()),
        Err(error) => {
            if matches!(error, vouchers::Error::Fork(_)) {
                upload::alarm(app, &supplier.name, &guid).await;
            }
            Ok(Err(error.to_string()))
        }
    }
}

async fn import(
    app: &App,
    supplier: &Supplier,
    accepted: &vouchers::AcceptedVoucher,
) -> Result<Imported, vouchers::Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let imported = vouchers::import(&transaction, now, accepted).await?;
    if imported != Imported::Same {
        let (subject, detail) = (accepted.voucher().guid().to_string(), format!("from {}", supplier.name));
        let event = Event {
            actor: "pull",
            action: "voucher.pull",
            subject: &subject,
            outcome: Outcome::Success,
            detail: &detail,
        };
        audit::record(&transaction, now, event).await?;
        app.metrics.count("firstlight_vouchers_pulled_total");
    }
    transaction.commit().await?;
    app.registrar.wake();
    Ok(imported)
}

/// Pulls from the partners that are due. Several replicas may do this at once.
pub async fn run_due(app: &App) -> Result<(), Error> {
    if app.settings.transfer.poll_seconds == 0 {
        return Ok(());
    }
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let due = partners::due_for_pull(&transaction, now, now + PULLING_SECONDS, BATCH).await?;
    transaction.commit().await?;
    for partner in due {
        let (id, attempts, name) = (partner.id.clone(), partner.pull_attempts, partner.name.clone());
        let pulled = match of_partner(app, partner).await {
            Ok(supplier) => pull(app, &supplier).await,
            Err(error) => Err(error),
        };
        if let Err(error) = pulled {
            let pause = RETRY_SECONDS.saturating_mul(1 << attempts.min(20)).min(RETRY_MOST_SECONDS);
            tracing::warn!(supplier = name, %error, "vouchers could not be pulled");
            let next = app.clock.now() + jittered(app, pause);
            partners::pull_failed(&app.db, &id, next, &said(&error.to_string(), 500)).await?;
        }
    }
    Ok(())
}

/// A quarter more or less, so that not everything is done at once.
fn jittered(app: &App, pause: u64) -> u64 {
    let spread = pause / 2;
    let offset = if spread == 0 { 0 } else { app.random.rng().next_u64() % (spread + 1) };
    pause - pause / 4 + offset
}
