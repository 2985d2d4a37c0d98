//! `fdo.csr` on the device: a second key of its own, a request for a certificate, and the checks on what comes back.
//!
//! EST inside TO2: `simpleenroll` and the CA certificates as certs-only CMS (content format 281).

use fdo_pki::{Certificate, ChainPolicy, DeviceChain, DeviceSerial, TrustedCas};
use fdo_protocol::Error;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::csr::{CsrError, EstBody, FORMAT_PKCS7, MODULE, ToDevice, ToOwner};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Answers;
use crate::store::{LdevidStatus, NamedFile};

/// An LDevID that was checked: its key is ours, and it chains to the CA certificates that came with it.
pub struct Ldevid {
    /// `ldevid-key.pem`, `ldevid.pem` and `ldevid-ca.pem`.
    pub files: Vec<NamedFile>,
    /// For the status.
    pub status: LdevidStatus,
}

/// The module's state.
pub struct Csr {
    key_type: KeyType,
    serial: String,
    key: Option<SigningKey>,
    authorities: Option<Vec<Vec<u8>>>,
    certificate: Option<Vec<u8>>,
    failure: Option<String>,
}

impl Csr {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The module for a device whose attestation key is of this type.
    pub fn new(key_type: KeyType, serial: &str) -> Self {
        Self {
            key_type,
            serial: serial.to_owned(),
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
            ToDevice::Active(true) if self.key.is_none() => self.request(answers, rng)?,
            ToDevice::Active(_) => {}
            ToDevice::CaCertsRes(body) => {
                let authorities = fdo_pki::pkcs7::parse_certs_only(&body.der()?)
                    .map_err(|_| Error::Malformed("CA certificates"))?;
                self.authorities = Some(authorities);
                self.check()?;
            }
            ToDevice::SimpleEnrollRes(body) => {
                let certificate = body.der()?;
                if certificate.len() > fdo_pki::MAX_CERTIFICATE {
                    return Err(Error::Malformed("certificate"));
                }
                self.certificate = Some(certificate.to_vec());
                self.check()?;
            }
            // Answers to what this device never asks for.
            ToDevice::SimpleReenrollRes(_) | ToDevice::ServerKeygenRes(_) | ToDevice::CsrAttrsRes(_) => {}
            ToDevice::Error(error) => {
                let why = match error {
                    CsrError::BadRequest => "bad request",
                    CsrError::Unauthorized => "unauthorized",
                    CsrError::NotSupported => "not supported",
                    CsrError::RateExceeded => "rate exceeded",
                    CsrError::UnsupportedFormat => "unsupported format",
                };
                let code = error.number();
                tracing::warn!(code, why, "the owner issues no certificate");
                self.failure = Some(format!("the owner answered with error {code} ({why})"));
            }
        }
        Ok(())
    }

    fn request(&mut self, answers: &mut Answers, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        let key = SigningKey::generate(self.key_type, rng)?;
        let serial = DeviceSerial::parse(&self.serial).or_else(|_| DeviceSerial::from_certificate(&self.serial));
        let serial = serial.map_err(|_| Error::Internal("serial number for a certification request"))?;
        let request =
            fdo_pki::build_csr(&key, None, &serial).map_err(|_| Error::Internal("certification request"))?;
        answers.tell(&ToOwner::Active(true));
        answers.tell(&ToOwner::CaCertsReq(FORMAT_PKCS7));
        answers.tell(&ToOwner::SimpleEnrollReq(EstBody::from_der(&request)));
        self.key = Some(key);
        Ok(())
    }

    /// Once both halves are there: the certificate must be for our key and chain to the CA certificates.
    fn check(&self) -> Result<(), Error> {
        let (Some(key), Some(certificate)) = (&self.key, &self.certificate) else {
            return if self.key.is_some() {
                Ok(())
            } else {
                Err(Error::Rejected("a certificate that nobody asked for"))
            };
        };
        let chain = DeviceChain::parse(&[certificate]).map_err(|_| Error::Malformed("certificate"))?;
        if chain.leaf_key() != key.verifying_key() {
            return Err(Error::Rejected("a certificate for another key"));
        }
        if chain.leaf().is_ca() {
            return Err(Error::Rejected("a CA's certificate for a device"));
        }
        let Some(authorities) = &self.authorities else {
            return Ok(());
        };
        let mut trusted = TrustedCas::new();
        for der in authorities {
            let authority = Certificate::parse(der).map_err(|_| Error::Malformed("CA certificates"))?;
            trusted.pin_certificate(authority);
        }
        chain
            .verify(&trusted, &ChainPolicy::default())
            .map(|_| ())
            .map_err(|_| Error::Rejected("a certificate that does not chain to the CA certificates"))
    }

    /// The LDevID, or why there is none; nothing where the owner did not activate the module.
    ///
    /// # Errors
    /// [`Error::Internal`] when the files cannot be encoded.
    pub fn finish(&self, now: u64) -> Result<Option<Result<Ldevid, String>>, Error> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let (Some(certificate), Some(authorities)) = (&self.certificate, &self.authorities) else {
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
        let status = LdevidStatus {
            subject: parsed.subject(),
            serial: parsed.serial().to_owned(),
            not_after: parsed.not_after(),
        };
        Ok(Some(Ok(Ldevid { files, status })))
    }
}
