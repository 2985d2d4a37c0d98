//! Certificates of this owner's own TLS servers: recorded before they are signed, as those of devices are.

use fdo_pki::{Certificate, Lifetime, ServerName, prepare_tls_server};
use fdo_protocol::crypto::VerifyingKey;
use rand_core::CryptoRng;

use super::{Ca, Draft, Error, NOT_HEARD_OF};
use crate::ca::profiles::RENEW_PERCENT;

/// The profile of such certificates, as their records have it.
pub const SERVER: &str = "server";

/// A server that needs a certificate.
pub struct ServerRequest<'a> {
    pub common_name: &'a str,
    pub names: &'a [ServerName],
    pub key: &'a VerifyingKey,
    /// Seconds.
    pub life: u64,
}

impl Ca {
    /// Issues a certificate for a TLS server of this owner, by the active CA.
    pub async fn issue_server(
        &self,
        request: &ServerRequest<'_>,
        now: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Box<Certificate>, Error> {
        let signer = self.active();
        let life = Lifetime::Seconds(request.life);
        let prepared =
            prepare_tls_server(request.common_name, request.names, request.key, signer.issuer(), life, now, rng)
                .map_err(Error::Authority)?;
        let octets = prepared.serial();
        let draft = Draft {
            serial: octets.to_string(),
            // It is no device's.
            device_id: String::new(),
            guid: String::new(),
            device_serial: None,
            subject: prepared.subject().to_owned(),
            tbs: prepared.der().to_vec(),
            key: hex::encode(prepared.spki_sha256()),
            key_type: request.key.key_type().to_string(),
            request: String::new(),
            not_before: prepared.not_before(),
            not_after: prepared.not_after(),
            authority: signer.id().to_owned(),
            profile: SERVER.to_owned(),
            shard: octets.shard(self.settings.crl_shards.clamp(1, 256)),
            session: None,
            pending_until: now + NOT_HEARD_OF,
            origin: SERVER,
            replaces: None,
            reuse_key: false,
            renew_percent: RENEW_PERCENT,
            now,
        };
        let (draft, earlier) = self.writer.prepare(Box::new(draft)).await?;
        if earlier.is_some() {
            return Err(Error::KeySeen);
        }
        let issued = prepared.sign(signer.key()).map_err(Error::Authority)?;
        if !self.writer.complete(draft.completed(&issued)).await? {
            return Err(Error::Withdrawn);
        }
        Certificate::parse(issued.der()).map(Box::new).map_err(Error::Authority)
    }
}
