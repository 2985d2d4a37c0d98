//! Makes manufacturers' devices, their vouchers and the messages of TO0 and TO1, right or wrong on purpose.

use fdo_pki::{
    CaSubject, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, Lifetime, build_csr, make_device_ca,
};
use fdo_protocol::cbor::{self, RawItem, Wrapped};
use fdo_protocol::cose::{EatPayload, Sign1};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::messages::to0::{HelloAck, OwnerSign, To0d, To1dBlob};
use fdo_protocol::messages::to1::HelloRvAck;
use fdo_protocol::nonce::NonceTo0Sign;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol, Scheme};
use fdo_protocol::voucher::{OvHeader, VerifiedVoucher, VerifyPolicy, Voucher};
use fdo_protocol::{Guid, Hash, HashType, Hmac, HmacType, PublicKey, RendezvousInfo, RvTo2Addr, RvTo2AddrEntry};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::world::NOW;

/// A device with its maker; fresh keys each time.
pub struct Device {
    pub guid: Guid,
    pub key: SigningKey,
    pub maker: SigningKey,
    pub certificates: Vec<Vec<u8>>,
    /// Without entries.
    pub born: VerifiedVoucher,
}

pub fn key() -> SigningKey {
    key_of(KeyType::P256)
}

pub fn key_of(key_type: KeyType) -> SigningKey {
    SigningKey::generate(key_type, &mut ChaCha20Rng::seed_from_u64(rand_seed())).unwrap()
}

/// A different one at each call, so that the portable backend makes different keys too.
fn rand_seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Device {
    pub fn new() -> Self {
        Self::with(Guid::random(&mut ChaCha20Rng::seed_from_u64(rand_seed())), KeyType::P256)
    }

    /// A device that claims this GUID, with keys and a maker of its own.
    pub fn with(guid: Guid, key_type: KeyType) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(rand_seed());
        let (ca_key, key, maker) = (key_of(key_type), key_of(key_type), key_of(key_type));
        let subject = CaSubject { common_name: "Device CA".into(), organization: None };
        let ca = make_device_ca(&subject, &ca_key, Lifetime::WithoutEnd, NOW, &mut rng).unwrap();
        let issuer = Issuer::new(&ca.certificate().unwrap()).unwrap();
        let serial = DeviceSerial::parse("FL-0001").unwrap();
        let csr = Csr::parse(&build_csr(&key, Some("device"), &serial).unwrap()).unwrap().verify().unwrap();
        let record = IdevidSubject { serial, common_name: None, hardware: None };
        let leaf = IdevidProfile::default().prepare(&csr, &record, &issuer, NOW, &mut rng).unwrap();
        let leaf = leaf.sign(&ca_key).unwrap();
        let certificates = vec![leaf.der().to_vec(), ca.der().to_vec()];
        Self::from_parts(guid, key, maker, certificates)
    }

    pub fn from_parts(guid: Guid, key: SigningKey, maker: SigningKey, certificates: Vec<Vec<u8>>) -> Self {
        let hash_type = HashType::for_keys(key.key_type(), maker.key_type());
        let hmac_type = HmacType::for_keys(key.key_type(), maker.key_type());
        let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        let rv_info = RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "127.0.0.1", 8041)]);
        let public = PublicKey::x509(maker.verifying_key());
        let chain_hash = Some(Hash::of(hash_type, &parts));
        let header = Wrapped::new(OvHeader::new(guid, rv_info, "test device".into(), public, chain_hash));
        let hmac = Hmac::of(hmac_type, &[9; 32], &[header.bytes()]).unwrap();
        let born = Voucher::new(header, hmac, certificates.clone()).verify(&VerifyPolicy::default()).unwrap();
        Self { guid, key, maker, certificates, born }
    }

    /// Its voucher as sold by the maker to the first of these, and on.
    pub fn sold_to(&self, owners: &[&SigningKey]) -> VerifiedVoucher {
        let mut signer = &self.maker;
        let mut voucher = self.born.clone();
        for owner in owners {
            voucher = voucher.extend(signer, owner.verifying_key()).unwrap();
            signer = owner;
        }
        voucher
    }

    /// Message 32 for a message 31.
    pub fn prove(&self, hello_ack: &[u8]) -> Vec<u8> {
        let ack: HelloRvAck = cbor::decode(hello_ack).unwrap();
        prove(&self.key, &self.guid, ack.nonce.as_bytes())
    }
}

pub fn prove(key: &SigningKey, guid: &Guid, nonce: &[u8; 16]) -> Vec<u8> {
    EatPayload::new(nonce, guid, None).sign(&[], key).unwrap().bytes().to_vec()
}

pub fn addr(port: u16) -> RvTo2Addr {
    RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "127.0.0.1", port)])
}

/// What message 22 is made of; change what should be wrong before [`Signing::body`].
pub struct Signing {
    pub voucher: Vec<u8>,
    pub wait_seconds: u32,
    pub nonce: NonceTo0Sign,
    /// The encoded RVTO2Addr.
    pub addr: Vec<u8>,
    pub hash: Option<Hash>,
}

impl Signing {
    pub fn new(hello_ack: &[u8], voucher: &[u8], port: u16) -> Self {
        let HelloAck { nonce } = cbor::decode(hello_ack).unwrap();
        Self { voucher: voucher.to_vec(), wait_seconds: 3600, nonce, addr: cbor::encode(&addr(port)), hash: None }
    }

    pub fn to0d(&self) -> Wrapped<To0d> {
        let (voucher, nonce) = (RawItem(self.voucher.clone()), self.nonce.clone());
        Wrapped::new(To0d { voucher, wait_seconds: self.wait_seconds, nonce })
    }

    pub fn to1d(&self, owner: &SigningKey) -> Sign1 {
        let to0d_hash = self.hash.clone().unwrap_or_else(|| Hash::of(HashType::Sha256, &[self.to0d().bytes()]));
        let hash = cbor::encode(&to0d_hash);
        Sign1::sign([&[0x82][..], &self.addr, &hash].concat(), &[], owner, &[]).unwrap()
    }

    pub fn body(&self, owner: &SigningKey) -> Vec<u8> {
        cbor::encode(&OwnerSign { to0d: self.to0d(), to1d: self.to1d(owner) })
    }
}

/// Where a redirect sends its device.
pub fn port_of(to1d: &[u8]) -> u16 {
    let to1d = Sign1::from_bytes(to1d).unwrap();
    let blob: To1dBlob = cbor::decode(to1d.unverified_payload()).unwrap();
    blob.rv_to2_addr.0[0].port
}
