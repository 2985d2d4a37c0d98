//! Who may: nobody, strangers, what was revoked, stopped, sold or never ended, and another device's names.

use fdo_owner::ca::{self, Reason, State};
use fdo_owner::vouchers;
use fdo_pki::{
    CaSubject, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, LdevidProfile, LdevidSubject, Lifetime,
};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use reqwest::Method;

use crate::client::{Fleet, Pair, asking, onboarded};
use crate::device::{Manner, Talk, request};
use crate::world::{NOW, SERIAL};

/// A certificate of some other CA for this key.
fn foreign(fleet: &Fleet, key: SigningKey, guid: Guid) -> Pair {
    let rng = &mut fleet.world.random.rng();
    let ca_key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let subject = CaSubject { common_name: "Somebody".into(), organization: None };
    let ca = fdo_pki::make_device_ca(&subject, &ca_key, Lifetime::years(9), NOW, rng).unwrap();
    let issuer = Issuer::new(&ca.certificate().unwrap()).unwrap();
    let csr = Csr::parse(&request(&key)).unwrap().verify().unwrap();
    let device = LdevidSubject { serial: Some(DeviceSerial::parse(SERIAL).unwrap()), ..LdevidSubject::new(guid) };
    let prepared = LdevidProfile::default().prepare(&csr, &device, &issuer, NOW, rng).unwrap();
    Pair { certificate: prepared.sign(&ca_key).unwrap().certificate().unwrap(), key }
}

#[tokio::test]
async fn nobody_and_strangers_are_told_so_over_http() {
    let fleet = Fleet::new().await;
    let csr = asking(&fleet.key(), None, SERIAL);
    for operation in ["simpleenroll", "simplereenroll"] {
        fleet.refused(None, operation, &csr, 401, "needs a TLS client certificate").await;
    }
    // Another CA's certificate with this device's names, for another key and for the device's own.
    let guid = fleet.born.guid();
    for key in [fleet.key(), fleet.born.key.clone(), fleet.ldevid.key.clone()] {
        let stranger = foreign(&fleet, key, guid);
        fleet.refused(Some(&stranger), "simplereenroll", &csr, 403, "neither one that this owner issued").await;
    }
    // An IDevID of a device that is not here.
    let elsewhere = fleet.world.born(KeyType::P256);
    let der = elsewhere.voucher.certificates().unwrap()[0].to_vec();
    let pair = Pair { certificate: fdo_pki::Certificate::parse(&der).unwrap(), key: elsewhere.key };
    fleet.refused(Some(&pair), "simpleenroll", &csr, 403, "neither one that this owner issued").await;
    // A second certificate of a maker's for the same device's key is not the one in its voucher.
    let second = second_idevid(&fleet);
    fleet.refused(Some(&second), "simpleenroll", &csr, 403, "neither one that this owner issued").await;
    fleet.running.stop().await;
}

fn second_idevid(fleet: &Fleet) -> Pair {
    let rng = &mut fleet.world.random.rng();
    let ca_key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let subject = CaSubject { common_name: "Device CA".into(), organization: None };
    let ca = fdo_pki::make_device_ca(&subject, &ca_key, Lifetime::years(20), NOW, rng).unwrap();
    let csr = Csr::parse(&request(&fleet.born.key)).unwrap().verify().unwrap();
    let serial = DeviceSerial::parse(SERIAL).unwrap();
    let subject = IdevidSubject { serial, common_name: None, hardware: None };
    let issuer = Issuer::new(&ca.certificate().unwrap()).unwrap();
    let profile = IdevidProfile { organization: None, model: None };
    let issued = profile.prepare(&csr, &subject, &issuer, NOW, rng).unwrap().sign(&ca_key).unwrap();
    Pair { certificate: issued.certificate().unwrap(), key: fleet.born.key.clone() }
}

