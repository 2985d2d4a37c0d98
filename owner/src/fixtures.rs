//! For tests: a maker of devices with its key and CA, and an owner on a database of its own.
#![allow(clippy::unwrap_used)]

use fdo_pki::{
    CaSubject, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, Lifetime, build_csr, make_device_ca,
};
use fdo_protocol::cbor::Wrapped;
use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::voucher::{OvHeader, VerifiedVoucher, VerifyPolicy, Voucher};
use fdo_protocol::{Guid, Hash, HashType, Hmac, HmacType, PublicKey, RendezvousInfo};
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::operators::audit;
use rand_chacha::ChaCha20Rng;

use crate::app::App;
use crate::config::Config;
use crate::db::Migrator;
use crate::trust::{self, Kind, TrustedKey};

pub(crate) const NOW: u64 = 1_795_478_400;

/// An owner, and the folder and the database that it lives on.
pub(crate) struct Owner {
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl Owner {
    /// One on each kind of database at hand.
    pub(crate) async fn on_all() -> Vec<Self> {
        let mut owners = Vec::new();
        for database in TestDatabase::all::<Migrator>().await {
            let folder = tempfile::tempdir().unwrap();
            let clock = Clock::fixed(NOW);
            let config = Config {
                database: Some(database.url().to_owned()),
                outbound_allow: vec!["loopback".to_owned()],
                ..Config::default()
            };
            let (app, _) = App::open(&config, folder.path(), clock.clone(), Random::seeded(1)).await.unwrap();
            owners.push(Self { app, clock, database, _folder: folder });
        }
        owners
    }

    pub(crate) fn key(&self, key_type: KeyType) -> &VerifyingKey {
        self.app.keys.for_type(key_type).unwrap().verifying_key()
    }

    /// Accepts a maker's vouchers by its key.
    pub(crate) async fn trust(&self, maker: &Maker) {
        let spki = maker.key.verifying_key().spki_der();
        let pin = TrustedKey::parse(Kind::ManufacturerKey, "maker", None, spki, NOW).unwrap();
        trust::insert(&self.app.db, &pin).await.unwrap();
    }

    /// How often something stands in the audit trail.
    pub(crate) async fn audited(&self, action: &str) -> usize {
        let entries = audit::list(&self.app.db, None, 1000).await.unwrap();
        entries.iter().filter(|entry| entry.action == action).count()
    }
}

/// Makes devices.
pub(crate) struct Maker {
    pub(crate) key: SigningKey,
    ca_key: SigningKey,
    ca: Issuer,
    pub(crate) ca_der: Vec<u8>,
    rng: ChaCha20Rng,
}

/// A device and its certificate.
pub(crate) struct Made {
    pub(crate) key: SigningKey,
    certificate: Vec<u8>,
}

impl Maker {
    pub(crate) fn new(seed: u64, key_type: KeyType) -> Self {
        let mut rng = Random::seeded(seed).rng();
        let key = SigningKey::generate(key_type, &mut rng).unwrap();
        let ca_key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        let name = CaSubject { common_name: "Devices".to_owned(), organization: None };
        let issued = make_device_ca(&name, &ca_key, Lifetime::WithoutEnd, NOW, &mut rng).unwrap();
        let ca = Issuer::new(&issued.certificate().unwrap()).unwrap();
        Self { key, ca_key, ca, ca_der: issued.der().to_vec(), rng }
    }

    pub(crate) fn device(&mut self, serial: &str) -> Made {
        let key = SigningKey::generate(KeyType::P256, &mut self.rng).unwrap();
        let serial = DeviceSerial::parse(serial).unwrap();
        let csr = Csr::parse(&build_csr(&key, None, &serial).unwrap()).unwrap().verify().unwrap();
        let subject = IdevidSubject { serial, common_name: None, hardware: None };
        let tbs = IdevidProfile::default().prepare(&csr, &subject, &self.ca, NOW, &mut self.rng).unwrap();
        Made { key, certificate: tbs.sign(&self.ca_key).unwrap().der().to_vec() }
    }

    /// A device's voucher as DI leaves it.
    pub(crate) fn voucher(&mut self, device: &Made) -> VerifiedVoucher {
        let key = self.key.verifying_key().clone();
        self.voucher_of_owner(device, &key)
    }

    /// A device's voucher as TO2 leaves it: its owner's key stands where its maker's did.
    pub(crate) fn voucher_of_owner(&mut self, device: &Made, owner: &VerifyingKey) -> VerifiedVoucher {
        let certificates = vec![device.certificate.clone(), self.ca_der.clone()];
        let (device_type, maker_type) = (device.key.key_type(), owner.key_type());
        let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        let hash = Hash::of(HashType::for_keys(device_type, maker_type), &parts);
        let header = Wrapped::new(OvHeader::new(
            Guid::random(&mut self.rng),
            RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 8041)]),
            "camera".to_owned(),
            PublicKey::x509(owner),
            Some(hash),
        ));
        let hmac = Hmac::of(HmacType::for_keys(device_type, maker_type), &[7; 32], &[b"header"]).unwrap();
        Voucher::new(header, hmac, certificates).verify(&VerifyPolicy::default()).unwrap()
    }

    /// A new device's voucher, extended to an owner.
    pub(crate) fn sold(&mut self, serial: &str, owner: &VerifyingKey) -> VerifiedVoucher {
        let device = self.device(serial);
        self.voucher(&device).extend(&self.key, owner).unwrap()
    }
}
