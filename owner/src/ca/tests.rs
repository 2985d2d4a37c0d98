//! The CA is made once, issues by the owner's record, refuses what it must, and revokes what is left behind.

use fdo_pki::{Certificate, CertificateSigner, build_csr};
use fdo_protocol::crypto::KeyType;
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
            session,
            pending_until: NOW + 900,
        };
        ca.issue_ldevid(self.db(), csr, &requester, NOW, &mut self.random.rng()).await
    }
}

fn csr(key: &dyn CertificateSigner) -> Vec<u8> {
    build_csr(key, Some("evil"), &DeviceSerial::parse("SOMEBODY-ELSE").unwrap()).unwrap()
}

#[tokio::test]
async fn it_is_made_once_and_opens_only_with_its_sealing_key() {
    for fixture in Fixture::all().await {
        let (first, second) = (fixture.open().await, fixture.open().await);
        assert_eq!(first.root().der(), second.root().der());
        first.issuing().verify_signed_by(first.root()).unwrap();
        assert!(first.root().not_after() > first.issuing().not_after());
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
        certificate.verify_signed_by(ca.issuing()).unwrap();
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
async fn what_was_prepared_but_never_signed_is_prepared_again() {
    for fixture in Fixture::all().await {
        let ca = fixture.open().await;
        let key = fixture.key();
        let verified = Csr::parse(&csr(&key)).unwrap().verify().unwrap();
        let requester = Requester {
            device_id: "d1",
            serial: Some("SN-1"),
            guid: Guid::from_bytes([1; 16]),
            session: "s1",
            pending_until: NOW + 900,
        };
        let subject = LdevidSubject { serial: None, guid: requester.guid };
        let rng = &mut fixture.random.rng();
        let prepared = ca.profile.prepare(&verified, &subject, &ca.issuer, NOW, rng).unwrap();
        store::insert_prepared(fixture.db(), &prepared, &requester, NOW).await.unwrap();
        let issued = fixture.issue(&ca, &csr(&key), "s1").await.unwrap();
        assert!(!store::set_issued(fixture.db(), &prepared.sign(&ca.key).unwrap()).await.unwrap());
        let rows = list(fixture.db(), &CertificateFilter::default(), None, 10).await.unwrap();
        assert_eq!((rows.len(), rows[0].state), (1, State::Issued));
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
            session: "s",
            pending_until: NOW,
        };
        let rng = &mut fixture.random.rng();
        let issued = ca.issue_ldevid(fixture.db(), &csr(&key), &requester, NOW, rng).await;
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
