//! The certificate authorities of the manufacturer and of the owner.

use fdo_pki::{
    CaSubject, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, LdevidProfile, LdevidSubject, Lifetime,
    make_device_ca,
};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use rand_chacha::ChaCha20Rng;

use super::NOW;

/// A CA with its key.
pub struct Authority {
    key: SigningKey,
    certificate: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str, key_type: KeyType, rng: &mut ChaCha20Rng) -> Self {
        let key = SigningKey::generate(key_type, rng).unwrap();
        let subject = CaSubject { common_name: name.to_owned(), organization: None };
        let issued = make_device_ca(&subject, &key, Lifetime::years(20), NOW, rng).unwrap();
        Self { certificate: issued.der().to_vec(), key }
    }

    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn issuer(&self) -> Issuer {
        Issuer::new(&fdo_pki::Certificate::parse(&self.certificate).unwrap()).unwrap()
    }

    /// The certificate of birth with its CA's.
    pub fn idevid(&self, csr: &[u8], serial: &str, rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
        let csr = Csr::parse(csr).unwrap().verify().unwrap();
        let serial = DeviceSerial::parse(serial).unwrap();
        let subject = IdevidSubject { serial, common_name: None, hardware: None };
        let tbs = IdevidProfile::default().prepare(&csr, &subject, &self.issuer(), NOW, rng).unwrap();
        vec![tbs.sign(&self.key).unwrap().der().to_vec(), self.certificate.clone()]
    }

    /// A certificate of the owner's.
    pub fn ldevid(&self, csr: &[u8], guid: Guid, rng: &mut ChaCha20Rng) -> Vec<u8> {
        let csr = Csr::from_any(csr).unwrap().verify().unwrap();
        let subject = LdevidSubject {
            serial: Some(DeviceSerial::parse(super::SERIAL).unwrap()),
            ..LdevidSubject::new(guid)
        };
        let tbs = LdevidProfile::default().prepare(&csr, &subject, &self.issuer(), NOW, rng).unwrap();
        tbs.sign(&self.key).unwrap().der().to_vec()
    }
}
