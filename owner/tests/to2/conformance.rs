//! The server-side cases of the FIDO conformance tool for messages 60 to 70, each by its name: the code, and that
//! nothing of the device changed.

use fdo_protocol::cbor;
use fdo_protocol::cose::{EatPayload, Sign1};
use fdo_protocol::messages::Outbound;
use fdo_protocol::messages::to2::{EUPH_NONCE, ProveDevice};
use fdo_protocol::nonce::NonceTo2SetupDv;
use fdo_protocol::service_info::{DeviceServiceInfo, ServiceInfo, ServiceInfoKv};
use fdo_service::sessions::{Loaded, Next, Protocol};
use zeroize::Zeroizing;

use crate::device::{Manner, Talk};
use crate::world::{Born, World};

const GARBAGE: [u8; 5] = [0xff, 0x01, 0x02, 0x03, 0x04];

/// Runs up to a message, sends another in its place, and gives the code.
async fn instead(number: u8, change: impl AsyncFnOnce(&World, &Born, &mut Talk<'_>) -> Vec<u8>) -> u16 {
    let world = World::new().await;
    let born = world.device().await;
    let everything = world.everything(&born.guid()).await;
    let identity = world.identity(&born.guid()).await;
    let mut talk = Talk::before(&world, &born, &Manner::new(&world), number).await;
    let body = change(&world, &born, &mut talk).await;
    let code = talk.send(number, body.clone()).await.unwrap_err();
    // The session is over: the same again gets the same, the right one gets 101.
    assert_eq!(talk.send(number, body).await, Err(code));
    let Outbound { message_type, body } = talk.next.clone();
    assert_eq!(talk.send(message_type.number(), body).await, Err(101));
    assert_eq!(world.identity(&born.guid()).await, identity);
    if number <= 64 {
        assert_eq!(
            world.everything(&born.guid()).await,
            everything,
            "nothing is written before a device has proven itself"
        );
    } else {
        assert!(world.certificates().await.iter().all(|row| row.revoked.is_some()));
    }
    // And the device gets in at its next try.
    crate::device::onboard(&world, &born, &Manner::new(&world)).await.unwrap();
    code
}

async fn garbage(number: u8) -> u16 {
    instead(number, async |_, _, _| GARBAGE.to_vec()).await
}

/// Flips a bit of the tag at the end.
async fn tampered(number: u8) -> u16 {
    instead(number, async |_, _, talk| {
        let mut body = talk.next.body.clone();
        *body.last_mut().unwrap() ^= 1;
        body
    })
    .await
}

/// All of TO2, to the named message's answer.
async fn positive(number: u8) {
    let world = World::new().await;
    let born = world.device().await;
    let mut talk = Talk::before(&world, &born, &Manner::new(&world), number).await;
    if talk.step().await.unwrap() {
        talk.finish().await.unwrap();
    }
    assert!(world.known(&born.guid()).await.onboarded.is_some());
}

#[tokio::test]
async fn to2_60_bad_encoding() {
    let world = World::new().await;
    let born = world.device().await;
    let everything = world.everything(&born.guid()).await;
    let mut talk = Talk::hello(&world, &born, &Manner::new(&world)).await.unwrap();
    assert_eq!(talk.send(60, GARBAGE.to_vec()).await, Err(100));
    assert_eq!(world.everything(&born.guid()).await, everything);
}

#[tokio::test]
async fn to2_60_positive() {
    let world = World::new().await;
    let born = world.device().await;
    Talk::hello(&world, &born, &Manner::new(&world)).await.unwrap();
}

#[tokio::test]
async fn to2_62_bad_encoding() {
    assert_eq!(garbage(62).await, 100);
}

#[tokio::test]
async fn to2_62_getovnext_bad_index() {
    let count = async |_: &World, born: &Born, _: &mut Talk<'_>| {
        cbor::encode(&vec![u8::try_from(born.voucher.entries().len()).unwrap()])
    };
    assert_eq!(instead(62, count).await, 101);
}

#[tokio::test]
async fn to2_62_positive() {
    positive(62).await;
}

#[tokio::test]
async fn to2_64_bad_encoding() {
    assert_eq!(garbage(64).await, 100);
}

fn nonce(world: &World) -> Vec<u8> {
    cbor::encode(&NonceTo2SetupDv::random(&mut world.random.rng()))
}

#[tokio::test]
async fn to2_64_bad_eat_payload() {
    let body = async |world: &World, born: &Born, _: &mut Talk<'_>| {
        let unprotected = [(EUPH_NONCE, nonce(world))];
        cbor::encode(&ProveDevice(Sign1::sign(GARBAGE.to_vec(), &unprotected, &born.key, &[]).unwrap()))
    };
    assert_eq!(instead(64, body).await, 100);
}

