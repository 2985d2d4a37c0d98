//! A device changes hands: sold after its onboarding or before, onboarded again, and found by every road that its maker
//! can give it.
#![allow(clippy::unwrap_used)]

use fdo_device::{Agent, Attempts, HttpTransport, OnboardError, Onboarded, Policy};
use fdo_manufacturer::config::{ConditionalPlace, Place};
use fdo_owner::app::Running;
use fdo_protocol::crypto::KeyType;
use fdo_service::cli::{ApiClient, CliError};
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use fdo_tests::world::{World, certificates_of_devices, free_port, onboard};
use serde_json::{Value, json};

/// An owner that devices can reach, beside the world's own.
struct NextOwner {
    running: Running,
    api: ApiClient,
}

async fn next_owner(world: &World) -> NextOwner {
    let (port, operators) = (free_port(), free_port());
    let mut config = fdo_owner::config::Config {
        listen: Listen::at(&format!("127.0.0.1:{port}")),
        operators: Listen::at(&format!("127.0.0.1:{operators}")),
        public_url: Some(format!("http://127.0.0.1:{port}")),
        ..world.owner_config.clone()
    };
    config.status.address = format!("127.0.0.1:{}", free_port());
    config.est.address = format!("127.0.0.1:{}", free_port());
    let data_dir = world.directory.path().join("next-owner");
    let running = fdo_owner::app::start(&config, &data_dir, world.clock.clone(), Random::seeded(2)).await.unwrap();
    let token = running.first_token.as_ref().unwrap().to_string();
    NextOwner { running, api: ApiClient::new(&format!("http://127.0.0.1:{operators}"), Some(&token)).unwrap() }
}

/// The owner key of this type, in PEM.
async fn key_of(api: &ApiClient, key_type: KeyType) -> Value {
    let keys: Vec<Value> = api.pages("/api/v1/keys").await.unwrap();
    keys.into_iter().find(|key| key["key_type"] == key_type.to_string()).unwrap()["public_key"].clone()
}

async fn device_at(api: &ApiClient, serial: &str) -> Option<Value> {
    api.get(&format!("/api/v1/devices/{serial}")).await.ok()
}

/// Sells a device and gives what its buyer gets.
async fn sold(world: &World, serial: &str, to: &Value, even: bool) -> (String, String) {
    let new = json!({ "to": to, "even_if_never_onboarded": even });
    let sale: Value = world.owner_api.post(&format!("/api/v1/vouchers/{serial}/resell"), &new).await.unwrap();
    assert!(sale["voucher"].is_null(), "nothing leaves before it is asked for: {sale}");
    let guid = sale["guid"].as_str().unwrap().to_owned();
    let handed: Value = world.owner_api.post(&format!("/api/v1/resales/{guid}/hand-over"), &()).await.unwrap();
    (guid, handed["voucher"].as_str().unwrap().to_owned())
}

async fn import(owner: &NextOwner, pem: &str) {
    let path = "/api/v1/vouchers";
    let report: Value = owner.api.post_bytes(path, "application/x-pem-file", pem.into()).await.unwrap();
    assert_eq!(report["results"][0]["status"], "imported", "{report}");
}

