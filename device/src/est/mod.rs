//! EST (RFC 7030 as updated by RFC 8951) as a client: CA certificates, enrolment, re-enrolment, and what came back.
//!
//! Everything received is bounded, base64 in any form, and proves nothing before `received` has checked it.

mod answer;
pub mod http;
pub mod received;

use std::future::Future;

use zeroize::Zeroizing;

pub use answer::{Answer, Enrolled};

/// What the paths of EST begin with.
const WELL_KNOWN: &str = "/.well-known/est";
/// Where failed renewals are told of; only this project's owner service has it.
const REPORT: &str = "/.well-known/firstlight/report";
/// The longest body of an answer, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// What a device shows of itself in TLS.
pub struct Identity {
    /// The certificate and those above it, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The key, PKCS#8 in DER.
    pub key: Zeroizing<Vec<u8>>,
}

/// One request.
pub struct Request<'a> {
    /// Where it goes.
    pub url: String,
    /// The media type and the body; a GET without.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// The only CA certificates, in DER, that the server's certificate may chain to.
    pub trust: &'a [Vec<u8>],
    /// Who asks; nobody where that does not matter.
    pub identity: Option<&'a Identity>,
    /// The time by which certificates are judged, unix seconds.
    pub now: u64,
}

/// Why there is no answer, or no good one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EstError {
    /// No connection, or none that lasted.
    #[error("the EST service cannot be reached: {0}")]
    Unreachable(String),
    /// The server's certificate does not hold for this device.
    #[error("the EST service is not trusted: {0}")]
    NotTrusted(String),
    /// The server's certificate is of another time than this device's.
    #[error("the EST service's certificate {0}: is this device's clock right?")]
    WrongTime(&'static str),
    /// The server ended TLS because of the device's certificate.
    #[error("the EST service does not accept this device's certificate: {0}")]
    Dismissed(String),
    /// The server says no.
    #[error("the EST service refuses ({status}): {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its sentence.
        reason: String,
    },
    /// The server cannot at the moment.
    #[error("the EST service cannot answer now ({status}): {reason}")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// Its sentence.
        reason: String,
        /// When to ask again, in seconds from now, if it says so.
        retry_after: Option<u64>,
    },
    /// What it sent is not what was asked for.
    #[error("the EST service's answer is of no use: {0}")]
    Unusable(String),
    /// This device cannot ask.
    #[error("this device cannot ask: {0}")]
    Own(String),
}

impl EstError {
    /// Whether the server knows the device and says no, or does not know it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Dismissed(_))
    }
}

/// Carries a request to its server and brings what it answers, whatever that is.
pub trait EstTransport: Send + Sync {
    /// Sends it once.
    ///
    /// # Errors
    /// [`EstError`] where there is no HTTP answer.
    fn send(&self, request: &Request<'_>) -> impl Future<Output = Result<Answer, EstError>> + Send;
}

/// The URL of an operation below what the owner gave: `https://host:port`, with or without the path of EST.
pub fn operation_url(base: &str, operation: &str) -> String {
    let base = base.trim_end_matches('/');
    match base.contains(WELL_KNOWN) {
        true => format!("{base}/{operation}"),
        false => format!("{base}{WELL_KNOWN}/{operation}"),
    }
}

/// Where failures are reported, at the same server.
pub fn report_url(base: &str) -> String {
    let origin = base.split_once(WELL_KNOWN).map_or(base, |(origin, _)| origin);
    format!("{}{REPORT}", origin.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_stand_below_the_path_of_est_with_or_without_a_label() {
        for base in ["https://o.example:8045", "https://o.example:8045/", "https://o.example:8045/.well-known/est"]
        {
            let url = operation_url(base, "cacerts");
            assert_eq!(url, "https://o.example:8045/.well-known/est/cacerts");
            assert_eq!(report_url(base), "https://o.example:8045/.well-known/firstlight/report");
        }
        let labelled = "https://o.example/.well-known/est/fleet";
        assert_eq!(operation_url(labelled, "cacerts"), "https://o.example/.well-known/est/fleet/cacerts");
        assert_eq!(report_url(labelled), "https://o.example/.well-known/firstlight/report");
    }
}
