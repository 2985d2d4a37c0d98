//! What a device refuses. One named test for each device-side conformance case of FDO 1.1, each asserting the error
//! code that the device tells its peer. The credential is never touched by a refusal: the state machine hands out a new
//! one only with message 70.
#![allow(clippy::unwrap_used)]

mod support;

use fdo_protocol::cbor::{decode, encode};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{KeyType, OwnerKey, SigningKey};
use fdo_protocol::messages::to2::{
    Done2, OvNextEntry, ProveOvHdr, ProveOvHdrPayload, SetupDevice, SetupDevicePayload,
};
use fdo_protocol::messages::{Outbound, SigInfo};
use fdo_protocol::nonce::{NonceTo2ProveOv, NonceTo2SetupDv};
use fdo_protocol::rendezvous_info::{RvTo2AddrEntry, Scheme};
use fdo_protocol::to2::device::{AfterEntry, ExpectOvNextEntry, ExpectProveOvHdr, ExpectSetupDevice, SetUp};
use fdo_protocol::to2::owner::{ExpectEntryOrProof, OwnerSettings};
use fdo_protocol::{
    Error, ErrorCode, FileSecrets, Guid, Hash, HashType, RendezvousInfo, RvTo2Addr, to0, to1, to2,
};
use support::World;

fn code<T>(result: Result<T, Error>) -> u16 {
    match result {
        Ok(_) => panic!("the device was content"),
        Err(error) => error.code().number(),
    }
}

fn flip_last(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    *body.last_mut().unwrap() ^= 1;
    body
}

/// A device that said 60, and the 61 of its true owner.
fn at_61(world: &mut World) -> (ExpectProveOvHdr, Outbound, ExpectEntryOrProof) {
    at_61_after(world, None)
}

fn at_61_after(world: &mut World, to1d: Option<Sign1>) -> (ExpectProveOvHdr, Outbound, ExpectEntryOrProof) {
    let secrets = world.secrets();
    let (hello, device) =
        to2::device::begin(world.credential.clone(), to1d, &secrets, world.settings(), &mut world.rng);
    let hello = to2::owner::hello_device(&hello.body).unwrap();
    let settings = OwnerSettings::default();
    let (reply, owner) =
        to2::owner::begin(&hello, &world.voucher, &world.owner, &settings, &mut world.rng).unwrap();
    (device, reply, owner)
}

/// 61 with its payload changed and signed again, as a hostile owner with the right key could.
fn resigned(world: &World, reply: &Outbound, change: impl FnOnce(&mut ProveOvHdrPayload)) -> Vec<u8> {
    let ProveOvHdr(signed) = decode(&reply.body).unwrap();
    let mut payload: ProveOvHdrPayload = decode(signed.unverified_payload()).unwrap();
    change(&mut payload);
    sign_61(&signed, encode(&payload), &world.owner)
}

fn sign_61(original: &Sign1, payload: Vec<u8>, key: &dyn OwnerKey) -> Vec<u8> {
    let unprotected = [256, 257].map(|label| (label, original.unprotected(label).unwrap()));
    Sign1::sign(payload, &unprotected, key, &[]).unwrap().bytes().to_vec()
}

fn refuses_61(change: impl FnOnce(&mut ProveOvHdrPayload)) -> u16 {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_61(&mut world);
    let body = resigned(&world, &reply, change);
    code(device.prove_ov_hdr(&body, &world.secrets()))
}

#[test]
fn did_30_bad_encoding() {
    let world = World::new(KeyType::P256);
    let (_, device) = to1::device::begin(world.credential.guid, KeyType::P256);
    assert_eq!(code(device.hello_rv_ack(&[0x82, 0x40], &world.secrets())), 100);
}

#[test]
fn did_32_bad_encoding() {
    let (device, _) = at_33();
    assert_eq!(code(device.rv_redirect(&[0xd2, 0x84, 0x40])), 100);
}

