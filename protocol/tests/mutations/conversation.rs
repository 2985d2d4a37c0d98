//! A device's life in memory up to one message, which somebody on the way, or inside the tunnel, changes.

use fdo_protocol::cbor::{Decode, Reader, encode};
use fdo_protocol::crypto::{KeyType, Tunnel};
use fdo_protocol::messages::Outbound;
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::rendezvous_info::{RvTo2AddrEntry, Scheme};
use fdo_protocol::service_info::{DeviceServiceInfo, OwnerServiceInfo, ServiceInfo, ServiceInfoKv};
use fdo_protocol::to2::device::AfterEntry;
use fdo_protocol::to2::owner::{AfterServiceInfo, ExpectReady, OwnerSettings};
use fdo_protocol::voucher::VerifyPolicy;
use fdo_protocol::{Error, FileSecrets, Guid, PublicKeyEncoding, RvTo2Addr, di, to0, to1, to2};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::support::{World, rendezvous_info};

/// Changes the plain bytes of one message.
pub type Hand<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;

/// Runs up to message `number`, changes it, and gives what its receiver says to it.
pub fn receive(world: &World, number: u8, hand: Hand<'_>) -> Result<(), Error> {
    match number {
        10..=13 => di(world, number, hand),
        20..=23 => to0(world, number, hand),
        30..=33 => to1(world, number, hand),
        60..=71 => to2(world, number, hand),
        _ => panic!("there is no message {number}"),
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(77)
}

fn di(world: &World, number: u8, hand: Hand<'_>) -> Result<(), Error> {
    let serial = fdo_pki::DeviceSerial::parse("SN-0001").unwrap();
    let header = world.voucher.header();
    let (app_start, device) = di::device::begin(DeviceMfgInfo {
        key_type: header.manufacturer_key.key_type(),
        key_encoding: PublicKeyEncoding::X509,
        serial_number: "SN-0001".into(),
        device_info: header.device_info.clone(),
        csr: fdo_protocol::cbor::ByteString(fdo_pki::build_csr(&world.device, None, &serial).unwrap()),
    });
    let app_start = app_start.body;
    if number == 10 {
        let info = di::manufacturer::app_start(&hand(&app_start))?;
        // The request's signature is the PKI's to check, as the manufacturer does.
        let csr = fdo_pki::Csr::parse(&info.csr).and_then(fdo_pki::Csr::verify);
        return csr.map(|_| ()).map_err(|_| Error::Rejected("the certification request does not hold"));
    }
    let (credentials, maker) = di::manufacturer::set_credentials(di::manufacturer::Credentials {
        guid: Guid::random(&mut rng()),
        rv_info: rendezvous_info(),
        device_info: header.device_info.clone(),
        manufacturer_key: header.manufacturer_key.clone(),
        device_key_type: world.device.key_type(),
        certificates: world.voucher.certificates().unwrap().iter().map(|der| der.0.clone()).collect(),
    })
    .unwrap();
    let secret = Zeroizing::new(vec![9; 32]);
    let secrets = FileSecrets::new(world.device.clone(), secret.clone());
    if number == 11 {
        return device.set_credentials(&hand(&credentials.body), &secrets, secret).map(|_| ());
    }
    let (hmac, device) = device.set_credentials(&credentials.body, &secrets, secret).unwrap();
    if number == 12 {
        return maker.set_hmac(&hand(&hmac.body)).map(|_| ());
    }
    let (_, done) = maker.set_hmac(&hmac.body).unwrap();
    device.done(&hand(&done.body)).map(|_| ())
}

fn to0(world: &World, number: u8, hand: Hand<'_>) -> Result<(), Error> {
    let address = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "owner.example", 80)]);
    let (hello, owner) = to0::owner::begin();
    if number == 20 {
        return to0::rendezvous::hello(&hand(&hello.body), &mut rng()).map(|_| ());
    }
    let (ack, rendezvous) = to0::rendezvous::hello(&hello.body, &mut rng()).unwrap();
    let answer = |body: &[u8]| owner.hello_ack(body, &world.voucher, &world.owner, address, 3600);
    if number == 21 {
        return answer(&hand(&ack.body)).map(|_| ());
    }
    let (sign, owner) = answer(&ack.body).unwrap();
    if number == 22 {
        return rendezvous.owner_sign(&hand(&sign.body), &VerifyPolicy::default()).map(|_| ());
    }
    rendezvous.owner_sign(&sign.body, &VerifyPolicy::default()).unwrap();
    owner.accept_owner(&hand(&to0::rendezvous::accept_owner(3600).body)).map(|_| ())
}

