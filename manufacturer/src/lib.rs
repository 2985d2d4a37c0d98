//! The manufacturer: DI, IDevIDs, vouchers by serial number, buyers and their claims.
//!
//! Slices in import order: each uses only what stands above it.

pub mod config;
pub mod csv;
pub mod db;
pub mod report;
pub mod serial;

pub mod keys;
pub mod vouchers;
pub mod devices;
pub mod buyers;
pub mod rendezvous;

pub mod allocations;
pub mod initialization;

pub mod claims;

pub mod compat;

pub mod app;
pub mod cli;
mod error;
mod routes;
