//! RSA keys: how they are written, what they sign, which vouchers they make, and what is refused of them.
#![allow(clippy::unwrap_used)]
// The portable backend refuses RSA.
#![cfg(feature = "aws-lc")]

mod support;

use fdo_protocol::cbor::{ByteString, Writer, decode, encode};
use fdo_protocol::cose::{EatPayload, Sign1};
use fdo_protocol::crypto::{KeyType, OwnerKey, SigningKey, VerifyingKey};
use fdo_protocol::key_auth::{AadPolicy, CallerHello, Challenge};
use fdo_protocol::messages::to2::{EUPH_NONCE, ProveDevice};
use fdo_protocol::messages::{ErrorMessage, SigInfo};
use fdo_protocol::nonce::NonceTo2SetupDv;
use fdo_protocol::to2::device::AfterEntry;
use fdo_protocol::to2::owner::OwnerSettings;
use fdo_protocol::voucher::{OvEntryPayload, VerifiedVoucher, VerifyPolicy, Voucher};
use fdo_protocol::{Error, Guid, Hash, PublicKey, PublicKeyEncoding, PublicKeyType, VoucherFault, di, to1, to2};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use support::World;

const RSA: [KeyType; 2] = [KeyType::Rsa2048, KeyType::Rsa3072];

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(21)
}

fn key(key_type: KeyType) -> SigningKey {
    support::key(key_type, 0, &mut rng())
}

/// A PublicKey array of any content.
fn public_key(key_type: u64, encoding: u64, body: impl FnOnce(&mut Writer)) -> Result<VerifyingKey, Error> {
    let mut writer = Writer::default();
    writer.array(3).unsigned(key_type).unsigned(encoding);
    body(&mut writer);
    decode::<PublicKey>(&writer.into_bytes())?.verifying_key()
}

#[test]
fn every_encoding_leads_back_to_the_key() {
    for key_type in RSA {
        let key = key(key_type);
        let public = key.verifying_key();
        for written in [PublicKey::x509(public), PublicKey::cose_key(public), PublicKey::crypto(public).unwrap()] {
            let read: PublicKey = decode(&encode(&written)).unwrap();
            assert_eq!(read.verifying_key().unwrap(), *public, "{written:?}");
            assert_eq!(read.key_type(), PublicKeyType::from(key_type));
            assert_eq!(read.fingerprint().unwrap(), PublicKey::x509(public).fingerprint().unwrap());
            // Another type that fits says the same key, and has the same name.
            let other = read.under(PublicKeyType::RsaPkcs).unwrap();
            assert_eq!(other.verifying_key().unwrap(), *public);
            assert_eq!(other.fingerprint().unwrap(), PublicKey::x509(public).fingerprint().unwrap());
        }
        let restricted = PublicKey::x509(public).under(PublicKeyType::Rsa2048Restr);
        assert_eq!(restricted.is_ok(), key_type == KeyType::Rsa2048);
        assert!(PublicKey::x509(public).under(PublicKeyType::Secp256r1).is_err());
        let pss = PublicKey::x509(public).under(PublicKeyType::RsaPss).unwrap();
        assert!(pss.verifying_key().unwrap().key_type().is_pss());
    }
    let elliptic = key(KeyType::P256);
    assert!(PublicKey::crypto(elliptic.verifying_key()).is_err());
    assert!(PublicKey::x509(elliptic.verifying_key()).under(PublicKeyType::RsaPss).is_err());
}