async fn until_registered(running: &Running, api: &ApiClient, serial: &str) {
    for _ in 0..1000 {
        fdo_owner::registration::run_due(&running.app).await.unwrap();
        if device_at(api, serial).await.is_some_and(|device| device["state"] == "registered") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{serial} is not registered");
}

async fn again(agent: &Agent<HttpTransport>) -> Result<Onboarded, OnboardError> {
    agent.onboard(Policy { attempts: Attempts::Limited(1), reonboard: true }).await
}

async fn certificates(api: &ApiClient) -> Vec<(String, Value)> {
    let all = certificates_of_devices(api).await;
    all.iter().map(|one| (one["state"].as_str().unwrap().to_owned(), one["reason"].clone())).collect()
}

#[tokio::test]
async fn a_device_is_sold_to_the_next_owner_and_onboards_there() {
    for key_type in KeyType::ELLIPTIC {
        let world = World::new().await;
        world.enrol().await;
        let agent = world.sold_device("SN-1", key_type).await;
        onboard(&agent).await.unwrap();
        assert_eq!(certificates(&world.owner_api).await, [("issued".to_owned(), Value::Null)]);

        let next = next_owner(&world).await;
        let (guid, voucher) = sold(&world, "SN-1", &key_of(&next.api, key_type).await, false).await;
        // The seller has nothing to do with it any more, and does not forget it yet.
        assert_eq!(certificates(&world.owner_api).await, [("revoked".to_owned(), json!("cessationOfOperation"))]);
        assert_eq!(device_at(&world.owner_api, "SN-1").await.unwrap()["state"], "sold");
        assert!(again(&agent).await.is_err());

        // For the buyer, the seller stands where a maker does.
        let seller = json!({ "kind": "manufacturer-key", "name": "seller", "pem": key_of(&world.owner_api, key_type).await });
        let _: Value = next.api.post("/api/v1/trust", &seller).await.unwrap();
        import(&next, &voucher).await;
        let _: Value = world.owner_api.post(&format!("/api/v1/resales/{guid}/confirm"), &()).await.unwrap();
        assert!(device_at(&world.owner_api, "SN-1").await.is_none(), "forgotten");

        until_registered(&next.running, &next.api, "SN-1").await;
        assert!(matches!(onboard(&agent).await.unwrap(), Onboarded::Already(_)), "only when somebody says so");
        let onboarded = again(&agent).await.unwrap();
        let Onboarded::Now { guid: before, next_guid, .. } = onboarded else { panic!("{onboarded:?}") };
        assert_eq!(before.to_string(), guid);
        let device = device_at(&next.api, "SN-1").await.unwrap();
        assert_eq!((&device["state"], &device["guid"]), (&json!("onboarded"), &json!(next_guid.to_string())));
        assert_eq!(certificates(&next.api).await, [("issued".to_owned(), Value::Null)]);
        assert_eq!(certificates(&world.owner_api).await.len(), 1);
        next.running.stop().await;
        world.stop().await;
    }
}

#[tokio::test]
async fn a_device_in_its_box_goes_on_to_the_next_owner_only_when_that_is_said() {
    let world = World::new().await;
    world.enrol().await;
    let agent = world.sold_device("SN-1", KeyType::P256).await;
    let next = next_owner(&world).await;
    let to = key_of(&next.api, KeyType::P256).await;
    let new = json!({ "to": to });
    let refused = world.owner_api.post::<_, Value>("/api/v1/vouchers/SN-1/resell", &new).await.unwrap_err();
    assert!(refused.to_string().contains("resale-never-onboarded"), "{refused}");
    let wrong = json!({ "to": key_of(&next.api, KeyType::P384).await, "even_if_never_onboarded": true });
    let refused = world.owner_api.post::<_, Value>("/api/v1/vouchers/SN-1/resell", &wrong).await.unwrap_err();
    assert!(refused.to_string().contains("needs a P-256 key"), "{refused}");
    assert_eq!(device_at(&world.owner_api, "SN-1").await.unwrap()["state"], "registered", "as before");

    let (guid, voucher) = sold(&world, "SN-1", &to, true).await;
    // Its rendezvous still sends it to the seller, who turns it away.
    let error = onboard(&agent).await.unwrap_err().to_string();
    assert!(error.contains("TO2") && error.contains("error 6"), "{error}");
    let path = "/api/v1/vouchers?allow_untrusted=true";
    let _: Value = next.api.post_bytes(path, "application/x-pem-file", voucher.into()).await.unwrap();
    until_registered(&next.running, &next.api, "SN-1").await;
    onboard(&agent).await.unwrap();
    assert_eq!(device_at(&next.api, "SN-1").await.unwrap()["state"], "onboarded");
    let _: Value = world.owner_api.post(&format!("/api/v1/resales/{guid}/confirm"), &()).await.unwrap();
    next.running.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn the_voucher_that_an_onboarding_leaves_onboards_the_device_again() {
    let world = World::new().await;
    world.enrol().await;
    let agent = world.sold_device("SN-1", KeyType::P256).await;
    let guid = device_at(&world.owner_api, "SN-1").await.unwrap()["guid"].as_str().unwrap().to_owned();
    let registrations = |guid: &str| format!("/api/v1/registrations?guid={guid}");
    let list: Value = world.owner_api.get(&registrations(&guid.replace('-', ""))).await.unwrap();
    assert_eq!(list["items"][0]["guid"], guid);
    assert!(world.owner_api.get::<Value>(&registrations("x")).await.is_err());
    onboard(&agent).await.unwrap();
    for _ in 0..2 {
        let device = device_at(&world.owner_api, "SN-1").await.unwrap();
        let guid = device["guid"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/registrations/{guid}/renew");
        let _: Value = world.owner_api.post(&path, &json!({})).await.unwrap();
        let app = &world.owner.as_ref().unwrap().app;
        let mut onboarded = again(&agent).await;
        // The background job may be at it at this moment.
        for _ in 0..200 {
            if onboarded.is_ok() {
                break;
            }
            fdo_owner::registration::run_due(app).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            onboarded = again(&agent).await;
        }
        let Onboarded::Now { guid: before, next_guid, .. } = onboarded.unwrap() else { panic!("not again") };
        assert_eq!(before.to_string(), guid);
        let device = device_at(&world.owner_api, "SN-1").await.unwrap();
        assert_eq!((&device["state"], &device["guid"]), (&json!("onboarded"), &json!(next_guid.to_string())));
    }
    let all = certificates(&world.owner_api).await;
    assert_eq!(all.iter().filter(|(state, _)| state == "issued").count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|(_, reason)| *reason == "superseded").count(), 2, "{all:?}");
    world.stop().await;
}

/// What is sold, what of it is in use, and what the sale's voucher hashes to.
async fn shown(api: &ApiClient, serial: &str) -> (String, String, Option<String>) {
    let device = device_at(api, serial).await.unwrap();
    let guid = device["guid"].as_str().unwrap();
    let voucher: Value = api.get(&format!("/api/v1/vouchers/{guid}")).await.unwrap();
    let sale = api.get::<Value>(&format!("/api/v1/resales/{guid}")).await.ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&device["state"]), text(&voucher["state"]), sale.map(|sale| text(&sale["sha256"])))
}

