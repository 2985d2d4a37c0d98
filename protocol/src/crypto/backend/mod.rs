//! The public-key operations that the protocol needs, in two makes with one face:
//! `Signer`, `verify`, `Ephemeral` for elliptic curves; `RsaPrivate`, `verify_rsa`, `encrypt_oaep`, `verify_rsa_pkcs1`.

/// Why a secret of the key exchange is refused, whatever is wrong with it.
pub(super) const NOT_DECRYPTED: &str = "a key exchange that does not decrypt";

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(feature = "aws-lc")]
pub(super) use aws_lc::*;

#[cfg(any(test, not(feature = "aws-lc")))]
#[cfg_attr(feature = "aws-lc", allow(dead_code))]
mod portable;
#[cfg(not(feature = "aws-lc"))]
pub(super) use portable::*;
