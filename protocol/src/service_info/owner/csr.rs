//! `fdo.csr`, owner's side: the device asks, the CA answers. It is over once the device had an answer to an enrolment
//! and asks for nothing more.

use super::{Module, ModuleFailure, ModuleOutcome, Need, Provision};
use crate::cbor::{ByteString, Decode, Encode, Reader, Writer};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::csr::{CsrError, EstBody, FORMAT_CERTIFICATE, FORMAT_PKCS7, ToDevice, ToOwner};
use crate::service_info::devmod::Devmod;
use crate::service_info::{ModuleMessage, Outbox, ServiceInfoKv};

/// How many requests a device may make in one onboarding.
const MAX_REQUESTS: u32 = 32;
/// How many rounds a device may take before its first request.
const MAX_SILENT_ROUNDS: u32 = 16;

/// A request that waits for its answer.
#[derive(Clone, PartialEq, Eq)]
enum Request {
    Enroll(Vec<u8>),
    Reenroll(Vec<u8>),
    ServerKeygen(Vec<u8>),
    CaCertificates { single: bool },
    CsrAttributes,
}

/// Answers a device's requests for certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct Csr {
    outbox: Outbox,
    asked: Vec<Request>,
    requests: u32,
    asked_this_turn: bool,
    silent_rounds: u32,
    /// How the latest enrolment went.
    enrolment: Option<ModuleOutcome>,
    outcome: Option<ModuleOutcome>,
}
cbor_array!(Csr { outbox, asked, requests, asked_this_turn, silent_rounds, enrolment, outcome });

impl Csr {
    /// For one device.
    pub fn new() -> Self {
        Self {
            outbox: Outbox::new(0),
            asked: Vec::new(),
            requests: 0,
            asked_this_turn: false,
            silent_rounds: 0,
            enrolment: None,
            outcome: None,
        }
    }

    fn ask(&mut self, request: Request) -> Result<(), Error> {
        self.requests += 1;
        self.asked_this_turn = true;
        if self.requests > MAX_REQUESTS {
            return Err(Error::Rejected("too many requests for certificates"));
        }
        self.asked.push(request);
        Ok(())
    }

    /// A request for a certificate; what is not even base64 is answered without the CA.
    fn ask_with(&mut self, body: &EstBody, request: fn(Vec<u8>) -> Request) -> Result<(), Error> {
        match body.der() {
            Ok(der) => self.ask(request(der.to_vec())),
            Err(_) => {
                self.asked_this_turn = true;
                self.refuse_enrolment(CsrError::BadRequest)
            }
        }
    }

    fn refuse(&mut self, error: CsrError) -> Result<(), Error> {
        self.requests += 1;
        if self.requests > 2 * MAX_REQUESTS {
            return Err(Error::Rejected("too many requests for certificates"));
        }
        self.outbox.push_split(ToDevice::Error(error).to_kv());
        Ok(())
    }

    fn refuse_enrolment(&mut self, error: CsrError) -> Result<(), Error> {
        self.enrolment = Some(ModuleOutcome::Failed(ModuleFailure::Enrolment(error)));
        self.refuse(error)
    }
}

impl Default for Csr {
    fn default() -> Self {
        Self::new()
    }
}

