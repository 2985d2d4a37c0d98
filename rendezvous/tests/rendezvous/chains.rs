//! Who may take whose place: forged vouchers, shorter and other chains, expiry, floods of one GUID.

use fdo_protocol::ErrorCode;
use fdo_protocol::crypto::KeyType;
use fdo_rendezvous::registrations::{MAX_DEVICES, purge};

use crate::devices::{Device, Signing, key, port_of};
use crate::world::World;

#[tokio::test]
async fn a_forged_voucher_with_a_registered_guid_disturbs_nobody() {
    for world in World::all().await {
        let (device, owner, thief) = (Device::new(), key(), key());
        let forged = Device::with(device.guid, KeyType::P256);
        // Before, after, and again: the device finds its owner each time.
        world.register(forged.sold_to(&[&thief]).bytes(), &thief, 666).await.ok(23);
        world.register(device.sold_to(&[&owner]).bytes(), &owner, 1000).await.ok(23);
        assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 1000, "{}", world.database.name());
        world.register(forged.sold_to(&[&thief, &thief]).bytes(), &thief, 667).await.ok(23);
        assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 1000);
        assert_eq!(port_of(&world.ask(&forged).await.ok(33).body), 667);
        assert_eq!(world.rows().await.len(), 2);
    }
}

#[tokio::test]
async fn a_shorter_chain_never_replaces_a_live_longer_one() {
    for world in World::all().await {
        let (device, first, second) = (Device::new(), key(), key());
        let (short, long) = (device.sold_to(&[&first]), device.sold_to(&[&first, &second]));
        world.register(short.bytes(), &first, 1).await.ok(23);
        world.register(long.bytes(), &second, 2).await.ok(23);
        let before = world.rows().await;
        world.register(short.bytes(), &first, 3).await.refused(22, ErrorCode::InvalidVoucher);
        assert_eq!(world.rows().await, before, "{}", world.database.name());
        assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 2);
        // Once it is not live any more, nobody stands in the way.
        world.clock.advance(3600);
        world.register(short.bytes(), &first, 4).await.ok(23);
        assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 4);
    }
}

#[tokio::test]
async fn an_owner_outside_of_the_chain_does_not_replace_a_live_one() {
    let (world, device, owner, other) = (World::new().await, Device::new(), key(), key());
    world.register(device.sold_to(&[&owner]).bytes(), &owner, 1).await.ok(23);
    let before = world.rows().await;
    // Sold twice by the maker, and a longer chain beside the live one.
    for voucher in [device.sold_to(&[&other]), device.sold_to(&[&other, &other])] {
        world.register(voucher.bytes(), &other, 2).await.refused(22, ErrorCode::InvalidVoucher);
    }
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_captured_registration_does_not_bring_an_old_address_back() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    let voucher = device.sold_to(&[&owner]);
    let ack = world.post(20, None, &[0x80]).await.ok(21);
    let captured = Signing::new(&ack.body, voucher.bytes(), 1).body(&owner);
    world.post(22, ack.token.as_deref(), &captured).await.ok(23);
    world.clock.advance(10);
    world.register(voucher.bytes(), &owner, 2).await.ok(23);
    world.post(22, ack.token.as_deref(), &captured).await.refused(22, ErrorCode::InvalidMessage);
    assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 2);
}

#[tokio::test]
async fn a_renewal_is_seen_at_once_and_keeps_one_row() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    let voucher = device.sold_to(&[&owner]);
    for port in 1..5 {
        world.clock.advance(1);
        world.register(voucher.bytes(), &owner, port).await.ok(23);
        assert_eq!(port_of(&world.ask(&device).await.ok(33).body), port);
    }
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn an_expired_registration_is_not_found_and_is_removed() {
    for world in World::all().await {
        let (device, owner) = (Device::new(), key());
        world.register(device.sold_to(&[&owner]).bytes(), &owner, 1).await.ok(23);
        world.clock.advance(3590);
        let ack = world.hello(device.guid).await.ok(31);
        world.clock.advance(10);
        world.post(32, ack.token.as_deref(), &device.prove(&ack.body)).await.refused(32, ErrorCode::NotFound);
        world.hello(device.guid).await.refused(30, ErrorCode::NotFound);
        let registrations = &world.running.app.registrations;
        // The service's own round at its start may hold the lease.
        let far = world.clock.now() + 1_000;
        assert_eq!(purge(registrations, "test", far, 60).await.unwrap(), 1, "{}", world.database.name());
        assert!(world.rows().await.is_empty());
    }
}

#[tokio::test]
async fn a_flood_of_one_guid_is_bounded_and_shuts_nobody_out() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    world.register(device.sold_to(&[&owner]).bytes(), &owner, 1).await.ok(23);
    // The device has never asked; the forger's own have.
    for _ in 0..MAX_DEVICES + 3 {
        world.clock.advance(1);
        let forged = Device::with(device.guid, KeyType::P256);
        world.register(forged.sold_to(&[&owner]).bytes(), &owner, 2).await.ok(23);
        world.ask(&forged).await.ok(33);
    }
    assert_eq!(world.rows().await.len(), MAX_DEVICES);
    assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 1);
    purge(&world.running.app.registrations, "test", world.clock.now(), 60).await.unwrap();
    assert!(world.rows().await.iter().all(|row| row.proven));
    // An owner who comes after the flood is not locked out.
    let late = Device::with(device.guid, KeyType::P256);
    world.register(late.sold_to(&[&owner]).bytes(), &owner, 3).await.ok(23);
    assert_eq!(port_of(&world.ask(&late).await.ok(33).body), 3);
    assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 1);
}

#[tokio::test]
async fn two_owners_at_once_leave_one_registration() {
    for world in World::all().await {
        let (device, first, second) = (Device::new(), key(), key());
        let (short, long) = (device.sold_to(&[&first]), device.sold_to(&[&first, &second]));
        let (one, two) =
            tokio::join!(world.register(short.bytes(), &first, 1), world.register(long.bytes(), &second, 2));
        two.ok(23);
        assert!(one.status == 200 || one.status == 500);
        assert_eq!(world.rows().await.len(), 1, "{}", world.database.name());
        assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 2);
    }
}
