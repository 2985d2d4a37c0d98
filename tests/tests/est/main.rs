//! EST with clients that others wrote, as processes of their own, against an owner in its own process: curl with OpenSSL,
//! strongSwan's `pki`, BouncyCastle.
#![allow(clippy::unwrap_used)]

mod bouncy_castle;
mod curl;
mod fleet;
mod strong_swan;