impl Module for Csr {
    fn start(&mut self, _devmod: &Devmod, size: usize) {
        self.outbox = Outbox::new(size);
        self.outbox.push_split(ToDevice::Active(true).to_kv());
    }

    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        match ToOwner::decode(message, item)? {
            Some(ToOwner::Active(false)) => {
                self.conclude(ModuleOutcome::NotOffered);
                Ok(())
            }
            Some(ToOwner::CaCertsReq(FORMAT_PKCS7)) => self.ask(Request::CaCertificates { single: false }),
            Some(ToOwner::CaCertsReq(FORMAT_CERTIFICATE)) => self.ask(Request::CaCertificates { single: true }),
            Some(ToOwner::CaCertsReq(_)) => {
                self.asked_this_turn = true;
                self.refuse(CsrError::UnsupportedFormat)
            }
            Some(ToOwner::SimpleEnrollReq(body)) => self.ask_with(&body, Request::Enroll),
            Some(ToOwner::SimpleReenrollReq(body)) => self.ask_with(&body, Request::Reenroll),
            Some(ToOwner::ServerKeygenReq(body)) => self.ask_with(&body, Request::ServerKeygen),
            Some(ToOwner::CsrAttrsReq) => self.ask(Request::CsrAttributes),
            Some(ToOwner::Active(true)) | None => Ok(()),
        }
    }

    fn end_of_turn(&mut self) {
        if self.asked_this_turn || !self.outbox.is_empty() {
            self.asked_this_turn = false;
            return;
        }
        if let Some(outcome) = self.enrolment {
            self.conclude(outcome);
            return;
        }
        self.silent_rounds += 1;
        if self.silent_rounds > MAX_SILENT_ROUNDS {
            self.conclude(ModuleOutcome::Failed(ModuleFailure::NotAsked));
        }
    }

    fn need(&self) -> Option<Need> {
        self.asked.first().map(|request| match request.clone() {
            Request::Enroll(csr) => Need::Issue { csr, renewal: false },
            Request::Reenroll(csr) => Need::Issue { csr, renewal: true },
            Request::ServerKeygen(csr) => Need::GenerateKey { csr },
            Request::CaCertificates { single } => Need::CaCertificates { single },
            Request::CsrAttributes => Need::CsrAttributes,
        })
    }

    fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        if self.asked.is_empty() {
            return Err(Error::Internal("an answer that no device asked for"));
        }
        let request = self.asked.remove(0);
        let enrols = !matches!(request, Request::CaCertificates { .. } | Request::CsrAttributes);
        let message = match (request, provision) {
            (_, Provision::Refused(error)) if enrols => return self.refuse_enrolment(error),
            (_, Provision::Refused(error)) => return self.refuse(error),
            (Request::Enroll(_), Provision::Certificate(der)) => {
                ToDevice::SimpleEnrollRes(EstBody::from_der(&der))
            }
            (Request::Reenroll(_), Provision::Certificate(der)) => {
                ToDevice::SimpleReenrollRes(EstBody::from_der(&der))
            }
            (Request::ServerKeygen(_), Provision::KeyAndCertificate(body)) => {
                ToDevice::ServerKeygenRes(EstBody::from_text(body.to_string()))
            }
            (Request::CaCertificates { .. }, Provision::CaCertificates(der)) => {
                ToDevice::CaCertsRes(EstBody::from_der(&der))
            }
            (Request::CsrAttributes, Provision::CsrAttributes(der)) => {
                ToDevice::CsrAttrsRes(EstBody::from_der(&der))
            }
            _ => return Err(Error::Internal("an answer to another question")),
        };
        if enrols {
            self.enrolment = Some(ModuleOutcome::Done);
        }
        self.outbox.push_split(message.to_kv());
        Ok(())
    }

    fn next(&mut self, room: usize) -> Option<ServiceInfoKv> {
        self.outbox.next(room)
    }

    fn has_more(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn outcome(&self) -> Option<&ModuleOutcome> {
        self.outcome.as_ref()
    }

    fn conclude(&mut self, outcome: ModuleOutcome) {
        self.outcome.get_or_insert(outcome);
    }
}

impl Encode for Request {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2);
        match self {
            Self::Enroll(csr) => writer.unsigned(0).bytes(csr),
            Self::Reenroll(csr) => writer.unsigned(1).bytes(csr),
            Self::ServerKeygen(csr) => writer.unsigned(2).bytes(csr),
            Self::CaCertificates { single } => writer.unsigned(3).bool(*single),
            Self::CsrAttributes => writer.unsigned(4).null(),
        };
    }
}

impl Decode for Request {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        let kind = reader.unsigned()?;
        if kind == 3 {
            return Ok(Self::CaCertificates { single: reader.bool()? });
        }
        if kind == 4 && reader.null() {
            return Ok(Self::CsrAttributes);
        }
        let ByteString(csr) = ByteString::decode_from(reader)?;
        match kind {
            0 => Ok(Self::Enroll(csr)),
            1 => Ok(Self::Reenroll(csr)),
            2 => Ok(Self::ServerKeygen(csr)),
            _ => Err(Error::Malformed("a stored request of an unknown kind")),
        }
    }
}
