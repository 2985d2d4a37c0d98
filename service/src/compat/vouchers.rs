//! Vouchers: in a list, in full, and what became of an import.

use base64ct::{Base64, Encoding};
use fdo_protocol::voucher::{OvEntryPayload, Voucher};
use fdo_protocol::{Error, Guid, Hash, HashType, HmacType, PublicKey, PublicKeyType, cbor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::page::{SortOrder, Window, WindowQuery};
use super::refusal::Refusal;
use super::{rendezvous_info, timestamp};

/// A voucher in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub voucher: Facts,
    pub created_at: String,
    pub updated_at: String,
    /// The same once more, where older scripts look for it.
    pub guid: String,
}

/// What a list tells of a voucher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub guid: String,
    pub protocol_version: u16,
    pub device_info: String,
    pub num_entries: usize,
}

impl Summary {
    pub fn new(voucher: &Voucher, created: u64, updated: u64) -> Self {
        let guid = hex::encode(voucher.guid().as_bytes());
        let facts = Facts {
            guid: guid.clone(),
            protocol_version: voucher.header().version,
            device_info: voucher.header().device_info.clone(),
            num_entries: voucher.entries().len(),
        };
        Self { voucher: facts, created_at: timestamp(created), updated_at: timestamp(updated), guid }
    }
}

/// A part of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SummaryPage {
    pub total: u64,
    pub limit: u64,
    pub offset: u64,
    pub vouchers: Vec<Summary>,
}

/// Which vouchers, and in which order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VoucherQuery {
    limit: Option<u64>,
    offset: Option<u64>,
    guid: Option<String>,
    device_info: Option<String>,
    search: Option<String>,
    #[serde(default)]
    sort_by: SortBy,
    #[serde(default)]
    sort_order: SortOrder,
}

/// By what a list of vouchers is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SortBy {
    #[default]
    CreatedAt,
    UpdatedAt,
    Guid,
    DeviceInfo,
}

/// A checked [`VoucherQuery`].
#[derive(Clone, Debug)]
pub struct Wanted {
    pub window: Window,
    pub guid: Option<Guid>,
    /// A part of the device information, in whatever case.
    pub device_info: Option<String>,
    /// A part of either.
    pub search: Option<String>,
    pub sort_by: SortBy,
    pub descending: bool,
}

impl VoucherQuery {
    /// Checks it.
    pub fn wanted(&self) -> Result<Wanted, Refusal> {
        Ok(Wanted {
            window: WindowQuery { limit: self.limit, offset: self.offset }.window()?,
            guid: self.guid.as_deref().map(guid).transpose()?,
            device_info: self.device_info.clone(),
            search: self.search.clone(),
            sort_by: self.sort_by,
            descending: self.sort_order == SortOrder::Desc,
        })
    }
}

/// A GUID in a path or a query.
pub fn guid(text: &str) -> Result<Guid, Refusal> {
    text.parse().map_err(|_| Refusal::bad_request("guid", "A GUID is 32 hexadecimal digits."))
}

/// What became of each voucher of a body.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VoucherImport {
    pub detected: usize,
    pub imported: usize,
    /// Here already.
    pub skipped: usize,
    pub failed: usize,
    pub messages: Vec<String>,
    pub vouchers: Vec<Summary>,
}

/// The vouchers of a body: PEM, or JSON as [`in_full`] writes it, one or an array. In PEM or CBOR for the import.
pub fn bodies(body: &[u8], is_json: bool) -> Result<Vec<u8>, Refusal> {
    if !is_json {
        return Ok(body.to_vec());
    }
    let misfit = || {
        let detail =
            "JSON vouchers need the member `pem`, as GET answers it; the other members carry no signatures.";
        Refusal::bad_request("voucher-json", detail)
    };
    let json: Value = serde_json::from_slice(body).map_err(|_| misfit())?;
    let all = match json {
        Value::Array(all) => all,
        one => vec![one],
    };
    let pem = |one: &Value| {
        let inner = one.get("voucher").unwrap_or(one);
        inner.get("pem").and_then(Value::as_str).map(str::to_owned).ok_or_else(misfit)
    };
    Ok(all.iter().map(pem).collect::<Result<Vec<_>, _>>()?.concat().into_bytes())
}

/// A voucher in full. Signatures have no place in that shape, so the voucher itself stands beside it as `pem`.
pub fn in_full(voucher: &Voucher) -> Result<Value, Error> {
    let header = voucher.header();
    let pem = |der: &[u8]| fdo_pki::pem::encode_certificates(&[der]).unwrap_or_default();
    let certificates = voucher.certificates().map(|all| all.iter().map(|der| pem(der)).collect::<Vec<_>>());
    let mut entries = Vec::new();
    for entry in voucher.entries() {
        let payload: OvEntryPayload = cbor::decode(entry.unverified_payload())?;
        entries.push(json!({
            "previousHash": hash(&payload.previous_hash),
            "headerHash": hash(&payload.header_hash),
            "publicKey": key(&payload.owner_key)?,
        }));
    }
    let hmac = match voucher.hmac().hmac_type() {
        HmacType::Sha256 => "HMAC-SHA-256",
        HmacType::Sha384 => "HMAC-SHA-384",
    };
    let guid = hex::encode(voucher.guid().as_bytes());
    Ok(json!({
        "guid": guid,
        "protocolVersion": header.version,
        "deviceInfo": header.device_info,
        "numEntries": entries.len(),
        "header": {
            "version": header.version,
            "guid": guid,
            "rvInfo": rendezvous_info::write(Some(&header.rv_info)),
            "deviceInfo": header.device_info,
            "manufacturerKey": key(&header.manufacturer_key)?,
            "certChainHash": header.cert_chain_hash.as_ref().map(hash),
        },
        "hmac": { "algorithm": hmac, "value": hex::encode(voucher.hmac().digest()) },
        "certChain": certificates,
        "entries": entries,
        "pem": voucher.to_pem(),
    }))
}

fn hash(hash: &Hash) -> Value {
    let algorithm = match hash.hash_type() {
        HashType::Sha256 => "SHA-256",
        HashType::Sha384 => "SHA-384",
    };
    json!({ "algorithm": algorithm, "value": hex::encode(hash.digest()) })
}

fn key(key: &PublicKey) -> Result<Value, Error> {
    let key_type = match key.key_type() {
        PublicKeyType::Rsa2048Restr => "RSA2048RESTR",
        PublicKeyType::RsaPkcs => "RSAPKCS",
        PublicKeyType::RsaPss => "RSAPSS",
        PublicKeyType::Secp256r1 => "SECP256R1",
        PublicKeyType::Secp384r1 => "SECP384R1",
    };
    let verifying = key.verifying_key()?;
    Ok(json!({ "type": key_type, "value": Base64::encode_string(verifying.spki_der()) }))
}
