//! The CA is made once, issues by the owner's record, refuses what it must, and revokes what is left behind.

use fdo_pki::{Certificate, CertificateSigner, Csr, DeviceSerial, build_csr};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::random::Random;

use super::*;
use crate::db::Migrator;

const NOW: u64 = 1_790_000_000;

struct Fixture {
    database: TestDatabase,
    folder: tempfile::TempDir,
    random: Random,
    sealing: SealingKey,
}

impl Fixture {
    async fn all() -> Vec<Self> {
        let databases = TestDatabase::all::<Migrator>().await;
        let fixture = |database| Self {
            database,
            folder: tempfile::tempdir().unwrap(),
            random: Random::seeded(3),
            sealing: SealingKey::new([7; 32]),
        };
        databases.into_iter().map(fixture).collect()
    }

    fn db(&self) -> &DatabaseConnection {
        self.database.connection()
    }

    async fn open(&self) -> Ca {
        let rng = &mut self.random.rng();
        Ca::open(self.db(), &self.sealing, self.folder.path(), &CaSettings::default(), NOW, rng).await.unwrap()
    }

    fn key(&self) -> SigningKey {
        SigningKey::generate(KeyType::P256, &mut self.random.rng()).unwrap()
    }

    async fn issue(&self, ca: &Ca, csr: &[u8], session: &str) -> Result<Certificate, Error> {
        let requester = Requester {
            device_id: "d1",
            serial: Some("SN-1"),
            guid: Guid::from_bytes([1; 16]),
            origin: Origin::To2 { session, pending_until: NOW + 900 },
        };
        issued(ca.issue(self.db(), LDEVID, csr, &requester, NOW, &mut self.random.rng()).await)
    }

    async fn renew(&self, ca: &Ca, device: &str, csr: &[u8], replaces: &str) -> Result<Certificate, Error> {
        let requester = Requester {
            device_id: device,
            serial: Some("SN-1"),
            guid: Guid::from_bytes([1; 16]),
            origin: Origin::Est { replaces: Some(replaces) },
        };
        issued(ca.issue(self.db(), LDEVID, csr, &requester, NOW, &mut self.random.rng()).await)
    }
}

/// What was issued; to wait would be wrong here.
fn issued(granted: Result<Granted, Error>) -> Result<Certificate, Error> {
    granted.map(|granted| match granted {
        Granted::Issued(certificate) => *certificate,
        Granted::Pending { request, .. } => panic!("the request {request} waits"),
    })
}

fn csr(key: &dyn CertificateSigner) -> Vec<u8> {
    build_csr(key, Some("evil"), &DeviceSerial::parse("SOMEBODY-ELSE").unwrap()).unwrap()
}

#[tokio::test]
async fn it_is_made_once_and_opens_only_with_its_sealing_key() {
    for fixture in Fixture::all().await {
        let (first, second) = (fixture.open().await, fixture.open().await);
        assert_eq!(first.anchor().der(), second.anchor().der());
        first.active().certificate().verify_signed_by(&first.anchor()).unwrap();
        assert!(first.anchor().not_after() > first.active().certificate().not_after());
        assert!(fixture.folder.path().join("ca-root-secret").exists());
        std::fs::remove_file(fixture.folder.path().join("ca-root-secret")).unwrap();
        fixture.open().await;
        let other = SealingKey::new([8; 32]);
        let rng = &mut fixture.random.rng();
        let settings = CaSettings::default();
        let opened = Ca::open(fixture.db(), &other, fixture.folder.path(), &settings, NOW, rng).await;
        assert!(matches!(opened, Err(OpenError::Sealed)));
    }
}

#[tokio::test]
async fn the_subject_is_the_owners_record_and_a_key_is_certified_once() {
    for fixture in Fixture::all().await {
        let ca = fixture.open().await;
        let key = fixture.key();
        let issued = fixture.issue(&ca, &csr(&key), "s1").await.unwrap();
        let certificate = Certificate::parse(issued.der()).unwrap();
        certificate.verify_signed_by(ca.active().certificate()).unwrap();
        assert_eq!(certificate.subject_serial_number(), Some("SN-1"));
        assert_eq!(certificate.common_name(), None);
        assert_eq!(certificate.uris(), [format!("urn:uuid:{}", Guid::from_bytes([1; 16]))]);
        // The reply was lost: the same TO2 is given the same certificate, and nobody else is.
        assert_eq!(fixture.issue(&ca, &csr(&key), "s1").await.unwrap().der(), issued.der());
        let again = fixture.issue(&ca, &csr(&key), "s2").await;
        assert!(matches!(again, Err(Error::KeySeen)));
        let rows = list(fixture.db(), &CertificateFilter::default(), None, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].state, rows[0].confirmed), (State::Issued, false));
        assert_eq!(rows[0].serial, issued.serial().to_string());
    }
}

