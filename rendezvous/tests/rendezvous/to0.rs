//! The conformance cases of messages 20 and 22 beside the voucher's own: code and unchanged state.

use fdo_protocol::cbor::{ByteString, Writer};
use fdo_protocol::messages::to0::AcceptOwner;
use fdo_protocol::rendezvous_info::Scheme;
use fdo_protocol::{ErrorCode, Hash, HashType, RvTo2Addr, RvTo2AddrEntry, cbor};

use crate::devices::{Device, Signing, key, port_of};
use crate::world::{NOW, Reply, World};

/// A device whose registration a bad message 22 tries to change.
struct Case {
    world: World,
    device: Device,
    owner: fdo_protocol::crypto::SigningKey,
    ack: Reply,
}

impl Case {
    async fn new() -> Self {
        let (world, device, owner) = (World::new().await, Device::new(), key());
        world.register(device.sold_to(&[&owner]).bytes(), &owner, 1000).await.ok(23);
        let ack = world.post(20, None, &[0x80]).await.ok(21);
        Self { world, device, owner, ack }
    }

    fn signing(&self) -> Signing {
        Signing::new(&self.ack.body, self.device.sold_to(&[&self.owner]).bytes(), 2000)
    }

    async fn refused(&self, body: &[u8], code: ErrorCode) {
        let before = self.world.rows().await;
        self.world.post(22, self.ack.token.as_deref(), body).await.refused(22, code);
        assert_eq!(self.world.rows().await, before);
    }
}

#[tokio::test]
async fn rvt_20_positive_and_21_check_resp() {
    let world = World::new().await;
    let reply = world.post(20, None, &[0x80]).await.ok(21);
    assert_eq!(reply.body.len(), 18);
    assert_eq!(&reply.body[..2], [0x81, 0x50]);
    let other = world.post(20, None, &[0x80]).await.ok(21);
    assert_ne!(reply.body, other.body, "nonces are fresh");
}

#[tokio::test]
async fn rvt_20_bad_encoding() {
    let world = World::new().await;
    for body in [&b""[..], b"\x81\x00", b"\x80\x00", b"\x9f\xff", b"\xa0", b"garbage"] {
        world.post(20, None, body).await.refused(20, ErrorCode::MessageBody);
    }
    assert!(world.rows().await.is_empty());
}

#[tokio::test]
async fn rvt_22_positive_and_23_check_resp() {
    for world in World::all().await {
        let (device, owner) = (Device::new(), key());
        let reply = world.register(device.sold_to(&[&owner]).bytes(), &owner, 1234).await.ok(23);
        assert_eq!(cbor::decode::<AcceptOwner>(&reply.body).unwrap().wait_seconds, 3600);
        let rows = world.rows().await;
        assert_eq!(rows.len(), 1, "{}", world.database.name());
        assert_eq!((rows[0].guid, rows[0].entries, rows[0].expires), (device.guid, 1, NOW + 3600));
        assert_eq!(port_of(&rows[0].to1d), 1234);
    }
}

#[tokio::test]
async fn wait_seconds_are_capped_at_thirty_days() {
    let case = Case::new().await;
    let body = Signing { wait_seconds: u32::MAX, ..case.signing() }.body(&case.owner);
    let reply = case.world.post(22, case.ack.token.as_deref(), &body).await.ok(23);
    assert_eq!(cbor::decode::<AcceptOwner>(&reply.body).unwrap().wait_seconds, 30 * 86_400);
    assert_eq!(case.world.rows().await[0].expires, NOW + 30 * 86_400);
}

#[tokio::test]
async fn rvt_22_bad_to0d_encoding() {
    let case = Case::new().await;
    let to1d = case.signing().to1d(&case.owner);
    for to0d in [&b"garbage"[..], b"", b"\x80", b"\x83\xf6\x00\x40"] {
        let mut writer = Writer::default();
        writer.array(2).value(&ByteString(to0d.to_vec())).value(&to1d);
        case.refused(&writer.into_bytes(), ErrorCode::MessageBody).await;
    }
}