async fn sell(world: &World, serial: &str, new: &Value) -> Result<Value, CliError> {
    world.owner_api.post(&format!("/api/v1/vouchers/{serial}/resell"), new).await
}

#[tokio::test]
async fn an_owner_that_dies_while_it_sells_has_sold_a_device_wholly_or_not_at_all() {
    let mut world = World::new().await;
    world.enrol().await;
    let serials: Vec<String> = (0..12).map(|number| format!("SN-{number}")).collect();
    for serial in &serials {
        world.admit(serial).await;
        world.device(serial).init(&world.birth(serial, KeyType::P256)).await.unwrap();
    }
    let names: Vec<&str> = serials.iter().map(String::as_str).collect();
    world.buy(&names).await;
    let next = next_owner(&world).await;
    let new = json!({ "to": key_of(&next.api, KeyType::P256).await, "even_if_never_onboarded": true });
    // Six are asked for at once, and the owner is gone when the first of them was answered.
    let first = Box::pin(sell(&world, &serials[0], &new));
    let others = futures_util::future::join_all(serials[1..6].iter().map(|serial| sell(&world, serial, &new)));
    let answered = futures_util::future::select(first, Box::pin(others)).await;
    drop(answered);
    world.owner.take().unwrap().kill().await;
    let folder = world.directory.path().join("owner");
    let (clock, random) = (world.clock.clone(), Random::seeded(9));
    world.owner = Some(fdo_owner::app::start(&world.owner_config, &folder, clock, random).await.unwrap());

    for serial in &serials {
        let (device, voucher, sale) = shown(&world.owner_api, serial).await;
        assert_eq!((device == "sold", voucher == "sold"), (sale.is_some(), sale.is_some()), "{serial}: {device}");
        // Whoever did not hear the answer asks again, and gets what was signed.
        let answer = sell(&world, serial, &new).await.unwrap();
        assert!(sale.is_none_or(|hash| answer["sha256"] == hash), "{serial} was signed twice");
        assert_eq!(sell(&world, serial, &new).await.unwrap(), answer);
    }
    let sales: Vec<Value> = world.owner_api.pages("/api/v1/resales").await.unwrap();
    assert_eq!(sales.len(), serials.len());
    next.running.stop().await;
    world.stop().await;
}

