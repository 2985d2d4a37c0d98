//! Claims: the same bytes for ever, one signature whoever asks at once, and nothing told to those who may not know.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::allocations::{AllocationError, Allocations, Ordered};
use crate::buyers::{BuyerState, Buyers};
use crate::db::Migrator;
use crate::devices::{Device, DeviceState, Devices, Entered};
use crate::keys::{Naming, recorded};
use crate::serial::Serial;
use crate::vouchers::{self, StoredVoucher, VoucherState};
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::di::manufacturer::{Credentials, set_credentials};
use fdo_protocol::key_auth::{CallerHello, KeyAuthResult};
use fdo_protocol::messages::di::SetHmac;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::voucher::{VerifyPolicy, Voucher};
use fdo_protocol::{Hmac, HmacType, PublicKeyEncoding, RendezvousInfo};
use fdo_service::db::testing::TestDatabase;
use fdo_service::endpoint::LimitSettings;
use fdo_service::operators::audit;
use fdo_service::outbound::Guard;
use fdo_service::transfer::key_auth::TOKEN_SECONDS;
use std::net::{IpAddr, Ipv4Addr};

const NOW: u64 = 1_800_000_000;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) struct Maker {
    pub(super) claims: Arc<Claims>,
    pub(super) devices: Devices,
    pub(super) buyers: Buyers,
    pub(super) allocations: Allocations,
    db: DatabaseConnection,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl Maker {
    pub(super) fn new(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (db, clock, random) = (database.connection().clone(), Clock::fixed(NOW), Random::system());
        let hosts = ["localhost".to_owned()];
        let naming = Naming { maker: "Acme", hosts: &hosts };
        recorded::put_rsa(folder.path());
        let keys = Keys::load_or_create(folder.path(), &[], naming, NOW, &mut random.rng()).unwrap();
        let keys = Arc::new(keys);
        let claims = Claims::new(ClaimsParts {
            db: db.clone(),
            clock: clock.clone(),
            random: random.clone(),
            keys,
            maker: "Acme".into(),
            limits: Limits::new(&LimitSettings::default()),
            sealing: SealingKey::new([3; 32]),
            older_key_auth: false,
            serials_per_hour: 600,
            misses_per_hour: 20,
            partners: Partners::new(
                db.clone(),
                clock.clone(),
                random.clone(),
                Guard::default(),
                &SealingKey::new([3; 32]),
            ),
        });
        Self {
            claims: Arc::new(claims),
            devices: Devices::new(db.clone(), clock.clone()),
            buyers: Buyers::new(db.clone(), clock.clone(), random.clone()),
            allocations: Allocations::new(db.clone(), clock.clone(), random),
            db,
            clock,
            _folder: folder,
        }
    }

    /// A serial that is admitted, and, where a key type is given, has a voucher.
    pub(super) async fn device(&self, serial: &str, key_type: Option<KeyType>) {
        let row = Entered { line: 1, serial: serial.into(), model: None, hardware_serial: None };
        self.devices.enter("me", &[row], false).await.unwrap();
        let Some(key_type) = key_type else { return };
        let serial = Serial::parse(serial).unwrap();
        let voucher = self.voucher(&serial, key_type);
        let guid = Some(voucher.guid);
        vouchers::store::insert(&self.db, &voucher).await.unwrap();
        let state = DeviceState::Initialized;
        let device =
            Device { serial, model: None, hardware_serial: None, state, guid, created: NOW, updated: NOW };
        crate::devices::store::update(&self.db, &device).await.unwrap();
    }

    fn voucher(&self, serial: &Serial, key_type: KeyType) -> StoredVoucher {
        let keys = &self.claims.keys;
        let ca = keys.device_ca(key_type);
        let device = key(key_type);
        let mut rng = self.claims.random.rng();
        let csr = fdo_pki::build_csr(&device, None, &fdo_pki::DeviceSerial::parse("1").unwrap()).unwrap();
        let csr = fdo_pki::Csr::parse(&csr).unwrap().verify().unwrap();
        let subject = fdo_pki::IdevidSubject {
            serial: fdo_pki::DeviceSerial::parse(serial.as_str()).unwrap(),
            common_name: None,
            hardware: None,
        };
        let tbs = fdo_pki::IdevidProfile::default().prepare(&csr, &subject, ca.issuer(), NOW, &mut rng).unwrap();
        let leaf = tbs.sign(ca.signing()).unwrap().der().to_vec();
        let (_, expect) = set_credentials(Credentials {
            guid: Guid::random(&mut rng),
            rv_info: RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 8041)]),
            device_info: "Lamp".into(),
            manufacturer_key: keys
                .voucher(key_type)
                .unwrap()
                .public_key(key_type.into(), PublicKeyEncoding::X509)
                .unwrap(),
            device_key_type: key_type,
            certificates: std::iter::once(leaf).chain(ca.chain_der()).collect(),
        })
        .unwrap();
        let hmac = Hmac::of(HmacType::for_keys(key_type, key_type), b"secret", &[b"header"]).unwrap();
        let (voucher, _) = expect.set_hmac(&fdo_protocol::cbor::encode(&SetHmac { hmac })).unwrap();
        StoredVoucher {
            guid: voucher.guid(),
            canon: serial.canon().into(),
            serial: serial.to_string(),
            model: "Lamp".into(),
            key_type,
            manufacturer_key: keys.voucher(key_type).unwrap().signing().verifying_key().spki_der().to_vec(),
            certificate_serial: "1".into(),
            state: VoucherState::Active,
            bytes: voucher.bytes().to_vec(),
            created: NOW,
        }
    }

    pub(super) fn introduction(&self) -> Arc<crate::buyers::routes::Introduction> {
        let identity_fingerprint = self.claims.keys.identity_fingerprint();
        Arc::new(crate::buyers::routes::Introduction {
            identity_fingerprint,
            claims_url: std::sync::OnceLock::new(),
        })
    }

    pub(super) async fn allocate(&self, serials: &[&str], buyer: &str) {
        let ordered = |serial: &&str| Ordered { line: 1, serial: (*serial).into(), buyer: None, order_ref: None };
        let rows: Vec<_> = serials.iter().map(ordered).collect();
        assert!(self.allocations.allocate("me", Some(buyer), &rows, false).await.unwrap().applied);
    }

    /// KeyAuth from hello to token.
    async fn prove(&self, key: &SigningKey) -> Result<String, ClaimError> {
        let hello = CallerHello::new(key.verifying_key(), &mut Random::system().rng());
        let challenge = self.claims.hello(hello.bytes(), HERE).await?;
        let server = self.claims.keys.identity().verifying_key();
        let proof = hello.prove(&challenge, server, key, AadPolicy::default()).unwrap();
        let result = self.claims.prove(&proof, HERE).await?;
        Ok(KeyAuthResult::from_bytes(&result, self.clock.now()).unwrap().token.to_string())
    }

    /// A buyer with enrolled keys, ready to claim with each.
    pub(super) async fn buyer(&self, name: &str, keys: &[&SigningKey]) -> Vec<Claimant> {
        let (_, code) = self.buyers.add("me", name).await.unwrap();
        let mut claimants = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let token = self.prove(key).await.unwrap();
            let caller = self.claims.authenticate(Some(&token)).await.unwrap();
            assert!(matches!(caller.clone().claimant(), Err(ClaimError::NotEnrolled)));
            self.claims.enrol(&caller, &code.code, index + 1 == keys.len()).await.unwrap();
            // The same token is now an enrolled key's.
            claimants.push(self.claims.authenticate(Some(&token)).await.unwrap().claimant().unwrap());
        }
        claimants
    }

    async fn claim(&self, claimant: &Claimant, serial: &str) -> Result<Grant, Denied> {
        let asked = Asked { serial: serial.into(), model: None, expect_guid: None };
        self.claims.claim(claimant, &asked, "r", HERE).await.unwrap()
    }
}

