//! Encrypt-then-MAC under attack: by somebody on the way, and by a peer that knows the keys. Nothing tells a forged
//! message from a badly padded one, and a session keeps the form that it began with.
#![allow(clippy::unwrap_used)]

mod support;

use fdo_protocol::cbor::{Decode, Reader, Writer, decode, encode};
use fdo_protocol::crypto::{CipherSuite, EtmForm, KeyType, SharedSecret, Tunnel};
use fdo_protocol::messages::Outbound;
use fdo_protocol::messages::to2::DeviceServiceInfoReady;
use fdo_protocol::to2::device::{AfterEntry, ExpectSetupDevice};
use fdo_protocol::to2::owner::{ExpectReady, OwnerSettings};
use fdo_protocol::{Error, ErrorCode, FileSecrets, Guid, to2};
use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Sha256, Sha384};
use support::World;
use zeroize::Zeroizing;

const KEY: u8 = 0x11;
const MAC_KEY: u8 = 0x22;

fn suites() -> impl Iterator<Item = CipherSuite> {
    CipherSuite::ALL.into_iter().filter(|suite| suite.is_encrypt_then_mac())
}

fn with_keys(suite: CipherSuite, form: EtmForm, keys: &[u8]) -> Tunnel {
    let mut writer = Writer::default();
    writer.array(3).value(&suite).value(&Some(form)).bytes(keys);
    decode(&writer.into_bytes()).unwrap()
}

fn tunnel(suite: CipherSuite, form: EtmForm) -> Tunnel {
    let keys = [vec![KEY; suite.key_length()], vec![MAC_KEY; suite.mac_key_length(form)]].concat();
    with_keys(suite, form, &keys)
}

/// A message with a MAC that holds around whatever the peer put in.
fn authentic(suite: CipherSuite, form: EtmForm, inner: &[u8]) -> Vec<u8> {
    let algorithm: u8 = if suite.key_length() == 16 { 5 } else { 6 };
    let protected = [0xa1, 1, algorithm];
    let mut structure = Writer::default();
    structure.array(4).text("MAC0").bytes(&protected).bytes(&[]).bytes(inner);
    let input = if form == EtmForm::Java { inner.to_vec() } else { structure.into_bytes() };
    let key = vec![MAC_KEY; suite.mac_key_length(form)];
    let mac = if algorithm == 5 {
        Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&input).finalize().into_bytes().to_vec()
    } else {
        Hmac::<Sha384>::new_from_slice(&key).unwrap().chain_update(&input).finalize().into_bytes().to_vec()
    };
    let mut message = Writer::default();
    message.tag(17).array(4).bytes(&protected).map(0).bytes(inner).bytes(&mac);
    message.into_bytes()
}

/// An inner object as the form has it, with another algorithm, IV or ciphertext where the test wants one.
fn inner(suite: CipherSuite, form: EtmForm, iv: &[u8], ciphertext: Option<&[u8]>) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut header = Writer::default();
    if form == EtmForm::Go {
        let algorithm = match suite {
            CipherSuite::CoseAes128Ctr => -65_534,
            CipherSuite::CoseAes256Ctr => -65_532,
            CipherSuite::CoseAes128Cbc => -65_531,
            _ => -65_529,
        };
        writer.array(3).bytes(&[]).map(2).integer(1).integer(algorithm);
    } else {
        header.map(1).integer(1).integer(suite.number());
        writer.tag(16).array(3).bytes(&header.into_bytes()).map(1);
    }
    writer.integer(5).bytes(iv);
    match ciphertext {
        Some(bytes) => writer.bytes(bytes),
        None => writer.null(),
    };
    writer.into_bytes()
}

