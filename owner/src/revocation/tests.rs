//! Revocation on every database at hand: what is final, what lists and answers say and when, and what another replica
//! learns. Requests are written and answers read by OpenSSL's command line tool.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fdo_pki::{Certificate, DeviceSerial, build_csr};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::random::Random;

use super::ocsp::{Reply, respond};
use super::view::Scope;
use super::*;
use crate::app::App;
use crate::ca::{self, Granted, LDEVID, Origin, Requester, State};
use crate::fixtures::{Maker, NOW, Owner};
use crate::inventory::DeviceState;
use crate::vouchers::State as VoucherState;
use crate::vouchers::upload::import_file;

const HALF: u64 = 12 * 3_600;

async fn issued_to(owner: &Owner, device_id: &str) -> Certificate {
    let app = &owner.app;
    let rng = &mut app.random.rng();
    let key = SigningKey::generate(KeyType::P256, rng).unwrap();
    let csr = build_csr(&key, None, &DeviceSerial::parse("SN-1").unwrap()).unwrap();
    let session = hex::encode(key.verifying_key().spki_der());
    let requester = Requester {
        device_id,
        serial: Some("SN-1"),
        guid: Guid::from_bytes([1; 16]),
        origin: Origin::To2 { session: &session, pending_until: NOW + 900 },
    };
    let granted = app.ca.issue(&app.db, LDEVID, &csr, &requester, app.clock.now(), rng).await.unwrap();
    let Granted::Issued(certificate) = granted else { panic!("it is not issued") };
    ca::confirm(&app.db, &session).await.unwrap().unwrap();
    *certificate
}

async fn issued(owner: &Owner) -> Certificate {
    issued_to(owner, "d1").await
}

async fn of(app: &App, certificate: &Certificate) -> ca::IssuedCertificate {
    ca::find(&app.db, certificate.serial()).await.unwrap().unwrap()
}

async fn list_of(app: &App, certificate: &Certificate) -> Arc<lists::Published> {
    let row = of(app, certificate).await;
    lists::current(app, &row.authority, Scope::Shard(row.shard)).await.unwrap()
}

fn shows(list: &lists::Published, certificate: &Certificate) -> bool {
    let serial = hex::decode(certificate.serial()).unwrap();
    list.der.windows(serial.len()).any(|window| window == serial)
}

#[tokio::test]
async fn a_revocation_is_final_and_a_hold_is_not() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let certificate = issued(&owner).await;
        let serial = certificate.serial();
        let held = revoke(app, "tester", serial, Reason::CertificateHold).await.unwrap();
        assert_eq!((held.state, held.revoked), (State::Revoked, Some(NOW)), "{name}");
        let released = release(app, "tester", serial).await.unwrap();
        assert_eq!(
            (released.state, released.revoked, released.reason_code),
            (State::Issued, None, None),
            "{name}"
        );
        assert!(matches!(release(app, "tester", serial).await, Err(Error::NotHeld(_))), "{name}");

        revoke(app, "tester", serial, Reason::CertificateHold).await.unwrap();
        owner.clock.advance(60);
        let colons = serial.to_uppercase();
        let last = revoke(app, "tester", &colons, Reason::KeyCompromise).await.unwrap();
        assert_eq!(
            (last.revoked, last.reason.as_deref()),
            (Some(NOW), Some("keyCompromise")),
            "{name}: since the hold"
        );
        revoke(app, "tester", serial, Reason::KeyCompromise).await.unwrap();
        for reason in [Reason::CertificateHold, Reason::Superseded] {
            let again = revoke(app, "tester", serial, reason).await;
            assert!(matches!(again, Err(Error::Revoked { .. })), "{name}: {again:?}");
        }
        assert!(matches!(release(app, "tester", serial).await, Err(Error::NotHeld(_))), "{name}");
        assert_eq!(owner.audited("certificate.revoke").await, 3, "{name}: what changed nothing is not written");
        assert_eq!(owner.audited("certificate.release").await, 1, "{name}");
        let unknown = revoke(app, "tester", "4242", Reason::Unspecified).await;
        assert!(matches!(unknown, Err(Error::NotFound(_))), "{name}");
        let delta = revoke(app, "tester", serial, Reason::RemoveFromCrl).await;
        assert!(matches!(delta, Err(Error::Reason(_))), "{name}");
    }
}

