//! One renewal: CA certificates, a request by the LDevID, else by the IDevID, the checks, and the new pair in place.
//!
//! Key and request are durable before they are sent and asked again byte for byte, so that a service answers a device
//! that crashed with the certificate that it has issued already (RFC 7030, 4.2.3).

use fdo_pki::{Certificate, DeviceSerial, encode_base64};
use fdo_protocol::Error;
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::est::RenewalSource;
use zeroize::Zeroizing;

use super::clock_check;
use super::schedule::{Kind, Life};
use super::{RenewError, Renewed, Renewer, ldevid_key_type};
use crate::est::received::{self, Expected};
use crate::est::{Answer, EstError, EstTransport, Identity, Request, operation_url, report_url};
use crate::store::{LdevidPair, NamedFile, RenewalDraft, RenewalStatus, StoreError};
use crate::transport::Transport;

const PKCS10: &str = "application/pkcs10";
const JSON: &str = "application/json";

/// By what a device asks.
struct Asker<'a> {
    /// For people.
    name: &'static str,
    operation: &'static str,
    identity: Identity,
    follows: Option<&'a Certificate>,
}

/// The EST service during one attempt.
struct Service<'a> {
    source: &'a RenewalSource,
    /// The CAs that the service must chain to.
    trust: Vec<Vec<u8>>,
    /// The CAs that certificates must chain to.
    authorities: Vec<Vec<u8>>,
    now: u64,
}

impl<T: Transport, E: EstTransport> Renewer<T, E> {
    /// Renews once, now, and writes down what came of it.
    ///
    /// # Errors
    /// [`RenewError`]; then the certificate that there was is in place.
    pub async fn renew(&self) -> Result<Renewed, RenewError> {
        let _alone = self.agent.work_alone().await?;
        let store = &self.agent.store;
        let mut status = store.renewal_status();
        let outcome = self.renew_once(&mut status).await;
        let now = self.agent.clock.now();
        let life = self.life(&status, now);
        match &outcome {
            Ok(Renewed::Now(certificate)) => {
                status.renewals = status.renewals.saturating_add(1);
                (status.failures, status.failed_at, status.failure, status.waiting) = (0, None, None, None);
                status.next_at = self.due(&status, true);
                tracing::info!(serial = certificate.serial(), "the certificate is renewed");
            }
            Ok(Renewed::Pending(after)) => {
                let pause =
                    life.pause(now, 1, after.map_or(Kind::Refused, Kind::Told), &mut self.agent.random.rng());
                status.waiting = Some("the owner has not decided about the request yet".to_owned());
                status.next_at = Some(now.saturating_add(pause));
                tracing::info!(pause, "the owner has not decided about the request yet");
            }
            Err(error) => {
                status.failures = status.failures.saturating_add(1);
                let pause = life.pause(now, status.failures, kind(error), &mut self.agent.random.rng());
                (status.failed_at, status.failure) = (Some(now), Some(error.to_string()));
                (status.unreported, status.waiting) = (true, None);
                status.next_at = Some(now.saturating_add(pause));
                tracing::warn!(%error, failures = status.failures, pause, "the certificate is not renewed");
            }
        }
        // The outcome itself is durable already; this is what people are told.
        if let Err(error) = store.set_renewal_status(&status) {
            tracing::warn!(%error, "how renewal goes cannot be written down");
            if outcome.is_ok() {
                return Err(error.into());
            }
        }
        outcome
    }

    /// The life of the LDevID, as far as there is one.
    pub(super) fn life(&self, status: &RenewalStatus, now: u64) -> Life {
        let Some(ldevid) = self.agent.store.ldevid() else { return Life::unknown(now) };
        let known = status.certificate.as_deref() == Some(hex::encode(ldevid.fingerprint()).as_str());
        let obtained = if known { status.obtained_at } else { self.agent.store.status().onboarded_at };
        Life::of(&ldevid, obtained)
    }