pub(super) fn key(key_type: KeyType) -> SigningKey {
    recorded::key(key_type, "owner")
}

#[tokio::test]
async fn the_same_key_gets_the_same_bytes_for_ever() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        for key_type in KeyType::ISSUED {
            let (serial, owner) = (format!("FL-{}", key_type.signature_length()), key(key_type));
            maker.device(&serial, Some(key_type)).await;
            let buyer = maker.buyer(&serial, &[&owner]).await.remove(0);
            maker.allocate(&[&serial], &serial).await;
            let first = maker.claim(&buyer, &serial).await.unwrap();
            let again = maker.claim(&buyer, &serial.to_lowercase().replace('-', " ")).await.unwrap();
            assert_eq!((&first.bytes, &first.checksum), (&again.bytes, &again.checksum), "{}", db.name());
            let voucher = Voucher::from_bytes(&first.bytes).unwrap().verify(&VerifyPolicy::default()).unwrap();
            assert_eq!(voucher.owner_key(), owner.verifying_key());
            assert_eq!(voucher.entries().len(), 1);
            let download = maker.claims.deliver(&buyer, &first.guid).await.unwrap();
            assert_eq!(download.bytes, first.bytes);
            let delivered = store::find(&maker.db, &first.guid).await.unwrap().unwrap().delivered;
            assert_eq!(delivered, Some(NOW));
        }
        assert_eq!(store::signatures(&maker.db).await.unwrap(), 4);
        assert!(audit::verify(db.connection()).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_keys_at_once_one_is_signed_for() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Arc::new(Maker::new(&db));
        let keys: Vec<_> = (0..4).map(|_| key(KeyType::P256)).collect();
        let claimants = maker.buyer("Acme", &keys.iter().collect::<Vec<_>>()).await;
        maker.device("FL-1", Some(KeyType::P256)).await;
        maker.allocate(&["FL-1"], "Acme").await;
        let tasks: Vec<_> = (0..24)
            .map(|n| {
                let (maker, claimant) = (maker.clone(), claimants[n % claimants.len()].clone());
                tokio::spawn(async move { maker.claim(&claimant, "FL-1").await })
            })
            .collect();
        let mut granted = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(grant) => granted.push(grant.bytes),
                Err(denied) => assert!(matches!(denied, Denied::AlreadyClaimed { .. }), "{denied:?}"),
            }
        }
        assert_eq!(granted.len(), 6, "{}", db.name());
        assert!(granted.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(store::signatures(&maker.db).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn what_a_buyer_may_not_know_looks_unknown() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let (mine, others) = (key(KeyType::P256), key(KeyType::P256));
        let acme = maker.buyer("Acme", &[&mine]).await.remove(0);
        let other = maker.buyer("Other", &[&others]).await.remove(0);
        maker.device("FL-1", Some(KeyType::P256)).await;
        maker.device("FL-2", Some(KeyType::P256)).await;
        maker.allocate(&["FL-1"], "Other").await;
        let denied = [
            maker.claim(&acme, "FL-1").await,
            maker.claim(&acme, "FL-2").await,
            maker.claim(&acme, "FL-404").await,
            maker.claim(&acme, "\u{7}").await,
        ];
        let items: Vec<_> = denied
            .iter()
            .map(|denied| {
                serde_json::to_string(&wire::ClaimResult::denied("S".into(), denied.as_ref().err().unwrap()))
            })
            .map(Result::unwrap)
            .collect();
        assert!(items.iter().all(|item| *item == items[0] && item.contains("not_found")), "{items:?}");
        let grant = maker.claim(&other, "FL-1").await.unwrap();
        assert!(matches!(maker.claims.deliver(&acme, &grant.guid).await, Err(ClaimError::NotFound)));
        assert_eq!(store::signatures(&maker.db).await.unwrap(), 1, "{}", db.name());
        // After so many misses, this address is told nothing at all.
        for _ in 0..16 {
            assert_eq!(maker.claim(&acme, "FL-404").await.unwrap_err(), Denied::NotFound);
        }
        assert_eq!(maker.claim(&acme, "FL-1").await.unwrap_err(), Denied::RateLimited);
    }
}

