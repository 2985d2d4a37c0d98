//! Two replicas of a service on one PostgreSQL database: they share sessions and work, and do nothing twice.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fdo_device::{Agent, Attempts, Channel, HttpTransport, Onboarded, Policy, Transport, TransportError};
use fdo_http::{BaseUrl, Conversation, ServerTrust};
use fdo_owner::manufacturers;
use fdo_protocol::Guid;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::messages::{ErrorMessage, Outbound};
use fdo_tests::postgres::Databases;
use fdo_tests::replica::{self, OtherOwner};
use fdo_tests::world::{World, WorldSettings};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const ONCE: Policy = Policy { attempts: Attempts::Limited(1), reonboard: false };

/// A world whose second owner is a replica of the first.
async fn replicas() -> Option<(World, OtherOwner, Databases)> {
    let databases = Databases::create(3).await?;
    let urls = [0, 1, 2].map(|index| databases.url(index));
    let world = World::with(WorldSettings { databases: Some(urls), ..WorldSettings::default() }).await;
    world.enrol().await;
    let other = replica::owner(&world, "owner", 2).await;
    Some((world, other, databases))
}

/// A balancer in front of the owners: TO2's messages go to one and to the other in turns, or elsewhere where one is dead.
#[derive(Clone)]
struct Turns {
    inner: HttpTransport,
    /// Where messages to the owner really go.
    owners: Arc<[BaseUrl; 2]>,
    sent: Arc<AtomicUsize>,
    /// Before this message the first one is killed.
    first_ends_at: u8,
    first: Arc<Mutex<Option<fdo_owner::app::Running>>>,
}

/// The token is the session: it is carried from one replica to the other by hand.
struct TurnsChannel {
    inner: Conversation,
    transport: Turns,
    client: reqwest::Client,
    token: Option<String>,
}

impl Transport for Turns {
    type Channel = TurnsChannel;

    fn open(&self, base: &BaseUrl, trust: &ServerTrust) -> Result<TurnsChannel, TransportError> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Ok(TurnsChannel { inner: self.inner.open(base, trust)?, transport: self.clone(), client, token: None })
    }
}

impl Channel for TurnsChannel {
    async fn exchange(&mut self, request: &Outbound) -> Result<Vec<u8>, TransportError> {
        let number = request.message_type.number();
        if number < 60 {
            return Channel::exchange(&mut self.inner, request).await;
        }
        let turn = self.transport.sent.fetch_add(1, Ordering::Relaxed);
        let is_over = number >= self.transport.first_ends_at;
        if is_over && let Some(first) = self.transport.first.lock().await.take() {
            first.kill().await;
        }
        let alive = if is_over { 1 } else { turn % 2 };
        let url = self.transport.owners[alive].message_url(request.message_type);
        let mut sent = self.client.post(url).header("content-type", "application/cbor").body(request.body.clone());
        if let Some(token) = &self.token {
            sent = sent.header("authorization", token);
        }
        let response = sent.send().await.map_err(|error| TransportError::Unreachable(error.to_string()))?;
        if !response.status().is_success() {
            return Err(TransportError::Unreachable(format!("{number}: {}", response.status())));
        }
        if let Some(token) = response.headers().get("authorization") {
            self.token = Some(token.to_str().unwrap().to_owned());
        }
        Ok(response.bytes().await.unwrap().to_vec())
    }

    async fn send_error(&self, _: &ErrorMessage) {}
}

fn through_both(
    world: &World,
    other: &OtherOwner,
    agent: &Agent<HttpTransport>,
    first_ends_at: u8,
) -> Agent<Turns> {
    let second: BaseUrl = format!("http://{}", other.running.address("device").unwrap()).parse().unwrap();
    Agent {
        transport: Turns {
            inner: agent.transport.clone(),
            owners: Arc::new([world.owner_url.clone(), second]),
            sent: Arc::default(),
            first_ends_at,
            first: Arc::default(),
        },
        store: agent.store.clone(),
        settings: agent.settings.clone(),
        clock: agent.clock.clone(),
        random: agent.random.clone(),
        progress: None,
    }
}

async fn device(other: &OtherOwner, serial: &str) -> Value {
    other.api.get(&format!("/api/v1/devices/{serial}")).await.unwrap()
}

#[tokio::test]
async fn one_to2_runs_over_two_replicas_and_outlives_one_of_them() {
    let Some((mut world, other, databases)) = replicas().await else { return };
    let agent = world.sold_device("TURNS", KeyType::P256).await;
    let onboarded = through_both(&world, &other, &agent, u8::MAX).onboard(ONCE).await.unwrap();
    assert!(matches!(onboarded, Onboarded::Now { .. }), "{onboarded:?}");
    assert_eq!(device(&other, "TURNS").await["state"], "onboarded");

    // The first replica dies after 66; the second goes on with the same session.
    let agent = world.sold_device("OUTLIVES", KeyType::P256).await;
    let agent = through_both(&world, &other, &agent, 68);
    *agent.transport.first.lock().await = world.owner.take();
    let onboarded = agent.onboard(ONCE).await.unwrap();
    assert!(agent.transport.first.lock().await.is_none(), "it was killed");
    assert!(matches!(onboarded, Onboarded::Now { .. }), "{onboarded:?}");
    assert_eq!(device(&other, "OUTLIVES").await["state"], "onboarded");
    let certificates: Vec<Value> = other.api.pages("/api/v1/certificates").await.unwrap();
    let valid = |serial: &str| {
        let is_valid = |one: &&Value| one["device_serial"] == serial && one["revoked"].is_null();
        certificates.iter().filter(is_valid).count()
    };
    assert_eq!((valid("TURNS"), valid("OUTLIVES")), (1, 1), "{certificates:?}");
    other.running.stop().await;
    world.stop().await;
    databases.drop_all().await;
}

