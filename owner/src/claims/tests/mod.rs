//! Claims against a manufacturer in the same process: what goes well, and each way in which it does not.
#![allow(clippy::unwrap_used)]

mod routes;

use fdo_protocol::crypto::KeyType;

use self::routes::Manufacturer as Fake;
use super::*;
use crate::fixtures::{Maker, Owner};
use crate::inventory;
use crate::trust;
use crate::vouchers;

/// An owner that is enrolled at a manufacturer whose devices `maker` makes.
async fn enrolled(owner: &Owner, maker: &Maker) -> (Fake, Manufacturer) {
    let fake = Fake::start(maker, owner.clock.clone()).await;
    let added = manufacturers::add(&owner.app, "tester", &fake.url, &fake.fingerprint, "GOOD").await.unwrap();
    (fake, added.0)
}

async fn claim(owner: &Owner, manufacturer: &Manufacturer, serial: &str) -> Claim {
    let serials = request(&owner.app, "tester", manufacturer, &[serial.to_owned()]).await.unwrap();
    pursuit::pursue(&owner.app, manufacturer, &serials).await.unwrap();
    stands(owner, manufacturer, serial).await
}

async fn stands(owner: &Owner, manufacturer: &Manufacturer, serial: &str) -> Claim {
    find(&owner.app.db, &manufacturer.id, serial).await.unwrap().unwrap()
}

async fn no_voucher(owner: &Owner) -> bool {
    vouchers::list(&owner.app.db, None, None, 10).await.unwrap().is_empty()
}

#[tokio::test]
async fn enrolment_pins_the_makers_keys_and_cas() {
    for owner in Owner::on_all().await {
        let maker = Maker::new(30, KeyType::P256);
        let fake = Fake::start(&maker, owner.clock.clone()).await;
        let other = "00".repeat(32);
        let wrong = manufacturers::add(&owner.app, "tester", &fake.url, &other, "GOOD").await;
        let mismatch = |e| matches!(e, manufacturers::Error::Call(manufacturers::CallError::Identity(_)));
        assert!(wrong.is_err_and(mismatch), "{}", owner.database.name());
        let refused = manufacturers::add(&owner.app, "tester", &fake.url, &fake.fingerprint, "BAD").await;
        assert!(refused.unwrap_err().to_string().contains("code_invalid"));
        assert!(manufacturers::list(&owner.app.db).await.unwrap().is_empty());
        assert!(trust::list(&owner.app.db).await.unwrap().is_empty());
        let added = manufacturers::add(&owner.app, "tester", &fake.url, &fake.fingerprint, "GOOD").await.unwrap();
        assert_eq!((added.0.name.as_str(), added.1.len()), ("Maker", 2));
        assert_eq!(trust::list(&owner.app.db).await.unwrap().len(), 2);
        assert_eq!(owner.audited("manufacturer.add").await, 1);
        fake.stop().await;
    }
}

#[tokio::test]
async fn a_claim_brings_the_voucher_and_asks_only_once() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(31, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        let settled = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!((settled.state, settled.guid), (State::Fulfilled, Some(voucher.guid())), "{settled:?}");
        let device = inventory::find_by_guid(&owner.app.db, &voucher.guid()).await.unwrap().unwrap();
        assert_eq!((device.model.as_deref(), device.maker.as_deref()), (Some("M1"), Some("Maker")));
        let now = owner.clock.now();
        assert_eq!(vouchers::due_for_registration(&owner.app.db, now, 9).await.unwrap(), [voucher.guid()]);
        assert_eq!(claim(&owner, &manufacturer, "SN-1").await.state, State::Fulfilled);
        assert_eq!(*fake.state.asked.lock().unwrap(), 1);
        assert_eq!(owner.audited("claim.fulfil").await, 1);
        fake.stop().await;
    }
}

