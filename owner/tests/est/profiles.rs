//! Labels are certificate profiles: which a device may name, and which it gets without.

use fdo_owner::ca::profiles::{self, Profile};
use reqwest::Method;

use crate::client::{Fleet, asking};
use crate::world::SERIAL;

async fn put(fleet: &Fleet, name: &str, models: &[&str], seconds: u64) {
    let profile = Profile {
        name: name.into(),
        models: models.iter().map(ToString::to_string).collect(),
        validity_seconds: seconds,
        ..Profile::default()
    };
    profiles::put(&fleet.world.app, "test", &profile).await.unwrap();
}

#[tokio::test]
async fn a_device_names_its_models_profile_or_one_for_all() {
    let fleet = Fleet::new().await;
    put(&fleet, "short", &[], 7_200).await;
    put(&fleet, "pumps", &["pump"], 3_600).await;
    let who = fleet.idevid();
    let csr = asking(&fleet.key(), None, SERIAL);
    fleet.refused(Some(&who), "pumps/simpleenroll", &csr, 403, "`pumps` is not for this device").await;
    let key = fleet.key();
    let certificate =
        fleet.post(Some(&who), "short/simpleenroll", &asking(&key, None, SERIAL)).await.certificate();
    assert_eq!(certificate.not_after(), fleet.world.clock.now() + 7_200);
    let short = crate::client::Pair { certificate, key };
    assert_eq!(fleet.row(&short).await.profile, "short");
    let renewed = fleet.renew(&short).await;
    assert_eq!(fleet.row(&renewed).await.profile, "short", "a renewal keeps its profile");

    // From now on the model has a profile of its own, and there is no way around it.
    put(&fleet, "gateways", &["gateway"], 1_800).await;
    assert_eq!(fleet.row(&fleet.renew(&fleet.ldevid).await).await.profile, "gateways");
    let (_, csr) = fleet.renewal(&fleet.ldevid);
    fleet.refused(Some(&fleet.ldevid), "ldevid/simplereenroll", &csr, 403, "`ldevid` is not for").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn the_attributes_are_those_of_the_profile() {
    let fleet = Fleet::new().await;
    for (name, types, expected) in [
        ("p384", &["P-384", "P-256"][..], Some(fdo_protocol::crypto::KeyType::P384)),
        ("rsa", &["RSA2048"][..], None),
    ] {
        let profile = Profile {
            name: name.into(),
            key_types: types.iter().map(ToString::to_string).collect(),
            ..Profile::default()
        };
        profiles::put(&fleet.world.app, "test", &profile).await.unwrap();
        let answer = fleet.send(None, Method::GET, &format!("{name}/csrattrs"), "", "").await;
        let der = fdo_pki::decode_base64(answer.body.as_bytes(), 1000).unwrap();
        let wanted = fdo_pki::CsrAttributes::wanting(expected.as_slice());
        assert_eq!(fdo_pki::CsrAttributes::parse(&der).unwrap(), wanted, "{name}");
    }
    fleet.running.stop().await;
}