#[test]
fn a_key_is_refused_for_its_numbers_and_for_its_type() {
    let modulus = [0xff; 256];
    let numbers = |n: &'static [u8], e: &'static [u8]| {
        move |writer: &mut Writer| {
            writer.array(2).bytes(n).bytes(e);
        }
    };
    const MODULUS: [u8; 256] = [0xff; 256];
    const SIGNED: [u8; 257] = {
        let mut signed = [0xff; 257];
        signed[0] = 0;
        signed
    };
    public_key(1, 0, numbers(&MODULUS, &[1, 0, 1])).unwrap();
    public_key(5, 0, numbers(&SIGNED, &[0, 1, 0, 1])).unwrap();
    // Small, large, of a size that FDO does not have; even; exponents that are even, tiny, or not RSA2048RESTR's.
    for (n, e) in [
        (&[0xff; 255][..], &[1, 0, 1][..]),
        (&[0xff; 128], &[1, 0, 1]),
        (&[0xff; 320], &[1, 0, 1]),
        (&[0xff; 512], &[1, 0, 1]),
        (&[0xff; 513], &[1, 0, 1]),
        (&[0xfe; 256], &[1, 0, 1]),
        (&MODULUS, &[1, 0, 2]),
        (&MODULUS, &[3]),
        (&MODULUS, &[]),
        (&[], &[1, 0, 1]),
    ] {
        assert!(public_key(5, 0, numbers(n, e)).is_err(), "{} bytes, {e:?}", n.len());
    }
    assert!(public_key(1, 0, numbers(&MODULUS, &[1, 0, 3])).is_err());
    public_key(5, 0, numbers(&MODULUS, &[1, 0, 3])).unwrap();
    assert!(public_key(1, 0, numbers(&[0xff; 384], &[1, 0, 1])).is_err(), "RSA2048RESTR of 3072 bits");
    assert!(public_key(10, 0, numbers(&MODULUS, &[1, 0, 1])).is_err(), "Crypto is of RSA only");

    let cose = |kty: i64| {
        public_key(5, 3, |writer| {
            writer.map(3).integer(1).integer(kty).integer(-1).bytes(&modulus).integer(-2).bytes(&[1, 0, 1]);
        })
    };
    cose(3).unwrap();
    assert!(cose(2).is_err());
    let said = |key_type: u64, spki: &[u8]| {
        public_key(key_type, 1, |writer| {
            writer.bytes(spki);
        })
    };
    let rsa = key(KeyType::Rsa2048);
    let spki = rsa.verifying_key().spki_der();
    assert!(said(10, spki).is_err(), "an RSA key said to be P-256");
    let elliptic = key(KeyType::P256);
    assert!(said(1, elliptic.verifying_key().spki_der()).is_err());
}

#[test]
fn a_signature_has_the_algorithm_of_its_key() {
    for (key_type, protected) in [(KeyType::Rsa2048, [0x39, 1, 0]), (KeyType::Rsa3072, [0x39, 1, 1])] {
        let key = key(key_type);
        let signed = Sign1::sign(b"payload".to_vec(), &[], &key, &[]).unwrap();
        assert_eq!(signed.bytes()[..7], [&[0xd2, 0x84, 0x45, 0xa1][..], &[1], &protected[..2]].concat());
        assert_eq!(signed.verify(key.verifying_key(), &[]).unwrap(), b"payload");
        let mut wrong = signed.bytes().to_vec();
        wrong[7] ^= 1;
        let refused = Sign1::from_bytes(&wrong).unwrap().verify(key.verifying_key(), &[]).map(<[u8]>::to_vec);
        assert_eq!(refused, Err(Error::Rejected("the signature's algorithm does not fit the key")));
        let pss = key.verifying_key().clone().with_pss().unwrap();
        assert!(signed.verify(&pss, &[]).is_err());
        for position in [20, signed.bytes().len() - 1] {
            let mut tampered = signed.bytes().to_vec();
            tampered[position] ^= 1;
            let tampered = Sign1::from_bytes(&tampered);
            assert!(tampered.is_err() || tampered.unwrap().verify(key.verifying_key(), &[]).is_err());
        }
    }
}

#[test]
fn hashes_follow_the_pair_of_keys() {
    use KeyType::{P256, P384, Rsa2048, Rsa3072};
    use fdo_protocol::HashType::{Sha256, Sha384};
    for (device, owner, expected) in [
        (P256, Rsa2048, Sha256),
        (P256, Rsa3072, Sha256),
        (P384, Rsa2048, Sha384),
        (Rsa2048, Rsa2048, Sha256),
        (Rsa2048, P384, Sha384),
        (Rsa3072, Rsa3072, Sha384),
        (Rsa3072, P256, Sha256),
        (Rsa2048, Rsa3072, Sha256),
    ] {
        assert_eq!(fdo_protocol::HashType::for_keys(device, owner), expected, "{device} and {owner}");
    }
}

