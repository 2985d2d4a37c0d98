//! TLS endpoints that are looked at from time to time: the chain that each serves becomes part of the inventory.

pub mod routes;
mod store;
mod tls;

use std::time::Duration;

use fdo_pki::Certificate;
use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use futures_util::stream::{self, StreamExt};
use rand_core::Rng;

use super::{Error, Found, Holder, Source, Standing, store as rows};
use crate::app::App;

pub use routes::SightingView;
pub use store::{failing, find, list, sightings_of};

/// For so long whoever took an endpoint works on it; then another one may.
const WORKING_SECONDS: u64 = 60;
const BATCH: u64 = 32;
const PARALLEL: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failure, doubled each time, at most the endpoint's own interval.
const RETRY_SECONDS: u64 = 300;
/// A chain as served; more is cut off.
const LONGEST_CHAIN: usize = 10;
/// How often an endpoint is looked at unless it is said.
pub const DAILY: u64 = 86_400;

/// An endpoint and how it went last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub id: String,
    /// `host:port`.
    pub endpoint: String,
    pub every_seconds: u64,
    pub next_at: u64,
    /// When it was tried, and when it last showed a chain.
    pub last_at: Option<u64>,
    pub last_seen: Option<u64>,
    /// In a row.
    pub failures: u64,
    pub error: Option<String>,
    pub created: u64,
}

/// A certificate at its place in the chain that an endpoint serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub probe_id: String,
    pub endpoint: String,
    pub position: u32,
    pub fingerprint: String,
    pub first_seen: u64,
    pub last_seen: u64,
}

