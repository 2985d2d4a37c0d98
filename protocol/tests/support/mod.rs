//! A manufacturer, an owner and a device in memory, under a fixed seed.
#![allow(dead_code, clippy::unwrap_used)]

use fdo_pki::{CaSubject, Certificate, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, Lifetime};
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType, SigningKey};
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::to2::device::DeviceSettings;
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy};
use fdo_protocol::{DeviceCredential, FileSecrets, Guid, PublicKey, PublicKeyEncoding, RendezvousInfo, di};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

pub const NOW: u64 = 1_790_000_000;

/// One device with everybody who ever held it.
pub struct World {
    pub rng: ChaCha20Rng,
    pub key_type: KeyType,
    /// What the device asks for.
    pub cipher_suite: CipherSuite,
    pub manufacturer: SigningKey,
    pub owner: SigningKey,
    pub device: SigningKey,
    pub secret: Zeroizing<Vec<u8>>,
    pub credential: DeviceCredential,
    /// Extended to the owner.
    pub voucher: VerifiedVoucher,
    /// The device's key exchange, if it is not the usual one.
    pub kex_suite: Option<KexSuite>,
}

impl World {
    /// Born by DI and sold once.
    pub fn new(key_type: KeyType) -> Self {
        Self::with_encoding(key_type, PublicKeyEncoding::X509)
    }

    pub fn with_encoding(key_type: KeyType, encoding: PublicKeyEncoding) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(42);
        let [manufacturer, owner, device] = [0, 1, 2].map(|number| key(key_type, number, &mut rng));
        let manufacturer_key = match encoding {
            PublicKeyEncoding::CoseKey => PublicKey::cose_key(manufacturer.verifying_key()),
            _ => PublicKey::x509(manufacturer.verifying_key()),
        };
        let (voucher, credential, secret) = birth(&mut rng, &manufacturer_key, &device);
        let voucher = voucher.extend(&manufacturer, owner.verifying_key()).unwrap();
        Self {
            rng,
            key_type,
            cipher_suite: CipherSuite::for_key(key_type),
            manufacturer,
            owner,
            device,
            secret,
            credential,
            voucher,
            kex_suite: None,
        }
    }

    /// Born with a manufacturer's key in a form of its own, whose private half is the first of its type; sold once.
    pub fn begun_with(manufacturer_key: &PublicKey, device_type: KeyType) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(43);
        let key_type = manufacturer_key.verifying_key().unwrap().key_type();
        let [manufacturer, owner] = [0, 1].map(|number| key(key_type, number, &mut rng));
        let device = key(device_type, 2, &mut rng);
        let (voucher, credential, secret) = birth(&mut rng, manufacturer_key, &device);
        let voucher = voucher.extend(&manufacturer, owner.verifying_key()).unwrap();
        Self {
            rng,
            key_type,
            cipher_suite: CipherSuite::for_key(key_type),
            manufacturer,
            owner,
            device,
            secret,
            credential,
            voucher,
            kex_suite: None,
        }
    }

    pub fn secrets(&self) -> FileSecrets {
        FileSecrets::new(self.device.clone(), self.secret.clone())
    }

    pub fn settings(&self) -> DeviceSettings {
        DeviceSettings {
            kex_suite: self.kex_suite.unwrap_or(KexSuite::for_key(self.key_type)),
            cipher_suite: self.cipher_suite,
            max_message_size: u16::MAX,
            max_service_info_size: None,
            allow_reuse: false,
        }
    }
}

/// The types of keys that this backend has.
pub fn key_types() -> impl Iterator<Item = KeyType> {
    KeyType::ISSUED.into_iter().filter(|key_type| cfg!(feature = "aws-lc") || key_type.curve().is_some())
}

/// A fresh key, or one of the four recorded RSA keys of each size: making such keys takes too long.
pub fn key(key_type: KeyType, number: usize, rng: &mut ChaCha20Rng) -> SigningKey {
    let recording = match key_type {
        KeyType::Rsa2048 => "rsa2048-asymkex2048-a128gcm",
        KeyType::Rsa3072 => "rsapkcs3072-asymkex3072-a256gcm",
        _ => return SigningKey::generate(key_type, rng).unwrap(),
    };
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/transcripts-go-fdo");
    let text = std::fs::read_to_string(format!("{vectors}/{recording}.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let holder = ["manufacturer", "owner", "device", "reseller"][number];
    let der = hex::decode(json["secrets"][format!("{holder}_key_pkcs8")].as_str().unwrap()).unwrap();
    SigningKey::from_der(&der).unwrap()
}

pub fn rendezvous_info() -> RendezvousInfo {
    RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 8041)])
}

/// DI from 10 to 13.
fn birth(
    rng: &mut ChaCha20Rng,
    manufacturer_key: &PublicKey,
    device: &SigningKey,
) -> (VerifiedVoucher, DeviceCredential, Zeroizing<Vec<u8>>) {
    let serial = DeviceSerial::parse("SN-0001").unwrap();
    let info = DeviceMfgInfo {
        key_type: manufacturer_key.key_type(),
        key_encoding: manufacturer_key.encoding(),
        serial_number: "SN-0001".into(),
        device_info: "gateway".into(),
        csr: fdo_protocol::cbor::ByteString(fdo_pki::build_csr(device, None, &serial).unwrap()),
    };
    let (app_start, waiting) = di::device::begin(info);
    let info = di::manufacturer::app_start(&app_start.body).unwrap();

    let credentials = di::manufacturer::Credentials {
        guid: Guid::random(rng),
        rv_info: rendezvous_info(),
        device_info: info.device_info.clone(),
        manufacturer_key: manufacturer_key.clone(),
        device_key_type: device.key_type(),
        certificates: certificates(&info.csr, manufacturer_key.verifying_key().unwrap().key_type(), rng),
    };
    let (set_credentials, expect_hmac) = di::manufacturer::set_credentials(credentials).unwrap();

    let mut secret = Zeroizing::new(vec![0; 48]);
    rng.fill_bytes(&mut secret);
    let secrets = FileSecrets::new(device.clone(), secret.clone());
    let (set_hmac, expect_done) =
        waiting.set_credentials(&set_credentials.body, &secrets, secret.clone()).unwrap();
    let (voucher, done) = expect_hmac.set_hmac(&set_hmac.body).unwrap();
    let credential = expect_done.done(&done.body).unwrap();
    (voucher.verify(&VerifyPolicy::default()).unwrap(), credential, secret)
}

fn certificates(csr: &[u8], key_type: KeyType, rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let ca_key = key(key_type, 3, rng);
    let subject = CaSubject { common_name: "Device CA".into(), organization: None };
    let ca = fdo_pki::make_device_ca(&subject, &ca_key, Lifetime::years(20), NOW, rng).unwrap();
    let csr = Csr::parse(csr).unwrap().verify().unwrap();
    let subject =
        IdevidSubject { serial: DeviceSerial::parse("SN-0001").unwrap(), common_name: None, hardware: None };
    let profile = IdevidProfile { organization: None, model: None };
    let issuer = Issuer::new(&Certificate::parse(ca.der()).unwrap()).unwrap();
    let idevid = profile.prepare(&csr, &subject, &issuer, NOW, rng).unwrap().sign(&ca_key).unwrap();
    vec![idevid.der().to_vec(), ca.der().to_vec()]
}
