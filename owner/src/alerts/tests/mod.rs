//! Each kind of alert: when it opens, that it opens once, when it closes, and who hears of it.

mod routes;

use fdo_pki::Certificate;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::random::Random;
use fdo_service::host::tls;
use fdo_service::operators::audit::{self, Event, Outcome};
use zeroize::Zeroizing;

use super::targets::{Address, NewTarget};
use super::*;
use crate::alerts::routes::{AlertView, State};
use crate::ca;
use crate::fixtures::{NOW, Owner};
use crate::inventory::certificates::{self, Found, Holder, Source, Standing};

const DAY: u64 = 86_400;

/// A certificate of nobody in particular, ready to be changed.
fn found(number: u64, source: Source, not_before: u64, not_after: u64) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let names = ["localhost".to_owned()];
    let (_, der) = tls::self_signed_files(folder.path(), &names, NOW, &mut Random::seeded(1).rng()).unwrap();
    let certificate = Certificate::parse(&der).unwrap();
    let mut found = Found::certificate(source, &certificate, Holder::default(), NOW);
    found.listed.fingerprint = format!("{number:064x}");
    (found.listed.not_before, found.listed.not_after) = (not_before, not_after);
    if source == Source::Ldevid {
        found.listed.device_id = Some(format!("device-{number}"));
        found.listed.device_serial = Some(format!("SN-{number}"));
    }
    found
}

async fn record(owner: &Owner, found: &[Found]) {
    certificates::record(&owner.app.db, found).await.unwrap();
}

async fn standing(owner: &Owner, mut found: Found, standing: Standing) {
    if found.listed.source == Source::Upload {
        certificates::upload::retire(&owner.app, "tester", &found.listed.fingerprint).await.unwrap();
        return;
    }
    found.listed.standing = standing;
    found.listed.attention = None;
    record(owner, &[found]).await;
}

/// A certificate that ends in so many days.
pub(super) async fn expiring(owner: &Owner, days: u64) {
    record(owner, &[found(1, Source::Upload, NOW - 300 * DAY, NOW + days * DAY)]).await;
}

pub(super) async fn look(owner: &Owner) {
    run(&owner.app).await.unwrap();
}

async fn open(owner: &Owner) -> Vec<Alert> {
    let filter = Filter { open: Some(true), ..Filter::default() };
    list(&owner.app.db, &filter, None, 1_000).await.unwrap()
}

async fn everything(owner: &Owner) -> Vec<Alert> {
    list(&owner.app.db, &Filter::default(), None, 1_000).await.unwrap()
}

/// Kinds and thresholds of what is open.
async fn kinds(owner: &Owner) -> Vec<(Kind, u64)> {
    let mut kinds: Vec<_> = open(owner).await.iter().map(|alert| (alert.kind, alert.threshold)).collect();
    kinds.sort_unstable();
    kinds
}

/// A target whose messages stay in the queue.
async fn target(owner: &Owner) {
    let address = Address::Webhook { url: "http://127.0.0.1:9/nobody".to_owned() };
    let new = NewTarget {
        name: "queue".to_owned(),
        address,
        secret: Some(Zeroizing::new("0123456789abcdef".to_owned())),
        least_severity: Severity::Info,
        enabled: true,
    };
    targets::add(&owner.app, "tester", new).await.unwrap();
}

async fn queued(owner: &Owner) -> u64 {
    delivery::queued(&owner.app.db).await.unwrap()
}