#[tokio::test]
async fn each_reason_has_its_answer_and_signs_nothing() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let (small, large) = (key(KeyType::P256), key(KeyType::P384));
        let claimants = maker.buyer("Acme", &[&small, &large]).await;
        maker.device("FL-384", Some(KeyType::P384)).await;
        maker.device("FL-NEW", None).await;
        maker.device("FL-1", Some(KeyType::P256)).await;
        maker.allocate(&["FL-384", "FL-NEW", "FL-1"], "Acme").await;
        let mismatch = Denied::KeyTypeMismatch { required: KeyType::P384.into() };
        assert_eq!(maker.claim(&claimants[0], "FL-384").await.unwrap_err(), mismatch);
        maker.device("FL-RSA", Some(KeyType::Rsa3072)).await;
        maker.allocate(&["FL-RSA"], "Acme").await;
        let mismatch = Denied::KeyTypeMismatch { required: KeyType::Rsa3072.into() };
        assert_eq!(maker.claim(&claimants[0], "FL-RSA").await.unwrap_err(), mismatch);
        assert_eq!(maker.claim(&claimants[0], "FL-NEW").await.unwrap_err(), Denied::Pending);
        let expect_guid = Some(Guid::from_bytes([9; 16]));
        let asked = Asked { serial: "FL-1".into(), model: None, expect_guid };
        let denied = maker.claims.claim(&claimants[0], &asked, "r", HERE).await.unwrap();
        assert_eq!(denied.unwrap_err(), Denied::GuidMismatch);
        let serial = Serial::parse("FL-1").unwrap();
        maker.devices.set_blocked("me", &serial, true).await.unwrap();
        assert_eq!(maker.claim(&claimants[0], "FL-1").await.unwrap_err(), Denied::Blocked);
        maker.devices.set_blocked("me", &serial, false).await.unwrap();
        maker.allocations.revoke("me", &serial).await.unwrap();
        assert_eq!(maker.claim(&claimants[0], "FL-1").await.unwrap_err(), Denied::Revoked);
        assert_eq!(store::signatures(&maker.db).await.unwrap(), 0, "{}", db.name());

        maker.claim(&claimants[1], "FL-384").await.unwrap();
        let revoked = maker.allocations.revoke("me", &Serial::parse("FL-384").unwrap()).await;
        assert!(matches!(revoked, Err(AllocationError::Claimed(_))));
    }
}

