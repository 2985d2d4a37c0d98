//! Sales on every database at hand: what they refuse, what they answer twice, and what they leave behind.

use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy, Voucher};

use super::*;
use crate::fixtures::{Made, Maker, NOW, Owner};
use crate::inventory::{DeviceState, Filter};
use crate::vouchers::upload::import_file;
use crate::vouchers::{Imported, State as VoucherState};

fn stranger(seed: u64, key_type: KeyType) -> SigningKey {
    Maker::new(seed, key_type).key
}

async fn import(owner: &Owner, bytes: &[u8]) -> Result<Imported, vouchers::Error> {
    import_file(&owner.app, "tester", bytes, false).await.unwrap().pop().unwrap().result
}

/// A device that was bought here, and the GUID of its voucher.
async fn bought(owner: &Owner, maker: &mut Maker, serial: &str) -> Guid {
    owner.trust(maker).await;
    let voucher = maker.sold(serial, owner.key(maker.key.key_type()));
    assert_eq!(import(owner, voucher.bytes()).await.unwrap(), Imported::New);
    voucher.guid()
}

/// What 70 does with the device: it has another GUID and a voucher without entries.
async fn onboarded(owner: &Owner, maker: &mut Maker, device: &Made) -> VerifiedVoucher {
    owner.trust(maker).await;
    let old = maker.voucher(device).extend(&maker.key, owner.key(maker.key.key_type())).unwrap();
    import(owner, old.bytes()).await.unwrap();
    let next = maker.voucher_of_owner(device, owner.key(maker.key.key_type()));
    let db = &owner.app.db;
    let id = inventory::find_by_guid(db, &old.guid()).await.unwrap().unwrap().id;
    let onboarded = inventory::Onboarded {
        id: &id,
        from: old.guid(),
        guid: next.guid(),
        progress: "onboarded",
        reason: None,
        certificate: None,
    };
    assert!(inventory::record_onboarded(db, NOW, &onboarded).await.unwrap());
    vouchers::replace(db, NOW, &old.guid(), |_| Ok(next.clone())).await.unwrap();
    next
}

async fn sell(owner: &Owner, name: &str, next: &VerifyingKey, even: bool) -> Result<Resale, Error> {
    let request = Request { name, next, even_if_never_onboarded: even };
    resell(&owner.app, "tester", request).await
}

async fn voucher_state(owner: &Owner, guid: &Guid) -> VoucherState {
    vouchers::find_by_guid(&owner.app.db, guid).await.unwrap().unwrap().state
}

/// Everything that a refusal must not change.
async fn shown(owner: &Owner) -> String {
    let db = &owner.app.db;
    let devices = inventory::list(db, &Filter::default(), None, 100).await.unwrap();
    let all = vouchers::list(db, None, None, 100).await.unwrap();
    let sales = list(db, None, None, 100).await.unwrap();
    format!("{devices:?} {all:?} {sales:?} {}", owner.audited("voucher.resell").await)
}

