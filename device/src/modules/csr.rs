//! `fdo.csr` on the device: a second key of its own, a request for a certificate, and the checks on what comes back.
//!
//! EST inside TO2: `simpleenroll` and the CA certificates as certs-only CMS (content format 281).

use fdo_pki::{Certificate, ChainPolicy, DeviceChain, DeviceSerial, TrustedCas};
use fdo_protocol::Error;
use fdo_protocol::cbor;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::service_info::decode_active;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Answers;
use crate::store::{LdevidStatus, NamedFile};

/// Content format of certs-only CMS.
const CERTS_ONLY: u64 = 281;

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
    pub const NAME: &'static str = "fdo.csr";

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
        match message {
            "active" => {
                if decode_active(item)? && self.key.is_none() {
                    self.request(answers, rng)?;
                }
            }
            "cacerts-res" => {
                let text: String = cbor::decode(item)?;
                let authorities = fdo_pki::pkcs7::decode_certs_only(text.as_bytes())
                    .map_err(|_| Error::Malformed("CA certificates"))?;
                self.authorities = Some(authorities);
                self.check()?;
            }
            "simpleenroll-res" => {
                let text: String = cbor::decode(item)?;
                let certificate = fdo_pki::decode_base64(text.as_bytes(), fdo_pki::MAX_CERTIFICATE)
                    .map_err(|_| Error::Malformed("certificate"))?;
                self.certificate = Some(certificate);
                self.check()?;
            }
            "error" => {
                let code: u64 = cbor::decode(item)?;
                let why = match code {
                    1 => "bad request",
                    2 => "unauthorized",
                    3 => "not supported",
                    4 => "rate exceeded",
                    5 => "unsupported format",
                    _ => "unknown reason",
                };
                tracing::warn!(code, why, "the owner issues no certificate");
                self.failure = Some(format!("the owner answered with error {code} ({why})"));
            }
            _ => answers.ignored(message),
        }
        Ok(())
    }

    fn request(&mut self, answers: &mut Answers, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        let key = SigningKey::generate(self.key_type, rng)?;
        let serial = DeviceSerial::parse(&self.serial).or_else(|_| DeviceSerial::from_certificate(&self.serial));
        let serial = serial.map_err(|_| Error::Internal("serial number for a certification request"))?;
        let request =
            fdo_pki::build_csr(&key, None, &serial).map_err(|_| Error::Internal("certification request"))?;
        answers.say("active", &true);
        answers.say("cacerts-req", &CERTS_ONLY);
        answers.say("simpleenroll-req", fdo_pki::encode_base64(&request).as_str());
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
