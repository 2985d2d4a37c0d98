//! What the tests across the crates share: three services in one process, and devices that meet them.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod kill;
pub mod load;
pub mod pki_tools;
pub mod postgres;
pub mod process;
pub mod replica;
pub mod world;

pub use world::{World, WorldSettings};