#[tokio::test]
async fn a_certificate_is_told_of_once_at_each_threshold() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        target(&owner).await;
        let row = found(1, Source::Upload, NOW - 300 * DAY, NOW + 40 * DAY);
        record(&owner, std::slice::from_ref(&row)).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
        owner.clock.set(NOW + 11 * DAY);
        for _ in 0..3 {
            look(&owner).await;
        }
        assert_eq!(
            (kinds(&owner).await, queued(&owner).await),
            (vec![(Kind::CertificateExpires, 30)], 1),
            "{name}"
        );
        assert!(open(&owner).await[0].title.contains("expires in 29 days"), "{name}");
        // The nearer threshold takes the place of the farther one, without a word.
        owner.clock.set(NOW + 27 * DAY);
        look(&owner).await;
        assert_eq!(
            (kinds(&owner).await, queued(&owner).await),
            (vec![(Kind::CertificateExpires, 14)], 2),
            "{name}"
        );
        // A day during which nobody looked.
        owner.clock.set(NOW + 39 * DAY + 100);
        look(&owner).await;
        assert_eq!(
            (kinds(&owner).await, queued(&owner).await),
            (vec![(Kind::CertificateExpires, 1)], 3),
            "{name}"
        );
        assert_eq!(open(&owner).await[0].severity, Severity::Critical, "{name}");
        owner.clock.set(NOW + 40 * DAY + 1);
        look(&owner).await;
        assert_eq!(
            (kinds(&owner).await, queued(&owner).await),
            (vec![(Kind::CertificateExpired, 0)], 4),
            "{name}"
        );
        // Taken away: it is over, and whoever knew hears of it.
        standing(&owner, row, Standing::Retired).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
        assert_eq!((everything(&owner).await.len(), queued(&owner).await), (4, 5), "{name}");
        assert!(everything(&owner).await.iter().all(|alert| alert.closed.is_some()), "{name}");
    }
}

#[tokio::test]
async fn a_device_that_does_not_renew_is_told_of_until_it_has() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let row = found(1, Source::Ldevid, NOW, NOW + 90 * DAY);
        record(&owner, std::slice::from_ref(&row)).await;
        owner.clock.set(NOW + 65 * DAY);
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}: it may still renew");
        owner.clock.set(NOW + 73 * DAY);
        look(&owner).await;
        let alerts = open(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::RenewalOverdue, 0)], "{name}");
        assert_eq!(alerts[0].device_serial.as_deref(), Some("SN-1"), "{name}");
        owner.clock.set(NOW + 77 * DAY);
        look(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::CertificateExpires, 14), (Kind::RenewalOverdue, 0)], "{name}");
        standing(&owner, row, Standing::Replaced).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_ca_is_told_of_a_year_before_its_end() {
    for owner in Owner::on_all().await {
        record(&owner, &[found(1, Source::Authority, NOW - 3_000 * DAY, NOW + 360 * DAY)]).await;
        look(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::AuthorityExpires, 365)], "{}", owner.database.name());
    }
}

#[tokio::test]
async fn many_at_one_threshold_are_one_alert_and_the_last_few_are_their_own() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        target(&owner).await;
        let rows: Vec<Found> =
            (0..700).map(|n| found(n, Source::Upload, NOW - 300 * DAY, NOW + 20 * DAY + n)).collect();
        record(&owner, &rows).await;
        look(&owner).await;
        look(&owner).await;
        let alerts = open(&owner).await;
        assert_eq!((alerts.len(), queued(&owner).await), (1, 1), "{name}");
        assert_eq!((alerts[0].subject.as_str(), alerts[0].count), (FLEET, 700), "{name}");
        assert_eq!(alerts[0].title, "700 certificates expire within 30 days", "{name}");
        assert_eq!(alerts[0].detail["first"].as_array().unwrap().len(), 10, "{name}");
        for row in rows.into_iter().skip(3) {
            standing(&owner, row, Standing::Retired).await;
        }
        owner.clock.advance(301);
        look(&owner).await;
        look(&owner).await;
        let alerts = open(&owner).await;
        assert_eq!(alerts.len(), 3, "{name}: {alerts:?}");
        assert!(alerts.iter().all(|alert| alert.subject != FLEET), "{name}");
    }
}

