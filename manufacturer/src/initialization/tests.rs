//! DI in memory with the protocol's device: who gets a voucher, who does not, and that a refusal changes nothing.

#![allow(clippy::unwrap_used)]

mod again;
mod changed_fields;

use super::*;
use crate::config::IdevidSettings;
use crate::db::Migrator;
use crate::devices::{Devices, Entered};
use crate::keys::{Naming, recorded};
use crate::vouchers::Vouchers;
use fdo_pki::DeviceSerial;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::di::device;
use fdo_protocol::messages::di::SetCredentials;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::{ErrorCode, FileSecrets, PublicKeyEncoding, PublicKeyType, RendezvousInfo};
use fdo_service::db::testing::TestDatabase;
use fdo_service::sessions::{RecordSettings, SealingKey};
use std::net::{IpAddr, Ipv4Addr};

const NOW: u64 = 1_800_000_000;

struct Line {
    di: Initialization,
    devices: Devices,
    vouchers: Vouchers,
    _folder: tempfile::TempDir,
}

impl Line {
    fn new(database: &TestDatabase, admission: Admission) -> Self {
        Self::in_folder(database, admission, tempfile::tempdir().unwrap())
    }

    /// With RSA keys too.
    fn with_rsa(database: &TestDatabase, admission: Admission) -> Self {
        let folder = tempfile::tempdir().unwrap();
        recorded::put_rsa(folder.path());
        Self::in_folder(database, admission, folder)
    }

    fn in_folder(database: &TestDatabase, admission: Admission, folder: tempfile::TempDir) -> Self {
        let (db, clock, random) = (database.connection().clone(), Clock::fixed(NOW), Random::system());
        let hosts = ["localhost".to_owned()];
        let naming = Naming { maker: "Acme", hosts: &hosts };
        let keys = Keys::load_or_create(folder.path(), &[], naming, NOW, &mut random.rng()).unwrap();
        let idevid =
            IdevidSettings { hardware_type: Some("1.3.6.1.4.1.32473.1".into()), ..IdevidSettings::default() };
        let records = Records::database(db.clone(), &SealingKey::new([1; 32]), RecordSettings::default());
        let rendezvous = RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 8041)]);
        let di = Initialization {
            db: db.clone(),
            clock: clock.clone(),
            random,
            records,
            keys: Arc::new(keys),
            admission,
            rendezvous: Arc::new(Rendezvous::new(db.clone(), clock.clone(), rendezvous)),
            profile: Arc::new(Profile::new(&idevid, "Acme").unwrap()),
        };
        Self { di, devices: Devices::new(db.clone(), clock), vouchers: Vouchers::new(db), _folder: folder }
    }

    async fn admit(&self, serial: &str) {
        let row = Entered { line: 1, serial: serial.into(), model: None, hardware_serial: None };
        assert!(self.devices.enter("me", &[row], false).await.unwrap().applied);
    }

    async fn send(&self, message_type: u8, body: &[u8], token: Option<&str>) -> Result<Outgoing, Fault> {
        let incoming = Incoming {
            message_type,
            body: body.to_vec().into(),
            token: token.map(ToOwned::to_owned),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            correlation: 7,
        };
        self.di.answer(incoming).await
    }

    /// No voucher, and the serial still free.
    async fn assert_free(&self, serial: &str) {
        let serial = Serial::parse(serial).unwrap();
        assert!(self.vouchers.find(None, Some(serial.canon())).await.unwrap().is_none());
        let state = self.devices.find(&serial).await.unwrap().map(|device| device.state);
        assert_ne!(state, Some(DeviceState::Initialized));
    }
}

fn info(key: &SigningKey, serial: &str, key_type: KeyType, key_encoding: PublicKeyEncoding) -> DeviceMfgInfo {
    // What a device writes into its request must not matter.
    let csr = fdo_pki::build_csr(key, Some("Mallory"), &DeviceSerial::parse("WRONG").unwrap()).unwrap();
    DeviceMfgInfo {
        key_type: PublicKeyType::from(key_type),
        key_encoding,
        serial_number: serial.into(),
        device_info: "Lamp".into(),
        csr: fdo_protocol::cbor::ByteString(csr),
    }
}

fn key(key_type: KeyType) -> SigningKey {
    recorded::key(key_type, "device")
}

fn simple(serial: &str) -> (SigningKey, DeviceMfgInfo) {
    let key = key(KeyType::P256);
    let info = info(&key, serial, KeyType::P256, PublicKeyEncoding::X509);
    (key, info)
}

