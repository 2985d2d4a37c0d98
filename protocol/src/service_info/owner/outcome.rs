//! How a module ended, as it is stored and shown.

use std::fmt;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;
use crate::service_info::csr::CsrError;
use crate::service_info::wifi::WifiError;

/// How a module ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleOutcome {
    /// It did what it was to do, as far as the device tells.
    Done,
    /// The device does not have the module.
    NotOffered,
    /// It did not.
    Failed(ModuleFailure),
}

/// Why a module failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleFailure {
    /// The device could not use the networks.
    Wifi(WifiError),
    /// The owner refused to issue a certificate.
    Enrolment(CsrError),
    /// The device has the module and never asked for a certificate.
    NotAsked,
    /// The device did not get the file whole.
    Download,
    /// The file cannot be read here.
    FileUnreadable,
    /// The command ended with this code.
    ExitCode(i64),
    /// What was to be sent is larger than the device's messages.
    TooLarge,
}

impl fmt::Display for ModuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::NotOffered => f.write_str("the device does not have this module"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for ModuleFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wifi(error) => write!(f, "the device cannot use the networks: {error}"),
            Self::Enrolment(error) => write!(f, "no certificate was issued: {error:?}"),
            Self::NotAsked => f.write_str("the device did not ask for a certificate"),
            Self::Download => f.write_str("the device did not receive the file whole"),
            Self::FileUnreadable => f.write_str("the owner cannot read the file"),
            Self::ExitCode(code) => write!(f, "the command ended with code {code}"),
            Self::TooLarge => f.write_str("larger than the device's service info size"),
        }
    }
}

impl Encode for ModuleOutcome {
    fn encode_into(&self, writer: &mut Writer) {
        let (kind, detail) = match self {
            Self::Done => (0, 0),
            Self::NotOffered => (1, 0),
            Self::Failed(ModuleFailure::Wifi(error)) => (2, error.number().cast_signed()),
            Self::Failed(ModuleFailure::Enrolment(error)) => (3, error.number().cast_signed()),
            Self::Failed(ModuleFailure::NotAsked) => (4, 0),
            Self::Failed(ModuleFailure::Download) => (5, 0),
            Self::Failed(ModuleFailure::FileUnreadable) => (6, 0),
            Self::Failed(ModuleFailure::ExitCode(code)) => (7, *code),
            Self::Failed(ModuleFailure::TooLarge) => (8, 0),
        };
        writer.array(2).unsigned(kind).integer(detail);
    }
}

impl Decode for ModuleOutcome {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        let (kind, detail) = (reader.unsigned()?, reader.integer()?);
        let number = detail.cast_unsigned();
        Ok(match kind {
            0 => Self::Done,
            1 => Self::NotOffered,
            2 => Self::Failed(ModuleFailure::Wifi(WifiError::from_number(number))),
            3 => Self::Failed(ModuleFailure::Enrolment(CsrError::from_number(number))),
            4 => Self::Failed(ModuleFailure::NotAsked),
            5 => Self::Failed(ModuleFailure::Download),
            6 => Self::Failed(ModuleFailure::FileUnreadable),
            7 => Self::Failed(ModuleFailure::ExitCode(detail)),
            8 => Self::Failed(ModuleFailure::TooLarge),
            _ => return Err(Error::Malformed("a stored outcome of an unknown kind")),
        })
    }
}
