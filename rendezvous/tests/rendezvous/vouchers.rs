//! The twelve voucher mutations of the conformance tool, each otherwise consistent: hashes and signatures are made
//! again over what was changed, so that only the mutation itself is wrong. All are code 2 and change nothing.

use fdo_protocol::cbor::{self, ByteString, Writer};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::{ErrorCode, Hash, HashType, PublicKey};

use crate::devices::{Device, Signing, key};
use crate::world::World;

const DEVICE_INFO: &str = "test device";
/// `[10, 1, bytes]`: the form of a key without one in it.
const BAD_KEY: [u8; 7] = [0x83, 0x0a, 0x01, 0x43, 1, 2, 3];

/// Every part of a voucher with one entry, encoded.
struct Parts {
    outer_version: u16,
    version: u16,
    rv_info: Vec<u8>,
    device_info: &'static str,
    maker_key: Vec<u8>,
    chain_hash: Vec<u8>,
    /// Instead of the header made of the above.
    header: Option<Vec<u8>>,
    hmac: Vec<u8>,
    chain: Vec<Vec<u8>>,
    entry_key: Vec<u8>,
    previous_hash: Option<Hash>,
    break_signature: bool,
}

struct Case {
    world: World,
    device: Device,
    owner: SigningKey,
}

impl Case {
    async fn new() -> Self {
        let (world, device, owner) = (World::new().await, Device::new(), key());
        world.register(device.sold_to(&[&owner]).bytes(), &owner, 1000).await.ok(23);
        Self { world, device, owner }
    }

    fn parts(&self) -> Parts {
        let chain = self.device.certificates.clone();
        Parts {
            outer_version: 101,
            version: 101,
            rv_info: self.device.born.header().rv_info.encoded().to_vec(),
            device_info: DEVICE_INFO,
            maker_key: PublicKey::x509(self.device.maker.verifying_key()).encoded().to_vec(),
            chain_hash: chain_hash(&chain),
            header: None,
            hmac: cbor::encode(self.device.born.hmac()),
            chain,
            entry_key: PublicKey::x509(self.owner.verifying_key()).encoded().to_vec(),
            previous_hash: None,
            break_signature: false,
        }
    }

    fn voucher(&self, parts: &Parts) -> Vec<u8> {
        let header = parts.header.clone().unwrap_or_else(|| {
            let mut header = Writer::default();
            header.array(6).value(&parts.version).value(&self.device.guid).raw(&parts.rv_info);
            header.text(parts.device_info).raw(&parts.maker_key).raw(&parts.chain_hash);
            header.into_bytes()
        });
        let previous = Hash::of(HashType::Sha256, &[&header, &parts.hmac]);
        let about = Hash::of(HashType::Sha256, &[self.device.guid.as_bytes(), parts.device_info.as_bytes()]);
        let mut payload = Writer::default();
        payload.array(4).value(parts.previous_hash.as_ref().unwrap_or(&previous)).value(&about).null();
        payload.raw(&parts.entry_key);
        let entry = Sign1::sign(payload.into_bytes(), &[], &self.device.maker, &[]).unwrap();
        let mut entry = entry.bytes().to_vec();
        if parts.break_signature {
            *entry.last_mut().unwrap() ^= 1;
        }
        let chain: Vec<_> = parts.chain.iter().cloned().map(ByteString).collect();
        let mut voucher = Writer::default();
        voucher.array(5).value(&parts.outer_version).bytes(&header).raw(&parts.hmac).value(&chain);
        voucher.array(1).raw(&entry);
        voucher.into_bytes()
    }

    async fn refused(&self, parts: &Parts) {
        let before = self.world.rows().await;
        let ack = self.world.post(20, None, &[0x80]).await.ok(21);
        let body = Signing::new(&ack.body, &self.voucher(parts), 2000).body(&self.owner);
        self.world.post(22, ack.token.as_deref(), &body).await.refused(22, ErrorCode::InvalidVoucher);
        assert_eq!(self.world.rows().await, before);
    }
}