fn at_33() -> (to1::device::ExpectRvRedirect, World) {
    let mut world = World::new(KeyType::P256);
    let secrets = world.secrets();
    let (hello, device) = to1::device::begin(world.credential.guid, KeyType::P256);
    let hello = to1::rendezvous::hello_rv(&hello.body).unwrap();
    let (ack, _) = to1::rendezvous::hello_rv_ack(&hello, &mut world.rng);
    let (_, device) = device.hello_rv_ack(&ack.body, &secrets).unwrap();
    (device, world)
}

/// A redirect signed by somebody else is found out in TO2, by the key that 61 is signed with.
#[test]
fn did_32_bad_to1d() {
    let (device, mut world) = at_33();
    let thief = SigningKey::generate(KeyType::P256, &mut world.rng).unwrap();
    let address = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "thief.example", 80)]);
    let (hello, owner) = to0::owner::begin();
    let (ack, _) = to0::rendezvous::hello(&hello.body, &mut world.rng).unwrap();
    let (sign, _) = owner.hello_ack(&ack.body, &world.voucher, &world.owner, address, 60).unwrap();
    let genuine: fdo_protocol::messages::to0::OwnerSign = decode(&sign.body).unwrap();
    let forged = Sign1::sign(genuine.to1d.unverified_payload().to_vec(), &[], &thief, &[]).unwrap();
    let redirect = device.rv_redirect(forged.bytes()).unwrap();

    let (device, reply, _) = at_61_after(&mut world, Some(redirect.to1d));
    let refused = device.prove_ov_hdr(&reply.body, &world.secrets());
    assert_eq!(code(refused), ErrorCode::InvalidOwnerSignBody.number());
}

#[test]
fn did_60_bad_ovhdr_ovheader() {
    // Another rendezvous in the header: the device's HMAC does not cover it.
    let rv_info = RendezvousInfo::new(vec![]);
    let refused = refuses_61(|payload| {
        let mut header = payload.ov_header.value().clone();
        header.rv_info = rv_info;
        payload.ov_header = fdo_protocol::cbor::Wrapped::new(header);
    });
    assert_eq!(refused, ErrorCode::InvalidVoucher.number());
}

#[test]
fn did_60_bad_hmac() {
    let world = World::new(KeyType::P256);
    let other = FileSecrets::new(world.device.clone(), zeroize::Zeroizing::new(vec![1; 32]));
    let refused = refuses_61(|payload| {
        use fdo_protocol::DeviceSecrets;
        let hmac = other.hmac(payload.hmac.hmac_type(), &[payload.ov_header.bytes()]).unwrap();
        payload.hmac = fdo_protocol::cbor::Encoded::new(hmac);
    });
    assert_eq!(refused, ErrorCode::InvalidVoucher.number());
}

#[test]
fn did_60_bad_nonce_to2proveov() {
    let mut rng: rand_chacha::ChaCha20Rng = rand_core::SeedableRng::seed_from_u64(9);
    assert_eq!(refuses_61(|payload| payload.nonce = NonceTo2ProveOv::random(&mut rng)), 101);
}

#[test]
fn did_60_bad_ebsigninfo() {
    assert_eq!(refuses_61(|payload| payload.e_b_sig_info = SigInfo::for_key(KeyType::P384)), 101);
}

#[test]
fn did_60_bad_hellodevicehash() {
    assert_eq!(refuses_61(|payload| payload.hello_device_hash = Hash::of(HashType::Sha256, &[b"other"])), 101);
}

#[test]
fn did_60_bad_cose_signature() {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_61(&mut world);
    assert_eq!(code(device.prove_ov_hdr(&flip_last(&reply.body), &world.secrets())), 101);
}

