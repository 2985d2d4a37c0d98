//! The conformance cases of messages 30 and 32: code and unchanged state.

use fdo_protocol::cbor::Writer;
use fdo_protocol::cose::Sign1;
use fdo_protocol::messages::SigInfo;
use fdo_protocol::messages::to1::{HelloRv, HelloRvAck};
use fdo_protocol::{ErrorCode, Guid, cbor};

use crate::devices::{Device, Signing, key, prove};
use crate::world::{Reply, World};

struct Case {
    world: World,
    device: Device,
    ack: Reply,
    nonce: [u8; 16],
}

impl Case {
    /// A registered device in the middle of TO1.
    async fn new() -> Self {
        let (world, device, owner) = (World::new().await, Device::new(), key());
        world.register(device.sold_to(&[&owner]).bytes(), &owner, 1000).await.ok(23);
        let ack = world.hello(device.guid).await.ok(31);
        let nonce = *cbor::decode::<HelloRvAck>(&ack.body).unwrap().nonce.as_bytes();
        Self { world, device, ack, nonce }
    }

    async fn refused(&self, body: &[u8], code: ErrorCode) {
        let before = self.world.rows().await;
        self.world.post(32, self.ack.token.as_deref(), body).await.refused(32, code);
        assert_eq!(self.world.rows().await, before);
    }

    fn signed(&self, payload: &[u8]) -> Vec<u8> {
        Sign1::sign(payload.to_vec(), &[], &self.device.key, &[]).unwrap().bytes().to_vec()
    }
}

#[tokio::test]
async fn rvt_30_positive() {
    let case = Case::new().await;
    let ack: HelloRvAck = cbor::decode(&case.ack.body).unwrap();
    assert_eq!(ack.e_b_sig_info.sg_type, -7);
    let again = case.world.hello(case.device.guid).await.ok(31);
    assert_ne!(again.body, case.ack.body, "nonces are fresh");
}

#[tokio::test]
async fn rvt_30_bad_encoding() {
    let case = Case::new().await;
    let before = case.world.rows().await;
    for body in [&b"garbage"[..], b"", b"\x80", b"\x82\x41\x00\x82\x26\x40"] {
        case.world.post(30, None, body).await.refused(30, ErrorCode::MessageBody);
    }
    assert_eq!(case.world.rows().await, before);
}

#[tokio::test]
async fn rvt_30_bad_unknown_guid() {
    let case = Case::new().await;
    let before = case.world.rows().await;
    let reply = case.world.hello(Guid::from_bytes([3; 16])).await;
    reply.refused(30, ErrorCode::NotFound);
    assert_eq!(reply.token, None);
    assert_eq!(case.world.rows().await, before);
}

#[tokio::test]
async fn rvt_30_bad_siginfo() {
    let case = Case::new().await;
    let before = case.world.rows().await;
    let hello = async |sg_type: i64| {
        let e_a_sig_info = SigInfo { sg_type, info: fdo_protocol::cbor::ByteString::default() };
        let hello = HelloRv { guid: case.device.guid, e_a_sig_info };
        case.world.post(30, None, &cbor::encode(&hello)).await
    };
    for sg_type in [0, 7, -8] {
        hello(sg_type).await.refused(30, ErrorCode::InvalidMessage);
    }
    for epid in [90, 91, 92] {
        let told: fdo_protocol::messages::ErrorMessage = cbor::decode(&hello(epid).await.body).unwrap();
        assert_eq!(told.code, ErrorCode::InvalidMessage.number());
        assert!(told.text.contains("EPID devices are not supported"), "{}", told.text);
    }
    assert_eq!(case.world.rows().await, before);
}

#[tokio::test]
async fn rvt_33_positive_and_check_resp() {
    for world in World::all().await {
        let (device, owner) = (Device::new(), key());
        let ack = world.post(20, None, &[0x80]).await.ok(21);
        let signing = Signing::new(&ack.body, device.sold_to(&[&owner]).bytes(), 1000);
        let body = signing.body(&owner);
        world.post(22, ack.token.as_deref(), &body).await.ok(23);
        let reply = world.ask(&device).await.ok(33);
        assert!(body.ends_with(&reply.body), "{}: to1d is handed out byte for byte", world.database.name());
        assert_eq!(reply.body[0], 0xd2);
    }
}

#[tokio::test]
async fn rvt_32_bad_prove_to_rv_payload_encoding() {
    let case = Case::new().await;
    for payload in [&b"garbage"[..], b"", b"\x80", b"\xa0"] {
        case.refused(&case.signed(payload), ErrorCode::MessageBody).await;
    }
}

#[tokio::test]
async fn rvt_32_bad_encoding() {
    let case = Case::new().await;
    let good = case.device.prove(&case.ack.body);
    let trailing = [&good[..], &[0]].concat();
    for body in [&b"garbage"[..], b"", b"\x80", &good[1..], &trailing] {
        case.refused(body, ErrorCode::MessageBody).await;
    }
}

#[tokio::test]
async fn rvt_32_bad_signature() {
    let case = Case::new().await;
    let mut body = case.device.prove(&case.ack.body);
    *body.last_mut().unwrap() ^= 1;
    case.refused(&body, ErrorCode::InvalidMessage).await;
    case.refused(&prove(&key(), &case.device.guid, &case.nonce), ErrorCode::InvalidMessage).await;
}

#[tokio::test]
async fn rvt_32_bad_to1proof_nonce() {
    let case = Case::new().await;
    let body = prove(&case.device.key, &case.device.guid, &[0; 16]);
    case.refused(&body, ErrorCode::InvalidMessage).await;
    let other = case.world.hello(case.device.guid).await.ok(31);
    case.refused(&case.device.prove(&other.body), ErrorCode::InvalidMessage).await;
}

#[tokio::test]
async fn a_proof_of_another_guid_is_refused() {
    let case = Case::new().await;
    let body = prove(&case.device.key, &Guid::from_bytes([4; 16]), &case.nonce);
    case.refused(&body, ErrorCode::InvalidMessage).await;
}

#[tokio::test]
async fn claims_in_another_order_are_read() {
    let case = Case::new().await;
    let mut payload = Writer::default();
    payload.map(2).integer(256).bytes(&case.device.guid.ueid()).integer(10).bytes(&case.nonce);
    let body = case.signed(&payload.into_bytes());
    case.world.post(32, case.ack.token.as_deref(), &body).await.ok(33);
}
