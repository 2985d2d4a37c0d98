//! DI, messages 10 to 13 (FDO 1.1, device initialization): who is admitted, which IDevID and voucher it gets.

mod issue;
mod rebirth;
mod store;

use fdo_pki::VerifiedCsr;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::di::manufacturer::{self, Credentials, ExpectSetHmac};
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::messages::{MessageType, Outbound};
use fdo_protocol::voucher::{VerifyPolicy, Voucher};
use fdo_protocol::{Error, Guid, PublicKeyType, cbor, cbor_array};
use fdo_service::database::{self, DatabaseConnection, DbErr};
use fdo_service::endpoint::{Conversation, Fault, Incoming, Outgoing};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::sessions::{Loaded, Next, Protocol, Records, Session, Step};
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::config::Admission;
use crate::devices::{self, Device, DeviceState, Refusal};
use crate::keys::Keys;
use crate::rendezvous::Rendezvous;
use crate::serial::Serial;
use crate::vouchers::{self, StoredVoucher, VoucherState};
pub use issue::Profile;

/// The audit trail's name for this part of the service.
const ACTOR: &str = "initialization";

/// A certificate that no voucher carries is given again for a day, and kept for longer than any session waits.
const REUSED_SECONDS: u64 = 24 * 3600;
const KEPT_SECONDS: u64 = 7 * 24 * 3600;

/// The manufacturer's side of DI.
#[derive(Clone)]
pub struct Initialization {
    pub db: DatabaseConnection,
    pub clock: Clock,
    pub random: Random,
    pub records: Records,
    pub keys: Arc<Keys>,
    pub admission: Admission,
    pub rendezvous: Arc<Rendezvous>,
    pub profile: Arc<Profile>,
}

/// What is kept between 11 and 12.
struct Waiting {
    expect: ExpectSetHmac,
    serial: String,
    model: String,
    certificate_serial: String,
    /// The voucher of the DI that this one takes the place of.
    replaces: Option<Guid>,
}
cbor_array!(Waiting { expect, serial, model, certificate_serial, replaces });

/// A device that may be initialized now.
struct Candidate {
    serial: Serial,
    model: String,
    record: Option<Device>,
    csr: VerifiedCsr,
    /// The voucher of an earlier DI with the same key that did not reach the device, as far as it says.
    unfinished: Option<StoredVoucher>,
}

impl Conversation for Initialization {
    async fn answer(&self, incoming: Incoming) -> Result<Outgoing, Fault> {
        let now = self.clock.now();
        if MessageType::from_number(incoming.message_type) == Some(MessageType::AppStart) {
            return self.app_start(&incoming.body, now).await;
        }
        let token = incoming.token.as_deref();
        let found = self.records.load(Protocol::Di, token, incoming.message_type, &incoming.body, now).await?;
        let session = match found {
            Loaded::Replay { reply_type, reply } => return Ok(Outgoing::new(reply_type, reply, incoming.token)),
            Loaded::Live(session) => session,
        };
        match self.set_hmac(&session, &incoming, now).await {
            Ok(reply) => {
                let outgoing = outgoing(&reply, session.token());
                session.advance(Next::Finished, outgoing.message_type, &outgoing.body, true, now).await?;
                Ok(outgoing)
            }
            Err(fault) => Err(session.fail(fault, incoming.correlation, now).await),
        }
    }

    async fn peer_error(&self, incoming: Incoming) {
        if let Some(token) = incoming.token
            && let Err(error) = self.records.remove(Protocol::Di, &token).await
        {
            tracing::warn!(%error, "a session that its device gave up could not be removed");
        }
    }
}

impl Initialization {
    /// Forgets old certificates of abandoned attempts, those made since `since`. Gives the next sweep's `since`: what is
    /// older has a voucher for good.
    pub async fn sweep(&self, since: u64) -> Result<u64, DbErr> {
        let until = self.clock.now().saturating_sub(KEPT_SECONDS);
        store::sweep_unused(&self.db, since, until).await?;
        Ok(until)
    }