#[test]
fn a_peer_with_the_keys_must_keep_to_the_form() {
    for suite in suites() {
        for form in EtmForm::ALL {
            let tunnel = tunnel(suite, form);
            let opens = |inner: &[u8]| tunnel.open(&authentic(suite, form, inner));
            let sealed = tunnel.seal(b"\x80", &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
            let mut reader = Reader::new(&sealed).unwrap();
            reader.tag().unwrap();
            reader.array(4).unwrap();
            reader.raw().unwrap();
            reader.raw().unwrap();
            let good = reader.bytes().unwrap();
            assert_eq!(authentic(suite, form, good), sealed, "{suite} {form}");
            assert_eq!(opens(good).unwrap(), b"\x80");

            let other_suite = match suite {
                CipherSuite::CoseAes128Ctr => CipherSuite::CoseAes128Cbc,
                CipherSuite::CoseAes128Cbc => CipherSuite::CoseAes128Ctr,
                CipherSuite::CoseAes256Ctr => CipherSuite::CoseAes256Cbc,
                _ => CipherSuite::CoseAes256Ctr,
            };
            let other_form = if form == EtmForm::Go { EtmForm::Specification } else { EtmForm::Go };
            for (what, wrong) in [
                ("an IV that is too short", inner(suite, form, &[1; 15], Some(&[2; 32]))),
                ("an IV that is too long", inner(suite, form, &[1; 17], Some(&[2; 32]))),
                ("no IV", inner(suite, form, &[], Some(&[2; 32]))),
                ("no ciphertext", inner(suite, form, &[1; 16], None)),
                ("another suite", inner(other_suite, form, &[1; 16], Some(&[2; 32]))),
                ("another form", inner(suite, other_form, &[1; 16], Some(&[2; 32]))),
                ("nothing", Vec::new()),
                ("trailing bytes", [good, &[0]].concat()),
            ] {
                assert!(matches!(opens(&wrong), Err(Error::Malformed(_))), "{suite} {form}: {what}");
            }
        }
    }
}

/// Who sends ciphertexts of his own learns the same of each, whether its MAC fails or its padding.
#[test]
fn a_wrong_padding_looks_like_a_wrong_mac() {
    for suite in [CipherSuite::CoseAes128Cbc, CipherSuite::CoseAes256Cbc] {
        for form in EtmForm::ALL {
            let tunnel = tunnel(suite, form);
            let mut forged = tunnel.seal(b"\x80", &mut ChaCha20Rng::seed_from_u64(2)).unwrap();
            *forged.last_mut().unwrap() ^= 1;
            let forged = tunnel.open(&forged).unwrap_err();
            let badly_padded = (0..8_u8)
                .map(|seed| inner(suite, form, &[1; 16], Some(&[seed; 32])))
                .find_map(|inner| tunnel.open(&authentic(suite, form, &inner)).err())
                .unwrap();
            let half_a_block = inner(suite, form, &[1; 16], Some(&[2; 17]));
            let half_a_block = tunnel.open(&authentic(suite, form, &half_a_block)).unwrap_err();
            for other in [badly_padded, half_a_block] {
                assert_eq!(other, forged);
                assert_eq!(other.to_string(), forged.to_string());
            }
        }
    }
}

#[test]
fn a_mac_that_is_cut_short_does_not_count() {
    for suite in suites() {
        for form in EtmForm::ALL {
            let tunnel = tunnel(suite, form);
            let good = inner(suite, form, &[1; 16], Some(&[2; 32]));
            let whole = authentic(suite, form, &good);
            let mut reader = Reader::new(&whole).unwrap();
            reader.tag().unwrap();
            reader.array(4).unwrap();
            let protected = reader.bytes().unwrap();
            reader.raw().unwrap();
            reader.raw().unwrap();
            let mac = reader.bytes().unwrap();
            for length in [0, 1, 16, mac.len() - 1] {
                let mut message = Writer::default();
                message.tag(17).array(4).bytes(protected).map(0).bytes(&good).bytes(&mac[..length]);
                let error = tunnel.open(&message.into_bytes()).unwrap_err();
                assert!(matches!(error, Error::Malformed(_)), "{suite} {form}: {length}");
            }
        }
    }
}

#[test]
fn the_first_message_shows_its_form() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let secret = || SharedSecret::new(Zeroizing::new(vec![7; 64]), Zeroizing::default());
    for suite in CipherSuite::ALL {
        for form in EtmForm::ALL {
            let message = secret().derive_in(suite, form).seal(b"\x80", rng).unwrap();
            let (tunnel, plaintext) = secret().open_first(suite, &message).unwrap();
            assert_eq!(plaintext, b"\x80");
            assert_eq!(tunnel.form(), suite.is_encrypt_then_mac().then_some(form));
            assert_eq!(encode(&tunnel), encode(&secret().derive_in(suite, form)));
            let mut forged = message.clone();
            *forged.last_mut().unwrap() ^= 1;
            assert!(matches!(secret().open_first(suite, &forged), Err(Error::Malformed(_))));
        }
    }
}

