//! TO0 in the background, against rendezvous services made of the core's own rendezvous side.
#![allow(clippy::unwrap_used)]

mod rendezvous;
#[path = "../to2/world.rs"]
#[allow(dead_code)] // TO2's tests use the rest
mod world;

use fdo_owner::registration::{self, Registration};
use fdo_owner::vouchers::{self, State, upload};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::{Guid, RendezvousInfo};

use rendezvous::Rendezvous;
use world::{NOW, World, birth_at, config};

const WEEK: u32 = 604_800;

/// A voucher that names these places, imported.
async fn sold(world: &World, ports: &[u16]) -> Guid {
    let directives = ports.iter().map(|port| Directive::at(RvProtocol::Http, "127.0.0.1", *port)).collect();
    sold_with(world, RendezvousInfo::new(directives)).await
}

async fn sold_with(world: &World, rv_info: RendezvousInfo) -> Guid {
    let rng = &mut world.random.rng();
    let maker = SigningKey::generate(KeyType::P256, rng).unwrap();
    let key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let born = birth_at(rng, &maker, key, world.app.keys.for_type(KeyType::P256).unwrap(), rv_info);
    let items = upload::import_file(&world.app, "test", born.voucher.bytes(), true).await.unwrap();
    assert!(items.iter().all(|item| item.result.is_ok()));
    born.guid()
}

async fn rows(world: &World, guid: Guid) -> Vec<Registration> {
    registration::list(&world.app.db, Some(&guid.to_string()), None, 100).await.unwrap()
}

async fn due_at(world: &World, guid: Guid) -> Option<u64> {
    world.voucher(&guid).await.unwrap().register_at
}

#[tokio::test]
async fn a_voucher_is_registered_for_a_week_and_renewed_at_four_fifths_of_what_was_granted() {
    for world in World::all().await {
        let place = Rendezvous::start(3_600).await;
        let guid = sold(&world, &[place.port]).await;
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 1);
        assert_eq!(place.registered(), [(guid, WEEK, "http://127.0.0.1:8043".to_owned())]);
        let row = rows(&world, guid).await.remove(0);
        assert_eq!((row.granted, row.expires, row.failures, row.error), (Some(3_600), Some(NOW + 3_600), 0, None));
        assert!((2_592..=3_168).contains(&(row.next_at - NOW)), "{}", row.next_at - NOW);
        assert_eq!(due_at(&world, guid).await, Some(row.next_at));
        assert_eq!(world.known(&guid).await.state, fdo_owner::inventory::DeviceState::Registered);

        world.clock.set(row.next_at - 1);
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 0);
        world.clock.set(row.next_at);
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 1);
        assert_eq!(place.registered().len(), 2);
    }
}

#[tokio::test]
async fn every_rendezvous_of_a_voucher_is_told_and_each_keeps_its_own_time() {
    let world = World::new().await;
    let (one, two) = (Rendezvous::start(1_000).await, Rendezvous::start(100_000).await);
    // The third stands twice, is for the device only, or is the owner itself.
    let place = |port| Directive::at(RvProtocol::Http, "127.0.0.1", port);
    let device_only = Directive { device_only: true, ..place(1) };
    let bypass = Directive { bypass: true, ..place(2) };
    let info = RendezvousInfo::new(vec![place(one.port), device_only, place(two.port), bypass, place(one.port)]);
    let guid = sold_with(&world, info).await;
    registration::run_due(&world.app).await.unwrap();
    assert_eq!((one.registered().len(), two.registered().len()), (1, 1));
    assert_eq!(rows(&world, guid).await.len(), 2);
    world.clock.set(due_at(&world, guid).await.unwrap());
    registration::run_due(&world.app).await.unwrap();
    assert_eq!((one.registered().len(), two.registered().len()), (2, 1));
}

