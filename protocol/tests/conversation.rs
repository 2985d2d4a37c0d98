//! Whole conversations in memory: both roles of every protocol, bytes only between them.
#![allow(clippy::unwrap_used)]

mod support;

use fdo_protocol::cbor::{decode, encode};
use fdo_protocol::crypto::{CipherSuite, EtmForm, KexSuite, KeyType};
use fdo_protocol::rendezvous_info::{RvTo2AddrEntry, Scheme};
use fdo_protocol::service_info::{DeviceServiceInfo, OwnerServiceInfo, ServiceInfo, ServiceInfoKv};
use fdo_protocol::to2::device::AfterEntry;
use fdo_protocol::to2::owner::{AfterServiceInfo, Completed, OwnerSettings, Session};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy};
use fdo_protocol::{
    DeviceCredential, DeviceSecrets, Error, FileSecrets, Guid, PublicKeyEncoding, RvTo2Addr, VoucherFault, to0,
    to1, to2,
};
use support::World;

/// Every owner state passes through its stored form, as it does between two requests.
#[allow(clippy::needless_pass_by_value)] // the state is gone once it is stored
fn stored<T: fdo_protocol::cbor::Encode + fdo_protocol::cbor::Decode>(state: T) -> T {
    decode(&encode(&state)).unwrap()
}

/// TO2 from 60 to 71: the device's next credential and what the owner must store.
fn onboard(
    world: &mut World,
    owner: OwnerSettings,
    allow_reuse: bool,
) -> Result<(DeviceCredential, Completed), Error> {
    let secrets = world.secrets();
    let settings = to2::device::DeviceSettings { allow_reuse, ..world.settings() };
    let rng = &mut world.rng;
    let (hello, device) = to2::device::begin(world.credential.clone(), None, &secrets, settings, rng);

    let hello = to2::owner::hello_device(&hello.body)?;
    let (prove_ov_hdr, state) = to2::owner::begin(&hello, &world.voucher, &world.owner, &owner, rng)?;
    let mut state = stored(state);
    let (mut request, mut device) = device.prove_ov_hdr(&prove_ov_hdr.body, &secrets)?;
    let device = loop {
        let (entry, next) = state.get_ov_next_entry(&request.body)?;
        state = stored(next);
        match device.ov_next_entry(&entry.body, &secrets, rng)? {
            AfterEntry::Next(next, waiting) => (request, device) = (next, waiting),
            AfterEntry::Prove(prove, waiting) => {
                request = prove;
                break waiting;
            }
        }
    };
    let rv_info = support::rendezvous_info();
    let next_guid = Guid::random(rng);
    let (setup, state) = state.prove_device(&request.body, &world.owner, &rv_info, next_guid, rng)?;
    let state = stored(state);
    let setup = device.setup_device(&setup.body)?;
    let next_secret = zeroize::Zeroizing::new(vec![7; setup.secret_length()]);
    let next = FileSecrets::new(world.device.clone(), next_secret.clone());
    let (ready, device) = setup.ready(&next, next_secret, rng)?;
    let (owner_ready, state, size) = state.ready(&ready.body, rng)?;
    assert_eq!(size, None);
    let mut state = stored(state);
    let (mut device, size) = device.ready(&owner_ready.body)?;
    assert_eq!(size, owner.max_service_info_size);

    let kv = ServiceInfoKv::new("devmod", "active", &true);
    let info = DeviceServiceInfo { is_more: false, service_info: ServiceInfo(vec![kv.clone()]) };
    let sent = device.device_service_info(&info, rng)?;
    assert!(state.device_service_info(&sent.body)?.service_info.0 == vec![kv]);
    let older = state.device_service_info(&sent.body);
    assert!(matches!(older, Err(Error::Rejected(_))), "an older 68 counted again");
    let answer = OwnerServiceInfo { is_more: false, is_done: true, service_info: ServiceInfo::empty() };
    let (answer, after) = state.owner_service_info(&answer, rng)?;
    let AfterServiceInfo::Finish(state) = after else { panic!("the owner was done") };
    assert!(device.owner_service_info(&answer.body)?.is_done);

    let (done, credential, device) = device.done(rng)?;
    let Session::ExpectDone(state) = stored(Session::ExpectDone(state)) else { panic!("stored as another state") };
    let (completed, done2) = state.done(&done.body, rng)?;
    device.done2(&done2.body)?;
    Ok((credential, completed))
}

fn replace(voucher: &VerifiedVoucher, completed: &Completed) -> VerifiedVoucher {
    let replacement = completed.replacement.clone().unwrap();
    voucher.replace(replacement.ov_header, replacement.hmac).unwrap()
}

#[test]
fn a_device_is_born_onboarded_resold_and_onboarded_again() {
    for key_type in support::key_types() {
        let mut world = World::new(key_type);
        let (credential, completed) = onboard(&mut world, OwnerSettings::default(), false).unwrap();
        assert!(!credential.active);
        assert_eq!(completed.guid, world.credential.guid);
        assert_eq!(completed.next_guid, credential.guid);
        assert_ne!(completed.guid, completed.next_guid);

        // The new voucher has no entries; its HMAC is by the device's new secret.
        let renewed = replace(&world.voucher, &completed);
        assert!(renewed.entries().is_empty());
        let secrets = FileSecrets::new(world.device.clone(), credential.hmac_secret.clone());
        let hmac = secrets.hmac(renewed.hmac().hmac_type(), &[renewed.header().bytes()]).unwrap();
        assert!(hmac == *renewed.hmac());
        let renewed = renewed.into_voucher().verify(&VerifyPolicy::default()).unwrap();

        // Sold on: the next owner gets the device with the very same conversation.
        let next_owner = support::key(key_type, 3, &mut world.rng);
        let sold = renewed.extend(&world.owner, next_owner.verifying_key()).unwrap();
        world.secret = credential.hmac_secret.clone();
        (world.credential, world.voucher, world.owner) = (credential, sold, next_owner);
        onboard(&mut world, OwnerSettings::default(), false).unwrap();
    }
}

