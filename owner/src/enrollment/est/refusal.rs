//! Why an EST request is refused: a status, and a sentence for the person who reads the client's log (RFC 7030, 4.2.3).

use std::error::Error as StdError;

use fdo_service::database::DbErr;

use crate::{admission, ca, inventory, vouchers};

/// A refused request on its way out.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub sentence: String,
    /// Seconds after which the client may ask again.
    pub retry_after: Option<u64>,
    /// Of whom it is known that they asked.
    pub device: Option<KnownDevice>,
}

/// The device that asked, as the audit trail names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    pub id: String,
    pub guid: String,
}

impl Refusal {
    pub fn new(status: u16, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), retry_after: None, device: None }
    }

    /// 400: the request is at fault.
    pub fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(400, sentence)
    }

    /// 401: nobody has said who asks.
    pub fn nobody() -> Self {
        Self::new(
            401,
            "This needs a TLS client certificate: the one that this owner issued to the device, or the device's IDevID.",
        )
    }

    /// 403: whoever asks may not.
    pub fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(403, sentence)
    }

    /// 404: there is no such thing here.
    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(404, sentence)
    }

    /// 429
    pub fn too_often(sentence: &str) -> Self {
        Self { retry_after: Some(60), ..Self::new(429, sentence) }
    }

    /// 500, or 503 where asking again may help; the reason is for the log only.
    pub fn fault(error: &(dyn StdError + 'static)) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reason = format!("{reason}: {inner}");
            source = inner.source();
        }
        tracing::error!(%reason, "EST failed");
        let sentence = "The service failed; ask again later.";
        Self { retry_after: Some(60), ..Self::new(503, sentence) }
    }

    /// Whether the fault is on this side.
    pub fn is_fault(&self) -> bool {
        self.status >= 500 && self.status != 501
    }

    /// Of this device.
    #[must_use]
    pub fn of(mut self, device: &inventory::Device) -> Self {
        self.device = Some(KnownDevice { id: device.id.clone(), guid: device.guid.to_string() });
        self
    }
}

impl From<DbErr> for Refusal {
    fn from(error: DbErr) -> Self {
        Self::fault(&error)
    }
}

impl From<inventory::Error> for Refusal {
    fn from(error: inventory::Error) -> Self {
        Self::fault(&error)
    }
}

impl From<vouchers::Error> for Refusal {
    fn from(error: vouchers::Error) -> Self {
        Self::fault(&error)
    }
}

impl From<admission::Error> for Refusal {
    fn from(error: admission::Error) -> Self {
        match &error {
            admission::Error::Denied(_) => Self::forbidden(format!("Refused: {error}.")),
            // It fails closed, and the reason is the operator's business.
            admission::Error::Unanswered(reason) => {
                tracing::warn!(reason, "admission is not answered, so nobody is let in");
                let sentence = "Whoever decides on admission does not answer; ask again later.";
                Self { retry_after: Some(60), ..Self::new(503, sentence) }
            }
            _ => Self::fault(&error),
        }
    }
}

impl From<ca::Error> for Refusal {
    fn from(error: ca::Error) -> Self {
        let sentence = format!("Refused: {error}.");
        match &error {
            ca::Error::Malformed(cause) | ca::Error::Proof(cause) | ca::Error::Unsupported(cause) => {
                of_request(cause)
            }
            ca::Error::KeySeen => Self::new(409, sentence),
            ca::Error::UnknownProfile(_) => Self::not_found(sentence),
            ca::Error::Withdrawn | ca::Error::Refused(_) => Self::forbidden(sentence),
            _ => Self::fault(&error),
        }
    }
}

/// What is wrong with a request, told by its reader.
pub(super) fn of_request(error: &fdo_pki::Error) -> Refusal {
    let status = if matches!(error, fdo_pki::Error::TooLarge { .. }) { 413 } else { 400 };
    Refusal::new(status, format!("The certification request is refused: {error}."))
}
