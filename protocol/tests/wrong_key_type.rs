//! Every signed message by a key of another type than its signer must have: P-384 where all keys are P-256.
#![allow(clippy::unwrap_used)]

mod support;

use fdo_protocol::cbor::{Writer, decode, encode};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::messages::Outbound;
use fdo_protocol::messages::to0::OwnerSign;
use fdo_protocol::messages::to2::{OvNextEntry, ProveDevice, ProveOvHdr};
use fdo_protocol::rendezvous_info::{RvTo2AddrEntry, Scheme};
use fdo_protocol::to2::device::{AfterEntry, ExpectOvNextEntry, ExpectSetupDevice};
use fdo_protocol::to2::owner::{ExpectEntryOrProof, OwnerSettings};
use fdo_protocol::voucher::{OvEntryPayload, VerifyPolicy, Voucher};
use fdo_protocol::{Error, ErrorCode, PublicKey, RvTo2Addr, VoucherFault, to0, to1, to2};
use support::World;

fn world() -> (World, SigningKey) {
    let mut world = World::new(KeyType::P256);
    let stranger = SigningKey::generate(KeyType::P384, &mut world.rng).unwrap();
    (world, stranger)
}

/// The same payload and unprotected labels, signed by another key.
fn signed_by(key: &SigningKey, original: &Sign1, labels: &[i64]) -> Sign1 {
    let unprotected: Vec<_> = labels.iter().map(|label| (*label, original.unprotected(*label).unwrap())).collect();
    Sign1::sign(original.unverified_payload().to_vec(), &unprotected, key, &[]).unwrap()
}

/// The world's voucher with its one entry replaced.
fn with_entry(world: &World, entry: &Sign1) -> Vec<u8> {
    let voucher = &world.voucher;
    let mut writer = Writer::default();
    writer.array(5).unsigned(101).bytes(voucher.header().bytes()).raw(voucher.encoded_hmac().bytes());
    let certificates = voucher.certificates().unwrap();
    writer.array(certificates.len());
    certificates.iter().for_each(|certificate| {
        writer.bytes(certificate);
    });
    writer.array(1).raw(entry.bytes());
    writer.into_bytes()
}

/// The entry by which the maker hands the device to a key of another type.
fn sale_to(world: &World, stranger: &SigningKey) -> Sign1 {
    let payload = OvEntryPayload {
        owner_key: PublicKey::x509(stranger.verifying_key()),
        ..decode(world.voucher.entries()[0].unverified_payload()).unwrap()
    };
    Sign1::sign(encode(&payload), &[], &world.manufacturer, &[]).unwrap()
}

#[test]
fn a_voucher_of_two_key_types_is_refused() {
    let (world, stranger) = world();
    let intact = with_entry(&world, &world.voucher.entries()[0]);
    assert_eq!(intact, world.voucher.bytes());
    let mixed = Voucher::from_bytes(&with_entry(&world, &sale_to(&world, &stranger))).unwrap();
    let error = mixed.verify(&VerifyPolicy::default()).unwrap_err();
    assert_eq!(error, Error::Voucher(VoucherFault::MixedKeyTypes));
    let by_stranger = signed_by(&stranger, &world.voucher.entries()[0], &[]);
    let forged = Voucher::from_bytes(&with_entry(&world, &by_stranger)).unwrap();
    assert_eq!(forged.verify(&VerifyPolicy::default()).unwrap_err().code(), ErrorCode::InvalidVoucher);
    assert!(matches!(
        world.voucher.extend(&world.owner, stranger.verifying_key()),
        Err(Error::Voucher(VoucherFault::MixedKeyTypes))
    ));
}

#[test]
fn message_22_is_refused() {
    let (mut world, stranger) = world();
    let address = || RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "owner.example", 80)]);
    let (hello, owner) = to0::owner::begin();
    let (ack, rendezvous) = to0::rendezvous::hello(&hello.body, &mut world.rng).unwrap();
    let (sign, _) = owner.hello_ack(&ack.body, &world.voucher, &world.owner, address(), 60).unwrap();
    let genuine: OwnerSign = decode(&sign.body).unwrap();
    let forged = OwnerSign { to1d: signed_by(&stranger, &genuine.to1d, &[]), ..genuine };
    let refused = rendezvous.clone().owner_sign(&encode(&forged), &VerifyPolicy::default()).unwrap_err();
    assert_eq!(refused, Error::OwnerSignature);
    assert!(rendezvous.owner_sign(&sign.body, &VerifyPolicy::default()).is_ok());
}

#[test]
fn message_32_is_refused() {
    let (mut world, stranger) = world();
    let (hello, device) = to1::device::begin(world.credential.guid, KeyType::P256);
    let hello = to1::rendezvous::hello_rv(&hello.body).unwrap();
    let (ack, rendezvous) = to1::rendezvous::hello_rv_ack(&hello, &mut world.rng);
    let (proof, _) = device.hello_rv_ack(&ack.body, &world.secrets()).unwrap();
    let genuine = Sign1::from_bytes(&proof.body).unwrap();
    let forged = signed_by(&stranger, &genuine, &[]);
    let check = |body: &[u8]| {
        let rendezvous = to1::rendezvous::ExpectProveToRv::clone(&rendezvous);
        rendezvous.prove_to_rv(body).unwrap().verify(world.voucher.device_key())
    };
    assert_eq!(check(forged.bytes()).unwrap_err().code(), ErrorCode::InvalidMessage);
    assert!(check(&proof.body).is_ok());
}

