//! Renewal with an owner in memory: what is asked, what is believed, and what is left after a crash.
#![allow(clippy::unwrap_used)]

mod crashes;
mod daemon;
mod fake;

use fdo_pki::LdevidProfile;
use fdo_protocol::crypto::SigningKey;

use super::*;
use crate::store::Directory;
use fake::{DAY, Fate, NOW, Owner, World};

#[tokio::test]
async fn a_renewal_takes_a_fresh_key_keeps_the_name_and_leaves_one_generation() {
    let world = World::onboarded(90 * DAY);
    let before = world.pair();
    let Renewed::Now(certificate) = world.renewer().renew().await.unwrap() else { panic!("pending") };
    let after = world.pair();
    assert_eq!(after.fingerprint(), certificate.fingerprint());
    assert_ne!(after.spki(), before.spki());
    assert_eq!((after.subject(), after.uris()), (before.subject(), before.uris()));
    assert_eq!(world.operations(), ["cacerts", "simplereenroll"]);
    let names = world.state.names().unwrap();
    assert_eq!(names.iter().filter(|name| name.starts_with("ldevid-")).count(), 1, "{names:?}");
    assert!(world.store().renewal_draft(&before.fingerprint()).unwrap().is_none());
    let status = world.store().renewal_status();
    assert_eq!((status.renewals, status.failures, status.failure), (1, 0, None));
    assert_eq!(world.store().status().ldevid.unwrap().serial, after.serial());
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_asked_again_byte_for_byte() {
    let world = World::onboarded(90 * DAY);
    world.owner().fates = [Fate::RequestLost, Fate::ReplyLost].into();
    for _ in 0..2 {
        assert!(matches!(world.renewer().renew().await, Err(RenewError::Est(EstError::Unreachable(_)))));
    }
    world.renewer().renew().await.unwrap();
    assert_eq!(world.owner().issued.len(), 2, "the first LDevID, and one more");
    assert_eq!(world.pair().der(), world.owner().issued[1]);
}

#[tokio::test]
async fn a_request_that_waits_for_approval_is_asked_again_when_the_owner_says() {
    let world = World::with(Directory::in_memory(), 90 * DAY, false);
    world.owner().fates = [Fate::Answers(202, Some("120"), ""), Fate::Answers(202, None, "")].into();
    assert!(matches!(world.at(NOW).renew().await.unwrap(), Renewed::Pending(Some(120))));
    let status = world.store().renewal_status();
    assert_eq!((status.next_at, status.failures), (Some(NOW + 120), 0));
    assert!(status.waiting.is_some());
    assert!(matches!(world.at(NOW + 120).renew().await.unwrap(), Renewed::Pending(None)));
    assert!(matches!(world.at(NOW + DAY).renew().await.unwrap(), Renewed::Now(_)));
    assert_eq!(world.owner().issued.len(), 1);
    assert_eq!(world.operations().iter().filter(|operation| *operation == "simpleenroll").count(), 3);
    assert!(world.store().renewal_status().waiting.is_none());
    assert_eq!(world.pair().der(), world.owner().issued[0]);
}

#[tokio::test]
async fn what_is_refused_by_the_ldevid_is_asked_by_the_idevid_and_a_no_to_both_is_told_in_words() {
    let world = World::onboarded(90 * DAY);
    world.owner().refuses.insert("simplereenroll", "this certificate is revoked");
    world.renewer().renew().await.unwrap();
    assert_eq!(world.operations(), ["cacerts", "simplereenroll", "simpleenroll"]);
    let kept = world.pair();
    world.owner().refuses.insert("simpleenroll", "this device is blocked");
    let error = world.renewer().renew().await.unwrap_err();
    assert!(matches!(error, RenewError::Refused(_)));
    for sentence in ["by the LDevID", "this certificate is revoked", "by the IDevID", "this device is blocked"] {
        assert!(error.to_string().contains(sentence), "{error}");
    }
    assert_eq!(world.pair().fingerprint(), kept.fingerprint());
    assert_eq!(world.store().renewal_status().failures, 1);
}

#[tokio::test]
async fn an_expired_ldevid_renews_within_the_grace_and_the_idevid_after_it() {
    let world = World::onboarded(90 * DAY);
    world.at(NOW + 110 * DAY).renew().await.unwrap();
    assert_eq!(world.operations(), ["cacerts", "simplereenroll"]);
    world.owner().asked.clear();
    world.at(NOW + 500 * DAY).renew().await.unwrap();
    assert_eq!(world.operations(), ["cacerts", "simplereenroll", "simpleenroll"]);
    assert!(world.pair().not_after() > NOW + 580 * DAY);
}

#[tokio::test]
async fn a_busy_owner_is_asked_again_when_it_says() {
    let world = World::onboarded(90 * DAY);
    let now = NOW + 60 * DAY;
    for (status, retry, next) in [(503, Some("900"), 900), (429, Some("7"), 7), (503, Some("999999999"), DAY)] {
        world.owner().fates = [Fate::Answers(status, retry, "busy")].into();
        assert!(matches!(world.renewer().renew().await, Err(RenewError::Est(EstError::Busy { .. }))));
        assert_eq!(world.store().renewal_status().next_at, Some(now + next));
    }
    // The key that was asked for is still the one.
    world.renewer().renew().await.unwrap();
    assert_eq!(world.owner().issued.len(), 2);
}

fn another_key(owner: &mut Owner, _csr: &[u8]) -> Vec<u8> {
    let key = SigningKey::generate(KeyType::P256, &mut owner.rng).unwrap();
    let csr = fdo_pki::build_csr(&key, None, &fdo_pki::DeviceSerial::parse(fake::SERIAL).unwrap()).unwrap();
    owner.issue(&csr, NOW + 60 * DAY, &LdevidProfile::default(), [7; 16])
}

fn another_name(owner: &mut Owner, csr: &[u8]) -> Vec<u8> {
    owner.issue(csr, NOW + 60 * DAY, &LdevidProfile::default(), [8; 16])
}

fn another_ca(owner: &mut Owner, csr: &[u8]) -> Vec<u8> {
    owner.add_authority();
    let forged = owner.issue(csr, NOW + 60 * DAY, &LdevidProfile::default(), [7; 16]);
    owner.authorities.pop();
    owner.shown.pop();
    forged
}

fn expired(owner: &mut Owner, csr: &[u8]) -> Vec<u8> {
    owner.issue(csr, NOW - 30 * DAY, &LdevidProfile { validity_seconds: DAY, ..LdevidProfile::default() }, [7; 16])
}

fn of_the_future(owner: &mut Owner, csr: &[u8]) -> Vec<u8> {
    owner.issue(csr, NOW + 90 * DAY, &LdevidProfile::default(), [7; 16])
}

fn the_ca_itself(owner: &mut Owner, _csr: &[u8]) -> Vec<u8> {
    owner.shown[0].clone()
}

#[tokio::test]
async fn a_certificate_that_is_not_what_was_asked_for_is_not_taken_and_its_key_not_used_again() {
    type Forgery = fn(&mut Owner, &[u8]) -> Vec<u8>;
    let forgeries: [(Forgery, &str); 6] = [
        (another_key, "another key"),
        (another_name, "another name"),
        (another_ca, "does not chain"),
        (expired, "expired already"),
        (of_the_future, "not valid yet"),
        (the_ca_itself, "another key"),
    ];
    for (forgery, said) in forgeries {
        let world = World::onboarded(90 * DAY);
        let before = world.pair();
        world.owner().fates = [Fate::Forged(forgery)].into();
        let error = world.renewer().renew().await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(world.pair().fingerprint(), before.fingerprint());
        assert!(world.store().renewal_draft(&before.fingerprint()).unwrap().is_none());
        world.renewer().renew().await.unwrap();
        assert_ne!(world.pair().fingerprint(), before.fingerprint());
    }
}

#[tokio::test]
async fn garbage_and_too_much_are_of_no_use() {
    for body in ["", "certificate", "MAA=", "-----BEGIN CERTIFICATE-----"] {
        let world = World::onboarded(90 * DAY);
        world.owner().fates = [Fate::Answers(200, None, body)].into();
        let error = world.renewer().renew().await.unwrap_err();
        assert!(matches!(error, RenewError::Est(EstError::Unusable(_))), "{body}: {error}");
        world.pair();
    }
}

#[tokio::test]
async fn a_ca_is_followed_to_the_next_one_and_the_retired_one_is_no_longer_trusted() {
    let world = World::onboarded(90 * DAY);
    let first = world.owner().shown[0].clone();
    world.owner().add_authority();
    world.renewer().renew().await.unwrap();
    let trust = || world.store().renewal_source().unwrap().unwrap().trust;
    assert_eq!(trust().len(), 2);
    // The service itself goes over to the next CA, and the first is retired.
    world.owner().serves_under = 1;
    world.owner().shown.remove(0);
    world.at(NOW + 120 * DAY).renew().await.unwrap();
    assert!(trust().iter().all(|der| der.0 != first) && trust().len() == 1);
    world.owner().serves_under = 0;
    let error = world.at(NOW + 180 * DAY).renew().await.unwrap_err();
    assert!(matches!(error, RenewError::Est(EstError::NotTrusted(_))), "{error}");
}

#[tokio::test]
async fn an_owner_whose_own_certificate_is_another_cas_goes_on_being_trusted() {
    let world = World::onboarded(90 * DAY);
    // TLS stays under the first CA, which is not among those that issue any more.
    world.owner().add_authority();
    world.owner().shown.remove(0);
    for number in 1..3 {
        world.at(NOW + number * 60 * DAY).renew().await.unwrap();
    }
    assert_eq!(world.owner().issued.len(), 3);
}

#[tokio::test]
async fn a_clock_that_cannot_be_right_asks_nobody_and_says_so() {
    let world = World::onboarded(90 * DAY);
    let error = world.at(1_000).renew().await.unwrap_err();
    assert!(matches!(error, RenewError::Clock(_)) && error.to_string().contains("1970-01-01"), "{error}");
    assert!(world.operations().is_empty());
    assert!(world.store().renewal_status().clock.unwrap().contains("clock is wrong"));
    world.renewer().renew().await.unwrap();
    assert_eq!(world.store().renewal_status().clock, None);
    // It was later than this when the owner was last talked to.
    let error = world.at(NOW + 50 * DAY).renew().await.unwrap_err();
    assert!(matches!(error, RenewError::Clock(_)), "{error}");
}

#[tokio::test]
async fn the_owner_is_told_of_failures_when_it_can_be_told() {
    let world = World::onboarded(90 * DAY);
    world.owner().is_up = false;
    for _ in 0..3 {
        world.renewer().renew().await.unwrap_err();
    }
    world.owner().is_up = true;
    world.renewer().renew().await.unwrap();
    let reports = world.owner().reports.clone();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0]["consecutive"], 3);
    assert!(reports[0]["error"].as_str().unwrap().contains("nobody there"));
    world.at(NOW + 120 * DAY).renew().await.unwrap();
    assert_eq!(world.owner().reports.len(), 1, "once");
}

