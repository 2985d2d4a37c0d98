//! Imports, good and bad, and what replaces what, on both databases.
#![allow(clippy::unwrap_used)]

use fdo_protocol::crypto::KeyType;
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy, Voucher};

use super::upload::{Item, import_file};
use super::*;
use crate::fixtures::{Maker, NOW, Owner};
use crate::inventory::{self, DeviceState};

async fn import_one(owner: &Owner, file: &[u8], allow_untrusted: bool) -> Result<Imported, Error> {
    let mut items: Vec<Item> = import_file(&owner.app, "tester", file, allow_untrusted).await.unwrap();
    assert_eq!(items.len(), 1);
    items.pop().unwrap().result
}

async fn state(owner: &Owner, guid: &Guid) -> Option<State> {
    find_by_guid(&owner.app.db, guid).await.unwrap().map(|voucher| voucher.state)
}

/// What 70 does.
async fn moved(owner: &Owner, now: u64, old: &VerifiedVoucher, new: &VerifiedVoucher) -> Result<(), Error> {
    let id = find_by_guid(&owner.app.db, &old.guid()).await.unwrap().unwrap().device_id;
    let onboarded = inventory::Onboarded {
        id: &id,
        from: old.guid(),
        guid: new.guid(),
        progress: "onboarded",
        reason: None,
        certificate: None,
    };
    assert!(inventory::record_onboarded(&owner.app.db, now, &onboarded).await.unwrap());
    replace(&owner.app.db, now, &old.guid(), |_| Ok(new.clone())).await
}

async fn empty(owner: &Owner) -> bool {
    list(&owner.app.db, None, None, 10).await.unwrap().is_empty()
        && inventory::list(&owner.app.db, &inventory::Filter::default(), None, 10).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_good_voucher_is_imported_once_and_registered() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(10, KeyType::P384);
        owner.trust(&maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P384));
        let guid = voucher.guid();
        let imported = import_one(&owner, voucher.to_pem().as_bytes(), false).await.unwrap();
        assert_eq!(imported, Imported::New, "{}", owner.database.name());
        assert_eq!(import_one(&owner, voucher.bytes(), false).await.unwrap(), Imported::Same);
        assert_eq!(owner.audited("voucher.import").await, 1);
        assert_eq!(bytes(&owner.app.db, &guid).await.unwrap().unwrap(), voucher.bytes());
        let found = find_for_onboarding(&owner.app.db, &guid).await.unwrap().unwrap();
        assert_eq!(found.owner_key(), owner.key(KeyType::P384));
        assert_eq!(due_for_registration(&owner.app.db, NOW, 10).await.unwrap(), [guid]);
        set_registration(&owner.app.db, &guid, Some(NOW + 1)).await.unwrap();
        assert!(due_for_registration(&owner.app.db, NOW, 10).await.unwrap().is_empty());
        let device = inventory::find_by_guid(&owner.app.db, &guid).await.unwrap().unwrap();
        assert_eq!((device.serial.as_deref(), device.model.as_deref()), (Some("SN-1"), Some("camera")));
        assert_eq!((device.state, device.owner_key.as_str()), (DeviceState::Imported, "P-384"));
    }
}

#[tokio::test]
async fn what_does_not_hold_changes_nothing() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(11, KeyType::P256);
        owner.trust(&maker).await;
        let ours = owner.key(KeyType::P256);
        let good = maker.sold("SN-1", ours);
        let mut forged = good.bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(import_one(&owner, &forged, true).await, Err(Error::Invalid(_))));
        let stranger = Maker::new(12, KeyType::P256);
        let theirs = maker.sold("SN-2", stranger.key.verifying_key());
        assert!(matches!(import_one(&owner, theirs.bytes(), true).await, Err(Error::NotOurs(_))));
        let device = maker.device("SN-3");
        let bare = maker.voucher(&device);
        assert!(matches!(import_one(&owner, bare.bytes(), true).await, Err(Error::NoEntries)));
        assert!(import_file(&owner.app, "tester", b"nonsense", true).await.is_err());
        assert!(empty(&owner).await, "{}", owner.database.name());
        assert_eq!(owner.audited("voucher.import").await, 0);
    }
}

