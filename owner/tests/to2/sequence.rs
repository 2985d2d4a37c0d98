//! Every message in every state, repetitions, and tokens that are none.

use fdo_protocol::messages::MessageType;
use fdo_service::sessions::{Next, Protocol, Step};
use zeroize::Zeroizing;

use crate::device::{Manner, Talk, onboard};
use crate::world::{World, config};

#[tokio::test]
async fn every_other_message_in_every_state_is_101_and_ends_the_session() {
    let world = World::new().await;
    let born = world.device().await;
    let manner = Manner::new(&world);
    let identity = world.identity(&born.guid()).await;
    for (next, allowed) in [(62, &[62, 64][..]), (64, &[62, 64]), (66, &[66]), (68, &[68]), (70, &[68, 70])] {
        let numbers = MessageType::ALL.iter().map(|known| known.number()).chain([0, 1, 99, 254]);
        for number in numbers.filter(|number| !allowed.contains(number) && ![60, 255].contains(number)) {
            // A key that was certified once is not certified again, so each try before 70 has its own.
            let manner = if next == 70 { Manner::new(&world) } else { manner.clone() };
            let mut talk = Talk::before(&world, &born, &manner, next).await;
            assert_eq!(talk.send(number, vec![0x80]).await, Err(101), "{number} where {next} comes next");
            let right = talk.next.clone();
            assert_eq!(talk.send(right.message_type.number(), right.body).await, Err(101), "ended");
        }
    }
    assert_eq!(world.identity(&born.guid()).await, identity);
    assert!(world.certificates().await.iter().all(|row| row.revoked.is_some()));
}

#[tokio::test]
async fn the_latest_request_gets_its_reply_again_and_an_older_one_does_not() {
    let world = World::new().await;
    let born = world.device().await;
    let mut talk = Talk::hello(&world, &born, &Manner::new(&world)).await.unwrap();
    let mut sent = Vec::new();
    loop {
        let request = talk.next.clone();
        let goes_on = talk.step().await.unwrap();
        let (number, reply) = (request.message_type.number(), talk.last_reply.clone());
        assert_eq!(talk.send(number, request.body.clone()).await.unwrap(), reply, "{number} again");
        sent.push(request);
        if !goes_on {
            break;
        }
    }
    assert_eq!(sent.last().unwrap().message_type.number(), 70);
    assert_eq!(world.runs(&born.guid()).await.len(), 1, "71 twice, onboarded once");
    let older = sent[sent.len() - 2].clone();
    assert_eq!(talk.send(older.message_type.number(), older.body).await, Err(101));

    let again = world.device().await;
    let mut talk = Talk::before(&world, &again, &Manner::new(&world), 66).await;
    let older = talk.next.clone();
    talk.step().await.unwrap();
    talk.step().await.unwrap();
    assert_eq!(talk.send(66, older.body).await, Err(101));
}

#[tokio::test]
async fn tokens_that_are_missing_wrong_foreign_or_expired_are_1() {
    for world in World::all().await {
        let born = world.device().await;
        let mut talk = Talk::before(&world, &born, &Manner::new(&world), 64).await;
        let request = talk.next.body.clone();
        let token = talk.token.clone();
        let step = Step {
            protocol: Protocol::Di,
            next: Next::State(Zeroizing::new(vec![0])),
            request_type: 10,
            request: b"",
            reply_type: 11,
            reply: b"",
            proven: false,
        };
        let foreign = world.app.records.begin(step, world.clock.now(), &mut world.random.rng()).await.unwrap();
        for wrong in [None, Some(String::new()), Some("x".repeat(32)), Some("A".repeat(500)), Some(foreign)] {
            talk.token = wrong;
            assert_eq!(talk.send(64, request.clone()).await, Err(1));
        }
        world.clock.advance(world.config.sessions.idle_seconds);
        talk.token = token;
        assert_eq!(talk.send(64, request).await, Err(1));
        onboard(&world, &born, &Manner::new(&world)).await.unwrap();
    }
}

#[tokio::test]
async fn unknown_archived_and_blocked_devices_are_6() {
    let world = World::new().await;
    let manner = Manner::new(&world);
    let unknown = world.born(fdo_protocol::crypto::KeyType::P256);
    assert_eq!(Talk::hello(&world, &unknown, &manner).await.err(), Some(6));
    let born = world.device().await;
    let (app, guid) = (&world.app, born.guid());
    fdo_owner::vouchers::set_blocked(&app.db, 1, &guid, true).await.unwrap();
    assert_eq!(Talk::hello(&world, &born, &manner).await.err(), Some(6));
    fdo_owner::vouchers::set_blocked(&app.db, 1, &guid, false).await.unwrap();
    // Blocked in the middle: not even 70 goes through.
    let mut talk = Talk::before(&world, &born, &manner, 70).await;
    fdo_owner::vouchers::set_blocked(&app.db, 1, &guid, true).await.unwrap();
    assert_eq!(talk.step().await, Err(6));
    assert_eq!(world.known(&guid).await.onboarded, None);
    assert!(world.certificates().await.iter().all(|row| row.revoked.is_some()));
}

#[tokio::test]
async fn one_guid_cannot_begin_without_end() {
    let mut config = config();
    config.limits.guid_per_second = 1;
    config.limits.guid_burst = 3;
    let world = World::with(config).await;
    let born = world.device().await;
    let manner = Manner::new(&world);
    for _ in 0..3 {
        Talk::hello(&world, &born, &manner).await.unwrap();
    }
    assert_eq!(Talk::hello(&world, &born, &manner).await.err(), Some(500));
    world.clock.advance(2);
    Talk::hello(&world, &born, &manner).await.unwrap();
}

#[tokio::test]
async fn a_signature_type_that_is_not_the_devices_is_101() {
    let world = World::new().await;
    let born = world.device().await;
    let mut talk = Talk::hello(&world, &born, &Manner::new(&world)).await.unwrap();
    let hello = fdo_protocol::messages::to2::HelloDevice {
        max_device_message_size: 0,
        guid: born.guid(),
        nonce: fdo_protocol::nonce::NonceTo2ProveOv::random(&mut world.random.rng()),
        kex_suite_name: "ECDH256".into(),
        cipher_suite: 1,
        e_a_sig_info: fdo_protocol::messages::SigInfo::for_key(fdo_protocol::crypto::KeyType::P384),
    };
    assert_eq!(talk.send(60, fdo_protocol::cbor::encode(&hello)).await, Err(101));
}