    /// When the LDevID is to be renewed; none where the device cannot or need not. `works` tells whether it has its key.
    pub(super) fn due(&self, status: &RenewalStatus, works: bool) -> Option<u64> {
        let store = &self.agent.store;
        let source = store.renewal_source().ok().flatten()?;
        let now = self.agent.clock.now();
        if works {
            return Some(self.life(status, now).due(source.renew_percent, &store.status().serial));
        }
        // The owner has not issued it in TO2, or what is on disk does not work any more.
        (store.has_ldevid() || store.status().no_ldevid.is_some()).then_some(now)
    }

    async fn renew_once(&self, status: &mut RenewalStatus) -> Result<Renewed, RenewError> {
        let store = &self.agent.store;
        if store.credential().map_err(|_| RenewError::NotOnboarded)?.active {
            return Err(RenewError::NotOnboarded);
        }
        let source = store.renewal_source()?.ok_or(RenewError::NoSource)?;
        store.prune_ldevids()?;
        let (pair, now) = (store.ldevid_pair(), self.agent.clock.now());
        status.clock = clock_check::wrong(now, status.seen, pair.as_ref().map(|pair| &pair.certificate));
        if let Some(wrong) = &status.clock {
            return Err(RenewError::Clock(wrong.clone()));
        }
        let mut service = self.meet(&source, now, status).await?;
        let mut refusals = Vec::new();
        for asker in self.askers(pair.as_ref(), &source)? {
            self.report(&service, &asker.identity, status).await;
            match self.ask(&mut service, &asker, status).await {
                Err(RenewError::Est(error)) if error.is_refusal() => {
                    refusals.push(format!("by {}: {error}", asker.name));
                }
                decided => return decided,
            }
        }
        match refusals.is_empty() {
            true => Err(RenewError::NoSource),
            false => Err(RenewError::Refused(refusals)),
        }
    }

