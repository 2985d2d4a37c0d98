//! One claim: may this key have this serial, and the one signature that hands it over (voucher transfer, 9.6 and 9.7).

use std::net::IpAddr;

use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_protocol::{Guid, PublicKeyType, cbor};
use fdo_service::database::{self, DatabaseTransaction};
use fdo_service::operators::audit::{self, Event, Outcome};
use sha2::{Digest, Sha256};

use super::store::{self, Signature};
use super::{Claim, ClaimError, Claimant, Claims};
use crate::allocations;
use crate::devices::{self, DeviceState};
use crate::serial::Serial;
use crate::vouchers::{self, StoredVoucher};

/// One serial that a buyer asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub serial: String,
    pub model: Option<String>,
    pub expect_guid: Option<Guid>,
}

/// A claim granted, now or before.
pub type Grant = Claim;

/// To whom a voucher is extended, and who said so.
pub(super) struct Receiver<'a> {
    pub key: &'a VerifyingKey,
    pub fingerprint: &'a str,
    /// Empty where no buyer has the key.
    pub buyer_id: &'a str,
    pub name: &'a str,
    pub actor: &'a str,
}

/// Why a serial is not handed over; what a buyer may not know is all `NotFound`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    NotFound,
    Pending,
    AlreadyClaimed { fingerprint: String },
    GuidMismatch,
    KeyTypeMismatch { required: PublicKeyType },
    Revoked,
    Blocked,
    RateLimited,
}

