//! Renewal: the device asks for its next certificate in time, by the one that it has, else by that of its birth, and
//! never gives up a pair that works before the next is durable.

mod attempt;
mod clock_check;
mod daemon;
mod hook;
pub mod schedule;

use fdo_pki::Certificate;
use fdo_protocol::crypto::KeyType;

use crate::agent::Agent;
use crate::est::EstError;
use crate::modules::Limits;
use crate::store::StoreError;

pub use daemon::DaemonError;

/// What follows a renewal.
#[derive(Debug, Clone)]
pub struct RenewalSettings {
    /// The program, with its arguments, that is run once a new certificate is in place; nothing if empty.
    pub hook: Vec<String>,
    /// Its limits.
    pub hook_limits: Limits,
    /// Whether a device that is refused renewal asks for its owner again.
    pub reonboard: bool,
}

/// An agent that renews.
#[derive(Clone)]
pub struct Renewer<T, E> {
    /// The device.
    pub agent: Agent<T>,
    /// Its way to EST services.
    pub est: E,
}

/// How an attempt ended well.
#[derive(Debug, Clone)]
pub enum Renewed {
    /// The new certificate is in place.
    Now(Box<Certificate>),
    /// The owner has not decided yet; ask again after so many seconds, if it says how many.
    Pending(Option<u64>),
}

/// Why there is no new certificate. The one that there is stays in place.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenewError {
    /// No owner has taken this device yet.
    #[error("this device has no owner yet: run `fdo-device onboard` first")]
    NotOnboarded,
    /// The owner did not say where.
    #[error(
        "the owner of this device did not say where certificates are renewed: switch its EST service on, then run \
         `fdo-device onboard --reonboard`"
    )]
    NoSource,
    /// The clock.
    #[error("{0}")]
    Clock(String),
    /// The EST service.
    #[error(transparent)]
    Est(#[from] EstError),
    /// It refuses whatever this device can show.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// The state of the device.
    #[error("{0}")]
    Store(String),
}

impl From<StoreError> for RenewError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// The type of key that a device with such an attestation key makes for its certificates: an RSA key takes a small
/// device long to make, and owners need not take it.
pub(crate) fn ldevid_key_type(attestation: KeyType) -> KeyType {
    match attestation.modulus_bits() {
        None => attestation,
        Some(bits) if bits > 2048 => KeyType::P384,
        Some(_) => KeyType::P256,
    }
}

#[cfg(test)]
mod tests;
