//! The agent: one device with its state, its way to its peers, its clock and its randomness.

use std::sync::Arc;
use std::time::Duration;

use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType, OwnerKey, SigningKey};
use fdo_protocol::messages::{ErrorMessage, Outbound};
use fdo_protocol::{DeviceSecrets, Error, Hmac, HmacType};
use rand_core::{CryptoRng, Rng as _};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::modules::ModuleSettings;
use crate::random::Random;
use crate::renewal::RenewalSettings;
use crate::store::{Lock, Store, StoreError};
use crate::transport::{Channel, Transport, TransportError};

/// How often, and at which distance, an agent asks for a state that another has at the moment.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What a device decides for itself.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The key exchange of TO2; that of the owner's key, else of the device's, if none.
    pub kex_suite: Option<KexSuite>,
    /// The cipher of TO2; the usual one with the key exchange if none.
    pub cipher_suite: Option<CipherSuite>,
    /// The longest message that it takes, in bytes.
    pub max_message_size: u16,
    /// The largest service info that it takes, in bytes.
    pub service_info_size: u16,
    /// Whether an owner may ask it to keep its credential.
    pub allow_reuse: bool,
    /// How long one TO2 may take.
    pub time_limit: Duration,
    /// Which manufacturer's listener is believed where DI goes over TLS.
    pub manufacturer_trust: ServerTrust,
    /// The modules that it offers.
    pub modules: ModuleSettings,
    /// Where its manufacturer usage description is, for `devmod`.
    pub mud_url: Option<String>,
    /// The event logger of an interoperability event.
    pub conformance_logger: Option<String>,
    /// What follows a renewal.
    pub renewal: RenewalSettings,
}

/// Is told of each step, for people who wait.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// One device.
#[derive(Clone)]
pub struct Agent<T> {
    /// How messages travel.
    pub transport: T,
    /// Its state.
    pub store: Store,
    /// What it decides for itself.
    pub settings: AgentSettings,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Told of each step, for a progress line.
    pub progress: Option<Progress>,
}

/// Why a run of a protocol ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Something in the conversation does not hold; the peer was told by message 255.
    #[error(transparent)]
    Protocol(#[from] Error),
    /// The state of the device.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It took too long.
    #[error("it took more than {0} seconds")]
    TooLong(u64),
}

impl RunError {
    /// The fault that the peer is to be told of; its own is none.
    fn to_tell(&self) -> Option<Error> {
        match self {
            Self::Protocol(error) | Self::Transport(TransportError::Protocol(error)) => {
                (!matches!(error, Error::Peer(_))).then(|| error.clone())
            }
            Self::Transport(TransportError::Unreachable(_)) => None,
            Self::Store(_) | Self::TooLong(_) => Some(Error::Internal("the device")),
        }
    }
}

impl<T: Transport> Agent<T> {
    pub(crate) fn tell_progress(&self, step: &str) {
        tracing::debug!("{step}");
        if let Some(progress) = &self.progress {
            progress(step);
        }
    }

    /// The state for this agent alone. Somebody who only looks has it for a moment, and is waited for.
    pub(crate) async fn work_alone(&self) -> Result<Lock, StoreError> {
        for _ in 1..LOCK_TRIES {
            match self.store.lock() {
                Err(StoreError::Busy) => tokio::time::sleep(LOCK_PAUSE).await,
                outcome => return outcome,
            }
        }
        self.store.lock()
    }

    pub(crate) fn open(&self, base: &BaseUrl, trust: &ServerTrust) -> Result<Run<T::Channel>, RunError> {
        Ok(Run { channel: self.transport.open(base, trust)?, last: 0 })
    }

    /// Ends a run: an error of this side is told to the peer first.
    pub(crate) async fn conclude<R>(
        &self,
        run: &Run<T::Channel>,
        outcome: Result<R, RunError>,
    ) -> Result<R, RunError> {
        if let Err(error) = &outcome
            && let Some(fault) = error.to_tell()
        {
            let correlation = self.random.rng().next_u32();
            tracing::debug!(%error, correlation, code = fault.code().number(), "ending the conversation");
            run.channel
                .send_error(&ErrorMessage::new(fault.code(), run.last, self.clock.now(), correlation))
                .await;
        }
        outcome
    }
}

/// A run of one protocol, and the message that a fault would be about.
pub(crate) struct Run<C> {
    channel: C,
    last: u8,
}

impl<C: Channel> Run<C> {
    /// Sends a request; what comes back is about to be looked at.
    pub(crate) async fn exchange(&mut self, request: &Outbound) -> Result<Vec<u8>, RunError> {
        // In each protocol of FDO 1.1 the reply is numbered one above its request.
        self.last = request.message_type.number().saturating_add(1);
        Ok(self.channel.exchange(request).await?)
    }
}

/// The attestation key with one of the HMAC secrets that go with it.
pub(crate) struct Secrets {
    key: Arc<SigningKey>,
    hmac_secret: Zeroizing<Vec<u8>>,
}

impl Secrets {
    pub(crate) fn new(key: Arc<SigningKey>, hmac_secret: Zeroizing<Vec<u8>>) -> Self {
        Self { key, hmac_secret }
    }

    pub(crate) fn key_type(&self) -> KeyType {
        self.key.key_type()
    }

    /// The same key with a fresh secret of `length` bytes.
    pub(crate) fn renewed(&self, length: usize, rng: &mut dyn CryptoRng) -> Self {
        let mut hmac_secret = Zeroizing::new(vec![0; length]);
        rng.fill_bytes(&mut hmac_secret);
        Self { key: self.key.clone(), hmac_secret }
    }

    pub(crate) fn hmac_secret(&self) -> Zeroizing<Vec<u8>> {
        self.hmac_secret.clone()
    }
}

impl DeviceSecrets for Secrets {
    fn key(&self) -> &dyn OwnerKey {
        &*self.key
    }

    fn hmac(&self, hmac_type: HmacType, parts: &[&[u8]]) -> Result<Hmac, Error> {
        Hmac::of(hmac_type, &self.hmac_secret, parts)
    }
}
