//! OCSP (RFC 6960, as profiled by RFC 5019, with nonces as in RFC 9654): requests are read with bounds, answers are
//! made for later signing, errors need none.
//!
//! An answer to a request without a nonce depends on the certificate alone, so it can be signed before it is asked for.

mod answer;
mod certificate_id;
mod request;
mod responder;

pub use answer::{Failure, ResponderId, Single, Status, UnsignedAnswer, answer};
pub use certificate_id::{CertificateId, IssuerId};
pub use request::{MAX_REQUEST, MAX_SINGLES, Request};
pub use responder::ResponderProfile;
