//! The owner's CA as operators and replicas see it: profiles, one CA taking over from another, the company's CA.
#![allow(clippy::unwrap_used)]

mod company;
mod profiles;
mod requests;
mod rollover;
mod world;