#[tokio::test]
async fn a_device_that_was_not_told_where_or_has_no_owner_says_what_to_do() {
    let world = World::onboarded(90 * DAY);
    world.store().set_renewal_source(None).unwrap();
    let error = world.renewer().renew().await.unwrap_err();
    assert!(matches!(error, RenewError::NoSource) && error.to_string().contains("--reonboard"));
    let new = World { state: Directory::in_memory(), ..world };
    assert!(matches!(new.renewer().renew().await, Err(RenewError::NotOnboarded)));
}

#[tokio::test]
async fn the_hook_runs_once_for_each_certificate_and_its_failure_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::with(Directory::on_disk(&directory.path().join("state")).unwrap(), 90 * DAY, true);
    let log = directory.path().join("log");
    let script = format!("echo x >> {}; readlink ldevid >> {}", log.display(), log.display());
    world.config.renewal_hook = vec!["/bin/sh".into(), "-c".into(), script];
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    world.renewer().settle_hook().await.unwrap();
    world.renewer().settle_hook().await.unwrap();
    assert_eq!(lines(), 2);
    world.renewer().renew().await.unwrap();
    world.renewer().settle_hook().await.unwrap();
    assert_eq!(lines(), 4);
    for (hook, said) in [
        (
            vec!["/bin/sh".to_owned(), "-c".to_owned(), "echo no such service >&2; exit 5".to_owned()],
            "code 5: no such",
        ),
        (vec!["/no/such/program".to_owned()], "did not run"),
    ] {
        world.config.renewal_hook = hook;
        world.at(NOW + 120 * DAY).renew().await.unwrap();
        let error = world.renewer().settle_hook().await.unwrap_err();
        assert!(error.contains(said), "{error}");
        assert!(world.store().renewal_status().unreported);
    }
    world.renewer().tell_owner().await;
    assert!(!world.store().renewal_status().unreported);
    world.config.renewal_hook = vec!["/bin/sleep".into(), "60".into()];
    world.config.renewal_hook_seconds = 1;
    world.at(NOW + 180 * DAY).renew().await.unwrap();
    let error = world.renewer().settle_hook().await.unwrap_err();
    assert!(error.contains("more than 1 seconds"), "{error}");
    assert!(world.owner().reports.iter().any(|report| report.to_string().contains("code 5")));
}