/// The right payload by a thief's key: the entries do not end in it.
#[test]
fn did_60_signed_by_somebody_elses_key() {
    let mut world = World::new(KeyType::P256);
    let (device, reply, owner) = at_61(&mut world);
    let thief = SigningKey::generate(KeyType::P256, &mut world.rng).unwrap();
    let ProveOvHdr(signed) = decode(&reply.body).unwrap();
    let public = fdo_protocol::PublicKey::x509(thief.verifying_key()).encoded().to_vec();
    let unprotected = [(256, signed.unprotected(256).unwrap()), (257, public)];
    let forged = Sign1::sign(signed.unverified_payload().to_vec(), &unprotected, &thief, &[]).unwrap();
    let (request, device) = device.prove_ov_hdr(forged.bytes(), &world.secrets()).unwrap();
    let (entry, _) = owner.get_ov_next_entry(&request.body).unwrap();
    let refused = device.ov_next_entry(&entry.body, &world.secrets(), &mut world.rng);
    assert_eq!(code(refused), ErrorCode::InvalidVoucher.number());
}

#[test]
fn did_60_bad_helloack_payload_encoding() {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_61(&mut world);
    let ProveOvHdr(signed) = decode(&reply.body).unwrap();
    let body = sign_61(&signed, vec![0x80], &world.owner);
    assert_eq!(code(device.prove_ov_hdr(&body, &world.secrets())), 100);
}

#[test]
fn did_60_bad_helloack_encoding() {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_61(&mut world);
    assert_eq!(code(device.prove_ov_hdr(&reply.body[1..], &world.secrets())), 100);
}

#[test]
fn did_60_no_entries_announced() {
    assert_eq!(refuses_61(|payload| payload.num_ov_entries = 0), ErrorCode::InvalidVoucher.number());
}

/// A device that asks for its first entry, and that entry.
fn at_63(world: &mut World) -> (ExpectOvNextEntry, Outbound, ExpectEntryOrProof) {
    let (device, reply, owner) = at_61(world);
    let (request, device) = device.prove_ov_hdr(&reply.body, &world.secrets()).unwrap();
    let (entry, owner) = owner.get_ov_next_entry(&request.body).unwrap();
    (device, entry, owner)
}

fn refuses_63(change: impl FnOnce(&World, &mut OvNextEntry)) -> u16 {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_63(&mut world);
    let mut message: OvNextEntry = decode(&reply.body).unwrap();
    change(&world, &mut message);
    let secrets = world.secrets();
    code(device.ov_next_entry(&encode(&message), &secrets, &mut world.rng))
}

#[test]
fn did_62_bad_oventry_cose_signature() {
    let refused = refuses_63(|_, message| {
        message.entry = Sign1::from_bytes(&flip_last(message.entry.bytes())).unwrap();
    });
    assert_eq!(refused, ErrorCode::InvalidVoucher.number());
}

#[test]
fn did_62_bad_ovnextentry_payload() {
    let refused = refuses_63(|world, message| {
        message.entry = Sign1::sign(vec![0x80], &[], &world.manufacturer, &[]).unwrap();
    });
    assert_eq!(refused, 100);
}

#[test]
fn did_62_bad_oventrynum() {
    assert_eq!(refuses_63(|_, message| message.entry_num = 1), 101);
}

/// An entry of the right signer for another device.
#[test]
fn did_62_entry_of_another_voucher() {
    let refused = refuses_63(|world, message| {
        let payload = fdo_protocol::voucher::OvEntryPayload {
            previous_hash: Hash::of(HashType::Sha256, &[b"other"]),
            ..decode(message.entry.unverified_payload()).unwrap()
        };
        message.entry = Sign1::sign(encode(&payload), &[], &world.manufacturer, &[]).unwrap();
    });
    assert_eq!(refused, ErrorCode::InvalidVoucher.number());
}

/// A device that proved itself, with the owner's stage behind it.
fn at_65(world: &mut World) -> (ExpectSetupDevice, Outbound, to2::owner::ExpectReady) {
    let (device, entry, owner) = at_63(world);
    let secrets = world.secrets();
    let AfterEntry::Prove(request, device) = device.ov_next_entry(&entry.body, &secrets, &mut world.rng).unwrap()
    else {
        panic!("there is one entry only");
    };
    let next = Guid::random(&mut world.rng);
    let rv_info = support::rendezvous_info();
    let (reply, owner) = owner.prove_device(&request.body, &world.owner, &rv_info, next, &mut world.rng).unwrap();
    (device, reply, owner)
}