    /// Fetches the CA certificates from the service as it is known so far: those of the next CA come this way.
    async fn meet<'a>(
        &self,
        source: &'a RenewalSource,
        now: u64,
        status: &mut RenewalStatus,
    ) -> Result<Service<'a>, RenewError> {
        let trust = source.trust.iter().map(|der| der.0.clone()).collect();
        let mut service = Service { source, trust, authorities: Vec::new(), now };
        service.authorities = self.authorities(&service, status).await?;
        Ok(service)
    }

    async fn authorities(
        &self,
        service: &Service<'_>,
        status: &mut RenewalStatus,
    ) -> Result<Vec<Vec<u8>>, RenewError> {
        let request = service.request(operation_url(&service.source.url, "cacerts"), None, None);
        let answer = self.send(&request, status).await?;
        let body =
            answer.accepted(service.now)?.ok_or_else(|| EstError::Unusable("CA certificates to come".into()))?;
        Ok(received::authorities(body, service.now)?)
    }

    async fn send(&self, request: &Request<'_>, status: &mut RenewalStatus) -> Result<Answer, EstError> {
        let answer = match self.est.send(request).await {
            Err(error @ EstError::WrongTime(_)) => {
                status.clock = Some(error.to_string());
                return Err(error);
            }
            outcome => outcome?,
        };
        let skew = answer.server_time().and_then(|server| clock_check::skew(request.now, server));
        if skew.is_none() {
            status.seen = status.seen.max(request.now);
        }
        if let Some(skew) = skew.as_ref().filter(|_| status.clock.is_none()) {
            tracing::warn!(skew, "the clock");
        }
        status.clock = skew;
        Ok(answer)
    }

    /// The LDevID first, also an expired one: the owner may have patience with it. Then the certificate of birth.
    fn askers<'a>(
        &self,
        pair: Option<&'a LdevidPair>,
        source: &RenewalSource,
    ) -> Result<Vec<Asker<'a>>, RenewError> {
        let mut askers = Vec::new();
        let own = |error: Error| RenewError::Store(error.to_string());
        if let Some(pair) = pair {
            let above = pair.authorities.iter().filter(|der| is_intermediate(der)).cloned();
            let chain = std::iter::once(pair.certificate.der().to_vec()).chain(above).collect();
            let identity = Identity { chain, key: pair.key.to_pkcs8_der().map_err(own)? };
            let follows = Some(&pair.certificate);
            askers.push(Asker { name: "the LDevID", operation: "simplereenroll", identity, follows });
        }
        if !source.idevid.is_empty() {
            let key = self.agent.store.device_key()?;
            let chain = source.idevid.iter().map(|der| der.0.clone()).collect();
            let identity = Identity { chain, key: key.to_pkcs8_der().map_err(own)? };
            askers.push(Asker { name: "the IDevID", operation: "simpleenroll", identity, follows: None });
        }
        Ok(askers)
    }

    async fn ask(
        &self,
        service: &mut Service<'_>,
        asker: &Asker<'_>,
        status: &mut RenewalStatus,
    ) -> Result<Renewed, RenewError> {
        let store = &self.agent.store;
        let draft = self.draft(asker)?;
        let body = || Some((PKCS10, encode_base64(&draft.csr).into_bytes()));
        let url = || operation_url(&service.source.url, asker.operation);
        // A service that shows itself under its next CA is met under that; where it does not, the earlier one counts on.
        let next = Service { trust: service.authorities.clone(), authorities: Vec::new(), ..*service };
        let answer = match self.send(&next.request(url(), body(), Some(&asker.identity)), status).await {
            Err(EstError::NotTrusted(_)) => {
                self.send(&service.request(url(), body(), Some(&asker.identity)), status).await
            }
            outcome => {
                service.trust = next.trust;
                outcome
            }
        };
        let sent = match answer.and_then(|answer| {
            let retry = answer.retry_seconds(service.now);
            Ok(answer.accepted(service.now)?.map(received::certificates).transpose()?.ok_or(retry))
        }) {
            Ok(Ok(sent)) => sent,
            Ok(Err(retry)) => return Ok(Renewed::Pending(retry)),
            Err(error) => return Err(self.without_draft(&draft, error)?.into()),
        };
        let (serial, now) = (store.status().serial, service.now);
        let (key, follows) = (draft.key.verifying_key(), asker.follows);
        let check =
            |authorities: &[Vec<u8>]| Expected { key, authorities, follows, serial: &serial, now }.check(&sent);
        let mut checked = check(&service.authorities);
        if checked.is_err() {
            // The CA may have been replaced between the two questions.
            service.authorities = self.authorities(service, status).await?;
            checked = check(&service.authorities);
        }
        let certificate = match checked {
            Ok(certificate) => certificate,
            Err(error) => return Err(self.without_draft(&draft, error)?.into()),
        };
        self.put_in_place(service, &draft, &certificate, status)?;
        Ok(Renewed::Now(Box::new(certificate)))
    }

    /// The key and the request of this renewal, durable.
    fn draft(&self, asker: &Asker<'_>) -> Result<RenewalDraft, RenewError> {
        let store = &self.agent.store;
        let follows = asker.follows.map(|certificate| certificate.fingerprint().to_vec()).unwrap_or_default();
        if let Some(draft) = store.renewal_draft(&follows)? {
            return Ok(draft);
        }
        let own = |error: &dyn ToString| RenewError::Store(error.to_string());
        let key_type = ldevid_key_type(store.device_key()?.key_type());
        let key = SigningKey::generate(key_type, &mut self.agent.random.rng()).map_err(|error| own(&error))?;
        let csr = match asker.follows {
            Some(earlier) => fdo_pki::build_renewal(&key, earlier),
            None => {
                let text = store.status().serial;
                DeviceSerial::parse(&text)
                    .or_else(|_| DeviceSerial::from_certificate(&text))
                    .and_then(|serial| fdo_pki::build_csr(&key, None, &serial))
            }
        };
        let draft = RenewalDraft { follows, key, csr: csr.map_err(|error| own(&error))? };
        store.keep_renewal_draft(&draft)?;
        Ok(draft)
    }

    /// A key that was refused, or whose certificate is of no use, is not asked for again.
    fn without_draft(&self, draft: &RenewalDraft, error: EstError) -> Result<EstError, StoreError> {
        if matches!(error, EstError::Refused { .. } | EstError::Unusable(_)) {
            self.agent.store.drop_renewal_draft(draft)?;
        }
        Ok(error)
    }

    fn put_in_place(
        &self,
        service: &Service<'_>,
        draft: &RenewalDraft,
        certificate: &Certificate,
        status: &mut RenewalStatus,
    ) -> Result<(), RenewError> {
        let store = &self.agent.store;
        let own = |error: &dyn ToString| RenewError::Store(error.to_string());
        let pem = |list: &[&[u8]]| fdo_pki::pem::encode_certificates(list).map_err(|error| own(&error));
        let key = draft.key.to_pkcs8_pem().map_err(|error| own(&error))?;
        let authorities: Vec<&[u8]> = service.authorities.iter().map(Vec::as_slice).collect();
        store.replace_ldevid(&[
            NamedFile { name: "ldevid-key.pem".into(), content: Zeroizing::new(key.as_bytes().to_vec()) },
            NamedFile::text("ldevid.pem".into(), pem(&[certificate.der()])?),
            NamedFile::text("ldevid-ca.pem".into(), pem(&authorities)?),
        ])?;
        status.certificate = Some(hex::encode(certificate.fingerprint()));
        status.obtained_at = Some(service.now);
        let trust: Vec<ByteString> = service.trust.iter().cloned().map(ByteString).collect();
        if trust != service.source.trust {
            store.set_renewal_source(Some(&RenewalSource { trust, ..service.source.clone() }))?;
        }
        Ok(store.drop_renewal_drafts()?)
    }

    /// Tells the owner now of what it was not told yet, by the LDevID. Nothing depends on it.
    pub async fn tell_owner(&self) {
        let store = &self.agent.store;
        let mut status = store.renewal_status();
        let (Ok(Some(source)), Some(pair)) = (store.renewal_source(), store.ldevid_pair()) else { return };
        let Ok(askers) = self.askers(Some(&pair), &source) else { return };
        let trust = source.trust.iter().map(|der| der.0.clone()).collect();
        let now = self.agent.clock.now();
        let service = Service { source: &source, trust, authorities: Vec::new(), now };
        let Some(asker) = askers.first().filter(|_| status.unreported) else { return };
        self.report(&service, &asker.identity, &mut status).await;
        if let Err(error) = store.set_renewal_status(&status) {
            tracing::debug!(%error, "that the owner was told is not noted");
        }
    }

    /// Tells the owner what went wrong since it last heard of this device. Nothing depends on it.
    async fn report(&self, service: &Service<'_>, identity: &Identity, status: &mut RenewalStatus) {
        if !status.unreported {
            return;
        }
        let what =
            [&status.failure, &status.hook_failure].into_iter().flatten().cloned().collect::<Vec<_>>().join("; ");
        let body = serde_json::json!({
            "error": what.chars().take(500).collect::<String>(),
            "consecutive": status.failures,
        });
        let body = Some((JSON, body.to_string().into_bytes()));
        let request = service.request(report_url(&service.source.url), body, Some(identity));
        match self.est.send(&request).await {
            // Others' EST services have no such place, and need not be told again.
            Ok(answer) if matches!(answer.status, 200..=299 | 404 | 405 | 501) => status.unreported = false,
            Ok(answer) => {
                tracing::debug!(status = answer.status, "the owner did not take the report of a failure");
            }
            Err(error) => tracing::debug!(%error, "the owner could not be told of a failure"),
        }
    }
}

impl Service<'_> {
    fn request<'b>(
        &'b self,
        url: String,
        body: Option<(&'static str, Vec<u8>)>,
        identity: Option<&'b Identity>,
    ) -> Request<'b> {
        Request { url, body, trust: &self.trust, identity, now: self.now }
    }
}

/// Roots are known to whoever knows the CA at all.
fn is_intermediate(der: &[u8]) -> bool {
    Certificate::parse(der).is_ok_and(|certificate| certificate.subject() != certificate.issuer())
}

fn kind(error: &RenewError) -> Kind {
    match error {
        RenewError::Est(EstError::Busy { retry_after: Some(seconds), .. }) => Kind::Told(*seconds),
        RenewError::Est(
            EstError::Unreachable(_) | EstError::Busy { .. } | EstError::WrongTime(_) | EstError::NotTrusted(_),
        )
        | RenewError::Store(_)
        | RenewError::Clock(_) => Kind::Unreachable,
        _ => Kind::Refused,
    }
}
