//! The whole story on PostgreSQL: each service on a database of its own.
#![allow(clippy::unwrap_used)]

use fdo_device::Onboarded;
use fdo_protocol::crypto::KeyType;
use fdo_tests::postgres::Databases;
use fdo_tests::world::{World, WorldSettings, certificates_of_devices, onboard, read};
use serde_json::{Value, json};

#[tokio::test]
async fn a_device_goes_from_the_factory_to_its_owners_network_on_postgres() {
    let Some(databases) = Databases::create(3).await else { return };
    let urls = [0, 1, 2].map(|index| databases.url(index));
    let world = World::with(WorldSettings { databases: Some(urls), ..WorldSettings::default() }).await;
    world.enrol().await;
    let network =
        json!({ "id": "shop-floor", "ssid": "Shop floor", "auth": "wpa2-psk", "password": "correct horse" });
    let _: Value = world.owner_api.post("/api/v1/networks", &network).await.unwrap();
    for key_type in KeyType::ELLIPTIC {
        let serial = format!("SN-{key_type}");
        let agent = world.sold_device(&serial, key_type).await;
        let onboarded = onboard(&agent).await.unwrap();
        let Onboarded::Now { next_guid, .. } = onboarded else { panic!("{onboarded:?}") };
        let state = world.directory.path().join(&serial);
        let wifi = read(&state.join("wifi"), "fdo-shop-floor.nmconnection");
        assert!(wifi.contains("psk=correct horse"), "{wifi}");
        let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
        assert_eq!(device["state"], "onboarded", "{device}");
        assert_eq!(device["guid"], next_guid.to_string(), "{device}");
        assert_eq!(onboard(&agent).await.unwrap(), Onboarded::Already(next_guid));
    }
    let certificates = certificates_of_devices(&world.owner_api).await;
    assert_eq!(certificates.iter().filter(|certificate| certificate["revoked"].is_null()).count(), 2);
    for name in ["manufacturer", "rendezvous", "owner"] {
        let file = world.directory.path().join(name).join(format!("{name}.db"));
        assert!(!file.exists(), "{name} keeps a file beside PostgreSQL");
    }
    world.stop().await;
    databases.drop_all().await;
}
