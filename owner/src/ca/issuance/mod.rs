//! A certificate comes to be: request and profile give what will be signed, that is stored, then the signature is made.

mod server;
mod store;
pub(super) mod writer;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use fdo_pki::{
    Certificate, CertificateSerial, Csr, DeviceSerial, Issued, LdevidSubject, StatusPointers, ToBeSigned,
    VerifiedCsr,
};
use fdo_protocol::Guid;
use fdo_protocol::voucher::Voucher;
use fdo_service::database::{ConnectionTrait, DatabaseConnection};
use rand_core::CryptoRng;

pub use server::{SERVER, ServerRequest};

use super::profiles::{Compiled, Status};
use super::{Ca, Error, Signer};
use crate::{inventory, vouchers};
use store::Completed;

/// After so many seconds what was stored to be signed, and never was, is given up.
const NOT_HEARD_OF: u64 = 900;

/// In what a device asks.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// In a TO2, which the certificate belongs to until 70.
    To2 {
        session: &'a str,
        /// When the TO2 is taken to be abandoned, unless it is confirmed or `keep_pending` moves that.
        pending_until: u64,
    },
    /// By EST; the certificate is the device's own at once.
    Est {
        /// The serial number of the certificate that is renewed.
        replaces: Option<&'a str>,
    },
}

impl<'a> Origin<'a> {
    /// As it stands in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::To2 { .. } => "to2",
            Self::Est { .. } => "est",
        }
    }

    pub(super) fn replaces(self) -> Option<&'a str> {
        match self {
            Self::To2 { .. } => None,
            Self::Est { replaces } => replaces,
        }
    }
}

/// The device that asks, as TO2, EST and the owner's records know it.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The inventory's id of the device: SHA-256 of its attestation key, in hexadecimal.
    pub device_id: &'a str,
    /// The serial number in its IDevID.
    pub serial: Option<&'a str>,
    /// The GUID that it has, or was given in message 65.
    pub guid: Guid,
    pub origin: Origin<'a>,
}

/// What a device is answered.
#[derive(Clone, Debug)]
pub enum Granted {
    /// Its certificate.
    Issued(Box<Certificate>),
    /// An operator or an outside CA has to decide; the same request again is told what became of it.
    Pending {
        /// The id of the stored request.
        request: String,
        /// Seconds.
        retry_after: u64,
    },
}

/// A request whose sender holds the key, and the device that it is for.
struct Asked<'a> {
    csr: &'a VerifiedCsr,
    device: LdevidSubject,
    requester: &'a Requester<'a>,
}

/// A certificate before its signature, as it is stored.
pub(super) struct Draft {
    serial: String,
    device_id: String,
    guid: String,
    device_serial: Option<String>,
    subject: String,
    tbs: Vec<u8>,
    key: String,
    key_type: String,
    request: String,
    not_before: u64,
    not_after: u64,
    authority: String,
    profile: String,
    shard: u8,
    session: Option<String>,
    pending_until: u64,
    origin: &'static str,
    replaces: Option<String>,
    /// Whether the profile certifies a device's key once more when its certificate is renewed.
    reuse_key: bool,
    /// When a certificate is due for renewal, in percent of its life.
    renew_percent: u8,
    now: u64,
}

impl Draft {
    /// What there is to store of it once it is signed.
    fn completed(&self, issued: &Issued) -> Completed {
        Completed {
            serial: self.serial.clone(),
            der: issued.der().to_vec(),
            fingerprint: hex::encode(issued.fingerprint()),
            is_own: self.session.is_none(),
            now: self.now,
        }
    }
}

impl Ca {
    /// Issues a certificate for the key in `csr` (PKCS#10 in DER, PEM or base64), or says that it must wait.
    ///
    /// The serial and what will be signed are committed before the signature is made, by the CA's writer: never await this
    /// with a transaction open, since on SQLite the writer would wait for it. The same request of the same device again
    /// gets the same answer.
    pub async fn issue(
        &self,
        db: &DatabaseConnection,
        profile: &str,
        csr: &[u8],
        requester: &Requester<'_>,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Granted, Error> {
        let csr = Csr::from_any(csr).and_then(Csr::verify).map_err(Error::in_request)?;
        if hex::encode(csr.spki_sha256()) == requester.device_id {
            return Err(Error::KeySeen);
        }
        let profile = self.compiled(profile).ok_or_else(|| Error::UnknownProfile(profile.to_owned()))?;
        if profile.waits() {
            return self.wait(db, &profile, &csr, requester, now, rng).await;
        }
        self.sign(db, &profile, &csr, requester, now, rng).await
    }

    /// [`Ca::issue`] for a request that an operator has approved.
    pub(crate) async fn issue_approved(
        &self,
        db: &DatabaseConnection,
        profile: &str,
        csr: &[u8],
        requester: &Requester<'_>,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Granted, Error> {
        let csr = Csr::from_any(csr).and_then(Csr::verify).map_err(Error::in_request)?;
        let profile = self.compiled(profile).ok_or_else(|| Error::UnknownProfile(profile.to_owned()))?;
        self.sign(db, &profile, &csr, requester, now, rng).await
    }

