//! Services killed with SIGKILL at every message, as real processes: after a restart the next try works, and nothing is
//! lost or done twice.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fdo_device::{Agent, Attempts, HttpTransport, Onboarded, Policy};
use fdo_http::{Client, Retry, Settings};
use fdo_owner::{manufacturers, vouchers};
use fdo_protocol::crypto::KeyType;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_protocol::{Guid, to0};
use fdo_service::host::clock::Clock;
use fdo_tests::kill::{Moment, Service, with_kill};
use fdo_tests::world::{World, WorldSettings, onboard};
use serde_json::{Value, json};

const ONCE: Policy = Policy { attempts: Attempts::Limited(1), reonboard: false };

/// Real processes read the system's clock, so this world does too.
async fn world() -> World {
    let world = World::with(WorldSettings { clock: Some(Clock::system()), ..WorldSettings::default() }).await;
    world.enrol().await;
    world
}

fn owner_moments() -> Vec<Moment> {
    let mut moments: Vec<Moment> = [60, 62, 64, 66, 68].map(Moment::After).to_vec();
    moments.push(Moment::Before(70));
    moments.extend([0, 1, 3, 9, 27].map(|millis| Moment::While(70, Duration::from_millis(millis))));
    moments.push(Moment::ReplyLost(70));
    moments
}

async fn of_device(world: &World, serial: &str) -> (Value, Vec<Value>) {
    let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
    let all: Vec<Value> = world.owner_api.pages("/api/v1/certificates").await.unwrap();
    let valid = |certificate: &Value| certificate["device_serial"] == serial && certificate["revoked"].is_null();
    (device, all.into_iter().filter(valid).collect())
}

/// Onboarded, with exactly one certificate, and with a voucher for whatever comes.
async fn assert_whole(world: &World, agent: &Agent<HttpTransport>, serial: &str, moment: Moment) {
    let (device, valid) = of_device(world, serial).await;
    assert_eq!(device["state"], "onboarded", "{moment:?}: {device}");
    assert_eq!(valid.len(), 1, "{moment:?}: {valid:?}");
    assert_eq!(valid[0]["serial"], device["certificate"], "{moment:?}");
    assert_eq!(valid[0]["confirmed"], true, "{moment:?}");
    let Onboarded::Already(guid) = onboard(agent).await.unwrap() else { panic!("{moment:?}: onboarded twice") };
    assert_eq!(device["guid"], guid.to_string(), "{moment:?}: both sides know the device by one name");
    let voucher: Value = world.owner_api.get(&format!("/api/v1/vouchers/{guid}")).await.unwrap();
    assert_eq!(voucher["state"], "onboarded", "{moment:?}: {voucher}");
}

#[tokio::test]
async fn an_owner_killed_at_any_message_onboards_the_device_on_its_next_try() {
    let mut world = world().await;
    let mut devices = Vec::new();
    for (number, moment) in owner_moments().into_iter().enumerate() {
        let serial = format!("SN-{number}");
        devices.push((world.sold_device(&serial, KeyType::P256).await, serial, moment));
    }
    world.owner.take().unwrap().stop().await;
    let config = world.owner_config.clone();
    let owner = Service::start(&world, "owner", &config).await;
    for (agent, serial, moment) in &devices {
        let unlucky = with_kill(agent, &owner, *moment);
        unlucky.onboard(ONCE).await.expect_err("the owner is dead");
        assert!(unlucky.transport.has_killed(), "{moment:?} did not come");
        owner.restart().await;
        let again = onboard(agent).await;
        assert!(matches!(again, Ok(Onboarded::Now { .. })), "{moment:?}: {again:?}");
        assert_whole(&world, agent, serial, *moment).await;
    }
    // What had been written before a kill is still there after all the others.
    for (agent, serial, moment) in &devices {
        assert_whole(&world, agent, serial, *moment).await;
    }
    world.stop().await;
}

async fn maker_device(world: &World, serial: &str) -> Value {
    world.manufacturer_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap()
}

#[tokio::test]
async fn a_manufacturer_killed_during_di_lets_the_device_begin_anew() {
    let mut world = world().await;
    world.manufacturer.take().unwrap().stop().await;
    let config = world.manufacturer_config.clone();
    let maker = Service::start(&world, "manufacturer", &config).await;
    let moments =
        [Moment::While(10, Duration::ZERO), Moment::ReplyLost(10), Moment::After(10), Moment::Before(12)];
    for (number, moment) in moments.into_iter().enumerate() {
        let serial = format!("EARLY-{number}");
        world.admit(&serial).await;
        let (agent, birth) = (world.device(&serial), world.birth(&serial, KeyType::P256));
        with_kill(&agent, &maker, moment).init(&birth).await.expect_err("the manufacturer is dead");
        maker.restart().await;
        assert_eq!(maker_device(&world, &serial).await["state"], "admitted", "{moment:?}");
        let guid = agent.init(&birth).await.unwrap();
        assert_eq!(maker_device(&world, &serial).await["guid"], guid.to_string(), "{moment:?}");
    }

    // 12 was taken, so there is a voucher: a device with another key needs an operator's word.
    world.admit("LATE").await;
    let (agent, birth) = (world.device("LATE"), world.birth("LATE", KeyType::P256));
    with_kill(&agent, &maker, Moment::ReplyLost(12)).init(&birth).await.expect_err("the manufacturer is dead");
    maker.restart().await;
    let before = maker_device(&world, "LATE").await;
    assert_eq!(before["state"], "initialized", "{before}");
    let mut stranger = world.device("STRANGER");
    stranger.random = fdo_device::Random::seeded(8);
    stranger.init(&birth).await.expect_err("a serial with a voucher is not born again");
    assert_eq!(maker_device(&world, "LATE").await, before, "a refusal changes nothing");
    let _: Value = world.manufacturer_api.post("/api/v1/devices/LATE/release", &json!({})).await.unwrap();
    let guid = stranger.init(&birth).await.unwrap();
    assert_ne!(before["guid"], guid.to_string());
    world.stop().await;
}

