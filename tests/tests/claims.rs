//! Claims that go wrong: unknown and foreign serials, twice, two owners at once, and a rendezvous or a manufacturer that
//! is down. A clear answer, nothing lost or changed, and it works once it can.
#![allow(clippy::unwrap_used)]

use fdo_owner::vouchers;
use fdo_protocol::Guid;
use fdo_protocol::crypto::KeyType;
use fdo_service::cli::ApiClient;
use fdo_tests::replica::{self, OtherOwner};
use fdo_tests::world::{START, World, onboard};
use serde_json::{Value, json};

async fn claim(api: &ApiClient, serial: &str) -> Value {
    let body = json!({ "serials": [serial], "wait": 30 });
    let report: Value = api.post("/api/v1/claims", &body).await.unwrap();
    report["results"][0].clone()
}

async fn shown(api: &ApiClient, serial: &str) -> Value {
    let report: Value = api.get(&format!("/api/v1/claims/{serial}")).await.unwrap();
    report["results"][0].clone()
}

async fn born(world: &World, serial: &str, key_type: KeyType) -> Guid {
    world.admit(serial).await;
    world.device(serial).init(&world.birth(serial, key_type)).await.unwrap()
}

async fn allocate(world: &World, serials: &[&str], buyer: &str) {
    let body = json!({ "buyer": buyer, "serials": serials });
    let _: Value = world.manufacturer_api.post("/api/v1/allocations", &body).await.unwrap();
}

async fn pursue(world: &World) {
    fdo_owner::claims::run_due(&world.owner.as_ref().unwrap().app).await.unwrap();
}

async fn voucher_count(api: &ApiClient) -> usize {
    api.pages::<Value>("/api/v1/vouchers").await.unwrap().len()
}

async fn stored(world: &World, guid: &Guid) -> Option<Vec<u8>> {
    vouchers::bytes(&world.owner.as_ref().unwrap().app.db, guid).await.unwrap()
}

/// A second owner, enrolled under this name.
async fn stranger(world: &World, buyer: &str) -> OtherOwner {
    let other = replica::owner(world, "other-owner", 2).await;
    replica::enrol(world, &other.api, buyer, &world.claims_url).await;
    other
}

#[tokio::test]
async fn an_unknown_serial_is_asked_for_daily_and_comes_when_the_maker_knows_it() {
    let world = World::new().await;
    world.enrol().await;
    let answer = claim(&world.owner_api, "SN-1").await;
    assert_eq!(answer["state"], "requested", "{answer}");
    assert_eq!(answer["error"], "not_found", "{answer}");
    let next_at = answer["next_at"].as_u64().unwrap();
    assert!((START + 64_000..START + 109_000).contains(&next_at), "about a day: {answer}");
    assert_eq!(voucher_count(&world.owner_api).await, 0);

    let guid = born(&world, "SN-1", KeyType::P256).await;
    allocate(&world, &["SN-1"], "Owner").await;
    pursue(&world).await;
    assert_eq!(shown(&world.owner_api, "SN-1").await["state"], "requested", "not before its time");
    world.clock.advance(110_000);
    pursue(&world).await;
    let answer = shown(&world.owner_api, "SN-1").await;
    assert_eq!(answer["state"], "fulfilled", "{answer}");
    assert_eq!(answer["guid"], guid.to_string());
    world.stop().await;
}