fn at_61(world: &mut World) -> (to2::device::ExpectProveOvHdr, Outbound, ExpectEntryOrProof) {
    let secrets = world.secrets();
    let (hello, device) =
        to2::device::begin(world.credential.clone(), None, &secrets, world.settings(), &mut world.rng);
    let hello = to2::owner::hello_device(&hello.body).unwrap();
    let settings = OwnerSettings::default();
    let (reply, owner) =
        to2::owner::begin(&hello, &world.voucher, &world.owner, &settings, &mut world.rng).unwrap();
    (device, reply, owner)
}

#[test]
fn message_61_is_refused() {
    let (mut world, stranger) = world();
    let (device, reply, _) = at_61(&mut world);
    let ProveOvHdr(genuine) = decode(&reply.body).unwrap();
    let forged = signed_by(&stranger, &genuine, &[256, 257]);
    let refused = device.prove_ov_hdr(forged.bytes(), &world.secrets());
    assert_eq!(refused.err().unwrap().code(), ErrorCode::InvalidMessage);

    // It names the key that it is signed with: the entries do not end there.
    let (device, reply, owner) = at_61(&mut world);
    let ProveOvHdr(genuine) = decode(&reply.body).unwrap();
    let own_key = PublicKey::x509(stranger.verifying_key()).encoded().to_vec();
    let unprotected = [(256, genuine.unprotected(256).unwrap()), (257, own_key)];
    let forged = Sign1::sign(genuine.unverified_payload().to_vec(), &unprotected, &stranger, &[]).unwrap();
    let secrets = world.secrets();
    let refused = device.prove_ov_hdr(forged.bytes(), &secrets).and_then(|(request, device)| {
        let (entry, _) = owner.get_ov_next_entry(&request.body).unwrap();
        device.ov_next_entry(&entry.body, &secrets, &mut world.rng).map(|_| ())
    });
    assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidVoucher);
}

fn at_63(world: &mut World) -> (ExpectOvNextEntry, Outbound, ExpectEntryOrProof) {
    let (device, reply, owner) = at_61(world);
    let (request, device) = device.prove_ov_hdr(&reply.body, &world.secrets()).unwrap();
    let (entry, owner) = owner.get_ov_next_entry(&request.body).unwrap();
    (device, entry, owner)
}

#[test]
fn message_63_is_refused() {
    let (mut world, stranger) = world();
    for fault in [VoucherFault::MixedKeyTypes, VoucherFault::Signature(0)] {
        let (device, reply, _) = at_63(&mut world);
        let genuine: OvNextEntry = decode(&reply.body).unwrap();
        let entry = match fault {
            VoucherFault::MixedKeyTypes => sale_to(&world, &stranger),
            _ => signed_by(&stranger, &genuine.entry, &[]),
        };
        let (body, secrets) = (encode(&OvNextEntry { entry, ..genuine }), world.secrets());
        let refused = device.ov_next_entry(&body, &secrets, &mut world.rng);
        assert_eq!(refused.err().unwrap(), Error::Voucher(fault));
    }
}

fn at_64(world: &mut World) -> (ExpectSetupDevice, Outbound, ExpectEntryOrProof) {
    let (device, entry, owner) = at_63(world);
    let secrets = world.secrets();
    match device.ov_next_entry(&entry.body, &secrets, &mut world.rng).unwrap() {
        AfterEntry::Prove(proof, device) => (device, proof, owner),
        AfterEntry::Next(..) => panic!("there is one entry only"),
    }
}

#[test]
fn message_64_is_refused() {
    let (mut world, stranger) = world();
    let (_, proof, owner) = at_64(&mut world);
    let ProveDevice(genuine) = decode(&proof.body).unwrap();
    let forged = signed_by(&stranger, &genuine, &[-259]);
    let (rv_info, guid) = (support::rendezvous_info(), world.credential.guid);
    let refused = owner.prove_device(forged.bytes(), &world.owner, &rv_info, guid, &mut world.rng);
    assert_eq!(refused.err().unwrap().code(), ErrorCode::InvalidMessage);
}

/// 65 names the owner's key and is signed by another type's; only an owner who knows the session's keys can send it.
#[test]
fn message_65_is_refused() {
    struct Impostor<'a>(&'a SigningKey, &'a SigningKey);
    impl fdo_protocol::crypto::OwnerKey for Impostor<'_> {
        fn verifying_key(&self) -> &fdo_protocol::crypto::VerifyingKey {
            self.0.verifying_key()
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
            fdo_protocol::crypto::OwnerKey::sign(self.1, message)
        }
    }
    let (mut world, stranger) = world();
    let (device, proof, owner) = at_64(&mut world);
    let impostor = Impostor(&world.owner, &stranger);
    let (rv_info, guid) = (support::rendezvous_info(), fdo_protocol::Guid::random(&mut world.rng));
    let (setup, _) = owner.prove_device(&proof.body, &impostor, &rv_info, guid, &mut world.rng).unwrap();
    assert_eq!(device.setup_device(&setup.body).err().unwrap().code(), ErrorCode::InvalidMessage);
}
