//! DI that is cut short anywhere: the next `init` is the same device again, and the manufacturer takes it.
#![allow(clippy::unwrap_used)]

mod world;

use fdo_device::store::StoreError;
use fdo_device::{BirthError, Random};
use fdo_protocol::Guid;
use fdo_protocol::crypto::KeyType;
use world::{Fate, World};

/// The device is switched on once more; what it had in memory, and its randomness, are others.
async fn init(world: &World, start: u64) -> Result<Guid, BirthError> {
    let mut agent = world.agent();
    agent.random = Random::seeded(start);
    agent.init(&world.birth()).await
}

fn strict(key_type: KeyType) -> World {
    let world = World::new(key_type);
    world.services().one_birth = true;
    world
}

/// The credential is the one of the manufacturer's latest voucher, and it works.
async fn assert_born(world: &World) {
    let credential = world.store().credential().unwrap();
    assert_eq!(credential.guid, world.services().vouchers[0].guid());
    assert_eq!(world.store().device_key().unwrap().verifying_key(), world.services().vouchers[0].device_key());
    assert!(world.state.names().unwrap().iter().all(|name| !name.starts_with("draft-")));
    world.power_on().await.unwrap();
}

#[tokio::test]
async fn a_crash_at_any_write_leaves_a_device_that_can_be_born() {
    for key_type in [KeyType::P256, KeyType::P384] {
        let mut cut_after_12 = 0;
        for writes in 0..40 {
            let world = strict(key_type);
            world.state.fail_after(Some(writes));
            let first = init(&world, 1).await;
            world.state.fail_after(None);
            cut_after_12 += usize::from(first.is_err() && !world.services().vouchers.is_empty());
            match init(&world, 2).await {
                Err(BirthError::Store(StoreError::AlreadyInitialised)) => {}
                second => {
                    assert!(first.is_err(), "{writes}");
                    assert_eq!(second.unwrap(), world.services().vouchers[0].guid(), "{writes}");
                }
            }
            assert_born(&world).await;
            if first.is_ok() {
                assert!(cut_after_12 > 2, "{cut_after_12}");
                break;
            }
            assert!(writes < 39, "it never ended");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_key_is_durable() {
    let world = strict(KeyType::P256);
    world.state.fail_after(Some(0));
    assert!(matches!(init(&world, 1).await, Err(BirthError::Store(_))));
    assert!(world.services().received.is_empty());
}

#[tokio::test]
async fn a_lost_message_leaves_a_device_that_can_be_born() {
    for accident in
        [(10, Fate::RequestLost), (10, Fate::ReplyLost), (12, Fate::RequestLost), (12, Fate::ReplyLost)]
    {
        let world = strict(KeyType::P256);
        world.services().accident = Some(accident);
        for start in 1..4 {
            assert!(init(&world, start).await.is_err(), "{accident:?}");
            assert!(!world.store().is_initialised().unwrap());
        }
        world.services().accident = None;
        init(&world, 9).await.unwrap();
        assert_born(&world).await;
    }
}

#[tokio::test]
async fn another_attempt_in_between_does_not_spend_the_key() {
    let world = strict(KeyType::P256);
    world.services().accident = Some((12, Fate::ReplyLost));
    assert!(init(&world, 1).await.is_err());
    let mut mistaken = world.birth();
    mistaken.manufacturer = "http://elsewhere.example:8038".parse().unwrap();
    world.services().down = vec!["elsewhere.example".into()];
    assert!(world.agent().init(&mistaken).await.is_err());
    world.services().accident = None;
    init(&world, 2).await.unwrap();
    assert_born(&world).await;
}

#[tokio::test]
async fn a_forced_birth_cut_short_keeps_the_old_identity_and_goes_on_with_its_own_key() {
    let world = World::born().await;
    let before = world.credential();
    let mut birth = world.birth();
    birth.force = true;
    world.services().accident = Some((12, Fate::ReplyLost));
    assert!(world.agent().init(&birth).await.is_err());
    assert_eq!(world.credential(), before);
    world.services().accident = None;
    world.services().one_birth = true;
    world.agent().init(&birth).await.unwrap();
    assert_ne!(world.credential(), before);
    assert_born(&world).await;
}