#[tokio::test]
async fn onboardings_that_keep_failing_are_told_of() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let fail = async |at: u64| rules::fail_onboarding(&owner.app.db, "device-7", at).await;
        fail(NOW - 2 * DAY).await;
        fail(NOW - 50).await;
        fail(NOW - 40).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}: twice within a day");
        fail(NOW - 30).await;
        look(&owner).await;
        look(&owner).await;
        let alerts = open(&owner).await;
        assert_eq!(alerts.len(), 1, "{name}");
        assert_eq!((alerts[0].kind, alerts[0].count), (Kind::OnboardingFailing, 3), "{name}");
        assert!(alerts[0].title.contains("no network"), "{name}: {}", alerts[0].title);
        // It worked at last.
        let guid = fdo_protocol::Guid::from_bytes([7; 16]);
        let state = crate::inventory::DeviceState::Onboarded;
        crate::inventory::record_state(&owner.app.db, NOW, &guid, state, None, None).await.unwrap();
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_seen_is_told_of() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        // A port that nobody listens on: it was just given back.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("127.0.0.1:{port}");
        let mut probe = certificates::probes::add(&owner.app, "tester", &endpoint, 60).await.unwrap();
        for _ in 0..3 {
            look(&owner).await;
            assert!(open(&owner).await.is_empty(), "{name}");
            probe = certificates::probes::look(&owner.app, &probe).await.unwrap();
        }
        look(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::ProbeFailing, 0)], "{name}");
        certificates::probes::remove(&owner.app, "tester", &probe.id).await.unwrap();
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn what_is_silenced_is_not_told_until_the_silence_ends() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let row = found(1, Source::Upload, NOW - 300 * DAY, NOW + 20 * DAY);
        record(&owner, std::slice::from_ref(&row)).await;
        look(&owner).await;
        // Only from here on is anybody told.
        target(&owner).await;
        let alert = open(&owner).await.remove(0);
        let until = NOW + 10 * DAY;
        assert!(store::silence(&owner.app.db, &alert.id, Some(until)).await.unwrap(), "{name}");
        owner.clock.set(NOW + 7 * DAY);
        look(&owner).await;
        let next = open(&owner).await.remove(0);
        assert_eq!((next.threshold, next.silenced_until, queued(&owner).await), (14, Some(until), 0), "{name}");
        assert_eq!(AlertView::new(next.clone(), NOW + 7 * DAY).state, State::Silenced, "{name}");
        owner.clock.set(until + 1);
        look(&owner).await;
        look(&owner).await;
        assert_eq!(queued(&owner).await, 1, "{name}: told when the silence ends");
        // Critical and unanswered: told again each day, until somebody acknowledges it.
        owner.clock.set(NOW + 14 * DAY);
        look(&owner).await;
        assert_eq!(
            (kinds(&owner).await, queued(&owner).await),
            (vec![(Kind::CertificateExpires, 7)], 2),
            "{name}"
        );
        owner.clock.advance(DAY + 1);
        look(&owner).await;
        look(&owner).await;
        assert_eq!(queued(&owner).await, 3, "{name}: a reminder");
        let alert = open(&owner).await.remove(0);
        assert!(store::acknowledge(&owner.app.db, &alert.id, "tester", NOW).await.unwrap(), "{name}");
        owner.clock.advance(2 * DAY);
        look(&owner).await;
        assert_eq!(queued(&owner).await, 3, "{name}: acknowledged");
    }
}

#[tokio::test]
async fn new_thresholds_are_held_against_what_is_there() {
    for mut owner in Owner::on_all().await {
        let name = owner.database.name();
        let rows: Vec<Found> = [1_u64, 1 << 40]
            .map(|n| {
                let mut row = found(n, Source::Upload, NOW - 300 * DAY, NOW + 100 * DAY);
                row.listed.fingerprint = format!("{:02x}{n:062x}", n % 255);
                row
            })
            .to_vec();
        record(&owner, &rows).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
        owner.app.settings.alerts.expiry_days = vec![120];
        for _ in 0..17 {
            look(&owner).await;
        }
        assert_eq!(kinds(&owner).await, [(Kind::CertificateExpires, 120); 2], "{name}");
    }
}