#[test]
fn every_cipher_suite_carries_a_whole_to2() {
    let mut world = World::new(KeyType::P256);
    for suite in CipherSuite::ALL {
        world.cipher_suite = suite;
        for form in EtmForm::ALL {
            let settings = OwnerSettings { encrypt_then_mac: Some(form), ..OwnerSettings::default() };
            onboard(&mut world, settings, false).unwrap_or_else(|error| panic!("{suite} {form}: {error}"));
        }
        let by_default = onboard(&mut world, OwnerSettings::default(), false);
        if suite.is_encrypt_then_mac() {
            assert!(matches!(by_default, Err(Error::Unsupported(_))), "{suite}");
        } else {
            by_default.unwrap();
        }
    }
}

#[test]
fn a_cose_key_manufacturer_begets_cose_keys() {
    for key_type in support::key_types() {
        let mut world = World::with_encoding(key_type, PublicKeyEncoding::CoseKey);
        assert_eq!(world.voucher.owner_public_key().encoding(), PublicKeyEncoding::CoseKey);
        onboard(&mut world, OwnerSettings::default(), false).unwrap();
    }
}

#[test]
fn every_key_exchange_onboards_with_the_owner_keys_that_it_fits() {
    for key_type in support::key_types() {
        let mut world = World::new(key_type);
        for suite in KexSuite::ALL {
            world.kex_suite = Some(suite);
            let outcome = onboard(&mut world, OwnerSettings::default(), false);
            if suite.fits(key_type) {
                outcome.unwrap();
            } else {
                assert!(matches!(outcome.err(), Some(Error::Rejected(_))), "{suite:?} with {key_type}");
            }
        }
    }
}

#[test]
fn a_device_keeps_its_credential_when_both_sides_agree() {
    let mut world = World::new(KeyType::P256);
    let reuse = OwnerSettings { reuse: true, ..OwnerSettings::default() };
    let (credential, completed) = onboard(&mut world, reuse, true).unwrap();
    assert!(completed.replacement.is_none());
    assert_eq!(credential.guid, world.credential.guid);
    assert_eq!(*credential.hmac_secret, *world.credential.hmac_secret);

    let refused = onboard(&mut world, reuse, false);
    assert!(matches!(refused, Err(Error::CredentialReuse)));
}

#[test]
fn a_voucher_with_many_entries_onboards() {
    let mut world = World::new(KeyType::P256);
    for _ in 1..255 {
        let next = fdo_protocol::crypto::SigningKey::generate(KeyType::P256, &mut world.rng).unwrap();
        world.voucher = world.voucher.extend(&world.owner, next.verifying_key()).unwrap();
        world.owner = next;
    }
    assert_eq!(world.voucher.entries().len(), 255);
    let full = world.voucher.extend(&world.owner, world.owner.verifying_key());
    assert_eq!(full.unwrap_err(), Error::Voucher(VoucherFault::TooManyEntries));
    onboard(&mut world, OwnerSettings::default(), false).unwrap();
}

#[test]
fn an_owner_registers_and_its_device_is_redirected() {
    for key_type in support::key_types() {
        let mut world = World::new(key_type);
        let secrets = world.secrets();
        let rng = &mut world.rng;
        let address = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "owner.example", 8043)]);

        let (hello, owner) = to0::owner::begin();
        let (ack, rendezvous) = to0::rendezvous::hello(&hello.body, rng).unwrap();
        let (sign, owner) =
            owner.hello_ack(&ack.body, &world.voucher, &world.owner, address.clone(), 3600).unwrap();
        let request = stored(rendezvous).owner_sign(&sign.body, &VerifyPolicy::default()).unwrap();
        assert_eq!(request.wait_seconds, 3600);
        assert_eq!(request.rv_to2_addr, address);
        assert_eq!(owner.accept_owner(&to0::rendezvous::accept_owner(1800).body).unwrap(), 1800);

        let (hello, device) = to1::device::begin(world.credential.guid, key_type);
        let hello = to1::rendezvous::hello_rv(&hello.body).unwrap();
        let (ack, rendezvous) = to1::rendezvous::hello_rv_ack(&hello, rng);
        let (prove, device) = device.hello_rv_ack(&ack.body, &secrets).unwrap();
        let proof = stored(rendezvous).prove_to_rv(&prove.body).unwrap();
        assert!(proof.verify(world.owner.verifying_key()).is_err());
        let verified = proof.verify(request.voucher.device_key()).unwrap();
        let redirect = to1::rendezvous::rv_redirect(&verified, request.to1d.bytes());
        let redirect = device.rv_redirect(&redirect.body).unwrap();
        assert_eq!(redirect.rv_to2_addr, address);
        assert!(redirect.to1d.verify(world.owner.verifying_key(), &[]).is_ok());
    }
}
