//! `fdo.csr` on the device: a second key of its own, a request for a certificate, and the checks on what comes back.
//!
//! EST inside TO2. The CA certificates are asked for as certs-only CMS (content format 281), or one alone (287) where
//! the owner has no CMS. A device that has an LDevID of the same CA renews it; one that is told to lets the owner make
//! the key.

mod received;
mod requests;

use fdo_pki::{Certificate, CsrAttributes};
use fdo_protocol::Error;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::csr::{
    CsrError, EstBody, FORMAT_CERTIFICATE, FORMAT_PKCS7, MODULE, ServerKey, ToDevice, ToOwner,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Answers;
use crate::renewal::ldevid_key_type;
use crate::store::{LdevidStatus, NamedFile};
use requests::{Asked, Enrolment, Requests};

/// An LDevID that was checked: its key is ours, and it chains to the CA certificates that came with it.
pub struct Ldevid {
    /// `ldevid-key.pem`, `ldevid.pem` and `ldevid-ca.pem`.
    pub files: Vec<NamedFile>,
    /// For the status.
    pub status: LdevidStatus,
}

/// How this device asks for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CsrSettings {
    /// Whether it asks what a request should contain.
    pub attributes: bool,
    /// Whether the owner makes the key.
    pub server_key: bool,
}

/// The module's state.
pub struct Csr {
    settings: CsrSettings,
    key_type: KeyType,
    serial: String,
    /// The LDevID of an earlier onboarding.
    earlier: Option<Certificate>,
    begun: bool,
    requests: Requests,
    key: Option<SigningKey>,
    authorities: Option<Vec<Vec<u8>>>,
    certificate: Option<Vec<u8>>,
    failure: Option<String>,
}

