//! EST (RFC 7030, updated by RFC 8951 and RFC 9908): devices enrol and renew over TLS, known by the certificate that this
//! owner issued or by their IDevID.
//!
//! The certificate is decided by the owner's records and a profile; of the request only the key counts. The same request
//! of the same device again gets the same answer, so a lost reply costs nothing.

mod client;
pub mod listener;
mod record;
mod refusal;
mod report;
mod request;
pub mod routes;
mod server_key;

use fdo_pki::{Certificate, CsrAttributes};
use fdo_protocol::crypto::KeyType;
use fdo_service::host::PeerCertificates;

pub use record::Record;
pub use refusal::Refusal;

use crate::admission::{self, Deed};
use crate::app::App;
use crate::ca::profiles::RENEW_PERCENT;
use crate::ca::{self, Granted, Origin, Requester};
use client::Client;

/// Which enrolment a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// A certificate by the device's records.
    Simple,
    /// One that takes the place of the certificate that the client shows.
    Renewal,
}

impl Enrolment {
    /// As the audit trail has it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Simple => "certificate.issue",
            Self::Renewal => "certificate.renew",
        }
    }
}

/// What a device is answered.
pub enum Enrolled {
    Certificate(Box<Certificate>),
    /// Somebody has to approve it; seconds until it is worth asking again.
    Pending(u64),
}

/// Enrols the holder of the certificate that TLS verified.
pub async fn enrol(
    app: &App,
    peer: Option<&PeerCertificates>,
    label: Option<&str>,
    enrolment: Enrolment,
    body: &[u8],
) -> Result<Enrolled, Refusal> {
    let client = admitted(app, peer).await?;
    let outcome = issue(app, &client, peer, label, enrolment, body).await;
    outcome.map_err(|refusal| refusal.of(&client.device))
}

/// Who asks, and may.
async fn admitted(app: &App, peer: Option<&PeerCertificates>) -> Result<Client, Refusal> {
    let now = app.clock.now();
    let client = client::identify(app, peer.and_then(PeerCertificates::leaf), now).await?;
    client::used(app, &client, now).await?;
    let device = &client.device;
    let limited = |_| Refusal::too_often("This device asks too often; ask again later.").of(device);
    app.limits.check_guid(device.guid.as_bytes(), now).map_err(limited)?;
    admission::admit(app, Deed::Enrol, device).await.map_err(|error| Refusal::from(error).of(device))?;
    Ok(client)
}

async fn issue(
    app: &App,
    client: &Client,
    peer: Option<&PeerCertificates>,
    label: Option<&str>,
    enrolment: Enrolment,
    body: &[u8],
) -> Result<Enrolled, Refusal> {
    // strongSwan asks for renewal whatever certificate it shows; of an IDevID nothing is renewed.
    let is_renewal = enrolment == Enrolment::Renewal && client.issued.is_some();
    let enrolment = if is_renewal { Enrolment::Renewal } else { Enrolment::Simple };
    let csr = request::read(body)?;
    let requested = csr.requested().map_err(|error| refusal::of_request(&error))?;
    let channel = peer.and_then(PeerCertificates::channel);
    request::check(app, client, &requested, channel, is_renewal).await?;
    let renewed = client.issued.as_ref().filter(|_| is_renewal).map(|shown| &shown.record);
    let profile = profile(app, client, label, is_renewal)?;
    if let Some(record) = renewed.filter(|_| app.settings.est.refuse_early) {
        let life = record.not_after.saturating_sub(record.not_before);
        let percent = app.ca.profile(&profile).map_or(RENEW_PERCENT, |profile| profile.renew_percent);
        let from = record.not_before + life / 100 * u64::from(percent);
        let now = app.clock.now();
        if now < from {
            let sentence = format!(
                "The certificate may be renewed from {from} (Unix time) on, after {percent} % of its life."
            );
            return Err(Refusal { retry_after: Some(from - now), ..Refusal::forbidden(sentence) });
        }
    }
    let requester = Requester {
        device_id: &client.device.id,
        serial: client.device.serial.as_deref(),
        guid: client.device.guid,
        origin: Origin::Est { replaces: renewed.map(|record| record.serial.as_str()) },
    };
    let (now, rng) = (app.clock.now(), &mut app.random.rng());
    match app.ca.issue(&app.db, &profile, csr.der(), &requester, now, rng).await? {
        Granted::Issued(certificate) => {
            let overridden = record::overridden(&requested);
            record::issued(app, client, &certificate, enrolment, &overridden).await?;
            Ok(Enrolled::Certificate(certificate))
        }
        Granted::Pending { retry_after, .. } => {
            app.metrics.count("firstlight_est_pending_total");
            Ok(Enrolled::Pending(retry_after))
        }
    }
}

/// The profile: the one that the URL names, else that of the certificate which is renewed, else that of the device.
fn profile(app: &App, client: &Client, label: Option<&str>, is_renewal: bool) -> Result<String, Refusal> {
    let own = app.ca.profile_of_model(client.device.model.as_deref());
    // Whoever may choose would choose the profile that nobody has to approve.
    let is_open = |name: &str| {
        let open = |profile: ca::Profile| profile.models.is_empty() && profile.name != ca::LDEVID;
        name == own || app.ca.profile(name).is_some_and(open)
    };
    if let Some(label) = label {
        let refused = || Refusal::forbidden(format!("The certificate profile `{label}` is not for this device."));
        return if is_open(label) { Ok(label.to_owned()) } else { Err(refused()) };
    }
    let renewed = client.issued.as_ref().filter(|_| is_renewal).map(|shown| &shown.record.profile);
    Ok(renewed.filter(|name| is_open(name)).unwrap_or(&own).clone())
}

/// Whether certificates of this profile are issued here.
pub fn has_profile(app: &App, label: &str) -> bool {
    app.ca.profile(label).is_some()
}

/// The CA certificates that devices are to trust, as certs-only CMS in DER (EST-10).
pub fn ca_certificates(app: &App) -> Result<Vec<u8>, Refusal> {
    app.ca.trusted_pkcs7().map_err(|error| Refusal::fault(&error))
}

/// What a request should hold, in DER (EST-23): a key of the kind that the profile names first. A profile for RSA keys
/// asks for nothing.
pub fn csr_attributes(app: &App, label: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let types = app.ca.profile(label.unwrap_or(ca::LDEVID)).map(|profile| profile.key_types).unwrap_or_default();
    let elliptic = |name: &String| name.parse::<KeyType>().ok().filter(|key_type| key_type.curve().is_some());
    let wanted: Vec<KeyType> = types.iter().find_map(elliptic).into_iter().collect();
    CsrAttributes::wanting(&wanted).to_der().map_err(|error| Refusal::fault(&error))
}

/// A key made here, and its certificate, as two DER values: PKCS#8, certs-only CMS (EST-25).
pub use server_key::generate as generate_key;

/// The certificate alone, as certs-only CMS in DER (EST-18).
pub fn certs_only(certificate: &Certificate) -> Result<Vec<u8>, Refusal> {
    fdo_pki::pkcs7::build_certs_only(&[certificate.der()]).map_err(|error| Refusal::fault(&error))
}
