//! The rendezvous over real HTTP: every case that certification sends, and what a hostile peer would try.
#![allow(clippy::unwrap_used)]

mod carrier;
mod chains;
mod changed_fields;
mod devices;
mod dropped;
#[path = "../../../protocol/tests/mutations/mutate.rs"]
mod mutate;
mod operators;
mod policies;
mod sessions;
mod to0;
mod to1;
mod vouchers;
mod world;
