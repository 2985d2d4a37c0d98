//! Every way to a certificate, with owners of every kind.
#![allow(clippy::unwrap_used)]

use fdo_pki::{
    CaSubject, Csr as Request, DeviceSerial, Issuer, LdevidProfile, LdevidSubject, Lifetime, make_device_ca,
};
use fdo_protocol::Guid;
use fdo_protocol::cbor::{decode, encode};
use fdo_protocol::service_info::ServiceInfoKv;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;

const NOW: u64 = 1_795_478_400;

/// An owner's CA.
pub(in crate::modules) struct Authority {
    key: SigningKey,
    pub(in crate::modules) certificate: Vec<u8>,
    rng: ChaCha20Rng,
}

impl Authority {
    pub(in crate::modules) fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        let subject = CaSubject { common_name: format!("CA {seed}"), organization: None };
        let issued = make_device_ca(&subject, &key, Lifetime::years(2), NOW, &mut rng).unwrap();
        Self { certificate: issued.der().to_vec(), key, rng }
    }

    pub(in crate::modules) fn issue(&mut self, csr: &[u8], organization: Option<&str>) -> Vec<u8> {
        let csr = Request::from_any(csr).unwrap().verify().unwrap();
        let subject = LdevidSubject {
            serial: Some(DeviceSerial::parse("SN-1").unwrap()),
            ..LdevidSubject::new(Guid::from_bytes([1; 16]))
        };
        let issuer = Issuer::new(&Certificate::parse(&self.certificate).unwrap()).unwrap();
        let profile = LdevidProfile { organization: organization.map(str::to_owned), ..LdevidProfile::default() };
        let tbs = profile.prepare(&csr, &subject, &issuer, NOW, &mut self.rng).unwrap();
        tbs.sign(&self.key).unwrap().der().to_vec()
    }

    pub(in crate::modules) fn fresh(&mut self, key_type: KeyType) -> (SigningKey, Vec<u8>) {
        let key = SigningKey::generate(key_type, &mut self.rng).unwrap();
        let csr = fdo_pki::build_csr(&key, None, &DeviceSerial::parse("SN-1").unwrap()).unwrap();
        let certificate = self.issue(&csr, Some("Acme"));
        (key, certificate)
    }

    fn chain(&self) -> ToDevice {
        ToDevice::CaCertsRes(EstBody::from_der(&fdo_pki::pkcs7::build_certs_only(&[&self.certificate]).unwrap()))
    }
}

struct Device {
    csr: Csr,
    rng: ChaCha20Rng,
}

impl Device {
    fn new(settings: CsrSettings, earlier: Option<&[u8]>) -> Self {
        let earlier = earlier.map(|der| Certificate::parse(der).unwrap());
        Self { csr: Csr::new(settings, KeyType::P256, "SN-1", earlier), rng: ChaCha20Rng::seed_from_u64(9) }
    }

    fn hear(&mut self, message: &ToDevice) -> Result<Vec<ServiceInfoKv>, Error> {
        let mut answers = Answers::new(Csr::NAME);
        let kv = message.to_kv();
        self.csr.receive(kv.message(), &kv.value, &mut answers, &mut self.rng)?;
        Ok(answers.pairs().to_vec())
    }

    fn begin(&mut self) -> Vec<String> {
        names(&self.hear(&ToDevice::Active(true)).unwrap())
    }

    fn ldevid(&self) -> Result<Ldevid, String> {
        self.csr.finish(NOW).unwrap().unwrap()
    }
}

fn names(said: &[ServiceInfoKv]) -> Vec<String> {
    said.iter().map(|kv| kv.message().to_owned()).collect()
}

fn request(said: &[ServiceInfoKv]) -> Vec<u8> {
    decode::<String>(&said.last().unwrap().value).unwrap().into_bytes()
}

