//! DI a second time: with the same key it is the same device trying again, with another it is somebody else.

use super::*;
use crate::claims::{self, Claim};
use fdo_protocol::di::device::ExpectDone;
use fdo_service::operators::audit::Entry;
use sha2::Digest as _;

/// Where a device is after 12 was made.
struct Begun {
    request: Vec<u8>,
    token: String,
    waiting: ExpectDone,
}

async fn begin(line: &Line, key: &SigningKey, serial: &str) -> Result<Begun, Fault> {
    let info = info(key, serial, KeyType::P256, PublicKeyEncoding::X509);
    let (request, waiting) = device::begin(info);
    let reply = line.send(10, &request.body, None).await?;
    let secret = Zeroizing::new(vec![5; 32]);
    let secrets = FileSecrets::new(key.clone(), secret.clone());
    let (request, waiting) = waiting.set_credentials(&reply.body, &secrets, secret).unwrap();
    Ok(Begun { request: request.body, token: reply.token.unwrap(), waiting })
}

async fn finish(line: &Line, begun: Begun) -> Guid {
    let reply = line.send(12, &begun.request, Some(&begun.token)).await.unwrap();
    begun.waiting.done(&reply.body).unwrap().guid
}

async fn born(line: &Line, key: &SigningKey, serial: &str) -> Guid {
    let begun = begin(line, key, serial).await.unwrap();
    finish(line, begun).await
}

impl Line {
    async fn stored(&self, guid: Guid) -> StoredVoucher {
        self.vouchers.find(Some(guid), None).await.unwrap().unwrap()
    }

    async fn assert_live(&self, serial: &str, guid: Guid) {
        let device = self.devices.find(&Serial::parse(serial).unwrap()).await.unwrap().unwrap();
        assert_eq!((device.state, device.guid), (DeviceState::Initialized, Some(guid)));
        for voucher in self.vouchers.list(None, 100).await.unwrap() {
            let live = voucher.state == VoucherState::Active;
            assert_eq!(live, voucher.guid == guid, "{}", voucher.guid);
        }
    }

    async fn certificates(&self, key: &SigningKey, serial: &str) -> usize {
        let hash = sha2::Sha256::digest(key.verifying_key().spki_der()).into();
        store::list_signed(&self.di.db, Serial::parse(serial).unwrap().canon(), &hash, 0).await.unwrap().len()
    }

    /// The voucher goes to a buyer.
    async fn claim(&self, guid: Guid) {
        let voucher = self.stored(guid).await;
        let claim = Claim {
            guid,
            canon: voucher.canon,
            serial: voucher.serial,
            model: voucher.model,
            buyer_id: "buyer".into(),
            fingerprint: "fingerprint".into(),
            bytes: voucher.bytes,
            checksum: String::new(),
            request_id: String::new(),
            created: NOW,
            delivered: None,
        };
        claims::store::insert(&self.di.db, &claim).await.unwrap();
    }

    /// The service as it starts again on the same database.
    fn restart(&mut self) {
        let key = SealingKey::new([1; 32]);
        self.di.records = Records::database(self.di.db.clone(), &key, RecordSettings::default());
    }
}

fn refused<T>(result: Result<T, Fault>) -> ErrorCode {
    result.err().expect("must be refused").error().code()
}