#[tokio::test]
async fn revoked_blocked_and_sold_devices_get_nothing() {
    let fleet = Fleet::new().await;
    let (app, guid) = (&fleet.world.app, fleet.born.guid());
    let (_, renewal) = fleet.renewal(&fleet.ldevid);
    let csr = asking(&fleet.key(), None, SERIAL);
    vouchers::set_blocked(&app.db, NOW, &guid, true).await.unwrap();
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &renewal, 403, "The device is blocked here").await;
    fleet.refused(Some(&fleet.idevid()), "simpleenroll", &csr, 403, "The device is blocked here").await;
    vouchers::set_blocked(&app.db, NOW, &guid, false).await.unwrap();
    let id = fleet.world.known(&guid).await.id;
    fdo_owner::inventory::mark_sold(&app.db, NOW, &id).await.unwrap();
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &renewal, 403, "The device is sold here").await;
    fleet.refused(Some(&fleet.idevid()), "simpleenroll", &csr, 403, "The device is sold here").await;
    fdo_owner::inventory::unmark_sold(&app.db, NOW, &id).await.unwrap();
    ca::revoke(&app.db, fleet.ldevid.certificate.serial(), Reason::KeyCompromise, NOW).await.unwrap();
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &renewal, 403, "was revoked (keyCompromise)").await;
    fleet.refused(Some(&fleet.ldevid), "simpleenroll", &csr, 403, "was revoked (keyCompromise)").await;
    // Its IDevID does not bring back what was taken.
    fleet.refused(Some(&fleet.idevid()), "simpleenroll", &csr, 403, "has to be onboarded again").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_certificate_of_an_onboarding_that_has_not_ended_renews_nothing() {
    let fleet = Fleet::new().await;
    let born = fleet.world.device().await;
    let key = fleet.key();
    let manner = Manner { csr: Some(request(&key)), ..Manner::new(&fleet.world) };
    let talk = Talk::before(&fleet.world, &born, &manner, 70).await;
    let certificate = fdo_pki::Certificate::parse(&talk.received.certificates[0]).unwrap();
    let pair = Pair { certificate, key };
    let (_, csr) = fleet.renewal(&pair);
    fleet.refused(Some(&pair), "simplereenroll", &csr, 403, "an onboarding that has not ended").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_certificate_from_the_future_is_no_good() {
    let fleet = Fleet::new().await;
    let (_, csr) = fleet.renewal(&fleet.ldevid);
    fleet.world.clock.set(NOW - 86_400);
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &csr, 403, "not valid yet").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn the_names_are_the_devices_own() {
    let fleet = Fleet::new().await;
    let (other, other_ldevid) = onboarded(&fleet.world).await;
    let (ldevid, idevid) = (Some(&fleet.ldevid), fleet.idevid());
    // Renewal asks for what there was.
    let others = fdo_pki::build_renewal(&fleet.key(), &other_ldevid.certificate).unwrap();
    fleet.refused(ldevid, "simplereenroll", &others, 403, "alternative names differ").await;
    let named = asking(&fleet.key(), Some("me"), SERIAL);
    fleet.refused(ldevid, "simplereenroll", &named, 403, "subject differ").await;
    // Enrolment does not ask in another's name.
    let guid = other.guid().to_string();
    for (csr, words) in [
        (asking(&fleet.key(), None, "SN-9999"), "serial number `SN-9999` is not this device's"),
        (asking(&fleet.key(), None, &guid), "is not this device's"),
        (asking(&fleet.key(), Some(&guid), SERIAL), "common name"),
        (others, "alternative name"),
    ] {
        fleet.refused(Some(&idevid), "simpleenroll", &csr, 403, words).await;
    }
    assert!(fleet.world.certificates().await.iter().all(|row| row.state == State::Issued));
    // By its IDevID a device enrols, even if it says that it renews.
    let enrolled = fleet.post(Some(&idevid), "simplereenroll", &named).await.certificate();
    assert_eq!(enrolled.common_name(), None);
    assert_eq!(fleet.audit().await.iter().max_by_key(|entry| entry.sequence).unwrap().action, "certificate.issue");
    fleet.running.stop().await;
}

#[tokio::test]
async fn devices_and_addresses_ask_within_limits() {
    let fleet = Fleet::with(|config| {
        config.limits.guid_per_second = 1;
        config.limits.guid_burst = 2;
        config.limits.source_per_second = 1;
        config.limits.source_burst = 40;
    })
    .await;
    let csr = asking(&fleet.key(), None, SERIAL);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(fleet.post(Some(&fleet.idevid()), "simpleenroll", &csr).await);
    }
    let limited = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert!(limited.body.contains("This device asks too often"), "{}", limited.body);
    assert_eq!(limited.header("retry-after"), "60");
    let mut last = 0;
    for _ in 0..60 {
        let answer = fleet.send(None, Method::GET, "cacerts", "", "").await;
        last = answer.status;
        if last == 429 {
            assert!(answer.body.contains("from this address"), "{}", answer.body);
            break;
        }
    }
    assert_eq!(last, 429);
    fleet.running.stop().await;
}
