//! Voucher transfer between organisations (the FDO voucher transfer drafts): what services that give or take vouchers
//! share. Push: the holder is the HTTP client. Pull: the recipient is.

pub mod body;
pub mod cli;
pub mod client;
pub mod did;
pub mod key_auth;
pub mod listing;
pub mod outbox;
pub mod partners;
pub mod push;
pub mod refusal;

use fdo_protocol::Guid;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where vouchers are pushed to below a service's URL.
pub const PUSH_ROOT: &str = "/api/v1/vouchers";
/// Where vouchers are pulled from below a service's URL.
pub const PULL_ROOT: &str = "/api/v1/pull/vouchers";
/// The media type of a voucher in CBOR (section 1).
pub const VOUCHER: &str = "application/x-fdo-voucher";
/// A voucher's largest size.
pub const VOUCHER_LIMIT: usize = 10 * 1024 * 1024;
pub const CHECKSUM_HEADER: &str = "X-FDO-Checksum";
pub const VERSION_HEADER: &str = "X-FDO-Version";
pub const VERSION: &str = "1.0";

/// 32 hexadecimal digits without hyphens.
pub fn voucher_id(guid: &Guid) -> String {
    hex::encode(guid.as_bytes())
}

/// `sha256:` and the hexadecimal digest.
pub fn checksum(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// RFC 3339 in UTC.
pub fn timestamp(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Reads RFC 3339 with fractions and offsets.
pub fn parse_timestamp(text: &str) -> Option<u64> {
    // A `+` of an offset arrives as a space where a client did not escape it.
    let at = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp()).ok()
}

/// What a peer says is data: bounded, without control characters.
pub fn said(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a database cannot have been given becomes 0.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
