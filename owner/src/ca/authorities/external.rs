//! The company's CA that no other may stand beside: its certificate is trusted, its key is elsewhere. This owner is its
//! registration authority.

use fdo_pki::{Certificate, check_ca_chain};
use fdo_service::database;
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::rollover::Error;
use super::store::{self, StoredAuthority};
use super::{Role, Standing};
use crate::app::App;
use crate::ca::OpenError;
use crate::plans::Secret;

const SEAL: &str = "external ca";

/// How requests reach an outside CA.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Connection {
    /// An operator downloads requests and uploads certificates.
    Manual,
    /// By EST (RFC 7030).
    Est(Est),
}

/// An EST server and our identity there.
#[derive(Clone, Serialize, Deserialize)]
pub struct Est {
    /// `https://host[:port]/.well-known/est[/label]`
    pub url: String,
    /// The CAs that the server's certificate ends in, PEM; no others are trusted.
    pub server_ca: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A registration authority's certificate and key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Secret>,
}

impl Connection {
    /// "manual" or "est".
    pub fn name(&self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Est(_) => "est",
        }
    }

    pub(super) fn open(sealing: &SealingKey, id: &str, sealed: Option<&[u8]>) -> Result<Self, OpenError> {
        let Some(sealed) = sealed else { return Ok(Self::Manual) };
        let opened = sealing.derive(SEAL).open(id.as_bytes(), sealed).map_err(|_| OpenError::Sealed)?;
        serde_json::from_slice(&opened).map_err(|error| OpenError::External(id.to_owned(), error.to_string()))
    }

    fn seal(&self, sealing: &SealingKey, id: &str, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec(self).map_err(|error| database::DbErr::Json(error.to_string()))?;
        Ok(sealing.derive(SEAL).seal(id.as_bytes(), &Zeroizing::new(text), rng))
    }
}

/// Takes an outside CA; profiles may name it from now on. Written again under the same id, its connection is replaced.
pub async fn set(
    app: &App,
    actor: &str,
    id: &str,
    chain: &[Certificate],
    connection: &Connection,
) -> Result<(), Error> {
    let now = app.clock.now();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let reserved = id == super::ROOT || id.starts_with(super::ISSUING);
    if !(1..=32).contains(&id.len()) || !id.chars().all(plain) || reserved || id == "own" {
        return Err(Error::Id);
    }
    check_ca_chain(chain, now).map_err(Error::Chain)?;
    let Some((certificate, above)) = chain.split_first() else { return Err(Error::Id) };
    let sealed = connection.seal(&app.sealing, id, &mut app.random.rng())?;
    let above: Vec<&[u8]> = above.iter().map(Certificate::der).collect();
    let pem = if above.is_empty() { None } else { Some(fdo_pki::pem::encode_certificates(&above)?.into_bytes()) };
    let transaction = database::begin(&app.db).await?;
    let all = store::all(&transaction).await?;
    let same = |known: &&StoredAuthority| known.certificate == certificate.der() && known.id != id;
    if let Some(known) = all.iter().find(same) {
        return Err(Error::Known(known.id.clone()));
    }
    match all.iter().find(|known| known.id == id) {
        Some(known) if known.certificate != certificate.der() => return Err(Error::Known(id.to_owned())),
        Some(_) => store::set_settings(&transaction, id, &sealed, now).await?,
        None if all.len() >= super::rollover::MOST => return Err(Error::TooMany),
        None => {
            let stored = StoredAuthority {
                id: id.to_owned(),
                role: Role::External,
                standing: Standing::Active,
                certificate: certificate.der().to_vec(),
                sealed_key: Vec::new(),
                chain: pem,
                settings: Some(sealed),
                created: now,
                updated: now,
            };
            store::insert(&transaction, &stored).await?;
        }
    }
    super::rollover::record(&transaction, now, (actor, "ca.external"), id, connection.name()).await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(())
}
