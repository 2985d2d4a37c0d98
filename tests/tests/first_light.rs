//! The whole story: a device is born, bought, registered, onboarded, provisioned, and left alone afterwards.
#![allow(clippy::unwrap_used)]

use fdo_device::Onboarded;
use fdo_protocol::crypto::KeyType;
use fdo_tests::world::{World, certificates_of_devices, onboard, read};
use serde_json::{Value, json};

async fn network(world: &World) {
    let network =
        json!({ "id": "shop-floor", "ssid": "Shop floor", "auth": "wpa2-psk", "password": "correct horse" });
    let _: Value = world.owner_api.post("/api/v1/networks", &network).await.unwrap();
}

#[tokio::test]
async fn a_device_goes_from_the_factory_to_its_owners_network() {
    for key_type in KeyType::ELLIPTIC {
        let world = World::new().await;
        world.enrol().await;
        network(&world).await;
        let agent = world.sold_device("SN-1", key_type).await;

        let onboarded = onboard(&agent).await.unwrap();
        let Onboarded::Now { guid, next_guid, .. } = onboarded else { panic!("{onboarded:?}") };
        assert_ne!(guid, next_guid);

        let state = world.directory.path().join("SN-1");
        let wifi = read(&state.join("wifi"), "fdo-shop-floor.nmconnection");
        assert!(wifi.contains("psk=correct horse"), "{wifi}");

        let device: Value = world.owner_api.get("/api/v1/devices/SN-1").await.unwrap();
        assert_eq!(device["state"], "onboarded", "{device}");
        assert_eq!(device["guid"], next_guid.to_string(), "{device}");
        let certificate = &certificates_of_devices(&world.owner_api).await[0];
        assert!(certificate["subject"].as_str().unwrap().contains("SN-1"), "{certificate}");

        // A second power-on does nothing; the secret of the network is nowhere to be read.
        assert_eq!(onboard(&agent).await.unwrap(), Onboarded::Already(next_guid));
        let networks: Value = world.owner_api.get("/api/v1/networks").await.unwrap();
        assert!(!networks.to_string().contains("correct horse"), "{networks}");
        world.stop().await;
    }
}
