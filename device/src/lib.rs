//! The device agent as a library: birth (DI), onboarding (TO1 and TO2), service-info modules and the state on disk.
//!
//! Clock, randomness, transport and directories are given to it, so that one process can be thousands of devices.

mod agent;
mod birth;
mod clock;
pub mod config;
mod devmod;
pub mod est;
mod event_logger;
pub mod modules;
mod onboarding;
mod random;
pub mod renewal;
pub mod simulate;
pub mod store;
mod transport;

pub use agent::{Agent, AgentSettings, Progress, RunError};
pub use birth::{Birth, BirthError, machine_serial};
pub use clock::Clock;
pub use onboarding::{Attempts, Failure, OnboardError, Onboarded, Policy};
pub use random::{NoRandomness, Random};
pub use transport::{Channel, HttpTransport, Transport, TransportError};
