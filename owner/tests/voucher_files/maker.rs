//! A maker that sells many devices to one owner. None of their vouchers names a rendezvous: nothing is to be registered.

use fdo_pki::{CaSubject, Certificate, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, Lifetime};
use fdo_protocol::cbor::Wrapped;
use fdo_protocol::crypto::{KeyType, SigningKey, VerifyingKey};
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::voucher::{OvHeader, VerifiedVoucher, VerifyPolicy, Voucher};
use fdo_protocol::{Guid, Hash, HashType, Hmac, HmacType, PublicKey, RendezvousInfo};
use fdo_service::host::random::Random;
use rand_chacha::ChaCha20Rng;

use crate::world::NOW;

pub struct Maker {
    key: SigningKey,
    ca_key: SigningKey,
    ca: Vec<u8>,
    owner: VerifyingKey,
    rng: ChaCha20Rng,
}

impl Maker {
    pub fn new(seed: u64, owner: VerifyingKey) -> Self {
        let (key_type, mut rng) = (KeyType::P256, Random::seeded(seed).rng());
        let key = SigningKey::generate(key_type, &mut rng).unwrap();
        let ca_key = SigningKey::generate(key_type, &mut rng).unwrap();
        let subject = CaSubject { common_name: "Devices".into(), organization: None };
        let ca = fdo_pki::make_device_ca(&subject, &ca_key, Lifetime::years(20), NOW, &mut rng).unwrap();
        Self { key, ca_key, ca: ca.der().to_vec(), owner, rng }
    }

    pub fn key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    /// Another device and its voucher.
    pub fn sell(&mut self, number: usize) -> VerifiedVoucher {
        let rng = &mut self.rng;
        let key = SigningKey::generate(self.key.key_type(), rng).unwrap();
        let serial = DeviceSerial::parse(&format!("SN-{number:05}")).unwrap();
        let csr = Csr::parse(&fdo_pki::build_csr(&key, None, &serial).unwrap()).unwrap().verify().unwrap();
        let issuer = Issuer::new(&Certificate::parse(&self.ca).unwrap()).unwrap();
        let subject = IdevidSubject { serial, common_name: None, hardware: None };
        let profile = IdevidProfile { organization: None, model: None };
        let idevid = profile.prepare(&csr, &subject, &issuer, NOW, rng).unwrap().sign(&self.ca_key).unwrap();
        let certificates = vec![idevid.der().to_vec(), self.ca.clone()];
        self.voucher(certificates)
    }

    /// A voucher over somebody else's device.
    pub fn sell_device_of(&mut self, other: &VerifiedVoucher) -> VerifiedVoucher {
        self.voucher(other.certificates().unwrap().iter().map(|der| der.to_vec()).collect())
    }

    /// The same voucher with another entry.
    pub fn sell_again(&self, sold: &VerifiedVoucher) -> VerifiedVoucher {
        let certificates = sold.certificates().unwrap().iter().map(|der| der.to_vec()).collect();
        let start = Voucher::new(sold.header().clone(), sold.hmac().clone(), certificates);
        start.verify(&VerifyPolicy::default()).unwrap().extend(&self.key, &self.owner).unwrap()
    }

    fn voucher(&mut self, certificates: Vec<Vec<u8>>) -> VerifiedVoucher {
        let key_type = self.key.key_type();
        let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        let hash = Hash::of(HashType::for_keys(key_type, key_type), &parts);
        let owner = Directive { bypass: true, ..Directive::at(RvProtocol::Http, "127.0.0.1", 8043) };
        let header = Wrapped::new(OvHeader::new(
            Guid::random(&mut self.rng),
            RendezvousInfo::new(vec![owner]),
            "camera".to_owned(),
            PublicKey::x509(self.key.verifying_key()),
            Some(hash),
        ));
        let hmac = Hmac::of(HmacType::for_keys(key_type, key_type), &[7; 32], &[header.bytes()]).unwrap();
        let voucher = Voucher::new(header, hmac, certificates).verify(&VerifyPolicy::default()).unwrap();
        voucher.extend(&self.key, &self.owner).unwrap()
    }
}
