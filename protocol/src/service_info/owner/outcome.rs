//! How a module ended, as it is stored and shown.

use std::fmt;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;
use crate::service_info::csr::CsrError;
use crate::service_info::payload::PayloadError;
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
    /// The command went on although it was told to end.
    CommandOverdue,
    /// What was to be sent is larger than the device's messages.
    TooLarge,
    /// The device does not give the file.
    UploadDeclined,
    /// The file is larger than this owner takes.
    UploadTooLarge,
    /// The file does not have the length or the hash that the device said.
    UploadMismatch,
    /// The device stopped before the file, or its hash, was there.
    UploadIncomplete,
    /// The file cannot be stored here.
    UploadNotStored,
    /// The device could not fetch the file.
    Wget,
    /// The device does not want the payload, for this reason.
    PayloadRefused(u64),
    /// The device neither accepts nor refuses the payload.
    PayloadUnanswered,
    /// The device could not use the payload.
    Payload(PayloadError),
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
            Self::CommandOverdue => f.write_str("the command did not end in its time, nor when it was told to"),
            Self::TooLarge => f.write_str("larger than the device's service info size"),
            Self::UploadDeclined => f.write_str("the device does not give the file"),
            Self::UploadTooLarge => f.write_str("the file is larger than its limit here"),
            Self::UploadMismatch => {
                f.write_str("the file does not have the length or the hash that the device said")
            }
            Self::UploadIncomplete => f.write_str("the device did not send the file whole, with its hash"),
            Self::UploadNotStored => f.write_str("the owner cannot store the file"),
            Self::Wget => f.write_str("the device could not fetch the file"),
            Self::PayloadRefused(reason) => {
                let why = match reason {
                    1 => "it does not use this type",
                    2 => "it is too large",
                    3 => "it is not for this device",
                    4 => "its policy forbids it",
                    _ => "it gives no reason",
                };
                write!(f, "the device does not want the payload: {why}")
            }
            Self::PayloadUnanswered => f.write_str("the device neither accepts nor refuses the payload"),
            Self::Payload(error) => write!(f, "the device could not use the payload: {error}"),
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
            Self::Failed(ModuleFailure::UploadDeclined) => (9, 0),
            Self::Failed(ModuleFailure::UploadTooLarge) => (10, 0),
            Self::Failed(ModuleFailure::UploadMismatch) => (11, 0),
            Self::Failed(ModuleFailure::UploadIncomplete) => (12, 0),
            Self::Failed(ModuleFailure::UploadNotStored) => (13, 0),
            Self::Failed(ModuleFailure::Wget) => (14, 0),
            Self::Failed(ModuleFailure::PayloadRefused(reason)) => (15, reason.cast_signed()),
            Self::Failed(ModuleFailure::PayloadUnanswered) => (16, 0),
            Self::Failed(ModuleFailure::Payload(error)) => (17, error.number().cast_signed()),
            Self::Failed(ModuleFailure::CommandOverdue) => (18, 0),
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
            9 => Self::Failed(ModuleFailure::UploadDeclined),
            10 => Self::Failed(ModuleFailure::UploadTooLarge),
            11 => Self::Failed(ModuleFailure::UploadMismatch),
            12 => Self::Failed(ModuleFailure::UploadIncomplete),
            13 => Self::Failed(ModuleFailure::UploadNotStored),
            14 => Self::Failed(ModuleFailure::Wget),
            15 => Self::Failed(ModuleFailure::PayloadRefused(number)),
            16 => Self::Failed(ModuleFailure::PayloadUnanswered),
            17 => Self::Failed(ModuleFailure::Payload(PayloadError::from_number(number))),
            18 => Self::Failed(ModuleFailure::CommandOverdue),
            _ => return Err(Error::Malformed("a stored outcome of an unknown kind")),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{decode, encode};

    #[test]
    fn every_outcome_is_stored_and_says_what_it_is() {
        let failures = [
            ModuleFailure::Wifi(WifiError::Other(7)),
            ModuleFailure::Enrolment(CsrError::Unauthorized),
            ModuleFailure::NotAsked,
            ModuleFailure::Download,
            ModuleFailure::FileUnreadable,
            ModuleFailure::ExitCode(-1),
            ModuleFailure::CommandOverdue,
            ModuleFailure::TooLarge,
            ModuleFailure::UploadDeclined,
            ModuleFailure::UploadTooLarge,
            ModuleFailure::UploadMismatch,
            ModuleFailure::UploadIncomplete,
            ModuleFailure::UploadNotStored,
            ModuleFailure::Wget,
            ModuleFailure::PayloadRefused(2),
            ModuleFailure::PayloadUnanswered,
            ModuleFailure::Payload(PayloadError::Hash),
        ];
        let outcomes = [ModuleOutcome::Done, ModuleOutcome::NotOffered];
        let mut said = std::collections::BTreeSet::new();
        for outcome in outcomes.into_iter().chain(failures.map(ModuleOutcome::Failed)) {
            assert_eq!(decode::<ModuleOutcome>(&encode(&outcome)).unwrap(), outcome);
            assert!(said.insert(outcome.to_string()), "{outcome}");
        }
        assert!(decode::<ModuleOutcome>(&hex::decode("82186300").unwrap()).is_err());
    }
}