#[tokio::test]
async fn a_list_is_signed_when_it_is_asked_for_when_it_changes_and_at_half_of_its_life() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let certificate = issued(&owner).await;
        assert_eq!(lists::run_due(app).await.unwrap(), 0, "{name}: nobody asked");
        let empty = list_of(app, &certificate).await;
        assert!(!shows(&empty, &certificate), "{name}");
        assert_eq!(list_of(app, &certificate).await, empty, "{name}");
        assert_eq!((empty.this_update, empty.next_update), (NOW, NOW + 2 * HALF), "{name}");

        revoke(app, "tester", certificate.serial(), Reason::KeyCompromise).await.unwrap();
        assert_eq!(lists::run_due(app).await.unwrap(), 1, "{name}");
        let full = list_of(app, &certificate).await;
        assert!(shows(&full, &certificate), "{name}");
        assert_eq!(lists::run_due(app).await.unwrap(), 0, "{name}: nothing changed since");

        owner.clock.advance(HALF - 1);
        assert_eq!(lists::run_due(app).await.unwrap(), 0, "{name}");
        assert_eq!(list_of(app, &certificate).await, full, "{name}");
        owner.clock.advance(1);
        assert_eq!(lists::run_due(app).await.unwrap(), 1, "{name}");
        let next = list_of(app, &certificate).await;
        assert_eq!(next.this_update, NOW + HALF, "{name}");
        assert!(shows(&next, &certificate), "{name}");
    }
}

#[tokio::test]
async fn an_entry_stays_for_a_lists_life_beyond_its_certificate() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let certificate = issued(&owner).await;
        revoke(app, "tester", certificate.serial(), Reason::Superseded).await.unwrap();
        lists::run_due(app).await.unwrap();
        let until = certificate.not_after();
        for (seconds, expected) in [(1, true), (HALF, true), (2 * HALF - 1, true), (4 * HALF + 2, false)] {
            owner.clock.advance(until + seconds - app.clock.now());
            lists::run_due(app).await.unwrap();
            assert_eq!(shows(&*list_of(app, &certificate).await, &certificate), expected, "{name}: {seconds}");
        }
    }
}

#[tokio::test]
async fn a_list_of_everything_shows_all_shards() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(issued(&owner).await);
        }
        let empty = lists::current(app, "issuing", Scope::Full).await.unwrap();
        for certificate in &all {
            revoke(app, "tester", certificate.serial(), Reason::Unspecified).await.unwrap();
            assert!(!shows(&empty, certificate), "{name}");
        }
        lists::run_due(app).await.unwrap();
        owner.clock.advance(10);
        let full = lists::current(app, "issuing", Scope::Full).await.unwrap();
        assert!(all.iter().all(|certificate| shows(&full, certificate)), "{name}");
        let unknown = lists::current(app, "nobody", Scope::Full).await;
        assert!(matches!(unknown, Err(Error::NoAuthority(_))), "{name}");
    }
}