    /// `10 -> 11`
    async fn app_start(&self, body: &[u8], now: u64) -> Result<Outgoing, Fault> {
        let info = manufacturer::app_start(body)?;
        let candidate = self.candidate(&info, now).await?;
        let voucher_key = self.keys.voucher_asked(info.key_type, candidate.csr.public_key().key_type());
        let voucher_key = voucher_key.ok_or_else(|| self.no_key(info.key_type))?;
        let public_key = voucher_key.public_key(info.key_type, info.key_encoding)?;
        let issued = self.issue(&candidate, now).await?;
        let credentials = Credentials {
            guid: Guid::random(&mut self.random.rng()),
            rv_info: self.rendezvous.current().await.map_err(|error| Fault::internal(&error))?,
            device_info: candidate.model.clone(),
            manufacturer_key: public_key,
            device_key_type: issued.device_key_type,
            certificates: issued.chain,
        };
        tracing::Span::current().record("guid", tracing::field::display(&credentials.guid));
        let (reply, expect) = manufacturer::set_credentials(credentials)?;
        let waiting = Waiting {
            expect,
            serial: candidate.serial.to_string(),
            model: candidate.model,
            certificate_serial: issued.serial,
            replaces: candidate.unfinished.map(|voucher| voucher.guid),
        };
        let step = Step {
            protocol: Protocol::Di,
            next: Next::State(Zeroizing::new(cbor::encode(&waiting))),
            request_type: MessageType::AppStart.number(),
            request: body,
            reply_type: reply.message_type.number(),
            reply: &reply.body,
            proven: false,
        };
        let token = self.records.begin(step, now, &mut self.random.rng()).await?;
        Ok(outgoing(&reply, token))
    }

    /// The device wants a key that is not here; the operator is told how to have one.
    fn no_key(&self, asked: PublicKeyType) -> Fault {
        let reason = match asked {
            PublicKeyType::RsaPss => "RSAPSS keys are verified, never issued",
            _ => "RSA keys are made where `rsa_keys` names their size: set it to [\"RSA2048\", \"RSA3072\"]",
        };
        Fault::new(Error::Unsupported("the manufacturer has no key of the type that the device asks for"))
            .because(format!("{asked:?}: {reason}"))
    }

    /// Whether this device may be initialized, and under which model.
    async fn candidate(&self, info: &DeviceMfgInfo, now: u64) -> Result<Candidate, Fault> {
        let refused =
            |reason: String| Fault::new(Error::Rejected("this serial number is not admitted")).because(reason);
        let serial = Serial::parse(&info.serial_number).map_err(|error| refused(error.to_string()))?;
        let record =
            devices::store::find(&self.db, serial.canon()).await.map_err(|error| Fault::internal(&error))?;
        let (csr, unfinished) = match devices::admit(record.as_ref(), self.admission) {
            Ok(()) => (issue::checked(&info.csr.0)?, None),
            Err(refusal @ Refusal::Used) => {
                let csr = issue::checked(&info.csr.0)?;
                let found = rebirth::unfinished(&self.db, record.as_ref(), csr.public_key(), now).await?;
                (csr, Some(found.ok_or_else(|| refused(format!("{serial}: {refusal}")))?))
            }
            Err(refusal) => return Err(refused(format!("{serial}: {refusal}"))),
        };
        let recorded = record.as_ref().and_then(|device| device.model.clone());
        let model = recorded.unwrap_or_else(|| info.device_info.clone());
        if model.is_empty() {
            return Err(Fault::new(Error::Rejected("the device names no model, and its record has none")));
        }
        // The record's spelling is the one that ends up in the certificate.
        let serial = record.as_ref().map_or(serial, |device| device.serial.clone());
        Ok(Candidate { serial, model, record, csr, unfinished })
    }

    /// `12 -> 13`: the voucher is durable before the reply.
    async fn set_hmac(&self, session: &Session, incoming: &Incoming, now: u64) -> Result<Outbound, Fault> {
        if MessageType::from_number(incoming.message_type) != Some(MessageType::SetHmac) {
            return Err(Error::OutOfSequence { received: incoming.message_type }.into());
        }
        let waiting: Waiting =
            cbor::decode(session.state()).map_err(|_| Error::Internal("a stored session does not decode"))?;
        tracing::Span::current().record("guid", tracing::field::display(&waiting.expect.guid()));
        let serial =
            Serial::parse(&waiting.serial).map_err(|_| Error::Internal("a stored serial does not decode"))?;
        let (voucher, reply) = waiting.expect.set_hmac(&incoming.body)?;
        let stored = stored(&serial, waiting.model, waiting.certificate_serial, voucher, now)?;
        self.keep(&serial, &stored, waiting.replaces, now).await?;
        Ok(reply)
    }