#[test]
fn a_device_without_ldevid_enrols_at_once() {
    let (mut authority, mut device) = (Authority::new(1), Device::new(CsrSettings::default(), None));
    let said = device.hear(&ToDevice::Active(true)).unwrap();
    assert_eq!(names(&said), ["active", "cacerts-req", "simpleenroll-req"]);
    // In either order, alone or in CMS.
    let certificate = authority.issue(&request(&said), None);
    let wrapped = fdo_pki::pkcs7::build_certs_only(&[&certificate]).unwrap();
    device.hear(&ToDevice::SimpleEnrollRes(EstBody::from_der(&wrapped))).unwrap();
    assert!(device.ldevid().is_err());
    device.hear(&authority.chain()).unwrap();
    let ldevid = device.ldevid().unwrap();
    assert_eq!((ldevid.status.subject.as_str(), ldevid.files.len()), ("serialNumber=SN-1", 3));
    // Nothing of it may come twice.
    for again in [ToDevice::SimpleEnrollRes(EstBody::from_der(&certificate)), authority.chain()] {
        assert!(matches!(device.hear(&again), Err(Error::Rejected(_))));
    }
}

#[test]
fn an_ldevid_of_the_same_ca_is_renewed_with_its_subject_and_a_fresh_key() {
    let mut authority = Authority::new(1);
    let (old_key, earlier) = authority.fresh(KeyType::P256);
    let mut device = Device::new(CsrSettings::default(), Some(&earlier));
    assert_eq!(device.begin(), ["active", "cacerts-req"]);
    let said = device.hear(&authority.chain()).unwrap();
    assert_eq!(names(&said), ["simplereenroll-req"]);
    let csr = Request::from_any(&request(&said)).unwrap().verify().unwrap();
    assert_eq!(csr.requested_subject(), Certificate::parse(&earlier).unwrap().subject());
    assert!(csr.public_key() != old_key.verifying_key());
    let certificate = authority.issue(&request(&said), Some("Acme"));
    device.hear(&ToDevice::SimpleReenrollRes(EstBody::from_der(&certificate))).unwrap();
    assert!(device.ldevid().is_ok());
    // Of another CA it is none: the device enrols anew; and so it does where owners do not renew.
    let mut other = Device::new(CsrSettings::default(), Some(&earlier));
    other.begin();
    assert_eq!(names(&other.hear(&Authority::new(2).chain()).unwrap()), ["simpleenroll-req"]);
    let mut refused = Device::new(CsrSettings::default(), Some(&earlier));
    refused.begin();
    refused.hear(&authority.chain()).unwrap();
    assert_eq!(names(&refused.hear(&ToDevice::Error(CsrError::NotSupported)).unwrap()), ["simpleenroll-req"]);
}

#[test]
fn attributes_are_asked_for_and_kept_to() {
    let settings = CsrSettings { attributes: true, server_key: false };
    let attributes = |der: Vec<u8>| ToDevice::CsrAttrsRes(EstBody::from_der(&der));
    let wanted = CsrAttributes::wanting(&[KeyType::P384]).to_der().unwrap();
    let rsa = vec![0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1];
    for (answer, key_type) in [
        (attributes(wanted), Some(KeyType::P384)),
        (attributes(vec![0x30, 0]), Some(KeyType::P256)),
        (attributes(rsa), None),
        (ToDevice::Error(CsrError::NotSupported), Some(KeyType::P256)),
    ] {
        let mut device = Device::new(settings, None);
        assert_eq!(device.begin(), ["active", "cacerts-req", "csrattrs-req"]);
        device.hear(&Authority::new(1).chain()).unwrap();
        let said = device.hear(&answer).unwrap();
        match key_type {
            Some(key_type) => {
                let csr = Request::from_any(&request(&said)).unwrap().verify().unwrap();
                assert_eq!(csr.public_key().key_type(), key_type);
            }
            None => {
                assert!(said.is_empty());
                assert!(device.ldevid().err().unwrap().contains("cannot make"));
            }
        }
    }
    let mut device = Device::new(settings, None);
    device.begin();
    assert!(matches!(device.hear(&attributes(vec![0x31, 0])), Err(Error::Malformed(_))));
}

