//! The JSON that a manufacturer's claims listener speaks (voucher transfer, section 9.6).

use serde::{Deserialize, Serialize};

/// `POST Q/enrolment`
#[derive(Serialize)]
pub(super) struct Enrolment<'a> {
    pub(super) code: &'a str,
    pub(super) complete: bool,
}

/// Its answer.
#[derive(Debug, Deserialize)]
pub struct Enrolled {
    /// What the manufacturer calls us.
    pub buyer: String,
}

/// `GET Q/trust`
#[derive(Debug, Deserialize)]
pub struct TrustAnswer {
    pub manufacturer: String,
    #[serde(default)]
    pub voucher_signing_keys: Vec<SigningKeyAnswer>,
    #[serde(default)]
    pub device_cas: Vec<DeviceCaAnswer>,
}

#[derive(Debug, Deserialize)]
pub struct SigningKeyAnswer {
    /// PEM.
    pub public_key: String,
}

#[derive(Debug, Deserialize)]
pub struct DeviceCaAnswer {
    #[serde(default)]
    pub subject: String,
    /// PEM.
    pub certificate: String,
}

/// `POST Q/claims`
#[derive(Serialize)]
pub(super) struct ClaimRequest<'a> {
    pub(super) claims: Vec<ClaimItem<'a>>,
}

#[derive(Serialize)]
pub(super) struct ClaimItem<'a> {
    pub(super) serial: &'a str,
}

#[derive(Deserialize)]
pub(super) struct ClaimAnswers {
    pub(super) results: Vec<ClaimAnswer>,
}

/// The answer to one serial.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimAnswer {
    pub serial: String,
    /// `ok`, `pending` or `error`.
    pub status: String,
    pub voucher_id: Option<String>,
    /// "sha256:" and hexadecimal.
    pub checksum: Option<String>,
    pub model: Option<String>,
    pub error_code: Option<String>,
    pub message: Option<String>,
    pub retry_after: Option<u64>,
    /// 10 or 11, with `key_type_mismatch`.
    pub required_pk_type: Option<u64>,
}