fn openssl(dir: &Path, line: &str) -> String {
    let output = Command::new("openssl").current_dir(dir).args(line.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {text}");
    text
}

/// What OpenSSL asks about a certificate, in DER.
fn question(dir: &Path, app: &App, certificate: &Certificate, more: &str) -> Vec<u8> {
    let write = |name: &str, ders: &[&[u8]]| {
        std::fs::write(dir.join(name), fdo_pki::pem::encode_certificates(ders).unwrap()).unwrap();
    };
    let active = app.ca.active();
    write("issuing.pem", &[active.certificate().der()]);
    write("cas.pem", &[app.ca.anchor().der(), active.certificate().der()]);
    write("leaf.pem", &[certificate.der()]);
    openssl(dir, &format!("ocsp -issuer issuing.pem {more} -cert leaf.pem -reqout ask.der"));
    std::fs::read(dir.join("ask.der")).unwrap()
}

/// What is answered, in DER, and how OpenSSL reads it.
async fn said(dir: &Path, app: &App, question: &[u8], more: &str) -> (Vec<u8>, String) {
    let Reply::Signed(answer) = respond(app, question).await else { panic!("a failure") };
    std::fs::write(dir.join("answer.der"), &answer.der).unwrap();
    let line = format!(
        "ocsp -issuer issuing.pem {more} -cert leaf.pem -respin answer.der -no_nonce -CAfile cas.pem -attime {} \
         -validity_period 999999999",
        app.clock.now() + 1
    );
    let text = openssl(dir, &line);
    assert!(text.contains("Response verify OK"), "{text}");
    (answer.der.to_vec(), text)
}

#[tokio::test]
async fn answers_come_from_memory_until_something_changes() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let (certificate, dir) = (issued(&owner).await, tempfile::tempdir().unwrap());
        let dir = dir.path();
        let ask = question(dir, app, &certificate, "-no_nonce");
        let (first, text) = said(dir, app, &ask, "").await;
        assert!(text.contains("leaf.pem: good"), "{name}: {text}");
        assert_eq!(said(dir, app, &ask, "").await.0, first, "{name}: from memory");

        revoke(app, "tester", certificate.serial(), Reason::CertificateHold).await.unwrap();
        let (_, text) = said(dir, app, &ask, "").await;
        assert!(text.contains("certificateHold"), "{name}: at once, before there is a list: {text}");
        lists::run_due(app).await.unwrap();
        let (held, _) = said(dir, app, &ask, "").await;
        assert_eq!(said(dir, app, &ask, "").await.0, held, "{name}: from memory");
        release(app, "tester", certificate.serial()).await.unwrap();
        assert!(said(dir, app, &ask, "").await.1.contains("leaf.pem: good"), "{name}");

        // Long before it ends there is another one.
        lists::run_due(app).await.unwrap();
        let (fresh, _) = said(dir, app, &ask, "").await;
        owner.clock.advance(HALF / 2);
        assert_ne!(said(dir, app, &ask, "").await.0, fresh, "{name}");
    }
}

#[tokio::test]
async fn another_replica_learns_it_when_it_looks() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let (other, _) =
            App::open(&app.settings, &app.data_dir, owner.clock.clone(), Random::seeded(2)).await.unwrap();
        let (certificate, dir) = (issued(&owner).await, tempfile::tempdir().unwrap());
        let dir = dir.path();
        let ask = question(dir, app, &certificate, "-no_nonce -sha256");
        for replica in [app, &other] {
            assert!(said(dir, replica, &ask, "-sha256").await.1.contains("leaf.pem: good"), "{name}");
        }
        let before = list_of(&other, &certificate).await;
        revoke(app, "tester", certificate.serial(), Reason::KeyCompromise).await.unwrap();
        assert_eq!(lists::run_due(app).await.unwrap(), 1, "{name}");
        assert_eq!(list_of(&other, &certificate).await, before, "{name}: it has not looked");
        assert_eq!(lists::run_due(&other).await.unwrap(), 0, "{name}: done already");
        assert!(said(dir, &other, &ask, "-sha256").await.1.contains("keyCompromise"), "{name}");
        assert_eq!(list_of(&other, &certificate).await.der, list_of(app, &certificate).await.der, "{name}");
    }
}

#[tokio::test]
async fn what_was_never_signed_is_unknown_and_another_ca_is_not_ours() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let (certificate, dir) = (issued(&owner).await, tempfile::tempdir().unwrap());
        let dir = dir.path();
        let ask = question(dir, app, &certificate, "-no_nonce");
        // The same question about the serial before it.
        let serial = hex::decode(certificate.serial()).unwrap();
        let at = ask.windows(serial.len()).position(|window| window == serial).unwrap();
        let mut guessed = ask.clone();
        guessed[at + serial.len() - 1] ^= 1;
        let Reply::Signed(unknown) = respond(app, &guessed).await else { panic!("{name}") };
        let mark = [0x82, 0];
        assert!(unknown.der.windows(2).any(|window| window == mark), "{name}");

        let other = &Owner::on_all().await[0];
        let (theirs, place) = (issued(other).await, tempfile::tempdir().unwrap());
        let foreign = question(place.path(), &other.app, &theirs, "");
        let reply = respond(app, &foreign).await;
        assert!(matches!(reply, Reply::Failed(fdo_pki::ocsp::Failure::Unauthorized)), "{name}: {reply:?}");
        let reply = respond(app, &ask[1..]).await;
        assert!(matches!(reply, Reply::Failed(fdo_pki::ocsp::Failure::MalformedRequest)), "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn a_nonce_comes_back_and_is_signed_for_its_question_alone() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let (certificate, dir) = (issued(&owner).await, tempfile::tempdir().unwrap());
        let ask = question(dir.path(), app, &certificate, "");
        let Reply::Signed(answer) = respond(app, &ask).await else { panic!("{name}") };
        assert!(!answer.may_be_kept, "{name}");
        let nonce = &ask[ask.len() - 16..];
        assert!(answer.der.windows(16).any(|window| window == nonce), "{name}");
    }
}