#[tokio::test]
async fn bad_requests_get_their_error_and_nothing_is_issued() {
    for fixture in Fixture::all().await {
        let ca = fixture.open().await;
        let good = csr(&fixture.key());
        let mut forged = good.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let refused = |outcome: Result<Certificate, Error>| outcome.unwrap_err().device_error();
        assert_eq!(refused(fixture.issue(&ca, b"nothing", "s").await), Some(CsrError::BadRequest));
        assert_eq!(refused(fixture.issue(&ca, &good[..40], "s").await), Some(CsrError::BadRequest));
        assert_eq!(refused(fixture.issue(&ca, &forged, "s").await), Some(CsrError::Unauthorized));
        assert!(list(fixture.db(), &CertificateFilter::default(), None, 10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_attestation_key_is_not_certified_again() {
    for fixture in Fixture::all().await {
        let ca = fixture.open().await;
        let key = fixture.key();
        let spki = Csr::parse(&csr(&key)).unwrap().verify().unwrap().spki_sha256();
        let requester = Requester {
            device_id: &hex::encode(spki),
            serial: None,
            guid: Guid::from_bytes([1; 16]),
            origin: Origin::To2 { session: "s", pending_until: NOW },
        };
        let rng = &mut fixture.random.rng();
        let issued = ca.issue(fixture.db(), LDEVID, &csr(&key), &requester, NOW, rng).await;
        assert!(matches!(issued, Err(Error::KeySeen)));
    }
}

#[tokio::test]
async fn what_is_not_confirmed_is_revoked_and_a_revoked_one_is_not_confirmed() {
    for fixture in Fixture::all().await {
        let (ca, db) = (fixture.open().await, fixture.db());
        let kept = fixture.issue(&ca, &csr(&fixture.key()), "kept").await.unwrap();
        fixture.issue(&ca, &csr(&fixture.key()), "failed").await.unwrap();
        fixture.issue(&ca, &csr(&fixture.key()), "silent").await.unwrap();
        let confirmed = confirm(db, "kept").await.unwrap().unwrap();
        assert_eq!(confirmed, [(kept.serial().to_string(), kept.not_after())]);
        assert_eq!(abandon(db, "failed", NOW).await.unwrap(), 1);
        assert_eq!(revoke_abandoned(db, NOW + 899).await.unwrap(), 0);
        keep_pending(db, "silent", NOW + 1_000).await.unwrap();
        assert_eq!(revoke_abandoned(db, NOW + 900).await.unwrap(), 0);
        assert_eq!(revoke_abandoned(db, NOW + 1_000).await.unwrap(), 1);
        assert_eq!(confirm(db, "silent").await.unwrap(), None);
        let revoked = CertificateFilter { state: Some(State::Revoked), ..CertificateFilter::default() };
        let rows = list(db, &revoked, None, 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.reason.as_deref() == Some("cessationOfOperation")));
        assert_eq!(revoke_device(db, "d1", Some("new"), Reason::Superseded, NOW).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_renewal_is_the_devices_own_at_once_and_its_repetition_gets_the_same_answer() {
    for fixture in Fixture::all().await {
        let (ca, db) = (fixture.open().await, fixture.db());
        let first = fixture.issue(&ca, &csr(&fixture.key()), "s1").await.unwrap();
        confirm(db, "s1").await.unwrap().unwrap();
        let request = csr(&fixture.key());
        let renewed = fixture.renew(&ca, "d1", &request, first.serial()).await.unwrap();
        assert_eq!(fixture.renew(&ca, "d1", &request, first.serial()).await.unwrap().der(), renewed.der());
        // Nobody else gets it, and a key is not certified twice.
        let stranger = fixture.renew(&ca, "d2", &request, first.serial()).await;
        assert!(matches!(stranger, Err(Error::KeySeen)));
        let row = find(db, renewed.serial()).await.unwrap().unwrap();
        assert_eq!(
            (row.state, row.confirmed, row.replaces.as_deref()),
            (State::Issued, true, Some(first.serial()))
        );
        assert_eq!(row.not_before, renewed.not_before());
        assert_eq!(
            (row.authority.as_str(), row.profile.as_str(), row.origin.as_str()),
            ("issuing", "ldevid", "est")
        );
        let fingerprint = hex::encode(renewed.fingerprint());
        assert_eq!(find_by_fingerprint(db, &fingerprint).await.unwrap().unwrap(), row);
        assert_eq!(newest_of_device(db, "d1").await.unwrap().unwrap(), row);
        assert_eq!(revoke_abandoned(db, NOW + 10_000).await.unwrap(), 0, "nothing of it waits");
        assert!(revoke(db, renewed.serial(), Reason::KeyCompromise, NOW + 1).await.unwrap());
        assert!(!revoke(db, renewed.serial(), Reason::Superseded, NOW + 2).await.unwrap());
        let row = find(db, renewed.serial()).await.unwrap().unwrap();
        assert_eq!((row.state, row.revoked, row.reason_code), (State::Revoked, Some(NOW + 1), Some(1)));
        assert_eq!(row.reason.as_deref(), Some("keyCompromise"));
        assert!(matches!(fixture.renew(&ca, "d1", &request, first.serial()).await, Err(Error::KeySeen)));
    }
}

#[tokio::test]
async fn a_profile_that_is_not_there_is_named() {
    let fixture = Fixture::all().await.remove(0);
    let ca = fixture.open().await;
    let requester = Requester {
        device_id: "d1",
        serial: None,
        guid: Guid::from_bytes([1; 16]),
        origin: Origin::Est { replaces: None },
    };
    let rng = &mut fixture.random.rng();
    let answer = ca.issue(fixture.db(), "nowhere", &csr(&fixture.key()), &requester, NOW, rng).await;
    assert!(matches!(answer, Err(Error::UnknownProfile(name)) if name == "nowhere"));
}