#[tokio::test]
async fn the_same_key_gets_a_new_guid_under_its_old_certificate() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Listed);
        line.admit("FL-1").await;
        let (own, other) = (key(KeyType::P256), key(KeyType::P256));
        let first = born(&line, &own, "FL-1").await;
        line.assert_live("FL-1", first).await;
        assert_eq!(refused(begin(&line, &other, "FL-1").await), ErrorCode::InvalidMessage);
        let second = born(&line, &own, "fl1").await;
        let third = born(&line, &own, "FL-1").await;
        assert!(first != second && second != third);
        line.assert_live("FL-1", third).await;
        assert_eq!(line.certificates(&own, "FL-1").await, 1, "{}", db.name());
        let chain = |voucher: &StoredVoucher| voucher.voucher().unwrap().certificates().unwrap().to_vec();
        let (one, three) = (line.stored(first).await, line.stored(third).await);
        assert_eq!(one.certificate_serial, three.certificate_serial);
        assert_eq!(chain(&one), chain(&three));
        let verified = three.voucher().unwrap().verify(&VerifyPolicy::default()).unwrap();
        assert_eq!(verified.device_key(), own.verifying_key());
        let trail: Vec<Entry> = audit::list(db.connection(), None, 100).await.unwrap();
        let reborn: Vec<_> = trail.iter().filter(|entry| entry.action == "device.reborn").collect();
        assert_eq!(reborn.len(), 2);
        assert!(reborn.iter().any(|entry| entry.detail.contains(&first.to_string())));
        assert_eq!(refused(begin(&line, &other, "FL-1").await), ErrorCode::InvalidMessage);
    }
}

#[tokio::test]
async fn a_di_that_never_reached_12_costs_no_second_certificate() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Open);
        let (own, other) = (key(KeyType::P256), key(KeyType::P256));
        for _ in 0..3 {
            begin(&line, &own, "FL-1").await.unwrap();
        }
        begin(&line, &other, "FL-1").await.unwrap();
        assert_eq!(line.certificates(&own, "FL-1").await, 1, "{}", db.name());
        let guid = born(&line, &own, "FL-1").await;
        line.assert_live("FL-1", guid).await;
        assert_eq!(line.certificates(&own, "FL-1").await, 1);
        assert_eq!(line.certificates(&other, "FL-1").await, 0);
    }
}

#[tokio::test]
async fn certificates_without_a_voucher_are_swept_and_those_in_one_are_kept() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Open);
        let (own, abandoned) = (key(KeyType::P256), key(KeyType::P256));
        born(&line, &own, "FL-1").await;
        begin(&line, &abandoned, "FL-2").await.unwrap();
        let next = line.di.sweep(0).await.unwrap();
        assert_eq!(line.certificates(&abandoned, "FL-2").await, 1, "{}", db.name());
        // Not given again shortly before it is swept.
        line.di.clock.advance(REUSED_SECONDS + 1);
        begin(&line, &abandoned, "FL-2").await.unwrap();
        assert_eq!(line.certificates(&abandoned, "FL-2").await, 2);
        line.di.clock.advance(KEPT_SECONDS - REUSED_SECONDS);
        line.di.sweep(next).await.unwrap();
        assert_eq!(line.certificates(&abandoned, "FL-2").await, 1);
        assert_eq!(line.certificates(&own, "FL-1").await, 1);
        // The key in a voucher is still known as another device's.
        assert_eq!(refused(begin(&line, &own, "FL-3").await), ErrorCode::InvalidMessage);
    }
}

#[tokio::test]
async fn what_was_claimed_or_blocked_is_not_replaced() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Listed);
        for serial in ["FL-1", "FL-2"] {
            line.admit(serial).await;
        }
        let own = key(KeyType::P256);
        let guid = born(&line, &own, "FL-1").await;
        let late = begin(&line, &own, "FL-1").await.unwrap();
        line.claim(guid).await;
        // Claimed before this 10, and between the 10 and the 12 of the other.
        assert_eq!(refused(begin(&line, &own, "FL-1").await), ErrorCode::InvalidMessage);
        assert_eq!(code(line.send(12, &late.request, Some(&late.token)).await), ErrorCode::InvalidMessage);
        line.assert_live("FL-1", guid).await;

        let blocked = key(KeyType::P256);
        born(&line, &blocked, "FL-2").await;
        let late = begin(&line, &blocked, "FL-2").await.unwrap();
        line.devices.set_blocked("me", &Serial::parse("FL-2").unwrap(), true).await.unwrap();
        assert_eq!(refused(begin(&line, &blocked, "FL-2").await), ErrorCode::InvalidMessage);
        assert_eq!(code(line.send(12, &late.request, Some(&late.token)).await), ErrorCode::InvalidMessage);
    }
}