#[tokio::test]
async fn an_onboarded_device_is_sold_once_and_forgotten_when_its_new_owner_has_it() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(40, KeyType::P384);
        let device = maker.device("SN-1");
        let present = onboarded(&owner, &mut maker, &device).await;
        let (guid, next) = (present.guid(), stranger(41, KeyType::P384));
        let sale = sell(&owner, "SN-1", next.verifying_key(), false).await.unwrap();
        assert_eq!((sale.guid, sale.state, sale.onboarded, sale.entries), (guid, State::Sold, true, 1));
        let extended = Voucher::from_bytes(&sale.bytes).unwrap().verify(&VerifyPolicy::default()).unwrap();
        assert_eq!(extended.owner_key(), next.verifying_key());
        assert!(extended.continues(&present));

        // Out of use here, under every GUID, but not forgotten.
        let db = &owner.app.db;
        assert!(vouchers::find_for_onboarding(db, &guid).await.unwrap().is_none());
        assert_eq!(vouchers::due_for_registration(db, u64::MAX / 4, 10).await.unwrap(), []);
        assert!(registration::renew(db, &guid, NOW).await.is_err());
        assert_eq!(inventory::find_by_name(db, "SN-1").await.unwrap().state, DeviceState::Sold);
        assert_eq!(voucher_state(&owner, &guid).await, VoucherState::Sold);

        // The same answer again, by GUID, by serial, and after it has left; another key is refused.
        let before = shown(&owner).await;
        let again = sell(&owner, &guid.to_string(), next.verifying_key(), false).await.unwrap();
        assert_eq!(again.bytes, sale.bytes, "signed once");
        let other = stranger(42, KeyType::P384);
        let refused = sell(&owner, "SN-1", other.verifying_key(), true).await;
        assert!(matches!(refused, Err(Error::OtherKey { .. })), "{refused:?}");
        assert!(matches!(confirm(&owner.app, "tester", &guid).await, Err(Error::NothingLeft(_))));
        assert_eq!(shown(&owner).await, before);

        assert_eq!(hand_over(&owner.app, "tester", &guid).await.unwrap().bytes, sale.bytes);
        assert_eq!(hand_over(&owner.app, "tester", &guid).await.unwrap().state, State::HandedOver);
        assert_eq!(owner.audited("voucher.hand-over").await, 1);
        assert!(matches!(cancel(&owner.app, "tester", &guid).await, Err(Error::HandedOver(_))));
        assert_eq!(inventory::find_by_name(db, "SN-1").await.unwrap().state, DeviceState::Sold);

        assert_eq!(confirm(&owner.app, "tester", &guid).await.unwrap().state, State::Delivered);
        assert_eq!(confirm(&owner.app, "tester", &guid).await.unwrap().state, State::Delivered);
        assert!(inventory::find_by_name(db, "SN-1").await.is_err(), "{}", owner.database.name());
        assert_eq!(sell(&owner, "SN-1", next.verifying_key(), false).await.unwrap().bytes, sale.bytes);
        assert!(sell(&owner, "SN-1", other.verifying_key(), true).await.is_err());
        assert_eq!(owner.audited("voucher.resell").await, 1);
    }
}

#[tokio::test]
async fn a_device_that_was_never_onboarded_is_not_sold_without_saying_so() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(43, KeyType::P256);
        let guid = bought(&owner, &mut maker, "SN-1").await;
        let next = stranger(44, KeyType::P256);
        let before = shown(&owner).await;
        let refused = sell(&owner, "SN-1", next.verifying_key(), false).await;
        assert!(matches!(refused, Err(Error::NeverOnboarded(_))), "{refused:?}");
        assert_eq!(shown(&owner).await, before);
        assert!(!sell(&owner, "SN-1", next.verifying_key(), true).await.unwrap().onboarded);
        assert_eq!(voucher_state(&owner, &guid).await, VoucherState::Sold);
    }
}

#[tokio::test]
async fn keys_that_do_not_fit_are_refused_by_name_and_change_nothing() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(45, KeyType::P256);
        let guid = bought(&owner, &mut maker, "SN-1").await;
        let before = shown(&owner).await;
        let wrong = stranger(46, KeyType::P384);
        let refused = sell(&owner, "SN-1", wrong.verifying_key(), true).await.unwrap_err();
        assert!(refused.to_string().contains("needs a P-256 key"), "{refused}");
        let own = owner.key(KeyType::P256);
        assert!(matches!(sell(&owner, "SN-1", own, true).await, Err(Error::OwnKey(_))));
        assert!(matches!(sell(&owner, "SN-9", wrong.verifying_key(), true).await, Err(Error::Inventory(_))));
        vouchers::set_blocked(&owner.app.db, NOW, &guid, true).await.unwrap();
        let next = stranger(47, KeyType::P256);
        let refused = sell(&owner, "SN-1", next.verifying_key(), true).await;
        assert!(matches!(refused, Err(Error::Voucher(vouchers::Error::NotInUse(..)))), "{refused:?}");
        vouchers::set_blocked(&owner.app.db, NOW, &guid, false).await.unwrap();
        assert_eq!(shown(&owner).await, before);
    }
}