/// `host:port` in its plain form.
fn endpoint(text: &str) -> Result<(String, u16), Error> {
    let wrong = || Error::Endpoint(text.chars().take(300).collect());
    let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = bare.is_some_and(|bare| bare.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    if is_address || is_name { Ok((host.to_lowercase(), port)) } else { Err(wrong()) }
}

fn interval(seconds: u64) -> Result<u64, Error> {
    if (60..=31_536_000).contains(&seconds) { Ok(seconds) } else { Err(Error::Interval) }
}

/// Adds an endpoint; it is looked at at once.
pub async fn add(app: &App, actor: &str, text: &str, every_seconds: u64) -> Result<Probe, Error> {
    let (host, port) = endpoint(text)?;
    let now = app.clock.now();
    let probe = Probe {
        id: format!("{:016x}", app.random.rng().next_u64()),
        endpoint: format!("{host}:{port}"),
        every_seconds: interval(every_seconds)?,
        next_at: now,
        last_at: None,
        last_seen: None,
        failures: 0,
        error: None,
        created: now,
    };
    let transaction = database::begin(&app.db).await?;
    if !store::insert(&transaction, &probe).await? {
        return Err(Error::ProbeExists(probe.endpoint));
    }
    let event = Event {
        actor,
        action: "probe.add",
        subject: &probe.id,
        outcome: Outcome::Success,
        detail: &probe.endpoint,
    };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    Ok(probe)
}

/// Changes how often an endpoint is looked at.
pub async fn set_interval(app: &App, actor: &str, id: &str, every_seconds: u64) -> Result<Probe, Error> {
    let every_seconds = interval(every_seconds)?;
    let transaction = database::begin(&app.db).await?;
    store::set_interval(&transaction, id, every_seconds).await?;
    let probe = store::find(&transaction, id).await?.ok_or_else(|| Error::ProbeUnknown(id.to_owned()))?;
    let detail = format!("{} every {every_seconds} s", probe.endpoint);
    let event = Event { actor, action: "probe.set", subject: id, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, app.clock.now(), event).await?;
    transaction.commit().await?;
    Ok(probe)
}

/// Takes an endpoint off the list; what only it served is retired.
pub async fn remove(app: &App, actor: &str, id: &str) -> Result<(), Error> {
    let transaction = database::begin(&app.db).await?;
    let probe = store::find(&transaction, id).await?.ok_or_else(|| Error::ProbeUnknown(id.to_owned()))?;
    let served = store::replace_sightings(&transaction, id, &[], 0).await?;
    retire(&transaction, &served).await?;
    store::delete(&transaction, id).await?;
    let event =
        Event { actor, action: "probe.remove", subject: id, outcome: Outcome::Success, detail: &probe.endpoint };
    audit::record(&transaction, app.clock.now(), event).await?;
    Ok(transaction.commit().await?)
}

/// What no endpoint serves any more, and nobody else told of.
async fn retire(conn: &impl database::ConnectionTrait, gone: &[String]) -> Result<(), DbErr> {
    let gone = store::unserved(conn, gone).await?;
    rows::set_standing(conn, &gone, Standing::Retired).await
}

/// Looks at the endpoints that are due. Several replicas may do this at once.
pub async fn run_due(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let due = store::take_due(&transaction, now, now + WORKING_SECONDS, BATCH).await?;
    transaction.commit().await?;
    let looked = stream::iter(due).map(|probe| async move { look(app, &probe).await.map(|_| ()) });
    let mut looked = looked.buffer_unordered(PARALLEL);
    while let Some(done) = looked.next().await {
        done?;
    }
    Ok(())
}

/// Looks at one endpoint now, and writes down what it served.
pub async fn look(app: &App, probe: &Probe) -> Result<Probe, DbErr> {
    let outcome = match tokio::time::timeout(TIMEOUT, served(app, &probe.endpoint)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(tls::Unseen::without_chain("it did not answer in 10 seconds".to_owned())),
    };
    let (chain, error) = match outcome {
        Ok(chain) => (chain, None),
        Err(unseen) => (unseen.chain, Some(unseen.reason)),
    };
    let now = app.clock.now();
    let read = |der: &Vec<u8>| Certificate::parse(der).ok();
    let certificates: Vec<Certificate> = chain.iter().take(LONGEST_CHAIN).filter_map(read).collect();
    let error = match (error, chain.len().min(LONGEST_CHAIN) == certificates.len()) {
        (None, false) => Some("it serves a certificate that cannot be read".to_owned()),
        (error, _) => error,
    };
    let mut after = probe.clone();
    after.last_at = Some(now);
    after.failures = if error.is_some() { probe.failures.saturating_add(1) } else { 0 };
    after.error = error.map(|text| text.chars().take(300).collect());
    let pause = match after.failures {
        0 => probe.every_seconds,
        failures => (RETRY_SECONDS << (failures - 1).min(8)).min(probe.every_seconds),
    };
    after.next_at = now + pause;
    let name = format!("served at {}", probe.endpoint);
    let found = certificates.iter().map(|certificate| {
        Found::certificate(Source::Probe, certificate, Holder::default(), now).named(Some(&name))
    });
    let found: Vec<Found> = found.collect();
    let transaction = database::begin(&app.db).await?;
    if !found.is_empty() {
        after.last_seen = Some(now);
        rows::record(&transaction, &found).await?;
        let fingerprints: Vec<String> = found.iter().map(|found| found.listed.fingerprint.clone()).collect();
        let gone = store::replace_sightings(&transaction, &probe.id, &fingerprints, now).await?;
        retire(&transaction, &gone).await?;
    }
    store::looked(&transaction, &after).await?;
    transaction.commit().await?;
    Ok(after)
}

async fn served(app: &App, text: &str) -> Result<Vec<Vec<u8>>, tls::Unseen> {
    let (host, port) = endpoint(text).map_err(|error| tls::Unseen::without_chain(error.to_string()))?;
    let addresses = app.guard.resolve(&host, port).await;
    let addresses = addresses.map_err(|error| tls::Unseen::without_chain(error.to_string()))?;
    tls::chain(&host, &addresses).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        for (text, host, port) in [
            ("www.Example.com:443", "www.example.com", 443),
            ("10.0.0.1:8443", "10.0.0.1", 8443),
            ("[2001:db8::1]:443", "[2001:db8::1]", 443),
        ] {
            assert_eq!(endpoint(text).ok(), Some((host.to_owned(), port)));
        }
        for wrong in [
            "example.com",
            ":443",
            "example.com:0",
            "example.com:99999",
            "a b:1",
            "2001:db8::1:443",
            "http://x:80",
            "[x]:1",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
