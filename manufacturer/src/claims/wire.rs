//! The JSON of claims and of lists (voucher transfer, sections 4 and 9.6).

use fdo_protocol::{Guid, PublicKeyType};
use fdo_service::transfer::listing::Listed;
use fdo_service::transfer::{timestamp, voucher_id};
use serde::{Deserialize, Serialize};

use super::{Asked, Claim, Denied, Grant};

/// Items of one request.
pub(super) const MAX_ITEMS: usize = 200;

#[derive(Deserialize)]
pub(super) struct EnrolmentBody {
    pub(super) code: String,
    #[serde(default = "yes")]
    pub(super) complete: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
pub(super) struct EnrolmentReply {
    pub(super) buyer: String,
    pub(super) key_fingerprint: String,
    pub(super) key_type: String,
    pub(super) enrolled_keys: u64,
    pub(super) complete: bool,
}

#[derive(Deserialize)]
pub(super) struct ClaimsBody {
    pub(super) request_id: Option<String>,
    pub(super) claims: Vec<ClaimItem>,
}

#[derive(Deserialize)]
pub(super) struct ClaimItem {
    pub(super) serial: String,
    pub(super) model: Option<String>,
    pub(super) expect_guid: Option<String>,
}

impl ClaimItem {
    /// The item as it is decided on; `None` when its GUID is none.
    pub(super) fn asked(&self) -> Option<Asked> {
        let expect_guid = self.expect_guid.as_deref().map(str::parse::<Guid>).transpose().ok()?;
        Some(Asked { serial: self.serial.clone(), model: self.model.clone(), expect_guid })
    }
}

#[derive(Serialize)]
pub(super) struct ClaimsReply {
    pub(super) results: Vec<ClaimResult>,
    pub(super) timestamp: String,
    pub(super) request_id: String,
}

/// What became of one item; members that do not apply are absent.
#[derive(Default, Serialize)]
pub(super) struct ClaimResult {
    serial: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voucher_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_key_fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_pk_type: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl ClaimResult {
    pub(super) fn granted(serial: String, grant: &Grant) -> Self {
        Self {
            serial,
            status: "ok",
            model: Some(grant.model.clone()),
            voucher_id: Some(voucher_id(&grant.guid)),
            checksum: Some(grant.checksum.clone()),
            size_bytes: Some(grant.bytes.len()),
            owner_key_fingerprint: Some(grant.fingerprint.clone()),
            claimed_at: Some(timestamp(grant.created)),
            ..Self::default()
        }
    }

    pub(super) fn denied(serial: String, denied: &Denied) -> Self {
        let (error_code, message) = match denied {
            Denied::NotFound => ("not_found", "no such serial number is allocated to you"),
            Denied::Pending => ("pending", "this device is not made yet; ask again later"),
            Denied::AlreadyClaimed { .. } => ("already_claimed", "another key of yours has claimed this device"),
            Denied::GuidMismatch => ("guid_mismatch", "the device has another GUID than expected"),
            Denied::KeyTypeMismatch { .. } => {
                ("key_type_mismatch", "authenticate with an owner key of the required type and ask again")
            }
            Denied::Revoked => ("allocation_revoked", "the manufacturer has taken this allocation back"),
            Denied::Blocked => ("device_blocked", "this device is reported stolen or recalled"),
            Denied::RateLimited => ("rate_limited", "too many serial numbers or misses; wait an hour"),
        };
        let mut result = Self { serial, status: "error", ..Self::default() };
        (result.error_code, result.message) = (Some(error_code), Some(message));
        match denied {
            Denied::Pending => (result.status, result.retry_after) = ("pending", Some(3600)),
            Denied::RateLimited => result.retry_after = Some(3600),
            Denied::AlreadyClaimed { fingerprint } => result.owner_key_fingerprint = Some(fingerprint.clone()),
            Denied::KeyTypeMismatch { required } => result.required_pk_type = Some(pk_type(*required)),
            _ => {}
        }
        result
    }

    /// A fault of this side; the same request may be sent again.
    pub(super) fn failed(serial: String) -> Self {
        let (error_code, message) = (Some("internal_error"), Some("the manufacturer's service failed; ask again"));
        Self { serial, status: "error", error_code, message, ..Self::default() }
    }
}

fn pk_type(key_type: PublicKeyType) -> u64 {
    key_type.number()
}

impl From<Claim> for Listed {
    fn from(claim: Claim) -> Self {
        Self {
            guid: claim.guid,
            serial: claim.serial,
            model: claim.model,
            downloaded: claim.delivered.is_some(),
            created: claim.created,
            size: claim.bytes.len(),
            checksum: claim.checksum,
        }
    }
}

/// How a claimed voucher stands (section 3.1).
#[derive(Serialize)]
pub(super) struct VoucherStatus {
    voucher_id: String,
    serial: String,
    status: &'static str,
    checksum: String,
    size_bytes: usize,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<String>,
}

impl From<Claim> for VoucherStatus {
    fn from(claim: Claim) -> Self {
        Self {
            voucher_id: voucher_id(&claim.guid),
            status: if claim.delivered.is_some() { "downloaded" } else { "assigned" },
            size_bytes: claim.bytes.len(),
            created_at: timestamp(claim.created),
            delivered_at: claim.delivered.map(timestamp),
            serial: claim.serial,
            checksum: claim.checksum,
        }
    }
}
