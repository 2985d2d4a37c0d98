//! What devices in the field do and an owner bears: entries asked for in any order and more than once, an introduction
//! of many small messages, modules that nobody knows, and an entry that is longer than most messages.

use fdo_protocol::Hash;
use fdo_protocol::PublicKey;
use fdo_protocol::cbor::{self, ByteString, Writer};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::messages::to2::OvNextEntry;
use fdo_protocol::service_info::{ServiceInfoKv, csr, wifi};
use fdo_protocol::voucher::{OvEntryPayload, VerifyPolicy, Voucher};

use crate::device::{Manner, Talk, onboard};
use crate::world::{Born, World, birth};

/// A device that was sold from hand to hand before it came to this owner.
async fn resold(world: &World, hands: usize) -> Born {
    let rng = &mut world.random.rng();
    let mut seller = SigningKey::generate(KeyType::P256, rng).unwrap();
    let key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let first = SigningKey::generate(KeyType::P256, rng).unwrap();
    let mut born = birth(rng, &seller, key, &first);
    seller = first;
    for _ in 2..hands {
        let next = SigningKey::generate(KeyType::P256, rng).unwrap();
        born.voucher = born.voucher.extend(&seller, next.verifying_key()).unwrap();
        seller = next;
    }
    born.voucher =
        born.voucher.extend(&seller, world.app.keys.for_type(KeyType::P256).unwrap().verifying_key()).unwrap();
    import(world, &born).await;
    born
}

async fn import(world: &World, born: &Born) {
    let items = fdo_owner::vouchers::upload::import_file(&world.app, "test", born.voucher.bytes(), true).await;
    assert!(items.unwrap().iter().all(|item| item.result.is_ok()));
}

#[tokio::test]
async fn an_entry_may_be_asked_for_again_and_in_any_order() {
    let world = World::new().await;
    let born = resold(&world, 4).await;
    let count = u8::try_from(born.voucher.entries().len()).unwrap();
    assert_eq!(count, 4);
    let mut talk = Talk::hello(&world, &born, &Manner::new(&world)).await.unwrap();
    let mut entries = Vec::new();
    for number in [0, 0, 3, 1, 0, 2, 2] {
        let reply = talk.send(62, cbor::encode(&vec![number])).await.unwrap();
        let told: OvNextEntry = cbor::decode(&reply).unwrap();
        assert_eq!(told.entry_num, number);
        assert_eq!(told.entry.bytes(), born.voucher.entries()[usize::from(number)].bytes());
        entries.push(reply);
    }
    assert!(entries[0] == entries[1] && entries[0] == entries[4] && entries[5] == entries[6]);
    // And then as it should be, from the first to the proof.
    talk.finish().await.unwrap();
    assert_eq!(talk.credential.as_ref().unwrap().guid, world.known(&born.guid()).await.guid);
}

#[tokio::test]
async fn an_introduction_may_come_in_many_small_messages() {
    let world = World::new().await;
    world.open_network("plant").await;
    let born = world.device().await;
    // The smallest size that there is.
    let mut manner = Manner { outbox: 256, ..Manner::new(&world) };
    // A list that is itself cut into pieces.
    manner.modules.extend((0..20).map(|at| format!("vendor.module-{at}")));
    let mut talk = Talk::before(&world, &born, &manner, 68).await;
    let mut messages = 0;
    while talk.next.message_type.number() == 68 {
        messages += 1;
        talk.step().await.unwrap();
    }
    assert!(messages >= 5, "{messages}");
    talk.finish().await.unwrap();
    assert_eq!((talk.received.networks.len(), talk.received.certificates.len()), (1, 1));
}

#[tokio::test]
async fn what_a_module_says_that_nobody_knows_is_passed_over() {
    let world = World::new().await;
    world.open_network("plant").await;
    let born = world.device().await;
    let mut manner = Manner::new(&world);
    manner.modules = ["devmod", "vendor.clock", wifi::MODULE, csr::MODULE].map(str::to_owned).to_vec();
    let says = |key: &str, value: Vec<u8>| ServiceInfoKv::from_item(key.to_owned(), value);
    manner.also_says = vec![
        says("vendor.clock:active", vec![0xf5]),
        says("vendor.clock:drift", cbor::encode(&ByteString(vec![7; 100]))),
        // Not even listed.
        says("vendor.other:hello", vec![0xf6]),
        // Known, but its turn has not come.
        says("fdo.download:done", vec![0x20]),
    ];
    let (next, received) = onboard(&world, &born, &manner).await.unwrap();
    assert_eq!((received.networks.len(), received.certificates.len()), (1, 1));
    assert_eq!(world.known(&born.guid()).await.guid, next.guid());
}

/// A device's voucher whose last entry has an OVEExtra of this many bytes.
fn with_long_entry(world: &World, length: usize) -> Born {
    let rng = &mut world.random.rng();
    let maker = SigningKey::generate(KeyType::P256, rng).unwrap();
    let key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let mut born = birth(rng, &maker, key, &maker);
    let first = &born.voucher.entries()[0];
    let before: OvEntryPayload = cbor::decode(first.unverified_payload()).unwrap();
    let mut extra = Writer::default();
    extra.map(1).integer(1).bytes(&vec![0xa5; length]);
    let payload = OvEntryPayload {
        previous_hash: Hash::of(born.voucher.hash_type(), &[first.bytes()]),
        header_hash: before.header_hash,
        extra: Some(ByteString(extra.into_bytes())),
        owner_key: PublicKey::x509(world.app.keys.for_type(KeyType::P256).unwrap().verifying_key()),
    };
    let last = Sign1::sign(cbor::encode(&payload), &[], &maker, &[]).unwrap();
    // The entries are the voucher's end: an array of one, which becomes one of two.
    let bytes = born.voucher.bytes();
    let head = &bytes[..bytes.len() - first.bytes().len() - 1];
    let longer = [head, &[0x82], first.bytes(), last.bytes()].concat();
    born.voucher = Voucher::from_bytes(&longer).unwrap().verify(&VerifyPolicy::default()).unwrap();
    born
}

#[tokio::test]
async fn an_entry_longer_than_most_messages_reaches_the_device() {
    let (world, running) = World::serving().await;
    let born = with_long_entry(&world, 30_000);
    import(&world, &born).await;
    let (next, received) = onboard(&world, &born, &Manner::new(&world)).await.unwrap();
    assert_eq!(received.certificates.len(), 1);
    assert_eq!(world.known(&born.guid()).await.guid, next.guid());
    running.stop().await;
}