/// A world whose devices are born with this in their vouchers.
async fn world_with(rendezvous: impl Fn(&World) -> Vec<Place>) -> World {
    let mut world = World::new().await;
    world.manufacturer.take().unwrap().stop().await;
    world.manufacturer_config.rendezvous = Some(rendezvous(&world));
    let folder = world.directory.path().join("manufacturer");
    let (clock, random) = (world.clock.clone(), Random::seeded(1));
    let running = fdo_manufacturer::app::start(&world.manufacturer_config, &folder, clock, random).await.unwrap();
    world.manufacturer = Some(running);
    world.enrol().await;
    world
}

async fn bought(world: &World) -> Agent<HttpTransport> {
    let agent = world.device("SN-1");
    world.admit("SN-1").await;
    agent.init(&world.birth("SN-1", KeyType::P256)).await.unwrap();
    assert_eq!(world.buy(&["SN-1"]).await["results"][0]["state"], "fulfilled");
    agent
}

#[tokio::test]
async fn of_two_rendezvous_one_may_be_down_for_the_owner_and_the_other_for_the_device() {
    let second_port = free_port();
    let mut world = world_with(|world| {
        let nowhere = format!("http://127.0.0.1:{}", free_port());
        let second = format!("http://127.0.0.1:{second_port}");
        let first = ConditionalPlace {
            url: world.rendezvous_url.to_string(),
            delay_seconds: Some(1),
            ..ConditionalPlace::default()
        };
        let owners = ConditionalPlace { url: nowhere, owner_only: true, ..ConditionalPlace::default() };
        vec![Place::Conditional(owners), Place::Conditional(first), second.into()]
    })
    .await;
    let config = fdo_rendezvous::config::Config {
        listen: Listen::at(&format!("127.0.0.1:{second_port}")),
        operators: Listen::at(&format!("127.0.0.1:{}", free_port())),
        ..world.rendezvous_config.clone()
    };
    let folder = world.directory.path().join("second-rendezvous");
    let second =
        fdo_rendezvous::app::start(&config, &folder, world.clock.clone(), Random::seeded(3)).await.unwrap();
    let agent = bought(&world).await;
    let registered = || async {
        let rows: Vec<Value> = world.owner_api.pages("/api/v1/registrations").await.unwrap();
        let done = rows.iter().filter(|row| row["registered"].is_u64()).count();
        (rows.len(), done, rows.iter().filter(|row| row["error"].is_string()).count())
    };
    for _ in 0..500 {
        if registered().await == (3, 2, 1) {
            break;
        }
        world.register().await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(registered().await, (3, 2, 1), "two of three, and the third is tried again");
    world.rendezvous.take().unwrap().kill().await;
    onboard(&agent).await.unwrap();
    assert_eq!(device_at(&world.owner_api, "SN-1").await.unwrap()["state"], "onboarded");
    second.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_device_goes_straight_to_its_owner_when_its_maker_says_so() {
    let mut world = world_with(|world| {
        let owner =
            ConditionalPlace { url: world.owner_url.to_string(), bypass: true, ..ConditionalPlace::default() };
        vec![Place::Conditional(owner)]
    })
    .await;
    world.rendezvous.take().unwrap().stop().await;
    let agent = bought(&world).await;
    world.register().await;
    let rows: Vec<Value> = world.owner_api.pages("/api/v1/registrations").await.unwrap();
    assert!(rows.is_empty(), "there is nobody to tell: {rows:?}");
    let vouchers: Vec<Value> = world.owner_api.pages("/api/v1/vouchers").await.unwrap();
    assert!(vouchers[0]["register_at"].is_null(), "and nothing is due: {vouchers:?}");
    onboard(&agent).await.unwrap();
    assert_eq!(device_at(&world.owner_api, "SN-1").await.unwrap()["state"], "onboarded");
    world.stop().await;
}