fn code(result: Result<Outgoing, Fault>) -> ErrorCode {
    result.err().expect("must be refused").error().code()
}

/// Runs DI; gives 12's body, the token, and the device's credential.
async fn initialize(
    line: &Line,
    key: &SigningKey,
    info: DeviceMfgInfo,
) -> (Vec<u8>, String, fdo_protocol::DeviceCredential) {
    let (request, waiting) = device::begin(info);
    let reply = line.send(10, &request.body, None).await.unwrap();
    assert_eq!(reply.message_type, 11);
    let token = reply.token.unwrap();
    let secret = Zeroizing::new(vec![5; 32]);
    let secrets = FileSecrets::new(key.clone(), secret.clone());
    let (request, waiting) = waiting.set_credentials(&reply.body, &secrets, secret).unwrap();
    let reply = line.send(12, &request.body, Some(&token)).await.unwrap();
    assert_eq!((reply.message_type, reply.token.as_deref()), (13, Some(token.as_str())));
    (request.body.clone(), token, waiting.done(&reply.body).unwrap())
}

#[tokio::test]
async fn a_device_is_born_with_every_key_type_and_encoding() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Listed);
        let encodings = [PublicKeyEncoding::X509, PublicKeyEncoding::X5Chain, PublicKeyEncoding::CoseKey];
        let mut number = 0;
        for (device_type, owner_type) in
            [(KeyType::P256, KeyType::P256), (KeyType::P384, KeyType::P384), (KeyType::P256, KeyType::P384)]
        {
            for encoding in encodings {
                number += 1;
                let serial = format!("FL-{number}");
                line.admit(&serial).await;
                let key = key(device_type);
                let (_, _, credential) = initialize(&line, &key, info(&key, &serial, owner_type, encoding)).await;
                let stored = line.vouchers.find(Some(credential.guid), None).await.unwrap().unwrap();
                assert_eq!((stored.serial.as_str(), stored.model.as_str()), (serial.as_str(), "Lamp"));
                let voucher = stored.voucher().unwrap().verify(&VerifyPolicy::default()).unwrap();
                assert_eq!(voucher.device_key(), key.verifying_key());
                assert_eq!(voucher.owner_public_key().encoding(), encoding);
                assert_eq!(stored.key_type, owner_type, "{}", db.name());
                let chain: Vec<_> = voucher.certificates().unwrap().iter().map(|der| der.0.clone()).collect();
                let mut trusted = fdo_pki::TrustedCas::new();
                trusted.pin_certificate(line.di.keys.device_ca(device_type).certificate().clone());
                let chain = fdo_pki::DeviceChain::parse(&chain).unwrap();
                let leaf = chain.verify(&trusted, &fdo_pki::ChainPolicy::default()).unwrap();
                assert_eq!(leaf.leaf().subject(), format!("O=Acme, OU=Lamp, serialNumber={serial}"));
                assert_eq!(leaf.leaf().not_after(), 253_402_300_799);
                assert_eq!(leaf.leaf().serial(), stored.certificate_serial);
            }
        }
        assert!(audit::verify(db.connection()).await.is_ok());
    }
}

#[tokio::test]
async fn a_device_is_born_with_rsa_keys() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::with_rsa(&db, Admission::Open);
        // No two devices share a key, and these are recorded; so each case has its own.
        for (serial, device, asked, encoding, expected) in [
            (
                "FL-1",
                key(KeyType::Rsa2048),
                PublicKeyType::Rsa2048Restr,
                PublicKeyEncoding::X509,
                KeyType::Rsa2048,
            ),
            (
                "FL-2",
                recorded::key(KeyType::Rsa2048, "owner"),
                PublicKeyType::RsaPkcs,
                PublicKeyEncoding::Crypto,
                KeyType::Rsa2048,
            ),
            ("FL-3", key(KeyType::Rsa3072), PublicKeyType::RsaPkcs, PublicKeyEncoding::X5Chain, KeyType::Rsa3072),
            (
                "FL-4",
                key(KeyType::P256),
                PublicKeyType::Rsa2048Restr,
                PublicKeyEncoding::CoseKey,
                KeyType::Rsa2048,
            ),
            (
                "FL-5",
                recorded::key(KeyType::Rsa3072, "owner"),
                PublicKeyType::Secp384r1,
                PublicKeyEncoding::X509,
                KeyType::P384,
            ),
        ] {
            let mut said = info(&device, serial, expected, encoding);
            said.key_type = asked;
            let (_, _, credential) = initialize(&line, &device, said).await;
            let stored = line.vouchers.find(Some(credential.guid), None).await.unwrap().unwrap();
            let voucher = stored.voucher().unwrap().verify(&VerifyPolicy::default()).unwrap();
            assert_eq!(voucher.device_key(), device.verifying_key(), "{serial} {}", db.name());
            assert_eq!((voucher.owner_public_key().key_type(), stored.key_type), (asked, expected));
            let chain: Vec<_> = voucher.certificates().unwrap().iter().map(|der| der.0.clone()).collect();
            let mut trusted = fdo_pki::TrustedCas::new();
            trusted.pin_certificate(line.di.keys.device_ca(device.key_type()).certificate().clone());
            let chain = fdo_pki::DeviceChain::parse(&chain).unwrap();
            chain.verify(&trusted, &fdo_pki::ChainPolicy::default()).unwrap();
        }
        let mut pss = info(&key(KeyType::P256), "FL-9", KeyType::Rsa2048, PublicKeyEncoding::X509);
        pss.key_type = PublicKeyType::RsaPss;
        assert_eq!(code(line.send(10, &device::begin(pss).0.body, None).await), ErrorCode::InvalidMessage);
        line.assert_free("FL-9").await;
    }
}

