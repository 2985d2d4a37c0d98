//! Issuance that is killed between its steps: every number that may have been signed stays known, none is used twice.

use fdo_pki::{CertificateSigner, build_csr};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::random::Random;
use fdo_service::sessions::SealingKey;

use super::*;
use crate::ca::{CertificateFilter, LDEVID, State, list, revoke_abandoned};
use crate::config::CaSettings;
use crate::db::Migrator;

const NOW: u64 = 1_790_000_000;

fn requester(origin: Origin<'_>) -> Requester<'_> {
    Requester { device_id: "d1", serial: Some("SN-1"), guid: Guid::from_bytes([1; 16]), origin }
}

fn request(random: &Random) -> Vec<u8> {
    let key = SigningKey::generate(KeyType::P256, &mut random.rng()).unwrap();
    let signer: &dyn CertificateSigner = &key;
    build_csr(signer, None, &DeviceSerial::parse("X").unwrap()).unwrap()
}

/// The steps before the kill, by hand, with what a live process would go on with.
struct Killed {
    prepared: ToBeSigned,
    draft: Draft,
    signer: Signer,
}

impl Killed {
    /// What a process would go on with that was only slow.
    async fn complete(&self, db: &DatabaseConnection, now: u64) -> (fdo_pki::Issued, bool) {
        let issued = self.prepared.clone().sign(self.signer.key()).unwrap();
        let completed = Completed { now, ..self.draft.completed(&issued) };
        let stored = store::set_issued(db, &completed).await.unwrap();
        (issued, stored)
    }
}

async fn killed_before_signing(
    ca: &Ca,
    db: &DatabaseConnection,
    csr: &[u8],
    origin: Origin<'_>,
    random: &Random,
) -> Killed {
    let csr = Csr::parse(csr).unwrap().verify().unwrap();
    let (signer, profile, requester) = (ca.active(), ca.compiled(LDEVID).unwrap(), requester(origin));
    let device = device(db, &profile, &requester).await.unwrap();
    let asked = Asked { csr: &csr, device, requester: &requester };
    let (prepared, draft) = ca.prepare(&signer, &profile, &asked, NOW, &mut random.rng()).unwrap();
    assert_eq!(store::insert_all(db, &[&draft]).await.unwrap(), [true]);
    Killed { prepared, draft, signer }
}

async fn each(test: impl AsyncFn(Ca, &DatabaseConnection, Random)) {
    for database in TestDatabase::all::<Migrator>().await {
        let folder = tempfile::tempdir().unwrap();
        let random = Random::seeded(5);
        let sealing = SealingKey::new([7; 32]);
        let db = database.connection();
        let settings = CaSettings::default();
        let ca = Ca::open(db, &sealing, folder.path(), &settings, NOW, &mut random.rng()).await.unwrap();
        test(ca, db, random).await;
    }
}

const SESSION: Origin<'static> = Origin::To2 { session: "s1", pending_until: NOW + 900 };
const RENEWAL: Origin<'static> = Origin::Est { replaces: None };

#[tokio::test]
async fn what_may_have_been_signed_before_the_kill_is_known_and_withdrawn_when_asked_again() {
    each(async |ca, db, random| {
        for origin in [SESSION, RENEWAL] {
            let csr = request(&random);
            let killed = killed_before_signing(&ca, db, &csr, origin, &random).await;
            let again = ca.issue(db, LDEVID, &csr, &requester(origin), NOW + 1, &mut random.rng()).await;
            let Granted::Issued(issued) = again.unwrap() else { panic!("nothing waits") };
            assert_ne!(issued.serial(), killed.draft.serial, "a number is used once");
            let row = crate::ca::find(db, &killed.draft.serial).await.unwrap().unwrap();
            assert_eq!((row.state, row.pem), (State::Revoked, None));
            // A process that was only slow, not dead, must not hand out what was withdrawn.
            assert!(!killed.complete(db, NOW + 2).await.1);
            let instead = store::issued_meanwhile(db, &killed.draft).await.unwrap().unwrap();
            assert_eq!(instead, issued.der());
        }
        assert_eq!(list(db, &CertificateFilter::default(), None, 10).await.unwrap().len(), 4);
    })
    .await;
}

#[tokio::test]
async fn what_was_prepared_and_never_asked_again_is_revoked_in_time() {
    each(async |ca, db, random| {
        for origin in [SESSION, RENEWAL] {
            killed_before_signing(&ca, db, &request(&random), origin, &random).await;
        }
        assert_eq!(revoke_abandoned(db, NOW + 899).await.unwrap(), 0);
        assert_eq!(revoke_abandoned(db, NOW + 900).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_was_committed_before_the_kill_is_answered_again() {
    each(async |ca, db, random| {
        for origin in [SESSION, RENEWAL] {
            let csr = request(&random);
            let killed = killed_before_signing(&ca, db, &csr, origin, &random).await;
            let (signed, stored) = killed.complete(db, NOW).await;
            assert!(stored);
            let again = ca.issue(db, LDEVID, &csr, &requester(origin), NOW + 1, &mut random.rng()).await;
            let Granted::Issued(issued) = again.unwrap() else { panic!("nothing waits") };
            assert_eq!(issued.der(), signed.der());
        }
    })
    .await;
}