    async fn sign(
        &self,
        db: &DatabaseConnection,
        profile: &Compiled,
        csr: &VerifiedCsr,
        requester: &Requester<'_>,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Granted, Error> {
        let device = device(db, profile, requester).await?;
        let asked = Asked { csr, device, requester };
        let signer = self.active();
        let (prepared, draft) = self.prepare(&signer, profile, &asked, now, rng)?;
        let parse =
            |der: &[u8]| Certificate::parse(der).map(Box::new).map(Granted::Issued).map_err(Error::Authority);
        let (draft, earlier) = self.writer.prepare(Box::new(draft)).await?;
        if let Some(der) = earlier {
            return parse(&der);
        }
        let issued = prepared.sign(signer.key()).map_err(Error::Authority)?;
        if self.writer.complete(draft.completed(&issued)).await? {
            return parse(issued.der());
        }
        let other = store::issued_meanwhile(db, &draft).await?;
        parse(&other.ok_or(Error::Withdrawn)?)
    }

    fn prepare(
        &self,
        signer: &Signer,
        profile: &Compiled,
        asked: &Asked<'_>,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<(ToBeSigned, Draft), Error> {
        let Asked { csr, device, requester } = asked;
        let shards = self.settings.crl_shards;
        let pointers = |serial: CertificateSerial| self.pointers(profile, signer.id(), serial.shard(shards));
        let prepared = profile.pki.prepare_with(csr, device, signer.issuer(), pointers, now, rng);
        let prepared = prepared.map_err(|error| match error {
            // The key is a fine one, but not for this profile.
            fdo_pki::Error::UnsupportedKey { .. } => Error::in_request(error),
            other => Error::Authority(other),
        })?;
        let (session, pending_until) = match requester.origin {
            Origin::To2 { session, pending_until } => (Some(session.to_owned()), pending_until),
            // If it is never signed, it is revoked like what a TO2 left behind.
            Origin::Est { .. } => (None, now + NOT_HEARD_OF),
        };
        let octets = prepared.serial();
        let draft = Draft {
            serial: octets.to_string(),
            device_id: requester.device_id.to_owned(),
            guid: requester.guid.to_string(),
            device_serial: requester.serial.map(str::to_owned),
            subject: prepared.subject().to_owned(),
            tbs: prepared.der().to_vec(),
            key: hex::encode(prepared.spki_sha256()),
            key_type: csr.public_key().key_type().to_string(),
            request: hex::encode(csr.sha256()),
            not_before: prepared.not_before(),
            not_after: prepared.not_after(),
            authority: signer.id().to_owned(),
            profile: profile.profile.name.clone(),
            shard: octets.shard(shards),
            session,
            pending_until,
            origin: requester.origin.name(),
            replaces: requester.origin.replaces().map(str::to_owned),
            reuse_key: profile.profile.reuse_key,
            renew_percent: profile.profile.renew_percent,
            now,
        };
        Ok((prepared, draft))
    }

    /// Where the status of a certificate will stand, as its profile says.
    fn pointers(&self, profile: &Compiled, authority: &str, shard: u8) -> StatusPointers {
        let Some(url) = &self.status_url else { return StatusPointers::default() };
        let pointer = |status, text: String| profile.points_to(status).then_some(text);
        StatusPointers {
            crl: pointer(Status::Crl, format!("{url}/crl/{authority}/{shard}.crl")),
            ocsp: pointer(Status::Ocsp, format!("{url}/ocsp")),
            issuer: pointer(Status::Issuer, format!("{url}/ca/{authority}.cer")),
        }
    }
}

/// The device as the owner's records know it; they are read where the profile names more than serial number and GUID.
async fn device(
    conn: &impl ConnectionTrait,
    profile: &Compiled,
    requester: &Requester<'_>,
) -> Result<LdevidSubject, Error> {
    let serial = requester.serial.map(DeviceSerial::from_certificate).transpose().map_err(Error::Authority)?;
    let mut subject = LdevidSubject { serial, ..LdevidSubject::new(requester.guid) };
    if !profile.needs_record() {
        return Ok(subject);
    }
    let Some(known) = inventory::find(conn, requester.device_id).await? else { return Ok(subject) };
    if profile.pki.hardware_module {
        let voucher = vouchers::bytes(conn, &known.guid).await?;
        let voucher = voucher.and_then(|bytes| Voucher::from_bytes(&bytes).ok());
        let idevid = voucher.as_ref().and_then(Voucher::certificates).and_then(<[_]>::first);
        let idevid = idevid.and_then(|der| Certificate::parse(der).ok());
        subject.hardware = idevid.and_then(|idevid| idevid.hardware_module());
    }
    subject.model = known.model;
    Ok(subject)
}
