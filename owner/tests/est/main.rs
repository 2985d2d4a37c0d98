//! EST as a device meets it: over TLS, by its certificates, and what it is told when it may not.
#![allow(clippy::unwrap_used)]

mod admission;
mod approval;
mod bodies;
mod client;
#[path = "../to2/device.rs"]
#[allow(dead_code)] // TO2's tests use the rest
mod device;
mod listener;
mod profiles;
#[path = "../to2/reactions.rs"]
mod reactions;
mod refusals;
mod renewal;
mod who;
#[path = "../to2/world.rs"]
#[allow(dead_code)]
mod world;