#[tokio::test]
async fn to2_64_bad_signature() {
    assert_eq!(tampered(64).await, 101);
}

#[tokio::test]
async fn to2_64_bad_nonce_provedv61() {
    let body = async |world: &World, born: &Born, _: &mut Talk<'_>| {
        let eat = EatPayload::new(&[7; 16], &born.guid(), Some(vec![4; 80]));
        cbor::encode(&ProveDevice(eat.sign(&[(EUPH_NONCE, nonce(world))], &born.key).unwrap()))
    };
    assert_eq!(instead(64, body).await, 101);
}

#[tokio::test]
async fn to2_64_another_devices_proof() {
    let body = async |world: &World, born: &Born, talk: &mut Talk<'_>| {
        let other = world.born(born.key.key_type());
        let eat = EatPayload::new(&talk.nonce(), &born.guid(), Some(vec![4; 80]));
        cbor::encode(&ProveDevice(eat.sign(&[(EUPH_NONCE, nonce(world))], &other.key).unwrap()))
    };
    assert_eq!(instead(64, body).await, 101);
}

#[tokio::test]
async fn to2_64_positive() {
    positive(64).await;
}

#[tokio::test]
async fn to2_66_bad_encoding() {
    assert_eq!(garbage(66).await, 100);
}

#[tokio::test]
async fn to2_66_bad_encryption() {
    assert_eq!(tampered(66).await, 100);
}

#[tokio::test]
async fn to2_66_positive() {
    positive(66).await;
}

#[tokio::test]
async fn to2_68_bad_encoding() {
    assert_eq!(garbage(68).await, 100);
}

#[tokio::test]
async fn to2_68_bad_encryption() {
    assert_eq!(tampered(68).await, 100);
}

#[tokio::test]
async fn to2_68_bad_completion_logic() {
    let world = World::new().await;
    let born = world.device().await;
    let identity = world.identity(&born.guid()).await;
    let mut talk = Talk::before(&world, &born, &Manner::new(&world), 68).await;
    // Says that there is more, after which the owner is done with a device that lists no module of its plan.
    let kvs = [
        ServiceInfoKv::new("devmod", "active", &true),
        ServiceInfoKv::from_item("devmod:modules".into(), vec![0x83, 0, 1, 0x61, b'x']),
    ];
    let all = DeviceServiceInfo { is_more: false, service_info: ServiceInfo(kvs.to_vec()) };
    let again = DeviceServiceInfo { is_more: true, service_info: ServiceInfo::empty() };
    let (all, again) = (talk.sealed(&all), talk.sealed(&again));
    talk.send(68, all.body).await.unwrap();
    assert_eq!(talk.send(68, again.body).await, Err(101));
    assert_eq!(world.identity(&born.guid()).await, identity);
}

#[tokio::test]
async fn to2_68_positive() {
    positive(68).await;
}

#[tokio::test]
async fn to2_70_bad_encoding() {
    assert_eq!(garbage(70).await, 100);
}

#[tokio::test]
async fn to2_70_bad_encryption() {
    assert_eq!(tampered(70).await, 100);
}

#[tokio::test]
async fn to2_70_bad_nonce_prove_dv_61() {
    let wrong = async |world: &World, _: &Born, talk: &mut Talk<'_>| {
        // The device cannot seal another nonce, so the owner is made to expect another.
        let (nonce, now) = (talk.nonce(), world.clock.now());
        let records = &world.app.records;
        let loaded = records.load(Protocol::To2, talk.token.as_deref(), 70, b"", now).await.unwrap();
        let Loaded::Live(session) = loaded else { panic!("the session lives") };
        let mut state = session.state().to_vec();
        let at = state.windows(16).position(|window| window == nonce).unwrap();
        state[at] ^= 1;
        session.advance(Next::State(Zeroizing::new(state)), 69, b"", true, now).await.unwrap();
        talk.next.body.clone()
    };
    assert_eq!(instead_of_done(wrong).await, 101);
}

/// As [`instead`], for a message that is right but for what the owner expects.
async fn instead_of_done(change: impl AsyncFnOnce(&World, &Born, &mut Talk<'_>) -> Vec<u8>) -> u16 {
    let world = World::new().await;
    let born = world.device().await;
    let identity = world.identity(&born.guid()).await;
    let mut talk = Talk::before(&world, &born, &Manner::new(&world), 70).await;
    let body = change(&world, &born, &mut talk).await;
    let code = talk.send(70, body).await.unwrap_err();
    assert_eq!(world.identity(&born.guid()).await, identity);
    assert!(world.certificates().await.iter().all(|row| row.revoked.is_some()));
    code
}

#[tokio::test]
async fn to2_70_positive() {
    positive(70).await;
}
