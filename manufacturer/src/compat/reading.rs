//! What scripts and settings say, checked before it is used: rendezvous information, and the key that vouchers are extended
//! to when they are first fetched.

use std::path::{Path, PathBuf};

use fdo_protocol::RendezvousInfo;
use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::rendezvous_info::{Directive, Instruction};
use fdo_service::compat::key;

use crate::config::{self, SettingError};

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CompatError {
    #[error("cannot read `compat_extend_to` = {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("`compat_extend_to` = {path}: {reason}")]
    Key { path: PathBuf, reason: String },
}

/// The next owner's key, from a PEM file with a public key or a certificate.
pub fn next_owner(path: Option<&Path>) -> Result<Option<VerifyingKey>, CompatError> {
    let Some(path) = path else { return Ok(None) };
    let text =
        std::fs::read_to_string(path).map_err(|source| CompatError::File { path: path.to_owned(), source })?;
    let read = key::read(&text);
    read.map(Some)
        .map_err(|error| CompatError::Key { path: path.to_owned(), reason: error.problem().detail().to_owned() })
}

/// Refuses what would strand a device, as for the configuration. The information itself stays as the script wrote it.
pub fn check(info: &RendezvousInfo) -> Result<(), SettingError> {
    config::checked(info.directives().iter().map(|directive| directive_of(directive)).collect()).map(|_| ())
}

fn directive_of(instructions: &[Instruction]) -> Directive {
    let mut directive = Directive::default();
    for instruction in instructions {
        match instruction {
            Instruction::DevOnly => directive.device_only = true,
            Instruction::OwnerOnly => directive.owner_only = true,
            Instruction::Bypass => directive.bypass = true,
            Instruction::IpAddress(ip) => directive.ip = Some(*ip),
            Instruction::DevPort(port) => directive.device_port = Some(*port),
            Instruction::OwnerPort(port) => directive.owner_port = Some(*port),
            Instruction::Dns(name) => directive.dns = Some(name.clone()),
            Instruction::Medium(medium) => directive.medium = Some(*medium),
            Instruction::Protocol(protocol) => directive.protocol = Some(*protocol),
            Instruction::DelaySec(seconds) => directive.delay_seconds = Some(*seconds),
            _ => {}
        }
    }
    // Those scripts name an owner's port with a bypass too, where it means nothing.
    if directive.bypass {
        directive.owner_port = directive.device_port;
    }
    directive
}