/// The owner's own tunnel, read from the stage that it would store.
fn tunnel(owner: &to2::owner::ExpectReady) -> fdo_protocol::crypto::Tunnel {
    use fdo_protocol::cbor::{Decode, Reader};
    let bytes = encode(owner);
    let mut reader = Reader::new(&bytes).unwrap();
    reader.array(3).unwrap();
    reader.array(6).unwrap();
    for _ in 0..4 {
        reader.raw().unwrap();
    }
    fdo_protocol::crypto::Tunnel::decode_from(&mut reader).unwrap()
}

/// 65 with its content changed by an owner who knows the session's keys.
fn refuses_65(change: impl FnOnce(&mut World, SetupDevice) -> Vec<u8>) -> u16 {
    let mut world = World::new(KeyType::P256);
    let (device, reply, owner) = at_65(&mut world);
    let tunnel = tunnel(&owner);
    let message: SetupDevice = decode(&tunnel.open(&reply.body).unwrap()).unwrap();
    let plaintext = change(&mut world, message);
    code(device.setup_device(&tunnel.seal(&plaintext, &mut world.rng).unwrap()))
}

fn signed_65(message: &SetupDevice, key: &SigningKey, change: impl FnOnce(&mut SetupDevicePayload)) -> Vec<u8> {
    let mut payload: SetupDevicePayload = decode(message.0.unverified_payload()).unwrap();
    change(&mut payload);
    Sign1::sign(encode(&payload), &[], key, &[]).unwrap().bytes().to_vec()
}

#[test]
fn did_64_bad_nonce_to2setupdv() {
    let refused = refuses_65(|world, message| {
        let nonce = NonceTo2SetupDv::random(&mut world.rng);
        signed_65(&message, &world.owner, |payload| payload.nonce = nonce)
    });
    assert_eq!(refused, 101);
}

#[test]
fn did_64_bad_setupdevice_payload() {
    let refused = refuses_65(|world, _| Sign1::sign(vec![0x80], &[], &world.owner, &[]).unwrap().bytes().to_vec());
    assert_eq!(refused, 100);
}

#[test]
fn did_64_bad_setupdevice_cose_signature() {
    assert_eq!(refuses_65(|_, message| flip_last(message.0.bytes())), 101);
}

#[test]
fn did_64_bad_setupdevice_bytes() {
    assert_eq!(refuses_65(|_, message| message.0.bytes()[2..].to_vec()), 100);
}

#[test]
fn did_64_bad_enc_wrapping() {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_65(&mut world);
    assert_eq!(code(device.setup_device(&flip_last(&reply.body))), 100);
}

#[test]
fn did_64_bad_setupdevice_encoding() {
    let mut world = World::new(KeyType::P256);
    let (device, _, _) = at_65(&mut world);
    assert_eq!(code(device.setup_device(&[0xa0])), 100);
}

#[test]
fn did_64_no_rendezvous_to_come_back_to() {
    let refused = refuses_65(|world, message| {
        signed_65(&message, &world.owner, |payload| payload.rv_info = RendezvousInfo::new(vec![]))
    });
    assert_eq!(refused, 101);
}

#[test]
fn did_64_signed_by_another_key_than_it_names() {
    let refused = refuses_65(|world, message| {
        let thief = SigningKey::generate(KeyType::P256, &mut world.rng).unwrap();
        signed_65(&message, &thief, |_| {})
    });
    assert_eq!(refused, 101);
}

