//! Asking for claims: one session for each key type, then downloads in parallel, each import a transaction of its own.

use std::collections::BTreeMap;

use fdo_protocol::PublicKeyType;
use fdo_protocol::crypto::KeyType;
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use rand_core::Rng;

use super::store::{self, Attempt};
use super::verify::{Asked, Distrust};
use super::{ASKING_SECONDS, Error, State};
use crate::app::App;
use crate::manufacturers::{self, CallError, ClaimAnswer, Connection, Manufacturer, Session};
use crate::trust::Trust;
use crate::vouchers::{self, Acceptance, upload};

/// A manufacturer takes so many serials in one request.
const BATCH: usize = 200;

/// Takes the claims that are due, and asks for them. Several replicas may do this at once.
pub async fn run_due(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let due = store::take_due(&transaction, now, now + ASKING_SECONDS, BATCH as u64).await?;
    transaction.commit().await?;
    let mut by_maker = BTreeMap::<String, Vec<String>>::new();
    for (manufacturer, serial) in due {
        by_maker.entry(manufacturer).or_default().push(serial);
    }
    for (id, serials) in by_maker {
        match manufacturers::find(&app.db, &id).await? {
            Some(manufacturer) => pursue(app, &manufacturer, &serials).await?,
            None => {
                for serial in &serials {
                    let gone = Failure::new("manufacturer_removed", "the manufacturer was removed here");
                    note(app, &id, serial, &gone).await?;
                }
            }
        }
    }
    Ok(())
}

/// Asks for these serials; how each went stands in its row afterwards.
pub async fn pursue(app: &App, manufacturer: &Manufacturer, serials: &[String]) -> Result<(), Error> {
    let open = store::requested(&app.db, &manufacturer.id, serials).await?;
    if open.is_empty() {
        return Ok(());
    }
    let asked = async {
        let connection = manufacturers::connect(app, manufacturer).await?;
        for batch in open.chunks(BATCH) {
            ask_batch(app, manufacturer, &connection, batch).await?;
        }
        Ok::<_, Error>(())
    };
    let failure = match asked.await {
        Ok(()) => return Ok(()),
        Err(Error::Manufacturer(error)) => Failure::of_call(&error),
        Err(error) => return Err(error),
    };
    tracing::warn!(
        manufacturer = manufacturer.name,
        code = failure.code,
        reason = failure.detail,
        "claims are kept"
    );
    // Those that were settled before the failure stay settled.
    for serial in &open {
        note(app, &manufacturer.id, serial, &failure).await?;
    }
    Ok(())
}

async fn ask_batch(
    app: &App,
    manufacturer: &Manufacturer,
    connection: &Connection,
    serials: &[String],
) -> Result<(), Error> {
    let mut left = ask(app, manufacturer, connection, KeyType::P256, serials).await?;
    for key_type in [KeyType::P384, KeyType::Rsa2048, KeyType::Rsa3072] {
        let wanted = |answer: &ClaimAnswer| required(answer) == Some(key_type);
        let (mine, others): (Vec<_>, Vec<_>) = left.into_iter().partition(wanted);
        left = others;
        if mine.is_empty() {
            continue;
        }
        if app.keys.for_type(key_type).is_none() {
            let why =
                format!("the voucher needs an {key_type} owner key: name it in `rsa_keys`, restart, and enrol it");
            for answer in &mine {
                note(app, &manufacturer.id, &answer.serial, &Failure::new("no_owner_key", &why)).await?;
            }
            continue;
        }
        let serials: Vec<String> = mine.into_iter().map(|answer| answer.serial).collect();
        for answer in ask(app, manufacturer, connection, key_type, &serials).await? {
            note(app, &manufacturer.id, &answer.serial, &Failure::of_answer(&answer)).await?;
        }
    }
    for answer in &left {
        note(app, &manufacturer.id, &answer.serial, &Failure::of_answer(answer)).await?;
    }
    Ok(())
}

/// The type of owner key that the manufacturer asks for, by the largest size of its `pkType`.
fn required(answer: &ClaimAnswer) -> Option<KeyType> {
    let asked = PublicKeyType::from_number(answer.required_pk_type?).ok()?;
    asked.key_types().last().copied()
}