#[tokio::test]
async fn unknown_used_and_blocked_serials_are_refused() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Listed);
        let (_, unknown) = simple("FL-9");
        assert_eq!(code(line.send(10, &device::begin(unknown).0.body, None).await), ErrorCode::InvalidMessage);
        line.assert_free("FL-9").await;

        line.admit("FL-1").await;
        let (key, first) = simple("FL-1");
        let (_, _, credential) = initialize(&line, &key, first).await;
        // Another spelling is the same serial.
        let (_, again) = simple("fl 1");
        assert_eq!(code(line.send(10, &device::begin(again).0.body, None).await), ErrorCode::InvalidMessage);

        let serial = Serial::parse("FL-1").unwrap();
        line.devices.release("me", &serial).await.unwrap();
        let old = line.vouchers.find(Some(credential.guid), None).await.unwrap().unwrap();
        assert_eq!(old.state, VoucherState::Blocked);
        let (key, third) = simple("FL-1");
        let (_, _, credential) = initialize(&line, &key, third).await;
        assert_ne!(credential.guid, old.guid);
        assert_eq!(line.devices.find(&serial).await.unwrap().unwrap().guid, Some(credential.guid));

        line.devices.set_blocked("me", &serial, true).await.unwrap();
        let (_, blocked) = simple("FL-1");
        assert_eq!(code(line.send(10, &device::begin(blocked).0.body, None).await), ErrorCode::InvalidMessage);
    }
}

#[tokio::test]
async fn open_admission_takes_every_new_serial_once() {
    let db = TestDatabase::sqlite::<Migrator>().await;
    let line = Line::new(&db, Admission::Open);
    let (key, new) = simple("FL-7");
    initialize(&line, &key, new).await;
    let (_, again) = simple("FL-7");
    assert_eq!(code(line.send(10, &device::begin(again).0.body, None).await), ErrorCode::InvalidMessage);
    // A key that is in another device's voucher is not certified for a second one.
    let copied = info(&key, "FL-8", KeyType::P256, PublicKeyEncoding::X509);
    assert_eq!(code(line.send(10, &device::begin(copied).0.body, None).await), ErrorCode::InvalidMessage);
    line.assert_free("FL-8").await;
}

#[tokio::test]
async fn malformed_introductions_are_refused() {
    let db = TestDatabase::sqlite::<Migrator>().await;
    let line = Line::new(&db, Admission::Open);
    let refuse = async |change: fn(&mut DeviceMfgInfo)| {
        let (_, mut wrong) = simple("FL-1");
        change(&mut wrong);
        code(line.send(10, &device::begin(wrong).0.body, None).await)
    };
    let flipped = refuse(|info| *info.csr.0.last_mut().unwrap() ^= 1).await;
    assert_eq!(flipped, ErrorCode::InvalidMessage);
    assert_eq!(refuse(|info| info.csr.0.push(0)).await, ErrorCode::InvalidMessage);
    assert_eq!(refuse(|info| info.csr.0.clear()).await, ErrorCode::InvalidMessage);
    assert_eq!(refuse(|info| info.serial_number.clear()).await, ErrorCode::InvalidMessage);
    assert_eq!(refuse(|info| info.serial_number = "a\nb".into()).await, ErrorCode::InvalidMessage);
    assert_eq!(refuse(|info| info.serial_number = "x".repeat(256)).await, ErrorCode::InvalidMessage);
    assert_eq!(refuse(|info| info.device_info.clear()).await, ErrorCode::InvalidMessage);
    for no_key in [PublicKeyType::Rsa2048Restr, PublicKeyType::RsaPkcs, PublicKeyType::RsaPss] {
        let (_, mut wrong) = simple("FL-1");
        wrong.key_type = no_key;
        let refused = code(line.send(10, &device::begin(wrong).0.body, None).await);
        assert_eq!(refused, ErrorCode::InvalidMessage, "{no_key:?}");
    }
    assert_eq!(refuse(|info| info.key_encoding = PublicKeyEncoding::Crypto).await, ErrorCode::InvalidMessage);
    for body in [&b""[..], b"\x80", b"\x81\x40", b"\x81\xf6", b"\xff"] {
        assert_eq!(code(line.send(10, body, None).await), ErrorCode::MessageBody);
    }
    line.assert_free("FL-1").await;
    assert_eq!(line.di.records.count().await.unwrap(), 0);
}

