//! `fdo.command`: a program run on the device, one at a time.
//!
//! Two flavours are in the field: the standard one wraps the arguments in a byte string and executes with null, the
//! other has the arguments bare and executes with the arguments again.

use zeroize::Zeroizing;

use crate::cbor::{ByteString, Kind, Reader, decode, encode};
use crate::error::Error;
use crate::service_info::{ModuleMessage, ServiceInfoKv, bounded_bytes, bounded_text, decode_active};

/// The module's name.
pub const MODULE: &str = "fdo.command";
/// The longest name of a program and the longest argument, in bytes.
pub const MAX_TEXT: usize = 4096;
/// How many arguments a command may have.
pub const MAX_ARGUMENTS: usize = 255;
/// The longest piece of output that is taken, in bytes.
pub const MAX_OUTPUT: usize = 65_535;

/// How arguments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `args` in a byte string, `execute` with null.
    Standard,
    /// `args` bare, `execute` with the arguments again: for devices that list the module `fdo_sys`.
    BareArray,
}

/// What the owner says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToDevice {
    /// `active`
    Active(bool),
    /// `command`: the program.
    Command(String),
    /// `args`
    Args(Flavour, Vec<String>),
    /// `may_fail`: a non-zero exit code does not end the onboarding.
    MayFail(bool),
    /// `return_stdout`
    ReturnStdout(bool),
    /// `return_stderr`
    ReturnStderr(bool),
    /// `execute`: go. The arguments are repeated in the bare flavour.
    Execute(Option<Vec<String>>),
    /// `sig`: send this signal to the running program.
    Signal(i64),
}

impl ModuleMessage for ToDevice {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Command(command) => ServiceInfoKv::new(MODULE, "command", command),
            Self::Args(Flavour::Standard, args) => ServiceInfoKv::new(MODULE, "args", &ByteString(encode(args))),
            Self::Args(Flavour::BareArray, args) => ServiceInfoKv::new(MODULE, "args", args),
            Self::MayFail(flag) => ServiceInfoKv::new(MODULE, "may_fail", flag),
            Self::ReturnStdout(flag) => ServiceInfoKv::new(MODULE, "return_stdout", flag),
            Self::ReturnStderr(flag) => ServiceInfoKv::new(MODULE, "return_stderr", flag),
            Self::Execute(args) => ServiceInfoKv::new(MODULE, "execute", args),
            Self::Signal(signal) => ServiceInfoKv::new(MODULE, "sig", signal),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "command" => Self::Command(bounded_text(item, MAX_TEXT)?),
            "args" => arguments(item)?,
            "may_fail" => Self::MayFail(decode(item)?),
            "return_stdout" => Self::ReturnStdout(decode(item)?),
            "return_stderr" => Self::ReturnStderr(decode(item)?),
            "execute" => match Reader::new(item)?.kind() {
                Kind::Null | Kind::Bool => Self::Execute(None),
                _ => Self::Execute(Some(list(item)?)),
            },
            "sig" => Self::Signal(decode(item)?),
            _ => return Ok(None),
        }))
    }
}

fn arguments(item: &[u8]) -> Result<ToDevice, Error> {
    let mut reader = Reader::new(item)?;
    Ok(match reader.kind() {
        Kind::Bytes => ToDevice::Args(Flavour::Standard, list(reader.bytes()?)?),
        _ => ToDevice::Args(Flavour::BareArray, list(item)?),
    })
}

fn list(item: &[u8]) -> Result<Vec<String>, Error> {
    let mut reader = Reader::new(item)?;
    let length = reader.array_length()?;
    if length > MAX_ARGUMENTS {
        return Err(Error::Malformed("too many arguments"));
    }
    (0..length).map(|_| bounded_text(reader.raw()?, MAX_TEXT)).collect()
}

/// What the device says.
#[derive(Clone, PartialEq, Eq)]
pub enum ToOwner {
    /// `active`
    Active(bool),
    /// `stdout`: a piece of output.
    Stdout(Zeroizing<Vec<u8>>),
    /// `stderr`: a piece of error output.
    Stderr(Zeroizing<Vec<u8>>),
    /// `exitcode`: the program ended.
    ExitCode(i64),
}

impl ModuleMessage for ToOwner {
    const MODULE: &'static str = MODULE;

    fn to_kv(&self) -> ServiceInfoKv {
        match self {
            Self::Active(active) => ServiceInfoKv::new(MODULE, "active", active),
            Self::Stdout(output) => ServiceInfoKv::new(MODULE, "stdout", &ByteString(output.to_vec())),
            Self::Stderr(output) => ServiceInfoKv::new(MODULE, "stderr", &ByteString(output.to_vec())),
            Self::ExitCode(code) => ServiceInfoKv::new(MODULE, "exitcode", code),
        }
    }

    fn decode(message: &str, item: &[u8]) -> Result<Option<Self>, Error> {
        Ok(Some(match message {
            "active" => Self::Active(decode_active(item)?),
            "stdout" => Self::Stdout(bounded_bytes(item, MAX_OUTPUT)?),
            "stderr" => Self::Stderr(bounded_bytes(item, MAX_OUTPUT)?),
            // One family of devices writes the name with an underscore.
            "exitcode" | "exit_code" => Self::ExitCode(decode(item)?),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_flavours_of_arguments_are_read_and_written() {
        let args = || vec!["hi".to_owned()];
        let bare = ToDevice::Args(Flavour::BareArray, args()).to_kv();
        assert_eq!(hex::encode(&*bare.value), "81626869");
        let standard = ToDevice::Args(Flavour::Standard, args()).to_kv();
        assert_eq!(hex::encode(&*standard.value), "4481626869");
        assert_eq!(*ToDevice::Execute(None).to_kv().value, [0xf6]);
        for (item, expected) in [("f6", None), ("f5", None), ("81626869", Some(args()))] {
            let message = ToDevice::decode("execute", &hex::decode(item).unwrap()).unwrap();
            assert!(message == Some(ToDevice::Execute(expected)));
        }
    }

    #[test]
    fn both_directions_come_back() {
        for message in [
            ToDevice::Active(true),
            ToDevice::Command("date".into()),
            ToDevice::Args(Flavour::Standard, vec!["-u".into()]),
            ToDevice::Args(Flavour::BareArray, Vec::new()),
            ToDevice::MayFail(true),
            ToDevice::ReturnStdout(true),
            ToDevice::ReturnStderr(false),
            ToDevice::Execute(None),
            ToDevice::Signal(15),
        ] {
            let kv = message.to_kv();
            assert!(ToDevice::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
        for message in [
            ToOwner::Active(true),
            ToOwner::Stdout(Zeroizing::new(b"out".to_vec())),
            ToOwner::Stderr(Zeroizing::default()),
            ToOwner::ExitCode(-3),
        ] {
            let kv = message.to_kv();
            assert!(ToOwner::decode(kv.message(), &kv.value).unwrap() == Some(message));
        }
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        let refused = |message: &str, item: Vec<u8>| {
            assert!(ToDevice::decode(message, &item).is_err(), "{message}");
        };
        refused("args", encode(&vec!["a".to_owned(); 256]));
        refused("args", encode(&ByteString(vec![0x81])));
        refused("args", encode(&vec![1_u8]));
        refused("command", encode(&"x".repeat(4097)));
        refused("execute", encode("now"));
        assert!(ToOwner::decode("exitcode", &encode("0")).is_err());
    }
}
