//! Waits that are longer than seconds: both sides' clocks are moved.

use fdo_device::est::http::HttpEst;
use fdo_device::renewal::{RenewError, Renewed, Renewer};
use fdo_device::{HttpTransport, Onboarded};
use fdo_protocol::crypto::KeyType;
use fdo_tests::world::{World, onboard};
use serde_json::{Value, json};

use crate::fleet::life_of;

const DAY: u64 = 86_400;

async fn device(world: &World, serial: &str) -> Renewer<HttpTransport, HttpEst> {
    let agent = world.sold_device(serial, KeyType::P256).await;
    assert!(matches!(onboard(&agent).await.unwrap(), Onboarded::Now { .. }));
    Renewer { agent, est: HttpEst }
}

/// Both sides' clocks; the owner renews its listener's certificate on the way, as its job does.
async fn travel(world: &World, seconds: u64) {
    world.clock.advance(seconds);
    fdo_owner::enrollment::est::listener::renew(&world.owner.as_ref().unwrap().app).await.unwrap();
}

/// The origin of the newest certificate, and how it was asked for.
async fn newest(world: &World, serial: &str) -> Value {
    let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
    let certificate = device["certificate"].as_str().unwrap().to_owned();
    world.owner_api.get(&format!("/api/v1/certificates/{certificate}")).await.unwrap()
}

#[tokio::test]
async fn a_device_that_was_off_for_months_comes_back_by_its_ldevid_or_by_its_idevid() {
    let world = World::new().await;
    world.enrol().await;
    let renewer = device(&world, "SN-1").await;
    let first = newest(&world, "SN-1").await;
    // 90 days of life, and 30 in which the owner has patience.
    travel(&world, 110 * DAY).await;
    assert!(matches!(renewer.renew().await.unwrap(), Renewed::Now(_)));
    let second = newest(&world, "SN-1").await;
    assert_eq!(second["replaces"], first["serial"], "{second}");
    travel(&world, 400 * DAY).await;
    assert!(matches!(renewer.renew().await.unwrap(), Renewed::Now(_)));
    let third = newest(&world, "SN-1").await;
    assert_eq!((&third["origin"], &third["replaces"]), (&"est".into(), &Value::Null), "by the IDevID: {third}");
    assert_eq!(renewer.agent.store.ldevid().unwrap().serial(), third["serial"]);
    world.stop().await;
}

#[tokio::test]
async fn the_owner_hears_of_failures_and_forgets_them_with_the_next_certificate() {
    let world = World::new().await;
    world.enrol().await;
    life_of(&world, 30 * DAY).await;
    let renewer = device(&world, "SN-1").await;
    let _: Value = world.owner_api.post("/api/v1/devices/SN-1/block", &json!({})).await.unwrap();
    travel(&world, 20 * DAY).await;
    let error = renewer.renew().await.unwrap_err();
    assert!(matches!(error, RenewError::Refused(_)) && error.to_string().contains("blocked"), "{error}");
    let _: Value = world.owner_api.post("/api/v1/devices/SN-1/unblock", &json!({})).await.unwrap();
    renewer.tell_owner().await;
    let shown: Value = world.owner_api.get("/api/v1/devices/SN-1").await.unwrap();
    assert_eq!(shown["renewal_report"]["consecutive"], 1, "{shown}");
    assert!(shown["renewal_report"]["error"].as_str().unwrap().contains("blocked"), "{shown}");
    renewer.renew().await.unwrap();
    let shown: Value = world.owner_api.get("/api/v1/devices/SN-1").await.unwrap();
    assert_eq!(shown["renewal_report"]["consecutive"], 0, "{shown}");
    world.stop().await;
}

#[tokio::test]
async fn a_fleet_follows_the_owner_to_its_next_ca() {
    let world = World::new().await;
    world.enrol().await;
    let renewer = device(&world, "SN-1").await;
    let issuer = || renewer.agent.store.ldevid().unwrap().issuer();
    let first = issuer();
    let secret = hex::encode(std::fs::read(world.directory.path().join("owner/ca-root-secret")).unwrap());
    let introduced: Value =
        world.owner_api.post("/api/v1/ca/introduce", &json!({ "root_secret": secret })).await.unwrap();
    let path = format!("/api/v1/ca/authorities/{}/activate", introduced["id"].as_str().unwrap());
    let _: Value = world.owner_api.post(&path, &json!({})).await.unwrap();
    travel(&world, 60 * DAY).await;
    renewer.renew().await.unwrap();
    assert_ne!(issuer(), first);
    travel(&world, 60 * DAY).await;
    renewer.renew().await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_device_whose_clock_is_months_off_says_so() {
    let world = World::new().await;
    world.enrol().await;
    let mut renewer = device(&world, "SN-1").await;
    let late = world.clock.clone();
    renewer.agent.clock = fdo_device::Clock::from_fn(move || late.now() - 300 * DAY);
    let error = renewer.renew().await.unwrap_err();
    assert!(matches!(error, RenewError::Clock(_)), "{error}");
    let early = world.clock.clone();
    renewer.agent.clock = fdo_device::Clock::from_fn(move || early.now() + 4000 * DAY);
    let error = renewer.renew().await.unwrap_err();
    assert!(error.to_string().contains("clock"), "{error}");
    assert!(renewer.agent.store.renewal_status().clock.is_some());
    world.stop().await;
}