#[tokio::test]
async fn crls_that_are_not_signed_again_are_told_of() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        rules::publish(&owner.app.db, NOW, NOW + 24 * 3_600).await;
        owner.clock.set(NOW + 17 * 3_600);
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
        owner.clock.set(NOW + 19 * 3_600);
        look(&owner).await;
        let alerts = open(&owner).await;
        assert_eq!((alerts.len(), alerts[0].kind, alerts[0].count), (1, Kind::CrlOverdue, 2), "{name}");
        assert_eq!(alerts[0].subject, "issuing", "{name}");
        rules::publish(&owner.app.db, NOW + 19 * 3_600, NOW + 43 * 3_600).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_responder_that_gets_no_certificate_is_told_of() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        rules::prepare_responder(&owner.app.db, NOW, Some(vec![1])).await;
        rules::prepare_responder(&owner.app.db, NOW + 10, None).await;
        owner.clock.set(NOW + 20);
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}: it may still be signed");
        owner.clock.set(NOW + 400);
        look(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::OcspResponderExpires, 0)], "{name}");
        rules::prepare_responder(&owner.app.db, NOW + 500, Some(vec![1])).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_refused_renewal_is_told_of_with_its_reason_until_one_works() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let guid = fdo_protocol::Guid::from_bytes([7; 16]);
        let refuse = async |subject: &str, detail: &str| {
            let event =
                Event { actor: "est", action: "certificate.renew", subject, outcome: Outcome::Refused, detail };
            audit::record(&owner.app.db, owner.clock.now(), event).await.unwrap();
        };
        rules::fail_onboarding(&owner.app.db, "device-7", NOW - 10 * DAY).await;
        refuse("192.0.2.7", "a stranger").await;
        refuse(&guid.to_string(), "The key was seen before.").await;
        refuse(&guid.to_string(), "The name is another device's.").await;
        look(&owner).await;
        look(&owner).await;
        let alerts = open(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::RenewalFailed, 0)], "{name}");
        assert!(
            alerts[0].title.contains("SN-7") && alerts[0].title.contains("another device's"),
            "{name}: {alerts:?}"
        );
        // It asks again, with a key of its own.
        owner.clock.advance(60);
        issue(&owner, "device-7", guid).await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
        // Refused again; then an operator stops it, and what is refused from then on is as it should be.
        owner.clock.advance(60);
        refuse(&guid.to_string(), "It is too early.").await;
        look(&owner).await;
        assert_eq!(kinds(&owner).await, [(Kind::RenewalFailed, 0)], "{name}");
        crate::inventory::set_blocked(&owner.app.db, owner.clock.now(), "device-7", true).await.unwrap();
        refuse(&guid.to_string(), "The device is blocked.").await;
        look(&owner).await;
        assert!(open(&owner).await.is_empty(), "{name}");
    }
}

/// A certificate for a device, confirmed.
async fn issue(owner: &Owner, device_id: &str, guid: fdo_protocol::Guid) {
    let key = SigningKey::generate(KeyType::P256, &mut Random::seeded(77).rng()).unwrap();
    let csr = fdo_pki::build_csr(&key, None, &fdo_pki::DeviceSerial::parse("SN-7").unwrap()).unwrap();
    let now = owner.clock.now();
    let origin = ca::Origin::To2 { session: "one", pending_until: now + 60 };
    let requester = ca::Requester { device_id, serial: Some("SN-7"), guid, origin };
    let mut rng = owner.app.random.rng();
    owner.app.ca.issue(&owner.app.db, ca::LDEVID, &csr, &requester, now, &mut rng).await.unwrap();
    ca::confirm(&owner.app.db, "one").await.unwrap().unwrap();
}