/// In counter mode the specification's last four bytes count blocks. All other IVs are random to the last byte.
#[test]
fn every_message_has_an_iv_of_its_own() {
    let rng = &mut ChaCha20Rng::seed_from_u64(4);
    for suite in suites() {
        for form in EtmForm::ALL {
            let tunnel = tunnel(suite, form);
            let mut ivs: Vec<Vec<u8>> = Vec::new();
            for _ in 0..4 {
                let sealed = tunnel.seal(b"\x80", rng).unwrap();
                let start = 2 + sealed.windows(2).position(|pair| pair == [5, 0x50]).unwrap();
                ivs.push(sealed[start..start + 16].to_vec());
            }
            let counts =
                form != EtmForm::Go && matches!(suite, CipherSuite::CoseAes128Ctr | CipherSuite::CoseAes256Ctr);
            for iv in &ivs {
                assert_eq!(iv[12..] == [0; 4], counts, "{suite} {form}");
                assert_eq!(ivs.iter().filter(|other| other[..12] == iv[..12]).count(), 1);
            }
        }
    }
}

/// A device and an owner, with 65 on its way.
fn at_65(world: &mut World, form: EtmForm) -> (ExpectSetupDevice, Outbound, ExpectReady) {
    let settings = OwnerSettings { encrypt_then_mac: Some(form), ..OwnerSettings::default() };
    let (secrets, device_settings) = (world.secrets(), world.settings());
    let rng = &mut world.rng;
    let (hello, device) = to2::device::begin(world.credential.clone(), None, &secrets, device_settings, rng);
    let hello = to2::owner::hello_device(&hello.body).unwrap();
    let (reply, owner) = to2::owner::begin(&hello, &world.voucher, &world.owner, &settings, rng).unwrap();
    let (request, device) = device.prove_ov_hdr(&reply.body, &secrets).unwrap();
    let (reply, owner) = owner.get_ov_next_entry(&request.body).unwrap();
    let AfterEntry::Prove(request, device) = device.ov_next_entry(&reply.body, &secrets, rng).unwrap() else {
        panic!("there is one entry only");
    };
    let (rv_info, guid) = (support::rendezvous_info(), Guid::random(rng));
    let (reply, owner) = owner.prove_device(&request.body, &world.owner, &rv_info, guid, rng).unwrap();
    (device, reply, owner)
}

/// The tunnel in the owner's stored state, read as one of another form with the same keys.
fn in_form(owner: &ExpectReady, form: EtmForm) -> Tunnel {
    let bytes = encode(owner);
    let mut reader = Reader::new(&bytes).unwrap();
    reader.array(3).unwrap();
    reader.array(6).unwrap();
    for _ in 0..4 {
        reader.raw().unwrap();
    }
    reader.array(3).unwrap();
    let suite = CipherSuite::decode_from(&mut reader).unwrap();
    reader.raw().unwrap();
    with_keys(suite, form, reader.bytes().unwrap())
}

#[test]
fn the_form_does_not_change_in_mid_session() {
    for suite in suites() {
        let mut world = World::new(KeyType::P256);
        world.cipher_suite = suite;
        for (form, other) in [(EtmForm::Java, EtmForm::Specification), (EtmForm::Specification, EtmForm::Java)] {
            let (device, setup, owner) = at_65(&mut world, form);
            let set_up = device.setup_device(&setup.body).unwrap();
            let secret = Zeroizing::new(vec![7; set_up.secret_length()]);
            let next = FileSecrets::new(world.device.clone(), secret.clone());
            let (ready, device) = set_up.ready(&next, secret, &mut world.rng).unwrap();

            // 66 in another form, from a device that knows the keys.
            let plaintext = in_form(&owner, form).open(&ready.body).unwrap();
            let _: DeviceServiceInfoReady = decode(&plaintext).unwrap();
            let strange = in_form(&owner, other).seal(&plaintext, &mut world.rng).unwrap();
            let stored = encode(&owner);
            let again = || decode::<ExpectReady>(&stored).unwrap();
            let refused = again().ready(&strange, &mut world.rng).map(|_| ()).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::MessageBody, "{suite} {form}");
            assert!(again().ready(&ready.body, &mut world.rng).is_ok());

            // 67 in another form, from an owner that knows them.
            let strange = in_form(&owner, other).seal(b"\x81\xf6", &mut world.rng).unwrap();
            let refused = device.ready(&strange).map(|_| ()).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::MessageBody, "{suite} {form}");
        }
    }
}