#[tokio::test]
async fn only_for_a_while_after_its_birth_is_a_device_born_again() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Open);
        let own = key(KeyType::P256);
        born(&line, &own, "FL-1").await;
        line.di.clock.advance(rebirth::WINDOW_SECONDS);
        let guid = born(&line, &own, "FL-1").await;
        line.di.clock.advance(rebirth::WINDOW_SECONDS);
        let late = begin(&line, &own, "FL-1").await.unwrap();
        line.di.clock.advance(1);
        assert_eq!(refused(begin(&line, &own, "FL-1").await), ErrorCode::InvalidMessage, "{}", db.name());
        assert_eq!(code(line.send(12, &late.request, Some(&late.token)).await), ErrorCode::InvalidMessage);
        line.assert_live("FL-1", guid).await;
    }
}

#[tokio::test]
async fn a_late_12_replaces_nothing_that_came_after_its_10() {
    for db in TestDatabase::all::<Migrator>().await {
        let line = Line::new(&db, Admission::Listed);
        line.admit("FL-1").await;
        let own = key(KeyType::P256);
        let first = begin(&line, &own, "FL-1").await.unwrap();
        let second = born(&line, &own, "FL-1").await;
        assert_eq!(code(line.send(12, &first.request, Some(&first.token)).await), ErrorCode::InvalidMessage);
        let (one, two) = (begin(&line, &own, "FL-1").await.unwrap(), begin(&line, &own, "FL-1").await.unwrap());
        line.assert_live("FL-1", second).await;
        let third = finish(&line, two).await;
        assert_eq!(code(line.send(12, &one.request, Some(&one.token)).await), ErrorCode::InvalidMessage);
        line.assert_live("FL-1", third).await;
    }
}

#[tokio::test]
async fn a_12_repeated_after_a_crash_gets_its_13() {
    for db in TestDatabase::all::<Migrator>().await {
        let mut line = Line::new(&db, Admission::Open);
        let begun = begin(&line, &key(KeyType::P256), "FL-1").await.unwrap();
        line.restart();
        let load = line.di.records.load(Protocol::Di, Some(&begun.token), 12, &begun.request, NOW);
        let Loaded::Live(session) = load.await.unwrap() else { panic!("12 was not sent yet") };
        let incoming = Incoming {
            message_type: 12,
            body: begun.request.clone().into(),
            token: Some(begun.token.clone()),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            correlation: 7,
        };
        // The voucher is committed, and the crash comes before the session and the reply.
        assert!(line.di.set_hmac(&session, &incoming, NOW).await.is_ok());
        drop(session);
        line.restart();
        let (token, request) = (begun.token.clone(), begun.request.clone());
        let guid = finish(&line, begun).await;
        line.assert_live("FL-1", guid).await;
        line.restart();
        assert_eq!(line.send(12, &request, Some(&token)).await.unwrap().message_type, 13);
        assert_eq!(line.vouchers.list(None, 10).await.unwrap().len(), 1, "{}", db.name());
    }
}

#[tokio::test]
async fn a_different_12_after_a_crash_is_refused() {
    let db = TestDatabase::sqlite::<Migrator>().await;
    let line = Line::new(&db, Admission::Open);
    let begun = begin(&line, &key(KeyType::P256), "FL-1").await.unwrap();
    let load = line.di.records.load(Protocol::Di, Some(&begun.token), 12, &begun.request, NOW);
    let Loaded::Live(session) = load.await.unwrap() else { panic!("12 was not sent yet") };
    let mut incoming = Incoming {
        message_type: 12,
        body: begun.request.clone().into(),
        token: Some(begun.token.clone()),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        correlation: 7,
    };
    assert!(line.di.set_hmac(&session, &incoming, NOW).await.is_ok());
    let mut other = begun.request.clone();
    *other.last_mut().unwrap() ^= 1;
    incoming.body = other.into();
    let refused = line.di.set_hmac(&session, &incoming, NOW).await.err().unwrap();
    assert_eq!(refused.error().code(), ErrorCode::InvalidMessage);
}