fn to1(world: &World, number: u8, hand: Hand<'_>) -> Result<(), Error> {
    let secrets = world.secrets();
    let (hello, device) = to1::device::begin(world.credential.guid, KeyType::P256);
    if number == 30 {
        let hello = to1::rendezvous::hello_rv(&hand(&hello.body))?;
        // What the shell looks up: the GUID, and the type of the registered device's key.
        let known = hello.guid == world.credential.guid
            && hello.e_a_sig_info == fdo_protocol::messages::SigInfo::for_key(KeyType::P256);
        return if known { Ok(()) } else { Err(Error::NotFound("GUID")) };
    }
    let hello = to1::rendezvous::hello_rv(&hello.body).unwrap();
    let (ack, rendezvous) = to1::rendezvous::hello_rv_ack(&hello, &mut rng());
    if number == 31 {
        return device.hello_rv_ack(&hand(&ack.body), &secrets).map(|_| ());
    }
    let (prove, device) = device.hello_rv_ack(&ack.body, &secrets).unwrap();
    if number == 32 {
        let proof = rendezvous.prove_to_rv(&hand(&prove.body))?;
        return proof.verify(world.voucher.device_key()).map(|_| ());
    }
    let proof = rendezvous.prove_to_rv(&prove.body).unwrap().verify(world.voucher.device_key()).unwrap();
    let (redirect, key) = (redirect(world), world.owner.verifying_key());
    let reply = to1::rendezvous::rv_redirect(&proof, &redirect);
    // The device checks the signature as soon as it knows its owner's key, in TO2.
    device.rv_redirect(&hand(&reply.body))?.to1d.verify(key, &[]).map(|_| ())
}

/// What the world's owner has registered.
fn redirect(world: &World) -> Vec<u8> {
    let address = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "owner.example", 80)]);
    let (hello, owner) = to0::owner::begin();
    let (ack, rendezvous) = to0::rendezvous::hello(&hello.body, &mut rng()).unwrap();
    let (sign, _) = owner.hello_ack(&ack.body, &world.voucher, &world.owner, address, 3600).unwrap();
    rendezvous.owner_sign(&sign.body, &VerifyPolicy::default()).unwrap().to1d.bytes().to_vec()
}

/// What somebody who knows the session's keys could send instead.
fn within(tunnel: &Tunnel, message: &Outbound, hand: Hand<'_>) -> Vec<u8> {
    let plain = tunnel.open(&message.body).unwrap();
    tunnel.seal(&hand(&plain), &mut ChaCha20Rng::seed_from_u64(78)).unwrap()
}

/// The tunnel, read from the stage that an owner would store.
fn tunnel(owner: &ExpectReady) -> Tunnel {
    let bytes = encode(owner);
    let mut reader = Reader::new(&bytes).unwrap();
    reader.array(3).unwrap();
    reader.array(6).unwrap();
    for _ in 0..4 {
        reader.raw().unwrap();
    }
    Tunnel::decode_from(&mut reader).unwrap()
}

