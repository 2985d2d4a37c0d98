//! What every Firstlight service shares: listeners, FDO over HTTP, sessions, operators, configuration, database.
//!
//! Modules in import order: each uses only what stands above it.

pub mod host {
    //! The process around a service: clock, randomness, configuration, logs, health, metrics, TLS, listeners.
    pub mod client_certificates;
    pub mod clock;
    pub mod config;
    pub mod data_dir;
    pub mod health;
    pub mod listen;
    pub mod metrics;
    pub mod random;
    pub mod shutdown;
    pub mod telemetry;
    pub mod tls;

    pub use client_certificates::{PeerCertificates, RenewedCertificate};
    pub use listen::{Host, HostError, Listener, Running};
}
pub mod cli;
pub mod compat;
pub mod database;
pub mod db;
pub mod endpoint;
pub mod lease;
pub mod operators;
pub mod outbound;
pub mod paging;
pub mod problem;
pub mod queue;
pub mod secret_file;
pub mod sessions;
pub mod transfer;
pub mod webhook;
