//! Lost replies, crashes, restarts: the device gets in at its next try, with whichever GUID it has.

use fdo_owner::ca;
use fdo_owner::vouchers::State;
use fdo_service::endpoint::{Conversation as _, Incoming};

use crate::device::{Manner, Talk, onboard};
use crate::world::{World, config};

#[tokio::test]
async fn when_71_is_lost_the_device_may_come_back_with_either_guid() {
    for world in World::all().await {
        // 70 was committed, 71 never came.
        let born = world.device().await;
        let mut talk = Talk::before(&world, &born, &Manner::new(&world), 70).await;
        let request = talk.next.body.clone();
        talk.send(70, request).await.unwrap();
        let new = talk.credential.clone().unwrap();
        assert_eq!(world.voucher(&born.guid()).await.unwrap().state, State::Replaced);

        // It kept its old credential.
        let (second, _) = onboard(&world, &born, &Manner::new(&world)).await.unwrap();
        assert_eq!(world.voucher(&new.guid).await.unwrap().state, State::Archived, "never taken up");
        let lost = born.with(new);
        assert_eq!(Talk::hello(&world, &lost, &Manner::new(&world)).await.err(), Some(6));

        // Seen with the new one, the old one is over.
        let mut talk = Talk::before(&world, &second, &Manner::new(&world), 66).await;
        assert_eq!(world.voucher(&born.guid()).await.unwrap().state, State::Archived);
        assert_eq!(Talk::hello(&world, &born, &Manner::new(&world)).await.err(), Some(6));
        talk.finish().await.unwrap();
    }
}

#[tokio::test]
async fn the_same_70_twice_at_once_is_committed_once() {
    for reuse in [false, true] {
        let mut config = config();
        config.onboarding.credential_reuse = reuse;
        let world = World::with(config).await;
        let born = world.device().await;
        let manner = Manner { allow_reuse: reuse, ..Manner::new(&world) };
        let mut talk = Talk::before(&world, &born, &manner, 70).await;
        let incoming = || Incoming {
            message_type: 70,
            body: talk.next.body.clone().into(),
            token: talk.token.clone(),
            source: [127, 0, 0, 1].into(),
            correlation: 1,
        };
        let (conversation, one, other) = (&world.conversation, incoming(), incoming());
        let (one, other) = tokio::join!(conversation.answer(one), conversation.answer(other));
        assert_eq!((one.unwrap().message_type, other.unwrap().message_type), (71, 71));
        let known = world.known(&born.guid()).await;
        assert_eq!(known.guid, talk.credential.take().unwrap().guid);
        let issued = world.certificates().await;
        assert_eq!((issued[0].state, issued[0].confirmed), (ca::State::Issued, true));
        assert_eq!(known.certificate, Some(issued[0].serial.clone()));
        assert_eq!(world.runs(&born.guid()).await.len(), 1);
    }
}

#[tokio::test]
async fn when_71_is_lost_the_new_guid_works_at_once() {
    let world = World::new().await;
    let born = world.device().await;
    let mut talk = Talk::before(&world, &born, &Manner::new(&world), 70).await;
    let request = talk.next.body.clone();
    talk.send(70, request).await.unwrap();
    let born = born.with(talk.credential.clone().unwrap());
    onboard(&world, &born, &Manner::new(&world)).await.unwrap();
}

#[tokio::test]
async fn a_restart_before_any_message_costs_one_try() {
    for number in [62, 64, 66, 68, 70] {
        let mut world = World::new().await;
        let born = world.device().await;
        let talk = Talk::before(&world, &born, &Manner::new(&world), number).await;
        let (token, request) = (talk.token.clone(), talk.next.clone());
        drop(talk);
        world.restart().await;
        let mut talk = Talk::hello(&world, &born, &Manner::new(&world)).await.unwrap();
        talk.token = token;
        assert_eq!(talk.send(request.message_type.number(), request.body).await, Err(1), "{number}");
        onboard(&world, &born, &Manner::new(&world)).await.unwrap();
        assert!(world.known(&born.guid()).await.onboarded.is_some());
    }
}

#[tokio::test]
async fn two_sessions_at_once_end_in_one_device() {
    let world = World::new().await;
    let born = world.device().await;
    let mut first = Talk::before(&world, &born, &Manner::new(&world), 70).await;
    let mut second = Talk::before(&world, &born, &Manner::new(&world), 70).await;
    first.finish().await.unwrap();
    // The first one's commit revoked what the second had been issued.
    assert_eq!(second.step().await, Err(101));
    let known = world.known(&born.guid()).await;
    assert_eq!(known.guid, first.credential.unwrap().guid);
    assert!(known.certificate.is_some());
}