#[tokio::test]
async fn a_sale_is_called_off_while_nothing_has_left_and_may_then_go_to_another() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(48, KeyType::P256);
        let guid = bought(&owner, &mut maker, "SN-1").await;
        let (one, two) = (stranger(49, KeyType::P256), stranger(50, KeyType::P256));
        sell(&owner, "SN-1", one.verifying_key(), true).await.unwrap();
        // Stopping a sold device would lose where it stood.
        assert!(vouchers::set_blocked(&owner.app.db, NOW, &guid, true).await.is_err());
        cancel(&owner.app, "tester", &guid).await.unwrap();
        assert_eq!(voucher_state(&owner, &guid).await, VoucherState::Imported);
        assert_eq!(inventory::find_by_name(&owner.app.db, "SN-1").await.unwrap().state, DeviceState::Imported);
        assert_eq!(vouchers::due_for_registration(&owner.app.db, NOW, 10).await.unwrap(), [guid]);
        assert!(matches!(cancel(&owner.app, "tester", &guid).await, Err(Error::NotFound(_))));
        assert!(hand_over(&owner.app, "tester", &guid).await.is_err());
        let sale = sell(&owner, "SN-1", two.verifying_key(), true).await.unwrap();
        assert_eq!(sale.next_key, keys::fingerprint(two.verifying_key()), "{}", owner.database.name());
    }
}

#[tokio::test]
async fn nothing_leaves_while_a_registration_is_under_way() {
    let owner = Owner::on_all().await.swap_remove(0);
    let mut maker = Maker::new(60, KeyType::P256);
    let guid = bought(&owner, &mut maker, "SN-1").await;
    let (next, db) = (stranger(61, KeyType::P256), &owner.app.db);
    let key = format!("to0/{guid}");
    assert!(fdo_service::lease::try_acquire(db, &key, "the registrar", NOW, 300).await.unwrap());
    sell(&owner, "SN-1", next.verifying_key(), true).await.unwrap();
    let refused = last_registration_ends(&owner.app, &guid, 1).await;
    assert!(matches!(refused, Err(Error::Registering(_))), "{refused:?}");
    assert_eq!(find(db, &guid).await.unwrap().unwrap().state, State::Sold);
    let (sale, released) = tokio::join!(
        hand_over(&owner.app, "tester", &guid),
        fdo_service::lease::release(db, &key, "the registrar"),
    );
    released.unwrap();
    assert_eq!(sale.unwrap().state, State::HandedOver);
}

#[tokio::test]
async fn two_sales_at_once_sign_once() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(51, KeyType::P256);
        bought(&owner, &mut maker, "SN-1").await;
        let (one, two) = (stranger(52, KeyType::P256), stranger(53, KeyType::P256));
        let (a, b, c) = tokio::join!(
            sell(&owner, "SN-1", one.verifying_key(), true),
            sell(&owner, "SN-1", one.verifying_key(), true),
            sell(&owner, "SN-1", two.verifying_key(), true),
        );
        let (won, lost) = if c.is_ok() { (vec![c], vec![a, b]) } else { (vec![a, b], vec![c]) };
        assert!(lost.iter().all(|sale| matches!(sale, Err(Error::OtherKey { .. }))), "{lost:?}");
        let bytes: Vec<Vec<u8>> = won.into_iter().map(|sale| sale.unwrap().bytes).collect();
        assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]), "{}", owner.database.name());
        assert_eq!(list(&owner.app.db, None, None, 10).await.unwrap().len(), 1);
        assert_eq!(owner.audited("voucher.resell").await, 1);
    }
}

#[tokio::test]
async fn what_was_sold_comes_back_only_by_its_new_owners_hand() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(54, KeyType::P256);
        owner.trust(&maker).await;
        let ours = owner.key(KeyType::P256).clone();
        let tip = maker.sold("SN-1", &ours);
        import(&owner, tip.bytes()).await.unwrap();
        let (guid, next) = (tip.guid(), stranger(55, KeyType::P256));
        let sale = sell(&owner, "SN-1", next.verifying_key(), true).await.unwrap();
        hand_over(&owner.app, "tester", &guid).await.unwrap();
        confirm(&owner.app, "tester", &guid).await.unwrap();
        // Who sold it to us hands out the old voucher again: it is worth nothing any more.
        assert!(matches!(import(&owner, tip.bytes()).await, Err(vouchers::Error::SoldOn(_))));
        // Its new owner sells it back.
        let theirs = Voucher::from_bytes(&sale.bytes).unwrap().verify(&VerifyPolicy::default()).unwrap();
        let back = theirs.extend(&next, &ours).unwrap();
        assert_eq!(import(&owner, back.bytes()).await.unwrap(), Imported::Extended);
        assert_eq!(voucher_state(&owner, &guid).await, VoucherState::Imported);
        assert_eq!(inventory::find_by_name(&owner.app.db, "SN-1").await.unwrap().state, DeviceState::Imported);
        // A late word about the first sale does not take it away, and it may be sold once more.
        confirm(&owner.app, "tester", &guid).await.unwrap();
        let again = sell(&owner, "SN-1", next.verifying_key(), true).await.unwrap();
        assert_eq!(again.entries, 4, "{}", owner.database.name());
        assert_eq!(find(&owner.app.db, &guid).await.unwrap().unwrap().bytes, again.bytes);
    }
}