#[tokio::test]
async fn a_released_serial_is_claimed_anew_and_its_old_voucher_is_gone() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let owner = key(KeyType::P256);
        let acme = maker.buyer("Acme", &[&owner]).await.remove(0);
        maker.device("FL-1", Some(KeyType::P256)).await;
        maker.allocate(&["FL-1"], "Acme").await;
        let old = maker.claim(&acme, "FL-1").await.unwrap();
        maker.devices.release("me", &Serial::parse("FL-1").unwrap()).await.unwrap();
        assert!(matches!(maker.claims.deliver(&acme, &old.guid).await, Err(ClaimError::NotFound)));
        assert_eq!(maker.claim(&acme, "FL-1").await.unwrap_err(), Denied::Pending);
        maker.device("FL-1", Some(KeyType::P256)).await;
        let new = maker.claim(&acme, "FL-1").await.unwrap();
        assert_ne!(new.guid, old.guid, "{}", db.name());
    }
}

#[tokio::test]
async fn a_blocked_device_s_claimed_voucher_is_not_handed_out() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let acme = maker.buyer("Acme", &[&key(KeyType::P256)]).await.remove(0);
        maker.device("FL-1", Some(KeyType::P256)).await;
        maker.allocate(&["FL-1"], "Acme").await;
        let guid = maker.claim(&acme, "FL-1").await.unwrap().guid;
        let serial = Serial::parse("FL-1").unwrap();
        maker.devices.set_blocked("me", &serial, true).await.unwrap();
        assert!(matches!(maker.claims.deliver(&acme, &guid).await, Err(ClaimError::NotFound)), "{}", db.name());
        maker.devices.set_blocked("me", &serial, false).await.unwrap();
        maker.claims.deliver(&acme, &guid).await.unwrap();
    }
}