/// Asks with the key of one type; gives back the answers that want another key.
async fn ask(
    app: &App,
    manufacturer: &Manufacturer,
    connection: &Connection,
    key_type: KeyType,
    serials: &[String],
) -> Result<Vec<ClaimAnswer>, Error> {
    let key = app.keys.for_type(key_type);
    let key = key.ok_or_else(|| call(CallError::Settings(format!("there is no owner key for {key_type}"))))?;
    let mut rng = app.random.rng();
    let session = connection.authenticate(key, &[], app.clock.now(), &mut rng).await.map_err(call)?;
    let answers = manufacturers::connection::claim(&session, serials).await.map_err(call)?;
    let trust = Trust::load(&app.db).await?;
    let mut ready = Vec::new();
    let mut mismatched = Vec::new();
    for (serial, mut answer) in serials.iter().zip(answers) {
        // Ours, in our spelling: the answer is data.
        answer.serial.clone_from(serial);
        match (answer.status.as_str(), answer.error_code.as_deref()) {
            ("ok", _) => ready.push(answer),
            (_, Some("key_type_mismatch")) => mismatched.push(answer),
            _ => note(app, &manufacturer.id, serial, &Failure::of_answer(&answer)).await?,
        }
    }
    let parallel = app.settings.claims.parallel.max(1);
    let mut fetches = Vec::with_capacity(ready.len());
    for answer in &ready {
        fetches.push(fetch(app, manufacturer, &session, &trust, answer).boxed());
    }
    let results: Vec<Result<(), Error>> = stream::iter(fetches).buffer_unordered(parallel).collect().await;
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(mismatched)
}

fn call(error: CallError) -> Error {
    manufacturers::Error::from(error).into()
}

/// Downloads, checks and imports one voucher.
async fn fetch(
    app: &App,
    manufacturer: &Manufacturer,
    session: &Session<'_>,
    trust: &Trust,
    answer: &ClaimAnswer,
) -> Result<(), Error> {
    let serial = answer.serial.as_str();
    let Some(guid) = answer.voucher_id.as_ref().and_then(|id| id.parse().ok()) else {
        let broken = Failure::new("answer", "the manufacturer answers `ok` without a voucher's id");
        return note(app, &manufacturer.id, serial, &broken).await;
    };
    let download = match session.download(&guid).await {
        Ok(download) => download,
        Err(error) => return note(app, &manufacturer.id, serial, &Failure::of_call(&error.into())).await,
    };
    let acceptance = Acceptance { keys: &app.keys, trust, allow_untrusted: false };
    let asked = Asked { serial, guid, manufacturer, key: session.fingerprint() };
    let imported = match asked.accept(answer, &download, &acceptance, trust) {
        Ok(accepted) => import(app, manufacturer, serial, &accepted).await.map_err(Distrust::from),
        Err(distrust) => Err(distrust),
    };
    let Err(distrust) = imported else { return Ok(()) };
    tracing::warn!(serial, %guid, code = distrust.code(), reason = %distrust, "a claimed voucher is not taken");
    if matches!(distrust, Distrust::Voucher(vouchers::Error::Fork(_))) {
        upload::alarm(app, "claims", &guid).await;
    }
    let failure = Failure {
        code: distrust.code().to_owned(),
        detail: distrust.to_string(),
        hope: Hope::of(distrust.may_pass()),
    };
    note(app, &manufacturer.id, serial, &failure).await
}

/// Voucher, device, the rendezvous' job and the claim in one transaction.
async fn import(
    app: &App,
    manufacturer: &Manufacturer,
    serial: &str,
    accepted: &vouchers::AcceptedVoucher,
) -> Result<(), vouchers::Error> {
    let (guid, now) = (accepted.voucher().guid(), app.clock.now());
    let transaction = database::begin(&app.db).await?;
    vouchers::import(&transaction, now, accepted).await?;
    let first = match store::fulfil(&transaction, &manufacturer.id, serial, &guid, now).await {
        Err(Error::Database(error)) => return Err(error.into()),
        other => other.unwrap_or_default(),
    };
    if first {
        let detail = format!("{serial} from {}", manufacturer.name);
        let subject = guid.to_string();
        let event = Event {
            actor: "claims",
            action: "claim.fulfil",
            subject: &subject,
            outcome: Outcome::Success,
            detail: &detail,
        };
        audit::record(&transaction, now, event).await?;
        app.metrics.count("firstlight_claims_fulfilled_total");
    }
    transaction.commit().await?;
    app.registrar.wake();
    Ok(())
}