fn chain_hash(chain: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    cbor::encode(&Hash::of(HashType::Sha256, &parts))
}

/// The maker of these vouchers is right: one that is not changed is accepted.
#[tokio::test]
async fn an_unchanged_voucher_is_accepted() {
    let case = Case::new().await;
    case.world.register(&case.voucher(&case.parts()), &case.owner, 2000).await.ok(23);
}

#[tokio::test]
async fn header_bad_prot_version() {
    let case = Case::new().await;
    case.refused(&Parts { version: 100, ..case.parts() }).await;
}

#[tokio::test]
async fn header_bad_rvinfo_empty() {
    let case = Case::new().await;
    case.refused(&Parts { rv_info: vec![0x80], ..case.parts() }).await;
}

#[tokio::test]
async fn header_bad_deviceinfo_empty() {
    let case = Case::new().await;
    case.refused(&Parts { device_info: "", ..case.parts() }).await;
}

#[tokio::test]
async fn header_bad_pubkey() {
    let case = Case::new().await;
    case.refused(&Parts { maker_key: BAD_KEY.to_vec(), ..case.parts() }).await;
    let other = PublicKey::x509(key().verifying_key()).encoded().to_vec();
    case.refused(&Parts { maker_key: other, ..case.parts() }).await;
}

#[tokio::test]
async fn header_bad_certchain_hash() {
    let case = Case::new().await;
    case.refused(&Parts { chain_hash: chain_hash(&[b"other".to_vec()]), ..case.parts() }).await;
    case.refused(&Parts { chain_hash: vec![0xf6], ..case.parts() }).await;
}

#[tokio::test]
async fn bad_header_bytes() {
    let case = Case::new().await;
    case.refused(&Parts { header: Some(b"garbage".to_vec()), ..case.parts() }).await;
}

#[tokio::test]
async fn bad_hdr_hmac() {
    let case = Case::new().await;
    // One that does not fit its type, and one that the entry was not made for.
    case.refused(&Parts { hmac: [&[0x82, 0x05, 0x58, 31][..], &[7; 31]].concat(), ..case.parts() }).await;
    let fits = [&[0x82, 0x05, 0x58, 32][..], &[7; 32]].concat();
    let header = case.device.born.header().bytes().to_vec();
    let previous = Hash::of(HashType::Sha256, &[&header, &case.parts().hmac]);
    case.refused(&Parts { hmac: fits, previous_hash: Some(previous), ..case.parts() }).await;
}

#[tokio::test]
async fn bad_prot_version() {
    let case = Case::new().await;
    case.refused(&Parts { outer_version: 100, ..case.parts() }).await;
}

#[tokio::test]
async fn bad_chain() {
    let case = Case::new().await;
    let garbage = vec![b"garbage".to_vec()];
    case.refused(&Parts { chain_hash: chain_hash(&garbage), chain: garbage, ..case.parts() }).await;
    // A leaf under a CA that did not sign it.
    let stranger = Device::new().certificates[1].clone();
    let chain = vec![case.device.certificates[0].clone(), stranger];
    case.refused(&Parts { chain_hash: chain_hash(&chain), chain, ..case.parts() }).await;
    case.refused(&Parts { chain_hash: chain_hash(&[]), chain: Vec::new(), ..case.parts() }).await;
}

#[tokio::test]
async fn entry_bad_prev_hash() {
    let case = Case::new().await;
    let previous_hash = Some(Hash::of(HashType::Sha256, &[b"other"]));
    case.refused(&Parts { previous_hash, ..case.parts() }).await;
}

#[tokio::test]
async fn entry_bad_signature() {
    let case = Case::new().await;
    case.refused(&Parts { break_signature: true, ..case.parts() }).await;
}

#[tokio::test]
async fn entry_bad_pubkey() {
    let case = Case::new().await;
    case.refused(&Parts { entry_key: BAD_KEY.to_vec(), ..case.parts() }).await;
}
