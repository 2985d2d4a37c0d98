//! The COSE objects of FDO (RFC 9052), always tagged, with `coset` behind typed payloads.

pub mod eat;
pub mod encrypt0;
pub mod mac0;
pub mod sign1;

mod shape;

pub use eat::{EatPayload, VerifiedEat};
pub use sign1::Sign1;
