//! Certification requests that are refused, and certificates of sessions that never ended.

use fdo_owner::ca::State;
use fdo_owner::onboarding::{self, Outcome};
use fdo_protocol::cbor;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::messages::ErrorMessage;
use fdo_service::endpoint::{Conversation as _, Incoming};
use fdo_service::operators::audit;

use crate::device::{Manner, Talk, onboard, request};
use crate::world::World;

#[tokio::test]
async fn bad_requests_are_answered_inside_the_session_and_nothing_is_issued() {
    let world = World::new().await;
    let key = SigningKey::generate(KeyType::P256, &mut world.random.rng()).unwrap();
    let mut forged = request(&key);
    *forged.last_mut().unwrap() ^= 1;
    for (csr, code) in [(b"no request".to_vec(), 1), (request(&key)[..60].to_vec(), 1), (forged, 2)] {
        let born = world.device().await;
        let manner = Manner { csr: Some(csr), ..Manner::new(&world) };
        let (next, received) = onboard(&world, &born, &manner).await.unwrap();
        assert_eq!(received.errors, [code]);
        assert!(received.certificates.is_empty());
        let run = &world.runs(&next.guid()).await[0];
        assert_eq!(run.outcome, Some(Outcome::OnboardedWithoutCertificate));
        let entries = audit::list(&world.app.db, None, 1000).await.unwrap();
        let guid = born.guid().to_string();
        let refused = |entry: &&audit::Entry| entry.action == "certificate.issue" && entry.subject == guid;
        assert_eq!(entries.iter().find(refused).unwrap().outcome, "refused");
    }
    assert!(world.certificates().await.is_empty());
}

#[tokio::test]
async fn a_key_is_certified_once_and_the_attestation_key_never() {
    let world = World::new().await;
    let manner = Manner::new(&world);
    let first = world.device().await;
    onboard(&world, &first, &manner).await.unwrap();
    let second = world.device().await;
    let (_, received) = onboard(&world, &second, &manner).await.unwrap();
    assert_eq!((received.errors, received.certificates.len()), (vec![2], 0));
    let third = world.device().await;
    let manner = Manner { csr: Some(request(&third.key)), ..Manner::new(&world) };
    let (_, received) = onboard(&world, &third, &manner).await.unwrap();
    assert_eq!((received.errors, received.certificates.len()), (vec![2], 0));
    assert_eq!(world.certificates().await.len(), 1);
}

#[tokio::test]
async fn a_device_that_says_255_loses_its_certificate() {
    let world = World::new().await;
    let born = world.device().await;
    let talk = Talk::before(&world, &born, &Manner::new(&world), 70).await;
    let message = ErrorMessage {
        code: 100,
        previous: 69,
        text: "disk \u{1b}[2J full".into(),
        timestamp: None,
        correlation: None,
    };
    let incoming = Incoming {
        message_type: 255,
        body: cbor::encode(&message).into(),
        token: talk.token.clone(),
        source: [127, 0, 0, 1].into(),
        correlation: 1,
    };
    world.conversation.peer_error(incoming).await;
    let issued = world.certificates().await;
    assert_eq!((issued[0].state, issued[0].reason.as_deref()), (State::Revoked, Some("cessationOfOperation")));
    let run = &world.runs(&born.guid()).await[0];
    assert_eq!(run.reason.as_deref(), Some("the device reports error 100: disk \\u{1b}[2J full"));
    let mut talk = talk;
    let request = talk.next.body.clone();
    assert_eq!(talk.send(70, request).await, Err(1), "the session is gone");
}

