//! Inside the tunnel: the device's next credential (66), service info (68), and the end (70).

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{self, Decode, Wrapped};
use crate::cbor_array;
use crate::crypto::Tunnel;
use crate::error::Error;
use crate::guid::Guid;
use crate::hash::Hmac;
use crate::messages::to2::{DeviceServiceInfoReady, Done, Done2, OwnerServiceInfoReady};
use crate::messages::{Message, Outbound};
use crate::nonce::{NonceTo2ProveDv, NonceTo2SetupDv};
use crate::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use crate::to2::seen::SeenMessages;
use crate::voucher::OvHeader;

/// What every stage behind the device's proof needs.
pub(super) struct Tunnelled {
    pub(super) guid: Guid,
    pub(super) next_guid: Guid,
    pub(super) nonce_prove_dv: NonceTo2ProveDv,
    pub(super) nonce_setup_dv: NonceTo2SetupDv,
    pub(super) tunnel: Tunnel,
    pub(super) seen: SeenMessages,
}
cbor_array!(Tunnelled { guid, next_guid, nonce_prove_dv, nonce_setup_dv, tunnel, seen });

impl Tunnelled {
    pub(super) fn seal<T: Message>(&self, message: &T, rng: &mut dyn CryptoRng) -> Result<Outbound, Error> {
        Ok(Outbound {
            message_type: T::TYPE,
            body: self.tunnel.seal(&Zeroizing::new(cbor::encode(message)), rng)?,
        })
    }

    fn open<T: Decode>(&mut self, body: &[u8]) -> Result<T, Error> {
        let plaintext = Zeroizing::new(self.tunnel.open(body)?);
        self.seen.take(body)?;
        cbor::decode(&plaintext)
    }
}

/// Waits for 66.
pub struct ExpectReady {
    pub(super) session: Tunnelled,
    pub(super) replacement: Option<Wrapped<OvHeader>>,
    pub(super) max_service_info_size: Option<u16>,
}
cbor_array!(ExpectReady { session, replacement, max_service_info_size });

impl ExpectReady {
    pub(super) fn guid(&self) -> Guid {
        self.session.guid
    }

    /// The GUID that the device will have; its LDevID names it.
    pub fn next_guid(&self) -> Guid {
        self.session.next_guid
    }

    /// Takes the device's HMAC over its next header (`66 -> 67`), and gives the service-info size that it announced.
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 66, [`Error::Rejected`] for a null HMAC that was not asked for.
    pub fn ready(
        mut self,
        body: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, ExpectServiceInfo, Option<u16>), Error> {
        let ready: DeviceServiceInfoReady = self.session.open(body)?;
        let replacement = match (self.replacement, ready.replacement_hmac) {
            (Some(ov_header), Some(hmac)) => Some(Replacement { ov_header, hmac }),
            (Some(_), None) => return Err(Error::Rejected("the device kept its credential unasked")),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Error::Rejected("the device replaced a credential that it was to keep"));
            }
        };
        let reply = OwnerServiceInfoReady { max_device_service_info_size: self.max_service_info_size };
        let reply = self.session.seal(&reply, rng)?;
        let size = ready.max_owner_service_info_size;
        Ok((reply, ExpectServiceInfo { session: self.session, replacement }, size))
    }
}

/// The parts of a voucher that TO2 renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The new header, over which the device computed its HMAC.
    pub ov_header: Wrapped<OvHeader>,
    /// That HMAC.
    pub hmac: Hmac,
}
cbor_array!(Replacement { ov_header, hmac });

/// Waits for 68.
pub struct ExpectServiceInfo {
    session: Tunnelled,
    replacement: Option<Replacement>,
}
cbor_array!(ExpectServiceInfo { session, replacement });

/// What follows a 69.
pub enum AfterServiceInfo {
    /// More service info.
    Continue(ExpectServiceInfo),
    /// The owner is done: 70, or a last 68.
    Finish(ExpectDone),
}

impl ExpectServiceInfo {
    pub(super) fn guid(&self) -> Guid {
        self.session.guid
    }

    pub(super) fn next_guid(&self) -> Guid {
        self.session.next_guid
    }

    /// Reads the device's service info (`68 ->`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] for an older one.
    pub fn device_service_info(&mut self, body: &[u8]) -> Result<DeviceServiceInfo, Error> {
        self.session.open(body)
    }

    /// Answers with the owner's (`-> 69`).
    ///
    /// # Errors
    /// [`Error::Internal`] when encryption fails.
    pub fn owner_service_info(
        self,
        message: &OwnerServiceInfo,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, AfterServiceInfo), Error> {
        let reply = self.session.seal(message, rng)?;
        let next = if message.is_done {
            AfterServiceInfo::Finish(ExpectDone { session: self.session, replacement: self.replacement })
        } else {
            AfterServiceInfo::Continue(self)
        };
        Ok((reply, next))
    }
}

/// Waits for 70; a device may still send a last 68.
pub struct ExpectDone {
    session: Tunnelled,
    replacement: Option<Replacement>,
}
cbor_array!(ExpectDone { session, replacement });

/// What a finished TO2 changes. It must be durable before 71 is sent.
#[derive(Debug, Clone)]
pub struct Completed {
    /// The GUID that the device came with.
    pub guid: Guid,
    /// The GUID that it has now.
    pub next_guid: Guid,
    /// The parts of its next voucher; none where it keeps its credential.
    pub replacement: Option<Replacement>,
}

impl ExpectDone {
    pub(super) fn guid(&self) -> Guid {
        self.session.guid
    }

    pub(super) fn next_guid(&self) -> Guid {
        self.session.next_guid
    }

    /// Reads a last 68 (`68 ->`), which may carry what the device still had to say.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it does not decrypt or decode, [`Error::Rejected`] when it wants to begin again.
    pub fn device_service_info(&mut self, body: &[u8]) -> Result<DeviceServiceInfo, Error> {
        let message: DeviceServiceInfo = self.session.open(body)?;
        if message.is_more {
            return Err(Error::Rejected("service info after it was finished"));
        }
        Ok(message)
    }

    /// Answers a last 68 (`-> 69`): still done.
    ///
    /// # Errors
    /// [`Error::Internal`] when encryption fails.
    pub fn still_done(
        self,
        message: &OwnerServiceInfo,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Outbound, Self), Error> {
        Ok((self.session.seal(message, rng)?, self))
    }

    /// Ends TO2 (`70 -> 71`).
    ///
    /// # Errors
    /// [`Error::Malformed`] when this is not 70, [`Error::Rejected`] for a wrong nonce.
    pub fn done(mut self, body: &[u8], rng: &mut dyn CryptoRng) -> Result<(Completed, Outbound), Error> {
        let Done { nonce } = self.session.open(body)?;
        if nonce != self.session.nonce_prove_dv {
            return Err(Error::Rejected("the nonce is not the one that was sent"));
        }
        let reply = self.session.seal(&Done2 { nonce: self.session.nonce_setup_dv.clone() }, rng)?;
        let completed = Completed {
            guid: self.session.guid,
            next_guid: self.session.next_guid,
            replacement: self.replacement,
        };
        Ok((completed, reply))
    }
}