impl Csr {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The module for a device whose attestation key is of this type, with the LDevID that it has, if any.
    pub fn new(settings: CsrSettings, key_type: KeyType, serial: &str, earlier: Option<Certificate>) -> Self {
        Self {
            settings,
            key_type: ldevid_key_type(key_type),
            serial: serial.to_owned(),
            earlier,
            begun: false,
            requests: Requests::default(),
            key: None,
            authorities: None,
            certificate: None,
            failure: None,
        }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value that does not decode, [`Error::Rejected`] for a certificate that is not ours.
    pub fn receive(
        &mut self,
        message: &str,
        item: &[u8],
        answers: &mut Answers,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) if !self.begun => {
                self.begun = true;
                answers.tell(&ToOwner::Active(true));
                self.ask(Asked::CaCertificates, answers);
                if self.settings.attributes {
                    self.ask(Asked::Attributes, answers);
                }
            }
            ToDevice::Active(_) => {}
            ToDevice::CaCertsRes(body) => {
                let single = self.requests.answered(&Asked::SingleCaCertificate);
                let all = self.requests.answered(&Asked::CaCertificates);
                if !single && !all {
                    return Err(Error::Rejected("CA certificates that nobody asked for"));
                }
                self.authorities = Some(received::authorities(&body)?);
                received::check(self.key.as_ref(), self.certificate.as_deref(), self.authorities.as_deref())?;
            }
            ToDevice::CsrAttrsRes(body) if self.requests.answered(&Asked::Attributes) => self.attributes(&body)?,
            ToDevice::SimpleEnrollRes(body) => self.certified(Enrolment::New, &body)?,
            ToDevice::SimpleReenrollRes(body) => self.certified(Enrolment::Renewal, &body)?,
            ToDevice::ServerKeygenRes(body) => self.key_and_certificate(&body)?,
            // An answer to what this device did not ask.
            ToDevice::CsrAttrsRes(_) => {}
            ToDevice::Error(error) => self.refused(error, answers),
        }
        self.enrol_if_ready(answers, rng)
    }

    fn ask(&mut self, asked: Asked, answers: &mut Answers) {
        match asked {
            Asked::CaCertificates => answers.tell(&ToOwner::CaCertsReq(FORMAT_PKCS7)),
            Asked::SingleCaCertificate => answers.tell(&ToOwner::CaCertsReq(FORMAT_CERTIFICATE)),
            Asked::Attributes => answers.tell(&ToOwner::CsrAttrsReq),
            Asked::Certificate(_) => {}
        }
        self.requests.asked(asked);
    }

    /// The request is made once all is known that it depends on.
    fn enrol_if_ready(&mut self, answers: &mut Answers, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        let waits = self.requests.waits_for(&Asked::Attributes)
            || self.earlier.is_some() && self.authorities.is_none() && self.requests.wait_for_authorities();
        if !self.begun || waits || self.failure.is_some() || self.requests.next_enrolment.is_none() {
            return Ok(());
        }
        let renewal =
            self.earlier.as_ref().filter(|earlier| received::is_issued_by(earlier, self.authorities.as_deref()));
        let wanted = match self.requests.next_enrolment.take() {
            Some(Enrolment::Renewal) if renewal.is_some() => Enrolment::Renewal,
            Some(Enrolment::Renewal | Enrolment::ServerKey) if self.settings.server_key => Enrolment::ServerKey,
            _ => Enrolment::New,
        };
        let key = match self.key.take() {
            Some(key) if key.key_type() == self.key_type => key,
            _ => SigningKey::generate(self.key_type, rng)?,
        };
        let request = requests::build(&key, &self.serial, renewal.filter(|_| wanted == Enrolment::Renewal))?;
        let body = EstBody::from_der(&request);
        answers.tell(&match wanted {
            Enrolment::New => ToOwner::SimpleEnrollReq(body),
            Enrolment::Renewal => ToOwner::SimpleReenrollReq(body),
            Enrolment::ServerKey => ToOwner::ServerKeygenReq(body),
        });
        self.requests.asked(Asked::Certificate(wanted));
        self.key = Some(key);
        Ok(())
    }

    fn attributes(&mut self, body: &EstBody) -> Result<(), Error> {
        let wanted = CsrAttributes::parse(&body.der()?).map_err(|_| Error::Malformed("CSR attributes"))?;
        match wanted.key_type(self.key_type) {
            Some(key_type) => self.key_type = key_type,
            None => self.failure = Some("the owner wants a key of a type that this device cannot make".to_owned()),
        }
        Ok(())
    }

    fn certified(&mut self, enrolment: Enrolment, body: &EstBody) -> Result<(), Error> {
        if !self.requests.answered(&Asked::Certificate(enrolment)) {
            return Err(Error::Rejected("a certificate that nobody asked for"));
        }
        self.certificate = Some(received::certificate(&body.der()?)?);
        received::check(self.key.as_ref(), self.certificate.as_deref(), self.authorities.as_deref())
    }

    fn key_and_certificate(&mut self, body: &EstBody) -> Result<(), Error> {
        if !self.requests.answered(&Asked::Certificate(Enrolment::ServerKey)) {
            return Err(Error::Rejected("a key that nobody asked for"));
        }
        let ServerKey { pkcs8, certificate } = ServerKey::parse(body.text())?;
        self.key = Some(SigningKey::from_der(&pkcs8).map_err(|_| Error::Malformed("a key that the owner made"))?);
        self.certificate = Some(received::certificate(&certificate)?);
        received::check(self.key.as_ref(), self.certificate.as_deref(), self.authorities.as_deref())
    }

    /// An error does not say what it is about; owners answer in order.
    fn refused(&mut self, error: CsrError, answers: &mut Answers) {
        let why = match error {
            CsrError::BadRequest => "bad request",
            CsrError::Unauthorized => "unauthorized",
            CsrError::NotSupported => "not supported",
            CsrError::RateExceeded => "rate exceeded",
            CsrError::UnsupportedFormat => "unsupported format",
        };
        let code = error.number();
        match self.requests.refused(error) {
            // What is only a wish may be refused.
            Some(Asked::Attributes) => {}
            Some(Asked::CaCertificates) if error == CsrError::UnsupportedFormat => {
                self.ask(Asked::SingleCaCertificate, answers);
            }
            Some(Asked::Certificate(Enrolment::Renewal)) if error == CsrError::NotSupported => {
                self.requests.next_enrolment = Some(Enrolment::ServerKey);
            }
            Some(Asked::Certificate(Enrolment::ServerKey)) if error == CsrError::NotSupported => {
                self.requests.next_enrolment = Some(Enrolment::New);
            }
            _ => {
                tracing::warn!(code, why, "the owner issues no certificate");
                self.failure = Some(format!("the owner answered with error {code} ({why})"));
            }
        }
    }

    /// The LDevID, or why there is none; nothing where the owner did not activate the module.
    ///
    /// # Errors
    /// [`Error::Internal`] when the files cannot be encoded.
    pub fn finish(&self, now: u64) -> Result<Option<Result<Ldevid, String>>, Error> {
        if !self.begun {
            return Ok(None);
        }
        let (Some(key), Some(certificate), Some(authorities)) = (&self.key, &self.certificate, &self.authorities)
        else {
            let why = self.failure.clone().unwrap_or_else(|| "the owner did not answer the request".to_owned());
            return Ok(Some(Err(why)));
        };
        let failed = |_| Error::Internal("files of the LDevID");
        let parsed = Certificate::parse(certificate).map_err(failed)?;
        if let Err(error) = parsed.check_validity("LDevID", now) {
            // The clock of a device that just woke up for the first time may be wrong.
            tracing::warn!(%error, "the new LDevID is kept all the same");
        }
        let text = |name: &str, content: String| NamedFile::text(name.to_owned(), content);
        let key = key.to_pkcs8_pem()?;
        let files = vec![
            NamedFile { name: "ldevid-key.pem".to_owned(), content: Zeroizing::new(key.as_bytes().to_vec()) },
            text("ldevid.pem", fdo_pki::pem::encode_certificates(&[certificate]).map_err(failed)?),
            text("ldevid-ca.pem", fdo_pki::pem::encode_certificates(authorities).map_err(failed)?),
        ];
        Ok(Some(Ok(Ldevid { files, status: LdevidStatus::of(&parsed) })))
    }
}

#[cfg(test)]
pub(super) mod tests;