#[tokio::test]
async fn the_other_key_is_proven_where_the_device_wants_it() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(32, KeyType::P384);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P384));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        fake.state.items.lock().unwrap().get_mut("SN-1").unwrap().key = Some("P-384");
        let settled = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!(settled.state, State::Fulfilled, "{settled:?}");
        fake.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_found_is_asked_for_daily_for_two_weeks() {
    for owner in Owner::on_all().await {
        let maker = Maker::new(33, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let asked = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!((asked.state, asked.error.as_deref()), (State::Requested, Some("not_found")));
        let pause = asked.next_at.unwrap() - owner.clock.now();
        assert!((64_800..=108_000).contains(&pause), "{pause}");
        owner.clock.advance(13 * 86_400);
        run_due(&owner.app).await.unwrap();
        assert_eq!(stands(&owner, &manufacturer, "SN-1").await.state, State::Requested);
        assert_eq!(*fake.state.asked.lock().unwrap(), 2);
        owner.clock.advance(3 * 86_400);
        run_due(&owner.app).await.unwrap();
        assert_eq!(stands(&owner, &manufacturer, "SN-1").await.state, State::Refused);
        fake.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_and_may_be_claimed_anew() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(34, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        fake.refuse("SN-1", "already_claimed");
        let refused = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!((refused.state, refused.error.as_deref()), (State::Refused, Some("already_claimed")));
        assert_eq!(refused.next_at, None);
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        assert_eq!(claim(&owner, &manufacturer, "SN-1").await.state, State::Fulfilled);
        fake.stop().await;
    }
}

#[tokio::test]
async fn a_manufacturer_that_is_down_is_asked_again() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(35, KeyType::P256);
        let (fake, mut manufacturer) = enrolled(&owner, &maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        let up = manufacturer.url.clone();
        manufacturer.url = "https://127.0.0.1:1".to_owned();
        let kept = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!((kept.state, kept.error.as_deref()), (State::Requested, Some("unreachable")), "{kept:?}");
        assert_eq!(kept.attempts, 1);
        run_due(&owner.app).await.unwrap();
        assert_eq!(*fake.state.asked.lock().unwrap(), 0, "it is not due yet");
        manufacturer.url = up;
        owner.clock.set(kept.next_at.unwrap());
        run_due(&owner.app).await.unwrap();
        assert_eq!(stands(&owner, &manufacturer, "SN-1").await.state, State::Fulfilled);
        fake.stop().await;
    }
}

#[tokio::test]
async fn a_download_with_a_wrong_checksum_is_not_taken() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(36, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        fake.state.files.lock().unwrap().values_mut().for_each(|file| file.bytes.push(0));
        let kept = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!((kept.state, kept.error.as_deref()), (State::Requested, Some("checksum_mismatch")));
        assert!(no_voucher(&owner).await);
        fake.stop().await;
    }
}

#[tokio::test]
async fn the_voucher_of_another_device_is_not_taken() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(37, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let (voucher, other) =
            (maker.sold("SN-1", owner.key(KeyType::P256)), maker.sold("SN-2", owner.key(KeyType::P256)));
        fake.sell("SN-1", &voucher.guid(), other.bytes());
        assert_eq!(claim(&owner, &manufacturer, "SN-1").await.error.as_deref(), Some("guid_mismatch"));
        fake.sell("SN-3", &other.guid(), other.bytes());
        let refused = claim(&owner, &manufacturer, "SN-3").await;
        assert_eq!((refused.state, refused.error.as_deref()), (State::Refused, Some("serial_mismatch")));
        assert!(no_voucher(&owner).await);
        fake.stop().await;
    }
}

#[tokio::test]
async fn the_voucher_of_an_untrusted_maker_is_not_taken() {
    for owner in Owner::on_all().await {
        let (maker, mut stranger) = (Maker::new(38, KeyType::P256), Maker::new(39, KeyType::P256));
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let voucher = stranger.sold("SN-1", owner.key(KeyType::P256));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        assert_eq!(claim(&owner, &manufacturer, "SN-1").await.error.as_deref(), Some("maker_untrusted"));
        // Trusted, but not as one of this manufacturer's.
        owner.trust(&stranger).await;
        let refused = claim(&owner, &manufacturer, "SN-1").await;
        assert_eq!((refused.state, refused.error.as_deref()), (State::Refused, Some("maker_untrusted")));
        let theirs = Maker::new(40, KeyType::P256);
        let mut maker = Maker::new(38, KeyType::P256);
        let sold = maker.sold("SN-2", theirs.key.verifying_key());
        fake.sell("SN-2", &sold.guid(), sold.bytes());
        assert_eq!(claim(&owner, &manufacturer, "SN-2").await.error.as_deref(), Some("voucher_invalid"));
        assert!(no_voucher(&owner).await);
        fake.stop().await;
    }
}

#[tokio::test]
async fn two_replicas_with_the_same_claim_bring_one_voucher() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(41, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        fake.sell("SN-1", &voucher.guid(), voucher.bytes());
        let (a, b) = tokio::join!(claim(&owner, &manufacturer, "SN-1"), claim(&owner, &manufacturer, "SN-1"));
        assert_eq!((a.state, b.state), (State::Fulfilled, State::Fulfilled), "{}", owner.database.name());
        assert_eq!(owner.audited("claim.fulfil").await, 1);
        assert_eq!(vouchers::list(&owner.app.db, None, None, 10).await.unwrap().len(), 1);
        fake.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_serial_is_refused_before_anything_is_written() {
    for owner in Owner::on_all().await {
        let maker = Maker::new(42, KeyType::P256);
        let (fake, manufacturer) = enrolled(&owner, &maker).await;
        for bad in [vec!["a\u{7}b".to_owned()], vec![String::new()], Vec::new()] {
            assert!(request(&owner.app, "tester", &manufacturer, &bad).await.is_err());
        }
        assert!(list(&owner.app.db, None, None, 10).await.unwrap().is_empty());
        fake.stop().await;
    }
}