/// Between the first sale's handing over and the word that it arrived, the device comes back and is sold again.
#[tokio::test]
async fn a_late_word_about_one_sale_leaves_the_next_alone() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(60, KeyType::P256);
        owner.trust(&maker).await;
        let ours = owner.key(KeyType::P256).clone();
        let tip = maker.sold("SN-1", &ours);
        import(&owner, tip.bytes()).await.unwrap();
        let (guid, next) = (tip.guid(), stranger(61, KeyType::P256));
        let sale = sell(&owner, "SN-1", next.verifying_key(), true).await.unwrap();
        hand_over(&owner.app, "tester", &guid).await.unwrap();
        let theirs = Voucher::from_bytes(&sale.bytes).unwrap().verify(&VerifyPolicy::default()).unwrap();
        let back = theirs.extend(&next, &ours).unwrap();
        assert_eq!(import(&owner, back.bytes()).await.unwrap(), Imported::Extended);
        let again = sell(&owner, "SN-1", next.verifying_key(), true).await.unwrap();
        confirm(&owner.app, "tester", &guid).await.unwrap();
        assert_eq!(voucher_state(&owner, &guid).await, VoucherState::Sold, "{}", owner.database.name());
        assert_eq!(inventory::find_by_name(&owner.app.db, "SN-1").await.unwrap().state, DeviceState::Sold);
        assert_eq!(find(&owner.app.db, &guid).await.unwrap().unwrap().bytes, again.bytes);
        cancel(&owner.app, "tester", &guid).await.unwrap();
        assert_eq!(voucher_state(&owner, &guid).await, VoucherState::Imported);
    }
}

#[tokio::test]
async fn a_device_that_comes_back_under_another_guid_waits_for_the_end_of_its_sale() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(56, KeyType::P256);
        let device = maker.device("SN-1");
        let present = onboarded(&owner, &mut maker, &device).await;
        let (guid, next) = (present.guid(), stranger(57, KeyType::P256));
        sell(&owner, "SN-1", next.verifying_key(), false).await.unwrap();
        hand_over(&owner.app, "tester", &guid).await.unwrap();
        // The new owner onboarded it, and sells it back as its maker.
        let theirs = maker.voucher_of_owner(&device, next.verifying_key());
        let back = theirs.extend(&next, owner.key(KeyType::P256)).unwrap();
        let imported = import_file(&owner.app, "tester", back.bytes(), true).await.unwrap().pop().unwrap();
        assert!(matches!(imported.result, Err(vouchers::Error::SaleOpen(_))), "{:?}", imported.result);
        confirm(&owner.app, "tester", &guid).await.unwrap();
        let imported = import_file(&owner.app, "tester", back.bytes(), true).await.unwrap().pop().unwrap();
        assert_eq!(imported.result.unwrap(), Imported::New, "{}", owner.database.name());
    }
}

#[test]
fn keys_are_read_from_public_keys_and_certificates_only() {
    let (maker, key) = (Maker::new(58, KeyType::P256), stranger(59, KeyType::P384));
    let pem =
        |label: &str, der: &[u8]| pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::CRLF, der).unwrap();
    let public = pem("PUBLIC KEY", key.verifying_key().spki_der());
    assert_eq!(next_key(&format!("\n{public}\n")).unwrap(), *key.verifying_key());
    let certificate = pem("CERTIFICATE", &maker.ca_der);
    let of_certificate = fdo_pki::Certificate::parse(&maker.ca_der).unwrap().public_key().unwrap();
    assert_eq!(next_key(&certificate).unwrap(), of_certificate);
    assert_eq!(next_key(&format!("{certificate}{public}")).unwrap(), of_certificate, "the first of a chain");
    let private = key.to_pkcs8_pem().unwrap();
    for wrong in [private.as_str(), "nothing", &pem("NEWS", b"1"), &pem("PUBLIC KEY", b"1")] {
        assert!(matches!(next_key(wrong), Err(Error::Key(_))));
    }
}