fn to2(world: &World, number: u8, hand: Hand<'_>) -> Result<(), Error> {
    let (secrets, rng) = (world.secrets(), &mut rng());
    let (hello, device) = to2::device::begin(world.credential.clone(), None, &secrets, world.settings(), rng);
    let begin = |body: &[u8], rng: &mut ChaCha20Rng| {
        let hello = to2::owner::hello_device(body)?;
        // What the shell compares with the voucher that it found.
        if hello.guid != world.credential.guid {
            return Err(Error::NotFound("GUID"));
        }
        if hello.e_a_sig_info != fdo_protocol::messages::SigInfo::for_key(KeyType::P256) {
            return Err(Error::Rejected("eASigInfo"));
        }
        to2::owner::begin(&hello, &world.voucher, &world.owner, &OwnerSettings::default(), rng)
    };
    if number == 60 {
        return begin(&hand(&hello.body), rng).map(|_| ());
    }
    let (reply, owner) = begin(&hello.body, rng).unwrap();
    if number == 61 {
        return device.prove_ov_hdr(&hand(&reply.body), &secrets).map(|_| ());
    }
    let (request, device) = device.prove_ov_hdr(&reply.body, &secrets).unwrap();
    if number == 62 {
        return owner.get_ov_next_entry(&hand(&request.body)).map(|_| ());
    }
    let (entry, owner) = owner.get_ov_next_entry(&request.body).unwrap();
    if number == 63 {
        return device.ov_next_entry(&hand(&entry.body), &secrets, rng).map(|_| ());
    }
    let AfterEntry::Prove(prove, device) = device.ov_next_entry(&entry.body, &secrets, rng).unwrap() else {
        panic!("the voucher has one entry");
    };
    let (rv_info, next) = (rendezvous_info(), Guid::random(rng));
    if number == 64 {
        return owner.prove_device(&hand(&prove.body), &world.owner, &rv_info, next, rng).map(|_| ());
    }
    let (setup, owner) = owner.prove_device(&prove.body, &world.owner, &rv_info, next, rng).unwrap();
    let tunnel = tunnel(&owner);
    if number == 65 {
        return device.setup_device(&within(&tunnel, &setup, hand)).map(|_| ());
    }
    let setup = device.setup_device(&setup.body).unwrap();
    let secret = Zeroizing::new(vec![3; setup.secret_length()]);
    let own = FileSecrets::new(world.device.clone(), secret.clone());
    let (ready, device) = setup.ready(&own, secret, rng).unwrap();
    if number == 66 {
        return owner.ready(&within(&tunnel, &ready, hand), rng).map(|_| ());
    }
    let (ready, mut owner, _) = owner.ready(&ready.body, rng).unwrap();
    if number == 67 {
        return device.ready(&within(&tunnel, &ready, hand)).map(|_| ());
    }
    let (mut device, _) = device.ready(&ready.body).unwrap();
    let kv = ServiceInfoKv::from_item("devmod:active".into(), vec![0xf5]);
    let info = DeviceServiceInfo { is_more: false, service_info: ServiceInfo(vec![kv]) };
    let info = device.device_service_info(&info, rng).unwrap();
    if number == 68 {
        return owner.device_service_info(&within(&tunnel, &info, hand)).map(|_| ());
    }
    owner.device_service_info(&info.body).unwrap();
    let answer = OwnerServiceInfo { is_more: false, is_done: true, service_info: ServiceInfo::empty() };
    let (answer, next) = owner.owner_service_info(&answer, rng).unwrap();
    let AfterServiceInfo::Finish(owner) = next else { panic!("the owner is done") };
    if number == 69 {
        return device.owner_service_info(&within(&tunnel, &answer, hand)).map(|_| ());
    }
    device.owner_service_info(&answer.body).unwrap();
    let (done, _, device) = device.done(rng).unwrap();
    if number == 70 {
        return owner.done(&within(&tunnel, &done, hand), rng).map(|_| ());
    }
    let (_, done2) = owner.done(&done.body, rng).unwrap();
    device.done2(&within(&tunnel, &done2, hand)).map(|_| ())
}
