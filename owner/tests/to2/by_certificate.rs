//! Vouchers that name our key by a certificate chain, as go-fdo-server's manufacturing service extends them.

use fdo_owner::inventory::DeviceState;
use fdo_owner::resale::{self, Request};
use fdo_owner::vouchers::upload;
use fdo_pki::{CaSubject, Lifetime};
use fdo_protocol::cbor::{self, ByteString};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::voucher::{OvEntryPayload, VerifyPolicy, Voucher};
use fdo_protocol::{Hash, PublicKey, PublicKeyEncoding};

use crate::device::{Manner, onboard};
use crate::world::{Born, NOW, World, birth};

/// A device whose maker was given a certificate of our key.
fn born(world: &World, key_type: KeyType) -> Born {
    let rng = &mut world.random.rng();
    let maker = SigningKey::generate(key_type, rng).unwrap();
    let key = SigningKey::generate(key_type, rng).unwrap();
    let owner = world.app.keys.for_type(key_type).unwrap();
    let born = birth(rng, &maker, key, owner);

    let name = CaSubject { common_name: "Our fleet".into(), organization: None };
    let certificate = fdo_pki::make_device_ca(&name, owner, Lifetime::years(10), NOW, rng).unwrap();
    let header = born.voucher.header();
    let hash_type = born.voucher.hash_type();
    let before = [header.bytes(), born.voucher.encoded_hmac().bytes()];
    let payload = OvEntryPayload {
        previous_hash: Hash::of(hash_type, &before),
        header_hash: Hash::of(hash_type, &[header.guid.as_bytes(), header.device_info.as_bytes()]),
        // An encoded map without members, as go-fdo writes it.
        extra: Some(ByteString(vec![0xa0])),
        owner_key: PublicKey::x5chain(owner.verifying_key(), &[certificate.der().to_vec()]),
    };
    let entry = Sign1::sign(cbor::encode(&payload), &[], &maker, &[]).unwrap();
    let certificates = born.voucher.certificates().unwrap().iter().map(|der| der.to_vec()).collect();
    let mut bytes = Voucher::new(header.clone(), born.voucher.hmac().clone(), certificates).bytes().to_vec();
    // The list of entries is the voucher's end: none becomes one.
    assert_eq!(bytes.pop(), Some(0x80));
    bytes.push(0x81);
    bytes.extend_from_slice(entry.bytes());
    let voucher = Voucher::from_bytes(&bytes).unwrap().verify(&VerifyPolicy::default()).unwrap();
    Born { voucher, ..born }
}

#[tokio::test]
async fn a_voucher_that_names_our_key_by_a_certificate_onboards_its_device_and_is_sold_on() {
    let world = World::new().await;
    for key_type in [KeyType::P256, KeyType::P384] {
        let born = born(&world, key_type);
        assert_eq!(born.voucher.owner_public_key().encoding(), PublicKeyEncoding::X5Chain);
        let items = upload::import_file(&world.app, "test", born.voucher.to_pem().as_bytes(), true).await.unwrap();
        assert!(items.iter().all(|item| item.result.is_ok()));
        let (next, _) = onboard(&world, &born, &Manner::new(&world)).await.unwrap();
        assert_eq!(world.known(&born.guid()).await.state, DeviceState::Onboarded);
        // What TO2 left names our key by the certificate too, and is as good.
        let (last, _) = onboard(&world, &next, &Manner::new(&world)).await.unwrap();

        let buyer = SigningKey::generate(key_type, &mut world.random.rng()).unwrap();
        let name = last.guid().to_string();
        let request = Request { name: &name, next: buyer.verifying_key(), even_if_never_onboarded: false };
        let sale = resale::resell(&world.app, "test", request).await.unwrap();
        let sold = Voucher::from_bytes(&sale.bytes).unwrap().verify(&VerifyPolicy::default()).unwrap();
        assert_eq!(sold.owner_key(), buyer.verifying_key());
        // A plain key, which every device reads.
        assert_eq!(sold.owner_public_key().encoding(), PublicKeyEncoding::X509);
        assert_eq!(onboard(&world, &last, &Manner::new(&world)).await.err(), Some(6), "no longer ours");
    }
}