#[tokio::test]
async fn another_buyers_serial_looks_unknown_and_stays_the_other_buyers() {
    let world = World::new().await;
    world.enrol().await;
    let other = stranger(&world, "Other").await;
    let guid = born(&world, "SN-1", KeyType::P256).await;
    allocate(&world, &["SN-1"], "Owner").await;
    let unknown = claim(&other.api, "SN-2").await;
    let foreign = claim(&other.api, "SN-1").await;
    for field in ["state", "error", "guid"] {
        assert_eq!(foreign[field], unknown[field], "a stranger learns nothing: {foreign}");
    }
    assert_eq!(foreign["error"], "not_found", "{foreign}");
    assert_eq!(voucher_count(&other.api).await, 0);
    assert!(world.manufacturer_api.pages::<Value>("/api/v1/claims").await.unwrap().is_empty());

    assert_eq!(claim(&world.owner_api, "SN-1").await["guid"], guid.to_string());
    // Also once it is claimed.
    world.clock.advance(400_000);
    fdo_owner::claims::run_due(&other.running.app).await.unwrap();
    assert_eq!(shown(&other.api, "SN-1").await["error"], shown(&other.api, "SN-2").await["error"]);
    other.running.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_serial_claimed_twice_gives_the_same_voucher() {
    let world = World::new().await;
    world.enrol().await;
    for (serial, key_type) in [("SN-256", KeyType::P256), ("SN-384", KeyType::P384)] {
        let guid = born(&world, serial, key_type).await;
        allocate(&world, &[serial], "Owner").await;
        let first = claim(&world.owner_api, serial).await;
        assert_eq!((&first["state"], &first["guid"]), (&json!("fulfilled"), &json!(guid.to_string())), "{first}");
        let bytes = stored(&world, &guid).await.unwrap();
        assert_eq!(claim(&world.owner_api, serial).await, first, "claiming again changes nothing");
        assert_eq!(stored(&world, &guid).await.unwrap(), bytes);
        let both = json!({ "serials": [serial, serial], "wait": 30 });
        let report: Value = world.owner_api.post("/api/v1/claims", &both).await.unwrap();
        assert_eq!(report["results"], json!([first]));
    }
    assert_eq!(voucher_count(&world.owner_api).await, 2);
    assert_eq!(world.manufacturer_api.pages::<Value>("/api/v1/claims").await.unwrap().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn of_two_owners_that_ask_at_once_exactly_one_gets_the_voucher() {
    let world = World::new().await;
    world.enrol().await;
    // One buyer with two owner services: both are entitled, and each has keys of its own.
    let other = stranger(&world, "Owner").await;
    for number in 0..8 {
        let serial = format!("SN-{number}");
        let guid = born(&world, &serial, KeyType::P256).await;
        allocate(&world, &[&serial], "Owner").await;
        let (one, two) = tokio::join!(claim(&world.owner_api, &serial), claim(&other.api, &serial));
        let (winner, loser) = if one["state"] == "fulfilled" { (one, two) } else { (two, one) };
        assert_eq!(winner["state"], "fulfilled", "{winner} {loser}");
        assert_eq!(winner["guid"], guid.to_string());
        assert_eq!((&loser["state"], &loser["error"]), (&json!("refused"), &json!("already_claimed")), "{loser}");
    }
    let all = voucher_count(&world.owner_api).await + voucher_count(&other.api).await;
    assert_eq!(all, 8, "each voucher is at one owner");
    assert_eq!(world.manufacturer_api.pages::<Value>("/api/v1/claims").await.unwrap().len(), 8);
    other.running.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_claim_outlives_a_manufacturer_that_is_down() {
    let mut world = World::new().await;
    world.enrol().await;
    let guid = born(&world, "SN-1", KeyType::P256).await;
    allocate(&world, &["SN-1"], "Owner").await;
    world.manufacturer.take().unwrap().kill().await;

    let mut answer = claim(&world.owner_api, "SN-1").await;
    let mut pauses = Vec::new();
    for attempt in 1..=6 {
        assert_eq!((&answer["state"], &answer["error"]), (&json!("requested"), &json!("unreachable")), "{answer}");
        assert_eq!(answer["attempts"], attempt, "{answer}");
        let next_at = answer["next_at"].as_u64().unwrap();
        pauses.push(next_at - world.clock.now());
        world.clock.set(next_at);
        pursue_until(&world, "SN-1", attempt + 1).await;
        answer = shown(&world.owner_api, "SN-1").await;
    }
    for (index, pause) in pauses.iter().enumerate() {
        let middle = 5 << index;
        assert!((middle - middle / 4..=middle + middle / 4 + 1).contains(pause), "{pauses:?} do not double");
    }

    let (config, folder) = (world.manufacturer_config.clone(), world.directory.path().join("manufacturer"));
    let (clock, random) = (world.clock.clone(), world.random.clone());
    world.manufacturer = Some(fdo_manufacturer::app::start(&config, &folder, clock, random).await.unwrap());
    // The owner itself is restarted too: the claim is in its database.
    world.owner.take().unwrap().kill().await;
    let folder = world.directory.path().join("owner");
    let (clock, random) = (world.clock.clone(), world.random.clone());
    world.owner = Some(fdo_owner::app::start(&world.owner_config, &folder, clock, random).await.unwrap());
    world.clock.set(answer["next_at"].as_u64().unwrap());
    until(|| async { shown(&world.owner_api, "SN-1").await["state"] == "fulfilled" }).await;
    assert_eq!(shown(&world.owner_api, "SN-1").await["guid"], guid.to_string());
    world.stop().await;
}

/// The background job may have taken it up first.
async fn pursue_until(world: &World, serial: &str, attempts: u64) {
    pursue(world).await;
    until(|| async { shown(&world.owner_api, serial).await["attempts"].as_u64().unwrap() >= attempts }).await;
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition().await {
        assert!(std::time::Instant::now() < deadline, "it does not come about");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_registration_outlives_a_rendezvous_that_is_down() {
    let mut world = World::new().await;
    world.enrol().await;
    world.rendezvous.take().unwrap().kill().await;
    let agent = world.device("SN-1");
    world.admit("SN-1").await;
    agent.init(&world.birth("SN-1", KeyType::P256)).await.unwrap();
    let report = world.buy(&["SN-1"]).await;
    assert_eq!(report["results"][0]["state"], "fulfilled", "a rendezvous has no part in a claim: {report}");

    let registration = || async {
        let all: Vec<Value> = world.owner_api.pages("/api/v1/registrations").await.unwrap();
        all.into_iter().next().unwrap_or_default()
    };
    let mut pauses = Vec::new();
    for failures in 1..=6_u64 {
        world.register().await;
        until(|| async { registration().await["failures"].as_u64().unwrap_or(0) >= failures }).await;
        let row = registration().await;
        assert_eq!(row["failures"], failures, "{row}");
        assert!(row["registered"].is_null() && row["error"].is_string(), "{row}");
        let next_at = row["next_at"].as_u64().unwrap();
        pauses.push(next_at - world.clock.now());
        world.clock.set(next_at);
    }
    let is_doubled = |(index, pause): (usize, &u64)| {
        let middle = 5 << index;
        (middle * 9..=middle * 11).contains(&(pause * 10 + 9))
            || (middle * 9..=middle * 11).contains(&(pause * 10))
    };
    assert!(pauses.iter().enumerate().all(is_doubled), "{pauses:?} do not double");
    let device: Value = world.owner_api.get("/api/v1/devices/SN-1").await.unwrap();
    assert_eq!(device["state"], "imported", "{device}");

    let (config, folder) = (world.rendezvous_config.clone(), world.directory.path().join("rendezvous"));
    let (clock, random) = (world.clock.clone(), world.random.clone());
    let rendezvous = fdo_rendezvous::app::start(&config, &folder, clock, random).await.unwrap();
    world.clock.advance(600);
    world.register().await;
    until(|| async { registration().await["registered"].is_u64() }).await;
    let device: Value = world.owner_api.get("/api/v1/devices/SN-1").await.unwrap();
    assert_eq!(device["state"], "registered", "{device}");
    onboard(&agent).await.unwrap();
    world.rendezvous = Some(rendezvous);
    world.stop().await;
}