    /// Writes voucher and device in one transaction. Another DI of this serial may have been faster, and the voucher
    /// to be replaced may have been claimed meanwhile.
    async fn keep(
        &self,
        serial: &Serial,
        voucher: &StoredVoucher,
        replaces: Option<Guid>,
        now: u64,
    ) -> Result<(), Fault> {
        let failed = |error: DbErr| Fault::internal(&error);
        let refused =
            |reason: String| Fault::new(Error::Rejected("this serial number is not admitted")).because(reason);
        let transaction = database::begin(&self.db).await.map_err(failed)?;
        let found = devices::store::find_locked(&transaction, serial.canon()).await.map_err(failed)?;
        if found.as_ref().is_some_and(|device| device.guid == Some(voucher.guid)) {
            // The same message twice: at once, or again after a crash between this transaction and the reply.
            let kept = vouchers::store::find(&transaction, &voucher.guid).await.map_err(failed)?;
            if kept.is_some_and(|kept| kept.bytes == voucher.bytes) {
                return Ok(());
            }
            return Err(refused("another HMAC for the same GUID".to_owned()));
        }
        if let Some(old) = replaces {
            rebirth::replaceable(&transaction, found.as_ref(), &old, now)
                .await
                .map_err(failed)?
                .map_err(&refused)?;
        } else {
            devices::admit(found.as_ref(), self.admission).map_err(|refusal| refused(refusal.to_string()))?;
        }
        let known = found.is_some();
        let mut device = found.unwrap_or_else(|| Device {
            serial: serial.clone(),
            model: None,
            hardware_serial: None,
            state: DeviceState::Admitted,
            guid: None,
            created: now,
            updated: now,
        });
        (device.state, device.guid, device.updated) = (DeviceState::Initialized, Some(voucher.guid), now);
        let written = async {
            if known {
                devices::store::update(&transaction, &device).await?;
            } else {
                devices::store::insert(&transaction, &device).await?;
            }
            vouchers::store::insert(&transaction, voucher).await?;
            store::forget_unused(&transaction, serial.canon(), &voucher.certificate_serial).await?;
            let mut detail = format!("{serial}, certificate {}", voucher.certificate_serial);
            let mut action = "device.initialize";
            if let Some(old) = replaces {
                vouchers::store::set_state(&transaction, &old, VoucherState::Blocked).await?;
                action = "device.reborn";
                detail = format!("{detail}; the same key again, so GUID {old} is blocked");
            }
            let guid = voucher.guid.to_string();
            let event = Event { actor: ACTOR, action, subject: &guid, outcome: Outcome::Success, detail: &detail };
            audit::record(&transaction, now, event).await
        };
        match written.await {
            Ok(()) => transaction.commit().await.map_err(failed),
            // In open mode two devices may say the same new serial at once.
            Err(error) if database::is_unique_violation(&error) => Err(refused("taken just now".to_owned())),
            Err(error) => Err(failed(error)),
        }
    }
}

fn stored(
    serial: &Serial,
    model: String,
    certificate_serial: String,
    voucher: Voucher,
    now: u64,
) -> Result<StoredVoucher, Error> {
    let bytes = voucher.bytes().to_vec();
    // Our own work, verified once more: what is stored here is what buyers will be given.
    let verified = voucher.verify(&VerifyPolicy::default())?;
    let key: KeyType = verified.manufacturer_key().key_type();
    Ok(StoredVoucher {
        guid: verified.guid(),
        canon: serial.canon().to_owned(),
        serial: serial.to_string(),
        model,
        key_type: key,
        manufacturer_key: verified.manufacturer_key().spki_der().to_vec(),
        certificate_serial,
        state: VoucherState::Active,
        bytes,
        created: now,
    })
}

fn outgoing(reply: &Outbound, token: String) -> Outgoing {
    Outgoing::new(reply.message_type.number(), reply.body.clone(), Some(token))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "../../../protocol/tests/mutations/mutate.rs"]
mod mutate;
#[cfg(test)]
mod tests;