#[tokio::test]
async fn an_unknown_maker_is_refused_until_the_operator_says_so() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(13, KeyType::P256);
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        assert!(matches!(import_one(&owner, voucher.bytes(), false).await, Err(Error::Untrusted(_))));
        assert!(empty(&owner).await);
        assert_eq!(import_one(&owner, voucher.bytes(), true).await.unwrap(), Imported::New);
        assert!(!find_by_guid(&owner.app.db, &voucher.guid()).await.unwrap().unwrap().trusted);
        // A pinned device CA vouches for another one of the same maker.
        let pin = crate::trust::TrustedKey::parse(crate::trust::Kind::DeviceCa, "maker", None, &maker.ca_der, NOW);
        crate::trust::insert(&owner.app.db, &pin.unwrap()).await.unwrap();
        let other = maker.sold("SN-2", owner.key(KeyType::P256));
        assert_eq!(import_one(&owner, other.bytes(), false).await.unwrap(), Imported::New);
        assert!(find_by_guid(&owner.app.db, &other.guid()).await.unwrap().unwrap().trusted);
    }
}

#[tokio::test]
async fn a_fork_is_refused_with_an_alarm_and_a_longer_chain_is_taken() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(14, KeyType::P256);
        owner.trust(&maker).await;
        let (ours, key) = (owner.key(KeyType::P256), owner.app.keys.for_type(KeyType::P256).unwrap());
        let device = maker.device("SN-1");
        let start = maker.voucher(&device);
        let first = start.extend(&maker.key, ours).unwrap();
        let fork = start.extend(&maker.key, ours).unwrap();
        assert_ne!(first.bytes(), fork.bytes());
        import_one(&owner, first.bytes(), false).await.unwrap();
        assert!(matches!(import_one(&owner, fork.bytes(), false).await, Err(Error::Fork(_))));
        assert_eq!(owner.audited("voucher.fork").await, 1);
        assert_eq!(bytes(&owner.app.db, &first.guid()).await.unwrap().unwrap(), first.bytes());
        let longer = first.extend(key, ours).unwrap();
        assert_eq!(import_one(&owner, longer.bytes(), false).await.unwrap(), Imported::Extended);
        assert!(matches!(import_one(&owner, first.bytes(), false).await, Err(Error::Fork(_))));
        assert_eq!(bytes(&owner.app.db, &first.guid()).await.unwrap().unwrap(), longer.bytes());
    }
}

#[tokio::test]
async fn each_voucher_of_a_file_is_judged_for_itself() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(15, KeyType::P256);
        owner.trust(&maker).await;
        let ours = owner.key(KeyType::P256).clone();
        let vouchers: Vec<VerifiedVoucher> = (0..3).map(|n| maker.sold(&format!("SN-{n}"), &ours)).collect();
        let theirs = maker.sold("SN-9", Maker::new(16, KeyType::P256).key.verifying_key());
        let file: String =
            [&vouchers[0], &theirs, &vouchers[1], &vouchers[0], &vouchers[2]].map(|v| v.to_pem()).concat();
        let items = import_file(&owner.app, "tester", file.as_bytes(), false).await.unwrap();
        assert!(matches!(items[1].result, Err(Error::NotOurs(_))));
        assert_eq!(items.iter().filter(|item| matches!(item.result, Ok(Imported::New))).count(), 3);
        assert!(matches!(items[3].result, Ok(Imported::Same)));
        let page = list(&owner.app.db, Some(State::Imported), None, 2).await.unwrap();
        let rest = list(&owner.app.db, None, Some(page[1].guid.to_string()), 10).await.unwrap();
        assert_eq!((page.len(), rest.len()), (2, 1), "{}", owner.database.name());
    }
}

