//! TO0, 20 to 23: an owner registers a device. The state between the two messages, a nonce and the time of the hello,
//! travels sealed in the session token.

use std::sync::Arc;

use fdo_pki::{ChainPolicy, DeviceChain, TrustedCas};
use fdo_protocol::cbor;
use fdo_protocol::messages::to0::{OwnerSign, To1dBlob};
use fdo_protocol::to0::rendezvous::{self, ExpectOwnerSign, RegistrationRequest};
use fdo_protocol::voucher::{OvEntryPayload, VerifiedVoucher, VerifyPolicy};
use fdo_protocol::{Error, PublicKey, VoucherFault};
use fdo_service::endpoint::{Fault, Incoming, Outgoing};
use fdo_service::host::clock::Clock;
use fdo_service::host::metrics::Metrics;
use fdo_service::host::random::Random;
use fdo_service::sessions::{Protocol, SealedTokens};
use tracing::field::display;

use crate::policy::{Policies, Policy};
use crate::registrations::{Granted, Registration, Registrations};

/// The longest redirect that is kept: anybody may send one, and it stays for as long as the registration.
const MAX_TO1D_BYTES: usize = 4096;
/// The most places that a redirect may name; a device tries them one after the other.
const MAX_ADDRESSES: usize = 8;

/// The rendezvous' side of TO0.
pub struct To0 {
    pub clock: Clock,
    pub random: Random,
    pub tokens: SealedTokens,
    pub policies: Arc<Policies>,
    pub registrations: Arc<Registrations>,
    pub metrics: Arc<Metrics>,
}

impl To0 {
    /// A nonce for the owner to sign (`20 -> 21`).
    pub fn hello(&self, incoming: &Incoming) -> Result<Outgoing, Fault> {
        let now = self.clock.now();
        let mut rng = self.random.rng();
        let (reply, state) = rendezvous::hello(&incoming.body, &mut rng)?;
        let sealed = [&now.to_be_bytes()[..], &cbor::encode(&state)].concat();
        let token = self.tokens.seal(Protocol::To0, &sealed, now, &mut rng);
        Ok(Outgoing::new(reply.message_type.number(), reply.body, Some(token)))
    }

    /// Checks a registration and stores it before it is promised (`22 -> 23`).
    pub async fn owner_sign(&self, incoming: &Incoming) -> Result<Outgoing, Fault> {
        let now = self.clock.now();
        let token = incoming.token.as_deref().ok_or(Error::InvalidToken("missing"))?;
        let (greeted, state) = self.open(token, now)?;
        check_size(&incoming.body)?;
        let request = state.owner_sign(&incoming.body, &VerifyPolicy::default())?;
        tracing::Span::current().record("guid", display(request.voucher.guid()));
        let policy = self.policies.current().await.map_err(|error| Fault::internal(&error))?;
        check_device_chain(&request.voucher, policy.required_authorities())?;
        let (granted, seconds) = grant(&policy, &request, greeted, now)?;
        self.registrations.register(granted, now).await?;
        self.metrics.count("firstlight_registrations_total");
        let reply = rendezvous::accept_owner(seconds);
        Ok(Outgoing::new(reply.message_type.number(), reply.body, Some(token.to_owned())))
    }

    fn open(&self, token: &str, now: u64) -> Result<(u64, ExpectOwnerSign), Fault> {
        let sealed = self.tokens.open(Protocol::To0, token, now)?;
        // Sealed here, so it can only be whole.
        let (greeted, state) = sealed.split_first_chunk().ok_or(Error::InvalidToken("too short"))?;
        Ok((u64::from_be_bytes(*greeted), cbor::decode(state)?))
    }
}

/// Before any signature is checked: what is kept for a stranger must be small.
fn check_size(body: &[u8]) -> Result<(), Error> {
    let OwnerSign { to1d, .. } = cbor::decode(body)?;
    if to1d.bytes().len() > MAX_TO1D_BYTES {
        return Err(Error::Rejected("the redirect is longer than 4096 bytes"));
    }
    let blob: To1dBlob = cbor::decode(to1d.unverified_payload())?;
    if blob.rv_to2_addr.0.len() > MAX_ADDRESSES {
        return Err(Error::Rejected("the redirect names more than 8 addresses"));
    }
    Ok(())
}

/// The chain must hang together; whose it is matters where the policy names device CAs.
fn check_device_chain(voucher: &VerifiedVoucher, authorities: Option<&TrustedCas>) -> Result<(), Fault> {
    let certificates: Vec<&[u8]> = voucher.certificates().unwrap_or_default().iter().map(|der| &der[..]).collect();
    let policy = ChainPolicy::default();
    let checked = DeviceChain::parse(&certificates).and_then(|chain| match authorities {
        Some(listed) => chain.verify(listed, &policy).map(|_| ()),
        None => chain.accept_unanchored(&policy).map(|_| ()),
    });
    checked.map_err(|error| {
        let why = match authorities {
            Some(_) => "it does not lead to a listed device CA",
            None => "its certificates do not hang together",
        };
        Fault::new(VoucherFault::CertificateChain(why).into()).because(error.to_string())
    })
}

/// The registration that the policy makes of a request, and for how many seconds.
fn grant(policy: &Policy, request: &RegistrationRequest, greeted: u64, now: u64) -> Result<(Granted, u32), Fault> {
    let voucher = &request.voucher;
    let fingerprint = |key: &PublicKey| key.fingerprint();
    let manufacturer = fingerprint(&voucher.header().manufacturer_key)?;
    let owner = fingerprint(voucher.owner_public_key())?;
    let seconds = policy.grant(owner, manufacturer, request.wait_seconds)?;
    let mut owners = vec![manufacturer];
    for entry in voucher.entries() {
        let payload: OvEntryPayload = cbor::decode(entry.unverified_payload())?;
        owners.push(fingerprint(&payload.owner_key)?);
    }
    let device = voucher.device_certificate_hash();
    let entries = u32::try_from(voucher.entries().len()).map_err(|_| Error::from(VoucherFault::TooManyEntries))?;
    let registration = Registration {
        guid: voucher.guid(),
        device: device.digest().try_into().map_err(|_| Error::Internal("SHA-256 has 32 bytes"))?,
        device_key: voucher.device_key().spki_der().to_vec(),
        to1d: request.to1d.bytes().to_vec(),
        owner,
        manufacturer,
        entries,
        greeted,
        registered: now,
        renewed: now,
        expires: now.saturating_add(u64::from(seconds)),
        proven: false,
    };
    Ok((Granted { registration, owners, terms: policy.terms() }, seconds))
}