fn file(name: &str) -> Voucher {
    let path = format!("{}/../tests/vectors/vouchers/{name}", env!("CARGO_MANIFEST_DIR"));
    Voucher::from_file(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

#[test]
fn vouchers_with_pss_keys_verify_and_go_no_further() {
    for (name, key_type, plain) in [
        ("made-with-openssl-rsapss2048.pem", KeyType::RsaPss2048, KeyType::Rsa2048),
        ("made-with-openssl-rsapss3072.pem", KeyType::RsaPss3072, KeyType::Rsa3072),
    ] {
        let voucher = file(name).verify(&VerifyPolicy::default()).unwrap();
        assert_eq!(voucher.owner_key().key_type(), key_type);
        assert_eq!(voucher.entries().len(), 1);
        let owner = support::key(plain, 1, &mut rng());
        assert_eq!(owner.verifying_key().clone().with_pss().unwrap(), *voucher.owner_key());
        let refused = voucher.extend(&owner, owner.verifying_key()).unwrap_err();
        assert!(matches!(refused, Error::Unsupported(why) if why.contains("RSAPSS")), "{refused}");

        struct Pss(SigningKey, VerifyingKey);
        impl OwnerKey for Pss {
            fn verifying_key(&self) -> &VerifyingKey {
                &self.1
            }
            fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
                self.0.sign(message)
            }
        }
        let pss = Pss(owner, voucher.owner_key().clone());
        assert!(Sign1::sign(Vec::new(), &[], &pss, &[]).is_err());
        assert!(voucher.extend(&pss, &pss.1).is_err());
    }
}

/// One more entry, whatever next key it names.
fn extended(voucher: &VerifiedVoucher, signer: &SigningKey, next: PublicKey) -> Result<VerifiedVoucher, Error> {
    let hash_type = voucher.hash_type();
    let previous = match voucher.entries().last() {
        Some(entry) => entry.bytes().to_vec(),
        None => [voucher.header().bytes(), voucher.encoded_hmac().bytes()].concat(),
    };
    let header = voucher.header();
    let payload = OvEntryPayload {
        previous_hash: Hash::of(hash_type, &[&previous]),
        header_hash: Hash::of(hash_type, &[header.guid.as_bytes(), header.device_info.as_bytes()]),
        extra: None,
        owner_key: next,
    };
    let entry = Sign1::sign(encode(&payload), &[], signer, &[]).unwrap();
    let entries = [voucher.entries(), &[entry]].concat();
    let mut writer = Writer::default();
    writer.array(5).unsigned(101).value(header).value(voucher.encoded_hmac());
    writer.value(&voucher.certificates().unwrap().to_vec()).value(&entries);
    Voucher::from_bytes(&writer.into_bytes()).unwrap().verify(&VerifyPolicy::default())
}

#[test]
fn a_voucher_keeps_to_one_type_and_one_size() {
    let world = World::new(KeyType::Rsa2048);
    let next = support::key(KeyType::Rsa2048, 3, &mut rng());
    let large = key(KeyType::Rsa3072);
    let public = PublicKey::x509(next.verifying_key());
    assert_eq!(world.voucher.owner_public_key().key_type(), PublicKeyType::Rsa2048Restr);
    let good = extended(&world.voucher, &world.owner, public.clone()).unwrap();
    assert_eq!(good.owner_key(), next.verifying_key());
    let mixed = Error::Voucher(VoucherFault::MixedKeyTypes);
    for other in [
        public.under(PublicKeyType::RsaPkcs).unwrap(),
        PublicKey::x509(large.verifying_key()),
        PublicKey::x509(key(KeyType::P256).verifying_key()),
    ] {
        assert_eq!(extended(&world.voucher, &world.owner, other).unwrap_err(), mixed);
    }
    assert_eq!(world.voucher.extend(&world.owner, large.verifying_key()).unwrap_err(), mixed);

    // RSAPKCS has two sizes; a voucher has one.
    let world = World::new(KeyType::Rsa3072);
    assert_eq!(world.voucher.owner_public_key().key_type(), PublicKeyType::RsaPkcs);
    let small = PublicKey::x509(next.verifying_key()).under(PublicKeyType::RsaPkcs).unwrap();
    assert_eq!(extended(&world.voucher, &world.owner, small).unwrap_err(), mixed);
    assert_eq!(world.voucher.extend(&world.owner, next.verifying_key()).unwrap_err(), mixed);
}

/// A key of 2048 bits goes on under the type that the voucher began with.
#[test]
fn an_entry_has_the_type_of_its_voucher() {
    let manufacturer = PublicKey::x509(key(KeyType::Rsa2048).verifying_key());
    for key_type in [PublicKeyType::Rsa2048Restr, PublicKeyType::RsaPkcs] {
        let world = World::begun_with(&manufacturer.clone().under(key_type).unwrap(), KeyType::P256);
        assert_eq!(world.voucher.owner_public_key().key_type(), key_type);
        world.voucher.into_voucher().verify(&VerifyPolicy::default()).unwrap();
    }
}

#[test]
fn a_device_that_encrypts_garbage_is_refused() {
    let mut world = World::new(KeyType::Rsa2048);
    world.kex_suite = Some(fdo_protocol::crypto::KexSuite::Asymkex2048);
    let mut refusals = Vec::new();
    for x_b in [vec![1; 256], vec![0; 256], vec![0xff; 256], vec![1; 255], vec![1; 257], Vec::new()] {
        let (secrets, settings) = (world.secrets(), world.settings());
        let rng = &mut world.rng;
        let (hello, device) = to2::device::begin(world.credential.clone(), None, &secrets, settings, rng);
        let hello = to2::owner::hello_device(&hello.body).unwrap();
        let (reply, state) =
            to2::owner::begin(&hello, &world.voucher, &world.owner, &OwnerSettings::default(), rng).unwrap();
        let (request, device) = device.prove_ov_hdr(&reply.body, &secrets).unwrap();
        let (reply, state) = state.get_ov_next_entry(&request.body).unwrap();
        let AfterEntry::Prove(proof, _) = device.ov_next_entry(&reply.body, &secrets, rng).unwrap() else {
            panic!("one entry")
        };
        let ProveDevice(token) = decode(&proof.body).unwrap();
        let claims: EatPayload = decode(token.unverified_payload()).unwrap();
        let nonce = NonceTo2SetupDv::random(rng);
        let forged = EatPayload { key_exchange: Some(x_b.clone()), ..claims };
        let forged = forged.sign(&[(EUPH_NONCE, encode(&nonce))], &world.device).unwrap();
        let guid = Guid::random(rng);
        let body = encode(&ProveDevice(forged));
        let refused = state.prove_device(&body, &world.owner, &support::rendezvous_info(), guid, rng);
        let refused = refused.err().unwrap();
        assert!(matches!(refused, Error::Rejected(_)), "{refused}");
        if x_b.len() == 256 {
            refusals.push(refused);
        }
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
}

#[test]
fn a_device_signs_as_it_said_it_would() {
    let rsa = key(KeyType::Rsa2048);
    let public = rsa.verifying_key();
    let said = |sg_type: i64, key: &VerifyingKey| SigInfo { sg_type, info: ByteString::default() }.device_key(key);
    assert_eq!(said(-257, public).unwrap(), *public);
    assert_eq!(said(-37, public).unwrap(), public.clone().with_pss().unwrap());
    for wrong in [-258, -38, -7, -35] {
        assert!(matches!(said(wrong, public), Err(Error::Rejected(_))), "{wrong}");
    }
    let elliptic = key(KeyType::P256);
    for wrong in [-257, -37, -35] {
        assert!(said(wrong, elliptic.verifying_key()).is_err(), "{wrong}");
    }
}

#[test]
fn an_epid_device_is_told_why() {
    for sg_type in [90, 91, 92] {
        let info = SigInfo { sg_type, info: ByteString::default() };
        let mut hello_rv = Writer::default();
        hello_rv.array(2).value(&Guid::from_bytes([1; 16])).value(&info);
        let at_rendezvous = to1::rendezvous::hello_rv(&hello_rv.into_bytes()).unwrap_err();
        let mut hello = Writer::default();
        hello.array(6).unsigned(0).value(&Guid::from_bytes([1; 16])).bytes(&[0; 16]);
        hello.text("ECDH256").integer(1).value(&info);
        let at_owner = to2::owner::hello_device(&hello.into_bytes()).unwrap_err();
        let mut born = Writer::default();
        born.array(5).unsigned(sg_type.unsigned_abs()).unsigned(0).text("SN").text("model").bytes(&[0]);
        let mut start = Writer::default();
        start.array(1).bytes(&born.into_bytes());
        let at_manufacturer = di::manufacturer::app_start(&start.into_bytes()).unwrap_err();
        for error in [at_rendezvous, at_owner, at_manufacturer] {
            let told = ErrorMessage::of(&error, 30, 0, 0);
            assert_eq!((told.code, &error), (101, &Error::Epid));
            assert!(told.text.contains("EPID"), "{}", told.text);
        }
    }
}

#[test]
fn key_auth_works_with_rsa_keys_on_either_side() {
    for (caller, server) in [(KeyType::Rsa2048, KeyType::P256), (KeyType::Rsa3072, KeyType::Rsa2048)] {
        let (caller, server) = (support::key(caller, 1, &mut rng()), key(server));
        let policy = AadPolicy::default();
        let hello = CallerHello::new(caller.verifying_key(), &mut rng());
        let (challenge, pending) =
            Challenge::answer(hello.bytes(), &server, &[7; 16], policy, &mut rng()).unwrap();
        let prove = hello.prove(&challenge, server.verifying_key(), &caller, policy).unwrap();
        let proven = pending.verify(&prove, policy).unwrap();
        assert_eq!(proven.key, *caller.verifying_key());
        assert_eq!(proven.public_key.encoding(), PublicKeyEncoding::X509);
    }
}
