//! The public-key operations that the protocol needs, in two makes with one face:
//! `Signer`, `verify`, `Ephemeral` and `verify_rsa_pkcs1`.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(feature = "aws-lc")]
pub(super) use aws_lc::*;

#[cfg(any(test, not(feature = "aws-lc")))]
#[cfg_attr(feature = "aws-lc", allow(dead_code))]
mod portable;
#[cfg(not(feature = "aws-lc"))]
pub(super) use portable::*;