async fn stored_bytes(world: &World, serial: &str) -> Vec<u8> {
    let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
    let path = format!("/api/v1/vouchers/{}/download", device["guid"].as_str().unwrap());
    world.owner_api.get_bytes(&path, vouchers::routes::CBOR).await.unwrap()
}

#[tokio::test]
async fn a_manufacturer_killed_between_signing_and_answering_gives_the_same_bytes_again() {
    let mut world = world().await;
    for serial in ["SIGNED", "DURING-0", "DURING-2", "DURING-8", "DURING-32"] {
        world.admit(serial).await;
        world.device(serial).init(&world.birth(serial, KeyType::P256)).await.unwrap();
        let allocation = json!({ "buyer": "Owner", "serials": [serial] });
        let _: Value = world.manufacturer_api.post("/api/v1/allocations", &allocation).await.unwrap();
    }
    world.manufacturer.take().unwrap().stop().await;
    let config = world.manufacturer_config.clone();
    let maker = Service::start(&world, "manufacturer", &config).await;

    // Signed and read once by this owner's key, but the owner knows nothing of it.
    let app = world.owner.as_ref().unwrap().app.clone();
    let first = {
        let manufacturer = manufacturers::resolve(&app, None).await.unwrap();
        let connection = manufacturers::connect(&app, &manufacturer).await.unwrap();
        let key = app.keys.for_type(KeyType::P256).unwrap();
        let session = connection.authenticate(key, &[], app.clock.now(), &mut app.random.rng()).await.unwrap();
        let answers = manufacturers::connection::claim(&session, &["SIGNED".to_owned()]).await.unwrap();
        assert_eq!(answers[0].status, "ok", "{answers:?}");
        let guid: Guid = answers[0].voucher_id.as_ref().unwrap().parse().unwrap();
        session.download(&guid).await.unwrap().bytes
    };
    maker.kill();
    maker.restart().await;
    let report = world.buy(&["SIGNED"]).await;
    assert_eq!(report["results"][0]["state"], "fulfilled", "{report}");
    assert_eq!(stored_bytes(&world, "SIGNED").await, first);

    // Killed somewhere within a claim: whatever was signed by then, the claim is kept and fulfilled afterwards.
    for millis in [0, 2, 8, 32] {
        let serial = format!("DURING-{millis}");
        let claim = json!({ "serials": [serial], "wait": 30 });
        let asked = world.owner_api.post::<_, Value>("/api/v1/claims", &claim);
        let killed = async {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            maker.kill();
        };
        let (report, ()) = tokio::join!(asked, killed);
        let state = report.unwrap()["results"][0]["state"].clone();
        assert!(state == "requested" || state == "fulfilled", "{serial}: {state}");
        maker.restart().await;
        let report: Value = world.owner_api.post("/api/v1/claims", &claim).await.unwrap();
        assert_eq!(report["results"][0]["state"], "fulfilled", "{serial}: {report}");
        let answer: Value = world.manufacturer_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
        let voucher = VerifiedVoucher::trust_stored(&stored_bytes(&world, &serial).await).unwrap();
        assert_eq!(answer["guid"], voucher.guid().to_string());
        assert_eq!(voucher.entries().len(), 1, "{serial}: signed once");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_rendezvous_killed_after_22_still_sends_the_device_to_its_owner() {
    let mut world = World::new().await;
    world.enrol().await;
    world.rendezvous.take().unwrap().stop().await;
    let agent = world.device("SN-1");
    world.admit("SN-1").await;
    let guid = agent.init(&world.birth("SN-1", KeyType::P256)).await.unwrap();
    world.buy(&["SN-1"]).await;
    // The owner's own attempts fail, and its clock stands: from here on it is this test that registers.
    world.register().await;
    let config = world.rendezvous_config.clone();
    let rendezvous = Service::start(&world, "rendezvous", &config).await;

    let app = world.owner.as_ref().unwrap().app.clone();
    let bytes = vouchers::bytes(&app.db, &guid).await.unwrap().unwrap();
    let voucher = VerifiedVoucher::trust_stored(&bytes).unwrap();
    let key = app.keys.owning(voucher.owner_key()).unwrap();
    let settings = Settings { retry: Retry::NEVER, ..Settings::default() };
    let mut run = Client::new(&settings).unwrap().conversation(&world.rendezvous_url);
    let (hello, state) = to0::owner::begin();
    let ack = run.exchange(&hello).await.unwrap();
    let address = app.settings.rv_to2_addr().unwrap();
    let (sign, state) = state.hello_ack(&ack, &voucher, key, address, 86_400).unwrap();
    let accepted = run.exchange(&sign).await.unwrap();
    rendezvous.kill();
    assert!(onboard(&agent).await.is_err(), "nobody knows the way");
    rendezvous.restart().await;
    assert!(state.accept_owner(&accepted).unwrap() > 0);
    let onboarded = onboard(&agent).await.unwrap();
    assert!(matches!(onboarded, Onboarded::Now { .. }), "{onboarded:?}");
    world.stop().await;
}