/// A device that was bought here.
async fn bought(owner: &Owner, maker: &mut Maker) -> (Guid, String) {
    owner.trust(maker).await;
    let voucher = maker.sold("SN-1", owner.key(KeyType::P256));
    import_file(&owner.app, "tester", voucher.bytes(), false).await.unwrap();
    let device = inventory::find_by_name(&owner.app.db, "SN-1").await.unwrap();
    (voucher.guid(), device.id)
}

async fn stands(owner: &Owner, guid: &Guid) -> (DeviceState, VoucherState, Option<u64>) {
    let db = &owner.app.db;
    let voucher = vouchers::find_by_guid(db, guid).await.unwrap().unwrap();
    (inventory::find_by_name(db, "SN-1").await.unwrap().state, voucher.state, voucher.register_at)
}

#[tokio::test]
async fn a_decommissioned_device_loses_its_certificates_and_is_neither_onboarded_nor_registered() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let (guid, id) = bought(&owner, &mut Maker::new(9, KeyType::P256)).await;
        let (kept, held) = (issued_to(&owner, &id).await, issued_to(&owner, &id).await);
        revoke(app, "tester", held.serial(), Reason::CertificateHold).await.unwrap();
        // Blocked first, it stays what it was before that.
        block(app, "tester", "SN-1", true).await.unwrap();
        assert_eq!(stands(&owner, &guid).await, (DeviceState::Blocked, VoucherState::Blocked, None), "{name}");
        let done = decommission(app, "tester", "SN-1").await.unwrap();
        assert_eq!((done.certificates, done.device.state), (2, DeviceState::Decommissioned), "{name}");
        let out = (DeviceState::Decommissioned, VoucherState::Decommissioned, None);
        assert_eq!(stands(&owner, &guid).await, out, "{name}");
        for certificate in [&kept, &held] {
            assert_eq!(of(app, certificate).await.reason.as_deref(), Some("cessationOfOperation"), "{name}");
        }
        assert!(vouchers::find_for_onboarding(&app.db, &guid).await.unwrap().is_none(), "{name}: no TO2");
        assert!(vouchers::due_for_registration(&app.db, NOW + 1, 9).await.unwrap().is_empty(), "{name}: no TO0");
        assert_eq!(decommission(app, "tester", "SN-1").await.unwrap().certificates, 0, "{name}");
        assert_eq!(owner.audited("device.decommission").await, 1, "{name}");
        assert!(block(app, "tester", "SN-1", false).await.is_err(), "{name}: unblocking is no way back");
        assert_eq!(stands(&owner, &guid).await, out, "{name}");

        let back = recommission(app, "tester", "SN-1").await.unwrap();
        assert_eq!(back.device.state, DeviceState::Imported, "{name}");
        let again = (DeviceState::Imported, VoucherState::Imported, Some(NOW));
        assert_eq!(stands(&owner, &guid).await, again, "{name}");
        assert_eq!(of(app, &kept).await.state, State::Revoked, "{name}: that stays");
        assert!(matches!(recommission(app, "tester", "SN-1").await, Err(Error::InService(_))), "{name}");
    }
}

#[tokio::test]
async fn a_devices_certificates_are_held_and_released_together() {
    for owner in Owner::on_all().await {
        let (app, name) = (&owner.app, owner.database.name());
        let (_, id) = bought(&owner, &mut Maker::new(9, KeyType::P256)).await;
        let both = [issued_to(&owner, &id).await, issued_to(&owner, &id).await];
        assert_eq!(revoke_device(app, "tester", "SN-1", Reason::CertificateHold).await.unwrap().certificates, 2);
        assert_eq!(release_device(app, "tester", "SN-1").await.unwrap().certificates, 2, "{name}");
        for certificate in &both {
            assert_eq!(of(app, certificate).await.state, State::Issued, "{name}");
        }
        assert!(matches!(release_device(app, "tester", "SN-1").await, Err(Error::NothingHeld(_))), "{name}");
        let nobody = revoke_device(app, "tester", "SN-2", Reason::Unspecified).await;
        assert!(matches!(nobody, Err(Error::Inventory(_))), "{name}");
    }
}
