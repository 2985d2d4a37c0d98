//! Devices with RSA keys, whose makers and owners have RSA keys too, from the factory to the owner.
#![allow(clippy::unwrap_used)]

use fdo_device::Onboarded;
use fdo_protocol::crypto::KeyType;
use fdo_tests::world::{World, WorldSettings, certificates_of_devices, onboard};
use serde_json::Value;

fn sizes() -> Vec<String> {
    vec!["RSA2048".to_owned(), "RSA3072".to_owned()]
}

fn with_rsa() -> WorldSettings {
    WorldSettings {
        manufacturer: Some(|config| config.rsa_keys = sizes()),
        owner: Some(|config| config.rsa_keys = sizes()),
        ..WorldSettings::default()
    }
}

#[tokio::test]
async fn rsa_devices_are_born_bought_and_onboarded_by_either_key_exchange() {
    let world = World::with(with_rsa()).await;
    world.enrol().await;
    for (serial, key_type, key_exchange) in [
        ("SN-1", KeyType::Rsa2048, None),
        ("SN-2", KeyType::Rsa2048, Some("ASYMKEX2048")),
        ("SN-3", KeyType::Rsa3072, Some("ASYMKEX3072")),
    ] {
        drop(world.sold_device(serial, key_type).await);
        let agent = world.device_with(serial, |config| config.key_exchange = key_exchange.map(ToOwned::to_owned));
        let onboarded = onboard(&agent).await.unwrap();
        assert!(matches!(onboarded, Onboarded::Now { .. }), "{serial}: {onboarded:?}");
        let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
        assert_eq!(device["state"], "onboarded", "{device}");
    }
    // Its LDevID is for an elliptic curve key all the same.
    let certificates = certificates_of_devices(&world.owner_api).await;
    assert_eq!(certificates.len(), 3, "{certificates:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_maker_without_rsa_keys_refuses_a_device_that_verifies_only_rsa() {
    let world = World::new().await;
    world.admit("SN-1").await;
    let agent = world.device("SN-1");
    let refused = agent.init(&world.birth("SN-1", KeyType::Rsa2048)).await;
    assert!(refused.is_err());
    let device: Value = world.manufacturer_api.get("/api/v1/devices/SN-1").await.unwrap();
    assert_eq!(device["state"], "admitted", "{device}");
    world.stop().await;
}
