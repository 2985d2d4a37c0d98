//! KeyAuth of the FDO voucher transfer draft: a caller proves that it holds an owner key, and a server whose key is
//! pinned answers with a short-lived token. Two requests: hello gets a challenge, prove gets a result.
//!
//! An edge answers [`Error::Malformed`] and [`Error::Unsupported`] with 400, [`Error::Rejected`] with 401.

mod caller;
mod server;
mod wire;

use std::fmt;

use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer, decode};
use crate::error::Error;

pub use caller::CallerHello;
pub use server::{Challenge, PendingChallenge, ProvenCaller, session_of};

/// What a signature of KeyAuth covers besides its payload. The draft has changed its mind more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aad {
    /// The CBOR array that holds the tag of the message.
    #[default]
    Array,
    /// The tag itself.
    Raw,
    /// Nothing, as before the tags came.
    Empty,
}

/// Which form is signed, and whether the other forms also verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AadPolicy {
    /// The form of our own signatures.
    pub sign: Aad,
    /// Accept the other forms too: for peers of another draft.
    pub compat: bool,
}

/// A token is good for a day at most; a longer promise is a mistake of the server or of a clock.
const LONGEST_VALIDITY: u64 = 24 * 60 * 60;

const AUTHENTICATED: &str = "authenticated";

/// The server's answer to a proof that holds.
#[derive(Clone)]
pub struct KeyAuthResult {
    /// The bearer token. It is not bound to the connection, so it travels over TLS only.
    pub token: Zeroizing<String>,
    /// When the token ends, in seconds since 1970.
    pub expires: u64,
    /// The fingerprint of the caller's key. For information: some servers compute another one.
    pub fingerprint: [u8; 32],
    /// How many vouchers wait; 0 when the server does not say.
    pub voucher_count: u64,
}

impl KeyAuthResult {
    /// Decodes the body of the answer.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no result, [`Error::Rejected`] when its token is empty, has ended, or would be
    /// valid for more than a day from `now`.
    pub fn from_bytes(bytes: &[u8], now: u64) -> Result<Self, Error> {
        let result: Self = decode(bytes)?;
        if result.token.is_empty() {
            return Err(Error::Rejected("the server gave an empty token"));
        }
        if result.expires <= now || result.expires - now > LONGEST_VALIDITY {
            return Err(Error::Rejected("the token's end is not within a day from now; compare the clocks"));
        }
        Ok(result)
    }
}

impl fmt::Debug for KeyAuthResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAuthResult")
            .field("expires", &self.expires)
            .field("voucher_count", &self.voucher_count)
            .finish_non_exhaustive()
    }
}

impl Encode for KeyAuthResult {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(5).text(AUTHENTICATED).text(&self.token);
        writer.unsigned(self.expires).bytes(&self.fingerprint).unsigned(self.voucher_count);
    }
}

impl Decode for KeyAuthResult {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(5)?;
        if reader.text()? != AUTHENTICATED {
            return Err(Error::Malformed("not the result of KeyAuth"));
        }
        Ok(Self {
            token: Zeroizing::new(reader.text()?.to_owned()),
            expires: reader.unsigned()?,
            fingerprint: reader.bytes()?.try_into().map_err(|_| Error::Malformed("a fingerprint has 32 bytes"))?,
            voucher_count: reader.unsigned()?,
        })
    }
}
