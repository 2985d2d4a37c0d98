//! The device's side of TO1.

use crate::cbor;
use crate::cose::{EatPayload, Sign1};
use crate::credential::DeviceSecrets;
use crate::crypto::KeyType;
use crate::error::Error;
use crate::guid::Guid;
use crate::messages::to0::To1dBlob;
use crate::messages::to1::{HelloRv, HelloRvAck, ProveToRv, RvRedirect};
use crate::messages::{Outbound, SigInfo};
use crate::rendezvous_info::RvTo2Addr;

/// Begins (`-> 30`).
pub fn begin(guid: Guid, key_type: KeyType) -> (Outbound, ExpectHelloRvAck) {
    let e_a_sig_info = SigInfo::for_key(key_type);
    let message = Outbound::plain(&HelloRv { guid, e_a_sig_info: e_a_sig_info.clone() });
    (message, ExpectHelloRvAck { guid, sig_info: e_a_sig_info })
}

/// Waits for 31.
pub struct ExpectHelloRvAck {
    guid: Guid,
    sig_info: SigInfo,
}

impl ExpectHelloRvAck {
    /// Proves the device (`31 -> 32`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 31, [`Error::Rejected`] when eBSigInfo is not what 30 said.
    pub fn hello_rv_ack(
        self,
        body: &[u8],
        secrets: &dyn DeviceSecrets,
    ) -> Result<(Outbound, ExpectRvRedirect), Error> {
        let HelloRvAck { nonce, e_b_sig_info } = cbor::decode(body)?;
        if e_b_sig_info != self.sig_info {
            return Err(Error::Rejected("eBSigInfo differs from eASigInfo"));
        }
        let token = EatPayload::new(nonce.as_bytes(), &self.guid, None).sign(&[], secrets.key())?;
        Ok((Outbound::plain(&ProveToRv(token)), ExpectRvRedirect(())))
    }
}

/// Waits for 33.
pub struct ExpectRvRedirect(());

/// Where the owner says it is. Who signed it is known only in TO2, which must be given [`Redirect::to1d`].
#[derive(Debug, Clone)]
pub struct Redirect {
    /// The redirect as signed.
    pub to1d: Sign1,
    /// The addresses in it, in order.
    pub rv_to2_addr: RvTo2Addr,
}

impl ExpectRvRedirect {
    /// Ends (`33 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not a redirect.
    pub fn rv_redirect(self, body: &[u8]) -> Result<Redirect, Error> {
        let RvRedirect(to1d) = cbor::decode(body)?;
        let blob: To1dBlob = cbor::decode(to1d.unverified_payload())?;
        Ok(Redirect { to1d, rv_to2_addr: blob.rv_to2_addr })
    }
}