/// Whether to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    /// After a pause that grows, or the one that the manufacturer names.
    Soon(Option<u64>),
    /// Daily, for two weeks.
    Daily,
    Never,
}

impl Hope {
    fn of(may_pass: bool) -> Self {
        if may_pass { Self::Soon(None) } else { Self::Never }
    }
}

/// Why a claim was not fulfilled this time.
struct Failure {
    code: String,
    detail: String,
    hope: Hope,
}

impl Failure {
    fn new(code: &str, detail: &str) -> Self {
        Self { code: code.to_owned(), detail: detail.to_owned(), hope: Hope::Soon(None) }
    }

    fn of_answer(answer: &ClaimAnswer) -> Self {
        let code = answer.error_code.clone().unwrap_or_else(|| "answer".to_owned());
        let hope = match code.as_str() {
            "not_found" => Hope::Daily,
            "pending" | "rate_limited" | "internal_error" | "answer" => Hope::Soon(answer.retry_after),
            _ => Hope::Never,
        };
        let told = answer.message.clone().unwrap_or_else(|| format!("the manufacturer answers {code}"));
        Self { code, detail: told, hope }
    }

    /// The whole request failed: the claim is kept, whatever the reason, for the operators of either side to mend.
    fn of_call(error: &manufacturers::Error) -> Self {
        let (code, hope) = match error {
            manufacturers::Error::Call(CallError::Refused { code, retry_after, .. }) => {
                (code.as_str(), Hope::Soon(*retry_after))
            }
            manufacturers::Error::Call(CallError::Network { .. }) => ("unreachable", Hope::Soon(None)),
            manufacturers::Error::Call(CallError::Identity(_)) => ("identity_mismatch", Hope::Soon(None)),
            manufacturers::Error::Call(CallError::Outbound(_)) => ("outbound_refused", Hope::Soon(None)),
            manufacturers::Error::Call(CallError::KeyAuth(_)) => ("key_auth_failed", Hope::Soon(None)),
            _ => ("answer", Hope::Soon(None)),
        };
        Self { code: code.to_owned(), detail: error.to_string(), hope }
    }
}

async fn note(app: &App, manufacturer: &str, serial: &str, failure: &Failure) -> Result<(), Error> {
    let now = app.clock.now();
    let Some(claim) = store::find(&app.db, manufacturer, serial).await? else { return Ok(()) };
    let settings = &app.settings.claims;
    let pause = match failure.hope {
        Hope::Never => None,
        Hope::Soon(named) => {
            let doubled = settings.retry_seconds.saturating_mul(1 << claim.attempts.min(20));
            Some(named.unwrap_or(doubled).clamp(1, settings.retry_most_seconds.max(1)))
        }
        Hope::Daily => {
            let since = now.saturating_sub(claim.requested);
            (since < settings.not_found_total_seconds).then_some(settings.not_found_seconds)
        }
    };
    let next_at = pause.map(|pause| now + jittered(app, pause));
    let state = if next_at.is_some() { State::Requested } else { State::Refused };
    // What a manufacturer says is data: bounded, without control characters.
    let clean = |text: &str, most| text.chars().filter(|c| !c.is_control()).take(most).collect::<String>();
    let (error, detail) = (clean(&failure.code, 64), clean(&failure.detail, 500));
    let attempt = Attempt { state, error: &error, detail: &detail, next_at };
    store::attempted(&app.db, manufacturer, serial, now, &attempt).await
}

/// A quarter more or less, so that claims that failed together are not asked for together.
fn jittered(app: &App, pause: u64) -> u64 {
    let spread = pause / 2;
    let offset = if spread == 0 { 0 } else { app.random.rng().next_u64() % (spread + 1) };
    pause - pause / 4 + offset
}
