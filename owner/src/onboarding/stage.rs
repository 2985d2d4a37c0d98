//! What the owner keeps of a TO2 between two messages, as one stored value.

use fdo_protocol::cbor::{self, Decode, Encode, Reader, Writer};
use fdo_protocol::crypto::{SigningKey, VerifyingKey};
use fdo_protocol::to2::owner::Session;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_protocol::{Error, Guid, RendezvousInfo, cbor_array};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::store::{Phase, Run};
use crate::keys::OwnerKeys;
use crate::serviceinfo::{DeviceFacts, Provisioning};

/// The version of this layout: a session of another release is not continued.
const VERSION: u64 = 4;

/// A TO2 between two messages.
pub(super) struct Stage {
    pub facts: Facts,
    pub session: Session,
    /// From 66 on.
    pub provisioning: Option<Provisioning>,
}

/// What is known of the device and of this TO2.
pub(super) struct Facts {
    /// The TO2's own name: its record, and what its certificates belong to until 70.
    pub id: String,
    pub guid: Guid,
    /// From 64 on.
    pub next_guid: Option<Guid>,
    pub device_id: String,
    pub serial: Option<String>,
    pub started: u64,
    /// Whether the voucher is what an earlier TO2 left behind, so that the device is seen with its new GUID.
    pub is_successor: bool,
    /// When the device's record was last seen in use.
    pub checked: u64,
    /// Until 64, so that no later message has to read a key.
    setup: Option<Setup>,
}
cbor_array!(Facts { id, guid, next_guid, device_id, serial, started, is_successor, checked, setup });

/// What 65 needs.
struct Setup {
    owner_key: VerifyingKey,
    rv_info: RendezvousInfo,
}
cbor_array!(Setup { owner_key, rv_info });

impl Facts {
    pub fn new(voucher: &VerifiedVoucher, is_successor: bool, now: u64, rng: &mut dyn CryptoRng) -> Self {
        let mut name = [0; 8];
        rng.fill_bytes(&mut name);
        Self {
            id: format!("{now:010x}{}", hex::encode(name)),
            guid: voucher.guid(),
            next_guid: None,
            device_id: hex::encode(Sha256::digest(voucher.device_key().spki_der())),
            serial: None,
            started: now,
            is_successor,
            checked: now,
            setup: Some(Setup {
                owner_key: voucher.owner_key().clone(),
                rv_info: voucher.header().rv_info.clone(),
            }),
        }
    }

    /// The owner's key, and the rendezvous that the device keeps.
    pub fn take_setup<'a>(&mut self, keys: &'a OwnerKeys) -> Result<(&'a SigningKey, RendezvousInfo), Error> {
        let setup = self.setup.take().ok_or(Error::Internal("a session without its owner's key"))?;
        let key = keys.owning(&setup.owner_key).ok_or(Error::Internal("the owner's key is not here any more"))?;
        Ok((key, setup.rv_info))
    }

    /// Whether the device has proven itself.
    pub fn is_proven(&self) -> bool {
        self.next_guid.is_some()
    }

    pub fn run(&self, phase: Phase) -> Run {
        Run {
            id: self.id.clone(),
            device_id: self.device_id.clone(),
            guid: self.guid,
            new_guid: self.next_guid.unwrap_or(self.guid),
            started: self.started,
            open_until: self.started,
            finished: None,
            phase,
            outcome: None,
            reason: None,
            facts: DeviceFacts::default(),
            transfers: Vec::new(),
            certificate: None,
        }
    }
}

impl Stage {
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::encode(self))
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode(bytes).map_err(|_| Error::Internal("a stored session that does not decode"))
    }
}

impl Encode for Stage {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(4).unsigned(VERSION).value(&self.facts).value(&self.session).value(&self.provisioning);
    }
}

impl Decode for Stage {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(4)?;
        if reader.unsigned()? != VERSION {
            return Err(Error::Malformed("a session of another release"));
        }
        Ok(Self {
            facts: Facts::decode_from(reader)?,
            session: Session::decode_from(reader)?,
            provisioning: Option::decode_from(reader)?,
        })
    }
}
