//! TO2 against the owner's conversation, with the core's own device side as the peer: what works, what is refused and
//! how, and what a crash or a lost message leaves behind.
#![allow(clippy::unwrap_used)]

mod blocking;
mod by_certificate;
mod certificates;
mod changed_fields;
mod ciphers;
mod conformance;
mod device;
mod ends;
mod field;
mod happy;
#[path = "../../../protocol/tests/mutations/mutate.rs"]
mod mutate;
mod plans;
mod reactions;
mod sequence;
mod uploads;
mod world;