#[tokio::test]
async fn every_other_message_and_every_wrong_token_is_refused() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Open);
        for other in [11, 13, 20, 22, 30, 32, 60, 62, 64, 66, 68, 70, 71] {
            let (_, info) = simple("FL-1");
            let token = line.send(10, &device::begin(info).0.body, None).await.unwrap().token.unwrap();
            assert_eq!(code(line.send(other, b"\x80", Some(&token)).await), ErrorCode::InvalidMessage, "{other}");
            // The error ended the session, and is what a repetition gets.
            let again = line.send(other, b"\x80", Some(&token)).await.unwrap();
            assert_eq!(again.message_type, 255);
            assert_eq!(code(line.send(12, b"\x80", Some(&token)).await), ErrorCode::InvalidMessage);
        }
        for token in [None, Some(""), Some("x"), Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] {
            assert_eq!(code(line.send(12, b"\x80", token).await), ErrorCode::InvalidToken);
        }
        let (_, info) = simple("FL-1");
        let token = line.send(10, &device::begin(info).0.body, None).await.unwrap().token.unwrap();
        assert_eq!(code(line.send(12, b"\x81\x82\x05\x41\x00", Some(&token)).await), ErrorCode::MessageBody);
        line.di.clock.advance(24 * 3600);
        assert_eq!(code(line.send(12, b"\x80", Some(&token)).await), ErrorCode::InvalidToken);
        line.assert_free("FL-1").await;
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_reply_and_an_abandoned_one_leaves_the_serial_free() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Listed);
        line.admit("FL-1").await;
        let (_, abandoned) = simple("FL-1");
        line.send(10, &device::begin(abandoned).0.body, None).await.unwrap();
        let (first_key, first) = simple("FL-1");
        let (request, waiting) = device::begin(first);
        let reply = line.send(10, &request.body, None).await.unwrap();
        let first_token = reply.token.clone().unwrap();

        let (key, second) = simple("FL-1");
        let (body, token, credential) = initialize(&line, &key, second).await;
        let again = line.send(12, &body, Some(&token)).await.unwrap();
        assert_eq!((again.message_type, again.body), (13, vec![0x80]));
        let late = line.send(12, b"\x81\x82\x05\x41\x00", Some(&token)).await;
        assert_eq!(code(late), ErrorCode::InvalidMessage);

        // The slower of two attempts at once gets no second voucher.
        let secret = Zeroizing::new(vec![6; 32]);
        let secrets = FileSecrets::new(first_key, secret.clone());
        let (request, _) = waiting.set_credentials(&reply.body, &secrets, secret).unwrap();
        assert_eq!(code(line.send(12, &request.body, Some(&first_token)).await), ErrorCode::InvalidMessage);
        let vouchers = line.vouchers.list(None, 10).await.unwrap();
        assert_eq!((vouchers.len(), vouchers[0].guid), (1, credential.guid), "{}", db.name());
    }
}

#[tokio::test]
async fn the_record_wins_over_what_the_device_says() {
    let db = TestDatabase::sqlite::<Migrator>().await;
    let line = Line::new(&db, Admission::Listed);
    let hardware_serial = Some("HW-77".to_owned());
    let row = Entered { line: 1, serial: "Fl-1".into(), model: Some("Sun".into()), hardware_serial };
    line.devices.enter("me", &[row], false).await.unwrap();
    let (_, info) = simple("FL1");
    let reply = line.send(10, &device::begin(info).0.body, None).await.unwrap();
    let credentials: SetCredentials = cbor::decode(&reply.body).unwrap();
    assert_eq!(credentials.ov_header.device_info, "Sun");
}
