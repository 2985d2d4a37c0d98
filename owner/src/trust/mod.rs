//! Whose vouchers are accepted: pinned makers' keys, and pinned CAs that sign device certificates.

pub mod routes;
mod store;

use std::collections::HashMap;

use fdo_pki::{Certificate, ChainPolicy, DeviceChain, TrustedCas};
use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use serde::{Deserialize, Serialize};

use crate::keys;

pub use store::{delete, insert, list};

/// What a pin names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The key that stands in vouchers' headers.
    ManufacturerKey,
    /// A CA that signs IDevIDs.
    DeviceCa,
}

impl Kind {
    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::ManufacturerKey => "manufacturer-key",
            Self::DeviceCa => "device-ca",
        }
    }
}

/// A pinned key or CA.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    /// Of a key: SHA-256 over its X509 form; of a CA: SHA-256 of its certificate. Hexadecimal.
    pub fingerprint: String,
    pub kind: Kind,
    pub name: String,
    /// The id of the manufacturer that it was fetched from.
    pub manufacturer: Option<String>,
    /// SubjectPublicKeyInfo, or the certificate.
    pub der: Vec<u8>,
    pub created: u64,
}

impl TrustedKey {
    /// A pin of a maker's key or of a device CA, from PEM or DER.
    pub fn parse(kind: Kind, name: &str, manufacturer: Option<&str>, der: &[u8], now: u64) -> Result<Self, Error> {
        let fingerprint = match kind {
            Kind::ManufacturerKey => {
                let key = VerifyingKey::from_spki_der(der).map_err(|error| Error::Key(error.to_string()))?;
                keys::fingerprint(&key)
            }
            Kind::DeviceCa => {
                let certificate = Certificate::parse(der)?;
                hex::encode(certificate.fingerprint())
            }
        };
        Ok(Self {
            fingerprint,
            kind,
            name: name.to_owned(),
            manufacturer: manufacturer.map(str::to_owned),
            der: der.to_vec(),
            created: now,
        })
    }
}

/// Why trust cannot be changed, or a voucher is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this is not a P-256 or P-384 public key in PEM or DER ({0})")]
    Key(String),
    #[error("this is not a usable certificate: {0}")]
    Certificate(#[from] fdo_pki::Error),
    #[error("no key or CA with the fingerprint {0} is pinned")]
    NotFound(String),
    #[error("trust's database failed")]
    Database(#[from] DbErr),
}

/// Pins, with an entry in the audit trail.
pub async fn add(db: &DatabaseConnection, pin: &TrustedKey, actor: &str, now: u64) -> Result<(), Error> {
    let transaction = database::begin(db).await?;
    store::insert(&transaction, pin).await?;
    let detail = format!("{} {}", pin.kind.name(), pin.name);
    let subject = &pin.fingerprint;
    let event = Event { actor, action: "trust.add", subject, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}

/// Takes a pin back, with an entry in the audit trail.
pub async fn remove(db: &DatabaseConnection, fingerprint: &str, actor: &str, now: u64) -> Result<(), Error> {
    let transaction = database::begin(db).await?;
    store::delete(&transaction, fingerprint).await?;
    let event =
        Event { actor, action: "trust.remove", subject: fingerprint, outcome: Outcome::Success, detail: "" };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}

/// All pins, ready to judge vouchers.
#[derive(Default)]
pub struct Trust {
    makers: HashMap<String, Option<String>>,
    /// The device CAs that each manufacturer named: its devices must chain to one of them, and to no other maker's.
    named: HashMap<String, TrustedCas>,
    cas: TrustedCas,
}

/// How a voucher's maker is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Trusted,
    /// Nothing about it is wrong, but nobody vouches for it.
    Unknown,
}

impl Trust {
    /// Reads the pins.
    pub async fn load(conn: &impl ConnectionTrait) -> Result<Self, Error> {
        let mut trust = Self::default();
        for pin in store::list(conn).await? {
            trust.add(&pin)?;
        }
        Ok(trust)
    }

    fn add(&mut self, pin: &TrustedKey) -> Result<(), Error> {
        match pin.kind {
            Kind::ManufacturerKey => {
                self.makers.insert(pin.fingerprint.clone(), pin.manufacturer.clone());
            }
            Kind::DeviceCa => {
                self.cas.pin_certificate(Certificate::parse(&pin.der)?);
                if let Some(manufacturer) = &pin.manufacturer {
                    let named = self.named.entry(manufacturer.clone()).or_default();
                    named.pin_certificate(Certificate::parse(&pin.der)?);
                }
            }
        }
        Ok(())
    }

    /// Whether this manufacturer's key is pinned as one of `manufacturer`'s.
    pub fn is_maker_key(&self, key: &VerifyingKey, manufacturer: &str) -> bool {
        self.makers.get(&keys::fingerprint(key)).is_some_and(|id| id.as_deref() == Some(manufacturer))
    }

    /// Judges a voucher: a pinned maker's key vouches for the device's certificate by the first entry's signature, a
    /// pinned CA vouches for it by its own. A maker that named its device CAs is held to them.
    pub fn judge(&self, voucher: &VerifiedVoucher) -> Result<Verdict, fdo_pki::Error> {
        let certificates: Vec<&[u8]> =
            voucher.certificates().unwrap_or_default().iter().map(|der| &der[..]).collect();
        let chain = DeviceChain::parse(&certificates)?;
        let policy = ChainPolicy::default();
        let maker = self.makers.get(&keys::fingerprint(voucher.manufacturer_key()));
        let named = maker.and_then(Option::as_ref).and_then(|id| self.named.get(id));
        if let Some(named) = named {
            return chain.verify(named, &policy).map(|_| Verdict::Trusted);
        }
        if maker.is_some() {
            return chain.accept_unanchored(&policy).map(|_| Verdict::Trusted);
        }
        match chain.clone().verify(&self.cas, &policy) {
            Ok(_) => Ok(Verdict::Trusted),
            Err(_) => chain.accept_unanchored(&policy).map(|_| Verdict::Unknown),
        }
    }
}

#[cfg(test)]
mod tests;
