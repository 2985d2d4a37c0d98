//! A device that an operator stopped: none of its GUIDs, and no message that is under way, gets it any further.

use fdo_owner::inventory::DeviceState;
use fdo_owner::vouchers::{self, State};

use crate::device::{Manner, Talk, onboard};
use crate::world::{World, config};

#[tokio::test]
async fn a_blocked_device_is_refused_under_all_its_guids_and_goes_on_from_where_it_stood() {
    for world in World::all().await {
        let (manner, db) = (Manner::new(&world), &world.app.db);
        let born = world.device().await;
        let (next, _) = onboard(&world, &born, &manner).await.unwrap();
        let before = world.known(&born.guid()).await;
        for guid in [born.guid(), next.guid()] {
            vouchers::set_blocked(db, 1, &guid, true).await.unwrap();
            assert_eq!(world.known(&guid).await.state, DeviceState::Blocked);
            for device in [&born, &next] {
                assert_eq!(Talk::hello(&world, device, &manner).await.err(), Some(6));
            }
            vouchers::set_blocked(db, 1, &guid, false).await.unwrap();
        }
        let after = world.known(&born.guid()).await;
        assert_eq!((after.state, after.onboarded), (DeviceState::Onboarded, before.onboarded));
        let (old, new) = (world.voucher(&born.guid()).await.unwrap(), world.voucher(&next.guid()).await.unwrap());
        assert_eq!((old.state, old.register_at), (State::Replaced, None));
        assert_eq!((new.state, new.register_at), (State::Onboarded, None));
        onboard(&world, &next, &Manner::new(&world)).await.unwrap();
    }
}

#[tokio::test]
async fn an_unblocked_device_that_was_never_onboarded_is_registered_again() {
    let world = World::new().await;
    let (db, guid) = (&world.app.db, world.device().await.guid());
    vouchers::set_blocked(db, 1, &guid, true).await.unwrap();
    assert!(vouchers::due_for_registration(db, u64::MAX, 10).await.unwrap().is_empty());
    vouchers::set_blocked(db, 2, &guid, false).await.unwrap();
    assert_eq!(world.voucher(&guid).await.unwrap().state, State::Imported);
    assert_eq!(vouchers::due_for_registration(db, 2, 10).await.unwrap(), [guid]);
}

#[tokio::test]
async fn a_device_that_is_blocked_on_the_way_ends_there() {
    let mut config = config();
    config.onboarding.credential_reuse = true;
    let world = World::with(config).await;
    for number in [66, 68, 70] {
        let born = world.device().await;
        let manner = Manner { allow_reuse: true, ..Manner::new(&world) };
        let mut talk = Talk::before(&world, &born, &manner, number).await;
        vouchers::set_blocked(&world.app.db, 1, &born.guid(), true).await.unwrap();
        world.clock.advance(1);
        assert_eq!(talk.step().await, Err(6), "{number}: at once");
        let known = world.known(&born.guid()).await;
        assert_eq!((known.state, known.onboarded), (DeviceState::Blocked, None));
    }
    assert!(world.certificates().await.iter().all(|row| row.revoked.is_some()));
}