fn at_67(world: &mut World) -> (to2::device::ExpectReady, Outbound, fdo_protocol::crypto::Tunnel) {
    let (device, reply, owner) = at_65(world);
    let tunnel = tunnel(&owner);
    let setup: SetUp = device.setup_device(&reply.body).unwrap();
    let secret = zeroize::Zeroizing::new(vec![3; setup.secret_length()]);
    let next = FileSecrets::new(world.device.clone(), secret.clone());
    let (request, device) = setup.ready(&next, secret, &mut world.rng).unwrap();
    let (reply, _, _) = owner.ready(&request.body, &mut world.rng).unwrap();
    (device, reply, tunnel)
}

#[test]
fn did_66_bad_encoding() {
    let mut world = World::new(KeyType::P256);
    let (device, _, tunnel) = at_67(&mut world);
    let body = tunnel.seal(&[0x80], &mut world.rng).unwrap();
    assert_eq!(code(device.ready(&body)), 100);
}

#[test]
fn did_66_bad_enc_wrapping() {
    let mut world = World::new(KeyType::P256);
    let (device, reply, _) = at_67(&mut world);
    assert_eq!(code(device.ready(&flip_last(&reply.body))), 100);
}

fn at_69(world: &mut World) -> (to2::device::ServiceInfoLoop, fdo_protocol::crypto::Tunnel) {
    let (device, reply, tunnel) = at_67(world);
    (device.ready(&reply.body).unwrap().0, tunnel)
}

#[test]
fn did_68_bad_encoding() {
    let mut world = World::new(KeyType::P256);
    let (mut device, tunnel) = at_69(&mut world);
    let body = tunnel.seal(&[0x82, 0xf4, 0x80], &mut world.rng).unwrap();
    assert_eq!(code(device.owner_service_info(&body)), 100);
}

#[test]
fn did_68_bad_enc_wrapping() {
    let mut world = World::new(KeyType::P256);
    let (mut device, tunnel) = at_69(&mut world);
    let body = tunnel.seal(&[0x83, 0xf4, 0xf4, 0x80], &mut world.rng).unwrap();
    assert!(device.owner_service_info(&body).is_ok());
    assert_eq!(code(device.owner_service_info(&flip_last(&body))), 100);
}

#[test]
fn did_68_done_and_more() {
    let mut world = World::new(KeyType::P256);
    let (mut device, tunnel) = at_69(&mut world);
    let body = tunnel.seal(&[0x83, 0xf5, 0xf5, 0x80], &mut world.rng).unwrap();
    assert_eq!(code(device.owner_service_info(&body)), 101);
}

fn refuses_71(body: impl FnOnce(&mut World, &fdo_protocol::crypto::Tunnel) -> Vec<u8>) -> u16 {
    let mut world = World::new(KeyType::P256);
    let (device, tunnel) = at_69(&mut world);
    let (_, _, device) = device.done(&mut world.rng).unwrap();
    let body = body(&mut world, &tunnel);
    code(device.done2(&body))
}

#[test]
fn did_70_bad_nonce_to2setupdv64() {
    let refused = refuses_71(|world, tunnel| {
        let nonce = NonceTo2SetupDv::random(&mut world.rng);
        tunnel.seal(&encode(&Done2 { nonce }), &mut world.rng).unwrap()
    });
    assert_eq!(refused, 101);
}

#[test]
fn did_70_bad_done71_encoding() {
    assert_eq!(refuses_71(|world, tunnel| tunnel.seal(&[0x40], &mut world.rng).unwrap()), 100);
}

#[test]
fn did_70_bad_enc_wrapping() {
    assert_eq!(refuses_71(|_, _| vec![0xd0, 0x83, 0x40]), 100);
}

/// Every reply, cut short at every length, is an error and never a panic.
#[test]
fn truncated_replies_are_refused() {
    let mut world = World::new(KeyType::P256);
    let (_, reply, _) = at_61(&mut world);
    for length in 0..reply.body.len() {
        let (device, _, _) = at_61(&mut world);
        assert!(device.prove_ov_hdr(&reply.body[..length], &world.secrets()).is_err());
    }
}