#[tokio::test]
async fn an_abandoned_session_loses_its_certificate_and_its_70_comes_too_late() {
    for world in World::all().await {
        let born = world.device().await;
        let mut talk = Talk::before(&world, &born, &Manner::new(&world), 70).await;
        world.clock.advance(5);
        onboarding::flush_progress(&world.app).await.unwrap();
        assert_eq!(world.known(&born.guid()).await.state, fdo_owner::inventory::DeviceState::Started);
        onboarding::sweep(&world.app).await.unwrap();
        assert_eq!(world.certificates().await[0].state, State::Issued);
        world.clock.advance(world.config.sessions.idle_seconds * 3 / 2);
        onboarding::sweep(&world.app).await.unwrap();
        assert_eq!(world.certificates().await[0].state, State::Revoked);
        assert_eq!(world.known(&born.guid()).await.state, fdo_owner::inventory::DeviceState::Failed);
        assert_eq!(talk.step().await, Err(1));
        onboard(&world, &born, &Manner::new(&world)).await.unwrap();
    }
}

#[tokio::test]
async fn a_long_session_keeps_its_certificate_as_long_as_its_device_speaks() {
    for world in World::all().await {
        let born = world.device().await;
        let mut talk = Talk::before(&world, &born, &Manner::new(&world), 68).await;
        world.clock.advance(5);
        onboarding::flush_progress(&world.app).await.unwrap();
        loop {
            world.clock.advance(world.config.sessions.idle_seconds - 10);
            onboarding::sweep(&world.app).await.unwrap();
            if !talk.step().await.unwrap() {
                break;
            }
        }
        assert_eq!(world.certificates().await[0].state, State::Issued);
        assert_eq!(world.runs(&born.guid()).await[0].outcome, Some(Outcome::Onboarded));
    }
}

#[tokio::test]
async fn onboarding_again_revokes_the_earlier_certificate() {
    for world in World::all().await {
        let born = world.device().await;
        let (next, _) = onboard(&world, &born, &Manner::new(&world)).await.unwrap();
        onboard(&world, &next, &Manner::new(&world)).await.unwrap();
        let mut issued = world.certificates().await;
        issued.sort_by_key(|row| row.state == State::Revoked);
        assert_eq!(issued[0].state, State::Issued);
        assert_eq!((issued[1].state, issued[1].reason.as_deref()), (State::Revoked, Some("superseded")));
        let known = world.known(&born.guid()).await;
        assert_eq!(known.certificate, Some(issued[0].serial.clone()));
    }
}

#[tokio::test]
async fn keys_are_made_for_devices_only_where_the_configuration_says_so() {
    let mut world = World::new().await;
    let born = world.device().await;
    let manner = |world: &World| Manner { wants_key: true, ..Manner::new(world) };
    let (_, received) = onboard(&world, &born, &manner(&world)).await.unwrap();
    assert_eq!((received.errors, received.keys.len()), (vec![3], 0));
    assert!(world.certificates().await.is_empty());

    world.config.ca.server_key_generation = true;
    world.restart().await;
    for key_type in [KeyType::P256, KeyType::P384] {
        let born = world.device_of(key_type).await;
        let key = SigningKey::generate(key_type, &mut world.random.rng()).unwrap();
        let manner = Manner { csr: Some(request(&key)), ..manner(&world) };
        let (next, received) = onboard(&world, &born, &manner).await.unwrap();
        let certificate = fdo_pki::Certificate::parse(&received.certificates[0]).unwrap();
        assert!(certificate.public_key().unwrap() == *received.keys[0].verifying_key());
        assert!(received.keys[0].verifying_key() != key.verifying_key());
        assert_eq!(received.keys[0].key_type(), key_type);
        assert_eq!(world.runs(&next.guid()).await[0].outcome, Some(Outcome::Onboarded));
    }
    let mut forged = request(&SigningKey::generate(KeyType::P256, &mut world.random.rng()).unwrap());
    *forged.last_mut().unwrap() ^= 1;
    let manner = Manner { csr: Some(forged), ..manner(&world) };
    let (_, received) = onboard(&world, &world.device().await, &manner).await.unwrap();
    assert_eq!((received.errors, received.keys.len()), (vec![1], 0));
}