#[tokio::test]
async fn replicas_register_each_device_once() {
    let Some((world, other, databases)) = replicas().await else { return };
    let serials: Vec<String> = (0..20).map(|number| format!("SN-{number}")).collect();
    for serial in &serials {
        world.admit(serial).await;
        world.device(serial).init(&world.birth(serial, KeyType::P256)).await.unwrap();
    }
    let names: Vec<&str> = serials.iter().map(String::as_str).collect();
    world.buy(&names).await;
    let first = world.owner.as_ref().unwrap().app.clone();
    let registered = || async {
        let all: Vec<Value> = other.api.pages("/api/v1/registrations").await.unwrap();
        all.iter().filter(|row| row["registered"].is_u64()).count()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while registered().await < 20 {
        assert!(std::time::Instant::now() < deadline, "{} are registered", registered().await);
        // Both at once, besides their own jobs.
        let both =
            (fdo_owner::registration::run_due(&first), fdo_owner::registration::run_due(&other.running.app));
        let (one, two) = tokio::join!(both.0, both.1);
        one.unwrap();
        two.unwrap();
    }
    // The rendezvous counts what it accepted.
    let text = String::from_utf8(world.rendezvous_api.get_bytes("/metrics", "text/plain").await.unwrap()).unwrap();
    let accepted = text.lines().find(|line| line.contains("message=\"22\",outcome=\"answered\""));
    assert!(accepted.is_some_and(|line| line.ends_with(" 20")), "{text}");
    other.running.stop().await;
    world.stop().await;
    databases.drop_all().await;
}

#[tokio::test]
async fn one_claim_at_two_replicas_is_one_voucher() {
    let Some((world, other, databases)) = replicas().await else { return };
    for number in 0..4 {
        let serial = format!("SN-{number}");
        world.admit(&serial).await;
        let guid = world.device(&serial).init(&world.birth(&serial, KeyType::P256)).await.unwrap();
        let allocation = json!({ "buyer": "Owner", "serials": [serial] });
        let _: Value = world.manufacturer_api.post("/api/v1/allocations", &allocation).await.unwrap();
        let claim = json!({ "serials": [serial], "wait": 30 });
        let one = world.owner_api.post::<_, Value>("/api/v1/claims", &claim);
        let two = other.api.post::<_, Value>("/api/v1/claims", &claim);
        for report in <[_; 2]>::from(tokio::join!(one, two)) {
            let report = report.unwrap();
            assert_eq!(report["results"][0]["state"], "fulfilled", "{report}");
            assert_eq!(report["results"][0]["guid"], guid.to_string(), "{report}");
        }
    }
    assert_eq!(other.api.pages::<Value>("/api/v1/vouchers").await.unwrap().len(), 4);
    assert_eq!(other.api.pages::<Value>("/api/v1/claims").await.unwrap().len(), 4);
    other.running.stop().await;
    world.stop().await;
    databases.drop_all().await;
}

#[tokio::test]
async fn two_keys_at_two_manufacturer_replicas_get_one_signature() {
    let Some(databases) = Databases::create(3).await else { return };
    let urls = [0, 1, 2].map(|index| databases.url(index));
    let world = World::with(WorldSettings { databases: Some(urls), ..WorldSettings::default() }).await;
    world.enrol().await;
    // Another owner service of the same buyer, with keys and a database of its own, at the other replica.
    let own = Databases::create(1).await.unwrap();
    let mut stranger = world.owner_config.clone();
    stranger.database = Some(own.url(0));
    let other = replica::owner_with(&world, stranger, "other-owner", 3).await;
    let (second, claims_url) = replica::manufacturer(&world, 4).await;
    replica::enrol(&world, &other.api, "Owner", &claims_url).await;
    for number in 0..6 {
        let serial = format!("SN-{number}");
        world.admit(&serial).await;
        world.device(&serial).init(&world.birth(&serial, KeyType::P256)).await.unwrap();
        let allocation = json!({ "buyer": "Owner", "serials": [serial] });
        let _: Value = world.manufacturer_api.post("/api/v1/allocations", &allocation).await.unwrap();
        let first_app = &world.owner.as_ref().unwrap().app;
        let (one, two) = tokio::join!(ask(first_app, &serial), ask(&other.running.app, &serial));
        assert_ne!(one.is_some(), two.is_some(), "{serial}: one of them gets it");
    }
    assert_eq!(world.manufacturer_api.pages::<Value>("/api/v1/claims").await.unwrap().len(), 6);
    second.stop().await;
    other.running.stop().await;
    world.stop().await;
    databases.drop_all().await;
    own.drop_all().await;
}

/// Claims a serial with the owner's key as the owner service would.
async fn ask(app: &fdo_owner::app::App, serial: &str) -> Option<Guid> {
    let manufacturer = manufacturers::resolve(app, None).await.unwrap();
    let connection = manufacturers::connect(app, &manufacturer).await.unwrap();
    let key = app.keys.for_type(KeyType::P256).unwrap();
    let session = connection.authenticate(key, &[], app.clock.now(), &mut app.random.rng()).await.unwrap();
    let answer = manufacturers::connection::claim(&session, &[serial.to_owned()]).await.unwrap().remove(0);
    if answer.status != "ok" {
        assert_eq!(answer.error_code.as_deref(), Some("already_claimed"), "{answer:?}");
        return None;
    }
    let guid = answer.voucher_id.unwrap().parse().unwrap();
    session.download(&guid).await.unwrap();
    Some(guid)
}
