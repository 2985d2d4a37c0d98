//! What this device has asked and is not answered yet, in order.

use std::collections::VecDeque;

use fdo_pki::{Certificate, DeviceSerial};
use fdo_protocol::Error;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::csr::CsrError;

/// How a certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// `simpleenroll`
    New,
    /// `simplereenroll`: the subject of the LDevID that there is.
    Renewal,
    /// `serverkeygen`
    ServerKey,
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `cacerts`, all of them.
    CaCertificates,
    /// `cacerts`, one alone.
    SingleCaCertificate,
    /// `csrattrs`
    Attributes,
    /// One of the enrolments.
    Certificate(Enrolment),
}

/// The questions.
pub struct Requests {
    open: VecDeque<Asked>,
    /// What to try next; none while one is open or when there is nothing left to try.
    pub next_enrolment: Option<Enrolment>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { open: VecDeque::new(), next_enrolment: Some(Enrolment::Renewal) }
    }
}

impl Requests {
    /// Notes a question.
    pub fn asked(&mut self, asked: Asked) {
        self.open.push_back(asked);
    }

    /// Whether this was asked; it is answered now.
    pub fn answered(&mut self, asked: &Asked) -> bool {
        let position = self.open.iter().position(|open| open == asked);
        position.and_then(|position| self.open.remove(position)).is_some()
    }

    /// Whether this is not answered yet.
    pub fn waits_for(&self, asked: &Asked) -> bool {
        self.open.contains(asked)
    }

    /// Whether CA certificates are on their way.
    pub fn wait_for_authorities(&self) -> bool {
        self.waits_for(&Asked::CaCertificates) || self.waits_for(&Asked::SingleCaCertificate)
    }

    /// Which question an error answers: the first that it can be about.
    pub fn refused(&mut self, error: CsrError) -> Option<Asked> {
        let fits = |asked: &&Asked| match error {
            // What an owner lacks, or a format.
            CsrError::NotSupported | CsrError::UnsupportedFormat => true,
            // What an owner has against a request.
            CsrError::BadRequest | CsrError::Unauthorized | CsrError::RateExceeded => {
                matches!(asked, Asked::Certificate(_))
            }
        };
        let found = self.open.iter().find(fits).or(self.open.front()).copied()?;
        self.answered(&found);
        Some(found)
    }
}

/// A request for a certificate for `key`: with the subject of the LDevID that it is to follow, else with the serial
/// number.
///
/// # Errors
/// [`Error::Internal`].
pub fn build(key: &SigningKey, serial: &str, renewal: Option<&Certificate>) -> Result<Vec<u8>, Error> {
    let failed = |_| Error::Internal("certification request");
    if let Some(earlier) = renewal {
        return fdo_pki::build_renewal(key, earlier).map_err(failed);
    }
    let serial =
        DeviceSerial::parse(serial).or_else(|_| DeviceSerial::from_certificate(serial)).map_err(failed)?;
    fdo_pki::build_csr(key, None, &serial).map_err(failed)
}