/// A denial, and the reason that only the audit trail is told.
type Decision<T> = Result<T, (Denied, &'static str)>;

/// What the maker's tables say about a claim.
enum Found {
    /// The same key has it: the same bytes again.
    Before(Claim),
    /// It may be signed.
    Now(StoredVoucher),
}

impl Claims {
    /// Hands one serial over, or says why not. Faults of this side are errors.
    pub(super) async fn claim(
        &self,
        claimant: &Claimant,
        asked: &Asked,
        request_id: &str,
        source: IpAddr,
    ) -> Result<Result<Grant, Denied>, ClaimError> {
        if !self.windows.allow(&claimant.fingerprint, source, self.clock.now()) {
            return Ok(Err(Denied::RateLimited));
        }
        self.decide(claimant, asked, request_id, source).await
    }

    /// The same without counting how often the key asks.
    pub(super) async fn decide(
        &self,
        claimant: &Claimant,
        asked: &Asked,
        request_id: &str,
        source: IpAddr,
    ) -> Result<Result<Grant, Denied>, ClaimError> {
        let now = self.clock.now();
        let transaction = database::begin(&self.db).await?;
        match self.find(&transaction, claimant, asked).await? {
            Ok(Found::Before(claim)) => Ok(Ok(claim)),
            Ok(Found::Now(voucher)) => {
                let receiver = Receiver {
                    key: &claimant.key,
                    fingerprint: &claimant.fingerprint,
                    buyer_id: &claimant.buyer.id,
                    name: &claimant.buyer.name,
                    actor: &claimant.fingerprint,
                };
                let claim = self.sign(&transaction, &receiver, &voucher, request_id, now).await?;
                transaction.commit().await?;
                Ok(Ok(claim))
            }
            Err((denied, reason)) => {
                if denied == Denied::NotFound {
                    self.windows.missed(source, now);
                }
                let shown: String = asked.serial.chars().filter(|c| !c.is_control()).take(64).collect();
                let detail = format!("{} asked: {reason}", claimant.buyer.name);
                let event = Event {
                    actor: &claimant.fingerprint,
                    action: "claim.request",
                    subject: &shown,
                    outcome: Outcome::Refused,
                    detail: &detail,
                };
                audit::record(&transaction, now, event).await?;
                transaction.commit().await?;
                Ok(Err(denied))
            }
        }
    }

    /// Locks the device until the transaction ends, so that of two claims (or a claim and a revocation) one is first.
    async fn find(
        &self,
        transaction: &DatabaseTransaction,
        claimant: &Claimant,
        asked: &Asked,
    ) -> Result<Decision<Found>, ClaimError> {
        let Ok(serial) = Serial::parse(&asked.serial) else {
            return Ok(Err((Denied::NotFound, "no serial number")));
        };
        let Some(device) = devices::store::find_locked(transaction, serial.canon()).await? else {
            return Ok(Err((Denied::NotFound, "unknown serial")));
        };
        let buyer_id = &claimant.buyer.id;
        match allocations::store::find_live(transaction, serial.canon()).await? {
            Some(live) if live.buyer_id == *buyer_id => {}
            _ if allocations::store::was_revoked(transaction, serial.canon(), buyer_id).await? => {
                return Ok(Err((Denied::Revoked, "the allocation was revoked")));
            }
            Some(_) => return Ok(Err((Denied::NotFound, "allocated to another buyer"))),
            None => return Ok(Err((Denied::NotFound, "not allocated"))),
        }
        if device.state == DeviceState::Blocked {
            return Ok(Err((Denied::Blocked, "the device is blocked")));
        }
        let Some(guid) = device.guid else {
            return Ok(Err((Denied::Pending, "not initialized yet")));
        };
        if asked.expect_guid.is_some_and(|expected| expected != guid) {
            return Ok(Err((Denied::GuidMismatch, "another GUID was expected")));
        }
        let voucher = vouchers::store::find(transaction, &guid).await?;
        let voucher = voucher.ok_or_else(|| crate::db::impossible("device.guid"))?;
        if asked.model.as_ref().is_some_and(|model| *model != voucher.model) {
            return Ok(Err((Denied::NotFound, "another model was asked for")));
        }
        Ok(match store::find(transaction, &guid).await? {
            Some(claim) if claim.fingerprint == claimant.fingerprint => Ok(Found::Before(claim)),
            Some(claim) => {
                let denied = Denied::AlreadyClaimed { fingerprint: claim.fingerprint };
                Err((denied, "claimed to another key of this buyer"))
            }
            None if voucher.key_type != claimant.key_type() => {
                let denied = Denied::KeyTypeMismatch { required: voucher.key_type.into() };
                Err((denied, "the key is of another type than the voucher's"))
            }
            None => Ok(Found::Now(voucher)),
        })
    }

    /// The one signature over this voucher; claim, signer log and audit trail are written with it.
    pub(super) async fn sign(
        &self,
        transaction: &DatabaseTransaction,
        receiver: &Receiver<'_>,
        stored: &StoredVoucher,
        request_id: &str,
        now: u64,
    ) -> Result<Claim, ClaimError> {
        let voucher = VerifiedVoucher::trust_stored(&stored.bytes).map_err(ClaimError::Signing)?;
        let missing =
            fdo_protocol::Error::Internal("the key that this voucher begins with is no longer in the key folder");
        let key = self.keys.voucher_for(voucher.manufacturer_key()).ok_or(ClaimError::Signing(missing))?;
        let hmac = cbor::encode(voucher.hmac());
        let previous = Sha256::new().chain_update(voucher.header().bytes()).chain_update(hmac).finalize().to_vec();
        let extended = voucher.extend(key.signing(), receiver.key).map_err(ClaimError::Signing)?;
        let bytes = extended.bytes().to_vec();
        let checksum = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let claim = Claim {
            guid: stored.guid,
            canon: stored.canon.clone(),
            serial: stored.serial.clone(),
            model: stored.model.clone(),
            buyer_id: receiver.buyer_id.to_owned(),
            fingerprint: receiver.fingerprint.to_owned(),
            bytes,
            checksum,
            request_id: request_id.to_owned(),
            created: now,
            delivered: None,
        };
        let signer = crate::keys::fingerprint(key.signing().verifying_key()).map_err(ClaimError::Signing)?;
        store::log_signature(transaction, &Signature { previous, claim: &claim, signer: &signer }).await?;
        store::insert(transaction, &claim).await?;
        if !receiver.buyer_id.is_empty() {
            self.enqueue(transaction, &claim, receiver.name).await?;
        }
        let (subject, detail) = (claim.guid.to_string(), format!("{} to {}", claim.serial, receiver.name));
        let event = Event {
            actor: receiver.actor,
            action: "voucher.sign",
            subject: &subject,
            outcome: Outcome::Success,
            detail: &detail,
        };
        audit::record(transaction, now, event).await?;
        Ok(claim)
    }
}