#[tokio::test]
async fn one_address_and_one_key_have_few_hellos_waiting() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let hello = async |key: &SigningKey, source: &str| {
            let hello = CallerHello::new(key.verifying_key(), &mut Random::system().rng());
            maker.claims.hello(hello.bytes(), source.parse().unwrap()).await
        };
        let owner = key(KeyType::P256);
        for source in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            hello(&owner, source).await.unwrap();
        }
        assert!(matches!(hello(&owner, "192.0.2.4").await, Err(KeyAuthError::TooMany)), "{}", db.name());
        for last in 0..10 {
            hello(&key(KeyType::P256), &format!("2001:db8::{last}")).await.unwrap();
        }
        assert!(matches!(hello(&key(KeyType::P256), "2001:db8::ff").await, Err(KeyAuthError::TooMany)));
        hello(&key(KeyType::P256), "2001:db8:0:1::1").await.unwrap();
        maker.clock.advance(60);
        hello(&owner, "2001:db8::1").await.unwrap();
    }
}

#[tokio::test]
async fn proofs_are_good_once_and_tokens_end() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let owner = key(KeyType::P384);
        let hello = CallerHello::new(owner.verifying_key(), &mut Random::system().rng());
        let challenge = maker.claims.hello(hello.bytes(), HERE).await.unwrap();
        let server = maker.claims.keys.identity().verifying_key();
        let proof = hello.prove(&challenge, server, &owner, AadPolicy::default()).unwrap();
        maker.claims.prove(&proof, HERE).await.unwrap();
        assert!(matches!(
            maker.claims.prove(&proof, HERE).await,
            Err(ClaimError::KeyAuth(KeyAuthError::Unauthenticated))
        ));

        let challenge = maker.claims.hello(hello.bytes(), HERE).await.unwrap();
        let mut proof = hello.prove(&challenge, server, &owner, AadPolicy::default()).unwrap();
        *proof.last_mut().unwrap() ^= 1;
        assert!(
            matches!(maker.claims.prove(&proof, HERE).await, Err(ClaimError::KeyAuth(KeyAuthError::Proof(_)))),
            "{}",
            db.name()
        );
        let challenge = maker.claims.hello(hello.bytes(), HERE).await.unwrap();
        let proof = hello.prove(&challenge, server, &owner, AadPolicy::default()).unwrap();
        maker.clock.advance(60);
        assert!(matches!(
            maker.claims.prove(&proof, HERE).await,
            Err(ClaimError::KeyAuth(KeyAuthError::Unauthenticated))
        ));
        assert!(matches!(maker.claims.hello(b"\x80", HERE).await, Err(KeyAuthError::BadRequest(_))));

        let token = maker.prove(&owner).await.unwrap();
        maker.claims.authenticate(Some(&token)).await.unwrap();
        maker.clock.advance(TOKEN_SECONDS);
        for token in [Some(token.as_str()), Some("x"), Some(""), None] {
            assert!(matches!(
                maker.claims.authenticate(token).await,
                Err(ClaimError::KeyAuth(KeyAuthError::Unauthenticated))
            ));
        }
        maker.claims.sweep().await.unwrap();
    }
}

#[tokio::test]
async fn a_suspended_buyer_is_stopped_everywhere() {
    for db in TestDatabase::all::<Migrator>().await {
        let maker = Maker::new(&db);
        let owner = key(KeyType::P256);
        maker.buyer("Acme", &[&owner]).await;
        let token = maker.prove(&owner).await.unwrap();
        maker.buyers.set_state("me", "Acme", BuyerState::Suspended).await.unwrap();
        let caller = maker.claims.authenticate(Some(&token)).await.unwrap();
        assert!(matches!(caller.claimant(), Err(ClaimError::Buyer(BuyerError::Suspended))), "{}", db.name());
        assert!(matches!(maker.prove(&owner).await, Err(ClaimError::Buyer(BuyerError::Suspended))));
    }
}