#[tokio::test]
async fn a_rendezvous_that_is_down_is_tried_again_later_and_later() {
    let world = World::new().await;
    let place = Rendezvous::start(3_600).await;
    let port = place.port;
    place.stop().await;
    let guid = sold(&world, &[port]).await;
    let mut pauses = Vec::new();
    for failures in 1..=11 {
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 1);
        let row = rows(&world, guid).await.remove(0);
        assert_eq!((row.failures, row.granted), (failures, None));
        assert!(row.error.is_some());
        pauses.push(row.next_at - world.clock.now());
        // Nothing is tried before its time.
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 0);
        world.clock.set(row.next_at);
    }
    assert!((4..=6).contains(&pauses[0]), "{pauses:?}");
    assert!(
        pauses.windows(2).all(|pair| pair[1] >= pair[0]) && (3_240..=3_960).contains(&pauses[10]),
        "{pauses:?}"
    );
    assert_eq!(vouchers::find_by_guid(&world.app.db, &guid).await.unwrap().unwrap().state, State::Imported);

    let place = Rendezvous::start_at(port, 3_600).await;
    registration::run_due(&world.app).await.unwrap();
    assert_eq!(place.registered().len(), 1);
    let row = rows(&world, guid).await.remove(0);
    assert_eq!((row.failures, row.error), (0, None));
}

#[tokio::test]
async fn one_that_is_down_keeps_nobody_from_the_others() {
    let world = World::new().await;
    let (up, down) = (Rendezvous::start(3_600).await, Rendezvous::start(3_600).await);
    let port = down.port;
    down.stop().await;
    let mixed = sold(&world, &[port, up.port]).await;
    let good = sold(&world, &[up.port]).await;
    assert_eq!(registration::run_due(&world.app).await.unwrap(), 2);
    assert_eq!(up.registered().len(), 2);
    let errors: Vec<_> = rows(&world, mixed).await.into_iter().map(|row| row.error.is_some()).collect();
    assert_eq!(errors.iter().filter(|error| **error).count(), 1);
    assert!(rows(&world, good).await[0].error.is_none());
}

#[tokio::test]
async fn a_second_replica_does_not_do_what_the_first_is_at() {
    for world in World::all().await {
        let place = Rendezvous::start(3_600).await;
        let guid = sold(&world, &[place.port]).await;
        let key = format!("to0/{guid}");
        let db = &world.app.db;
        assert!(fdo_service::lease::try_acquire(db, &key, "another replica", NOW, 300).await.unwrap());
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 0);
        assert!(place.registered().is_empty());
        // It died: its lease runs out.
        world.clock.advance(300);
        assert_eq!(registration::run_due(&world.app).await.unwrap(), 1);
        assert_eq!(place.registered().len(), 1);
        // Both at once register once.
        world.clock.set(due_at(&world, guid).await.unwrap());
        let (one, two) = tokio::join!(registration::run_due(&world.app), registration::run_due(&world.app));
        assert_eq!(one.unwrap() + two.unwrap(), 1);
        assert_eq!(place.registered().len(), 2);
    }
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_called() {
    let mut config = config();
    config.outbound_allow.clear();
    let world = World::with(config).await;
    let place = Rendezvous::start(3_600).await;
    let guid = sold(&world, &[place.port]).await;
    registration::run_due(&world.app).await.unwrap();
    assert!(place.registered().is_empty());
    let row = rows(&world, guid).await.remove(0);
    assert!(row.error.unwrap().contains("outbound_allow"));
}

#[tokio::test]
async fn blocked_devices_are_not_renewed_and_an_operator_may_ask_for_more() {
    let world = World::new().await;
    let place = Rendezvous::start(3_600).await;
    let guid = sold(&world, &[place.port]).await;
    registration::run_due(&world.app).await.unwrap();
    registration::renew(&world.app.db, &guid, world.clock.now()).await.unwrap();
    registration::run_due(&world.app).await.unwrap();
    assert_eq!(place.registered().len(), 2);
    vouchers::set_blocked(&world.app.db, NOW, &guid, true).await.unwrap();
    world.clock.advance(100_000);
    assert_eq!(registration::run_due(&world.app).await.unwrap(), 0);
    assert!(registration::renew(&world.app.db, &guid, world.clock.now()).await.is_err());
}