#[test]
fn an_owner_may_make_the_key_where_the_device_wants_it() {
    let mut authority = Authority::new(1);
    let settings = CsrSettings { attributes: false, server_key: true };
    let mut device = Device::new(settings, None);
    assert_eq!(device.begin(), ["active", "cacerts-req", "serverkeygen-req"]);
    device.hear(&authority.chain()).unwrap();
    let (key, certificate) = authority.fresh(KeyType::P384);
    let answer = ServerKey { pkcs8: key.to_pkcs8_der().unwrap(), certificate };
    let body = |answer: &ServerKey| ToDevice::ServerKeygenRes(EstBody::from_text(answer.to_text().to_string()));
    device.hear(&body(&answer)).unwrap();
    let ldevid = device.ldevid().unwrap();
    assert!(ldevid.files[0].content.as_slice() == key.to_pkcs8_pem().unwrap().as_bytes());
    // A certificate for another key, half an answer, a key that nobody asked for.
    let mut device = Device::new(settings, None);
    device.begin();
    let (_, other) = authority.fresh(KeyType::P256);
    assert!(device.hear(&body(&ServerKey { certificate: other, ..answer.clone() })).is_err());
    let mut device = Device::new(settings, None);
    device.begin();
    assert!(device.hear(&ToDevice::ServerKeygenRes(EstBody::from_text("--fdo--".into()))).is_err());
    let mut device = Device::new(CsrSettings::default(), None);
    device.begin();
    assert!(matches!(device.hear(&body(&answer)), Err(Error::Rejected(_))));
    // An owner that does not: the device makes its own.
    let mut device = Device::new(settings, None);
    device.begin();
    device.hear(&authority.chain()).unwrap();
    assert_eq!(names(&device.hear(&ToDevice::Error(CsrError::NotSupported)).unwrap()), ["simpleenroll-req"]);
}

#[test]
fn an_owner_without_cms_is_asked_for_one_certificate() {
    let (mut authority, mut device) = (Authority::new(1), Device::new(CsrSettings::default(), None));
    let said = device.hear(&ToDevice::Active(true)).unwrap();
    let asked = device.hear(&ToDevice::Error(CsrError::UnsupportedFormat)).unwrap();
    assert_eq!((names(&asked), asked[0].value.to_vec()), (vec!["cacerts-req".to_owned()], encode(&287_u64)));
    let certificate = authority.issue(&request(&said), None);
    device.hear(&ToDevice::SimpleEnrollRes(EstBody::from_der(&certificate))).unwrap();
    device.hear(&ToDevice::CaCertsRes(EstBody::from_der(&authority.certificate))).unwrap();
    assert!(device.ldevid().is_ok());
}

#[test]
fn errors_say_why_there_is_no_ldevid() {
    for (error, why) in [
        (CsrError::BadRequest, "error 1"),
        (CsrError::Unauthorized, "unauthorized"),
        (CsrError::RateExceeded, "error 4"),
        (CsrError::NotSupported, "error 3"),
    ] {
        let mut device = Device::new(CsrSettings::default(), None);
        device.begin();
        assert!(device.hear(&ToDevice::Error(error)).unwrap().is_empty());
        assert!(device.ldevid().err().unwrap().contains(why));
    }
    let silent = Device::new(CsrSettings::default(), None);
    assert!(silent.csr.finish(NOW).unwrap().is_none());
}

#[test]
fn certificates_that_are_not_for_this_device_end_the_conversation() {
    let (mut authority, mut other) = (Authority::new(1), Authority::new(2));
    let (_, foreign) = authority.fresh(KeyType::P256);
    let mut device = Device::new(CsrSettings::default(), None);
    device.begin();
    let enrolled = |der: &[u8]| ToDevice::SimpleEnrollRes(EstBody::from_der(der));
    assert!(matches!(device.hear(&enrolled(&foreign)), Err(Error::Rejected(_))));
    for answer in [
        enrolled(b"0"),
        ToDevice::SimpleEnrollRes(EstBody::from_text("%".into())),
        ToDevice::CaCertsRes(EstBody::from_der(b"0")),
        ToDevice::SimpleReenrollRes(EstBody::from_der(&foreign)),
    ] {
        let mut device = Device::new(CsrSettings::default(), None);
        device.begin();
        assert!(device.hear(&answer).is_err());
    }
    // Issued by somebody else than the CA that is shown.
    let mut device = Device::new(CsrSettings::default(), None);
    let said = device.hear(&ToDevice::Active(true)).unwrap();
    let certificate = other.issue(&request(&said), None);
    device.hear(&enrolled(&certificate)).unwrap();
    assert!(matches!(device.hear(&authority.chain()), Err(Error::Rejected(_))));
    assert!(Device::new(CsrSettings::default(), None).hear(&enrolled(&certificate)).is_err());
}