#[tokio::test]
async fn two_imports_at_once_make_one_voucher() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(17, KeyType::P256);
        owner.trust(&maker).await;
        let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
        let (a, b) =
            tokio::join!(import_one(&owner, voucher.bytes(), false), import_one(&owner, voucher.bytes(), false));
        let mut results = [a.unwrap(), b.unwrap()];
        results.sort_by_key(|result| *result == Imported::Same);
        assert_eq!(results, [Imported::New, Imported::Same], "{}", owner.database.name());
    }
}

#[tokio::test]
async fn the_old_guid_stays_usable_until_the_device_is_seen_with_the_new() {
    for owner in Owner::on_all().await {
        let db = &owner.app.db;
        let mut maker = Maker::new(18, KeyType::P256);
        owner.trust(&maker).await;
        let device = maker.device("SN-1");
        let old = maker.voucher(&device).extend(&maker.key, owner.key(KeyType::P256)).unwrap();
        import_one(&owner, old.bytes(), false).await.unwrap();
        let (lost, next) = (maker.voucher(&device), maker.voucher(&device));
        moved(&owner, NOW + 1, &old, &lost).await.unwrap();
        assert_eq!(state(&owner, &old.guid()).await, Some(State::Replaced));
        assert!(find_for_onboarding(db, &old.guid()).await.unwrap().is_some());
        // 71 was lost: the device comes back with the old GUID and is given another one.
        moved(&owner, NOW + 2, &old, &next).await.unwrap();
        assert_eq!(state(&owner, &lost.guid()).await, Some(State::Archived));
        confirm_seen(db, NOW + 3, &next.guid()).await.unwrap();
        assert_eq!(state(&owner, &old.guid()).await, Some(State::Archived));
        assert!(find_for_onboarding(db, &old.guid()).await.unwrap().is_none());
        assert!(matches!(replace(db, NOW + 4, &old.guid(), |_| Ok(lost.clone())).await, Err(Error::NotInUse(..))));
        let found = inventory::find_by_guid(db, &old.guid()).await.unwrap().unwrap();
        assert_eq!(found.guid, next.guid(), "{}", owner.database.name());
        assert_eq!(inventory::guids_of(db, &found.id).await.unwrap().len(), 3);
        set_blocked(db, NOW + 5, &next.guid(), true).await.unwrap();
        assert!(find_for_onboarding(db, &next.guid()).await.unwrap().is_none());
        assert!(due_for_registration(db, u64::MAX, 10).await.unwrap().is_empty());
        set_blocked(db, NOW + 6, &next.guid(), false).await.unwrap();
        assert_eq!(state(&owner, &next.guid()).await, Some(State::Onboarded));
        assert!(due_for_registration(db, u64::MAX, 10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_device_that_was_made_again_moves_on_but_no_other_maker_takes_it_over() {
    for owner in Owner::on_all().await {
        let (mut maker, mut thief) = (Maker::new(19, KeyType::P256), Maker::new(20, KeyType::P256));
        owner.trust(&maker).await;
        owner.trust(&thief).await;
        let ours = owner.key(KeyType::P256);
        let device = maker.device("SN-1");
        let first = maker.voucher(&device).extend(&maker.key, ours).unwrap();
        import_one(&owner, first.bytes(), false).await.unwrap();
        let taken = thief.voucher(&device).extend(&thief.key, ours).unwrap();
        assert!(import_one(&owner, taken.bytes(), false).await.is_err());
        assert_eq!(state(&owner, &taken.guid()).await, None);
        let again = maker.voucher(&device).extend(&maker.key, ours).unwrap();
        assert_eq!(import_one(&owner, again.bytes(), false).await.unwrap(), Imported::New);
        assert_eq!(state(&owner, &first.guid()).await, Some(State::Archived));
        let voucher = Voucher::from_bytes(again.bytes()).unwrap().verify(&VerifyPolicy::default()).unwrap();
        assert_eq!(
            inventory::find_by_guid(&owner.app.db, &voucher.guid()).await.unwrap().unwrap().guid,
            again.guid()
        );
    }
}