#[tokio::test]
async fn rvt_22_bad_ownersign_encoding() {
    let case = Case::new().await;
    let good = case.signing().body(&case.owner);
    let trailing = [&good[..], &[0]].concat();
    let truncated = &good[..good.len() - 1];
    let mut untagged = Writer::default();
    let to1d = case.signing().to1d(&case.owner);
    untagged.array(2).value(&case.signing().to0d()).raw(&to1d.bytes()[1..]);
    for body in [&b"garbage"[..], b"", b"\x80", &trailing, truncated, &untagged.into_bytes()] {
        case.refused(body, ErrorCode::MessageBody).await;
    }
}

#[tokio::test]
async fn rvt_22_bad_signature() {
    let case = Case::new().await;
    let mut body = case.signing().body(&case.owner);
    *body.last_mut().unwrap() ^= 1;
    case.refused(&body, ErrorCode::InvalidOwnerSignBody).await;
    let stranger = key();
    case.refused(&case.signing().body(&stranger), ErrorCode::InvalidOwnerSignBody).await;
}

#[tokio::test]
async fn rvt_22_bad_to0d_hash() {
    let case = Case::new().await;
    let hash = Some(Hash::of(HashType::Sha256, &[b"something else"]));
    case.refused(&Signing { hash, ..case.signing() }.body(&case.owner), ErrorCode::InvalidMessage).await;
}

#[tokio::test]
async fn rvt_22_bad_to0sign_nonce() {
    let case = Case::new().await;
    let other = case.world.post(20, None, &[0x80]).await.ok(21);
    let signing = Signing { nonce: Signing::new(&other.body, &[], 1).nonce, ..case.signing() };
    case.refused(&signing.body(&case.owner), ErrorCode::InvalidMessage).await;
}

#[tokio::test]
async fn rvt_22_bad_rendevouz_blob() {
    let case = Case::new().await;
    for addr in
        ["80", "8184f6f6185003", "818443000000f6185003", "8184447f000001f6185000", "8184447f000001f6185007"]
    {
        let signing = Signing { addr: hex::decode(addr).unwrap(), ..case.signing() };
        case.refused(&signing.body(&case.owner), ErrorCode::InvalidMessage).await;
    }
}

#[tokio::test]
async fn long_redirects_are_refused_before_any_signature_is_checked() {
    let case = Case::new().await;
    let places = |host: &str, count| {
        let addr = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, host, 80); count]);
        Signing { addr: cbor::encode(&addr), ..case.signing() }
    };
    let stranger = key();
    for refused in [places("192.0.2.1", 9), places(&"a".repeat(4096), 1)] {
        // A stranger's signature would be told as such, had anybody looked at it.
        case.refused(&refused.body(&stranger), ErrorCode::InvalidMessage).await;
        case.refused(&refused.body(&case.owner), ErrorCode::InvalidMessage).await;
    }
    let taken = places(&"a".repeat(253), 8).body(&case.owner);
    case.world.post(22, case.ack.token.as_deref(), &taken).await.ok(23);
}

#[tokio::test]
async fn a_voucher_without_entries_is_refused() {
    let case = Case::new().await;
    let body = Signing::new(&case.ack.body, case.device.born.bytes(), 2000).body(&case.device.maker);
    case.refused(&body, ErrorCode::InvalidVoucher).await;
}

#[tokio::test]
async fn p384_registers_too() {
    let world = World::new().await;
    let p384 = fdo_protocol::crypto::KeyType::P384;
    let device = Device::with(Device::new().guid, p384);
    let owner = crate::devices::key_of(p384);
    world.register(device.sold_to(&[&owner]).bytes(), &owner, 7).await.ok(23);
    assert_eq!(port_of(&world.ask(&device).await.ok(33).body), 7);
}
