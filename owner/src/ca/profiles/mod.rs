//! Certificate profiles as data: what stands in a certificate, for how long, for which keys, and who signs it.
//!
//! Whatever a profile says, the device's serial number and its GUID are in the certificate, and nothing is copied from
//! the request but the key.

pub mod routes;
pub(super) mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::str::FromStr;

use fdo_pki::{LdevidProfile, NameTemplate, Placeholder, SubjectAttribute, Template};
use fdo_protocol::crypto::KeyType;
use fdo_service::database::{self, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use serde::{Deserialize, Serialize};

use super::{LDEVID, OpenError, Role};
use crate::app::App;
use crate::config::CaSettings;

/// Operations of EST, which stand where a profile's name may stand (RFC 7030, 3.2.2).
const EST_OPERATIONS: [&str; 6] =
    ["cacerts", "simpleenroll", "simplereenroll", "csrattrs", "serverkeygen", "fullcmc"];
/// When a certificate is due for renewal unless its profile says otherwise, in percent of its life.
pub const RENEW_PERCENT: u8 = 66;
/// More profiles than anybody keeps apart.
const MOST: usize = 200;
/// How many models or names a profile may list.
const MOST_ENTRIES: usize = 100;

/// Whether somebody has to look at a request first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    /// Whoever may enrol gets a certificate.
    #[default]
    Automatic,
    /// An operator approves each request.
    Manual,
}

/// What a certificate says about its own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Where the CRL is.
    Crl,
    /// Where the OCSP responder is.
    Ocsp,
    /// Where the issuer's certificate is.
    Issuer,
    /// That nothing is published (RFC 9608).
    NoRevAvail,
}

/// A certificate profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Devices of these models get it; devices that no profile names get "ldevid".
    pub models: Vec<String>,
    /// The outside CA that signs; without it our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    pub approval: Approval,
    /// `CN=..`, `O=..`, `OU=..` with placeholders; the serialNumber is always there.
    pub subject: Vec<String>,
    /// `dns:..` and `uri:..` with placeholders; `urn:uuid:` and the GUID are always there.
    pub names: Vec<String>,
    pub key_usages: Vec<String>,
    pub extended_key_usages: Vec<String>,
    pub validity_seconds: u64,
    pub backdate_seconds: u64,
    /// `P-256`, `P-384`, `RSA2048`, `RSA3072`.
    pub key_types: Vec<String>,
    /// After so many percent of its life a certificate may be, and is to be, renewed.
    pub renew_percent: u8,
    /// Whether a device may keep its key when it renews.
    pub reuse_key: bool,
    pub status: Vec<Status>,
    /// Whether the hardware in the IDevID is named here too.
    pub hardware_module: bool,
}

impl Default for Profile {
    fn default() -> Self {
        let pki = LdevidProfile::default();
        Self {
            name: LDEVID.to_owned(),
            description: None,
            models: Vec::new(),
            authority: None,
            approval: Approval::Automatic,
            subject: pki.subject.iter().map(|(attribute, template)| format!("{attribute}={template}")).collect(),
            names: Vec::new(),
            key_usages: texts(&pki.key_uses),
            extended_key_usages: texts(&pki.extended_key_uses),
            validity_seconds: pki.validity_seconds,
            backdate_seconds: pki.backdate_seconds,
            key_types: texts(&pki.key_types),
            renew_percent: RENEW_PERCENT,
            reuse_key: false,
            status: vec![Status::Crl, Status::Ocsp, Status::Issuer],
            hardware_module: false,
        }
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

/// Why a profile is refused, or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no certificate profile {0}; `fdo-owner profile list` shows those there are")]
    NotFound(String),
    #[error("{0}: {1}")]
    Field(&'static str, String),
    #[error("devices of the model {model} get the profile {profile} already")]
    ModelTaken { model: String, profile: String },
    #[error("the profile {0} is built in: it can be set, and removing it brings back what was built in")]
    BuiltIn(String),
    #[error(transparent)]
    Reload(#[from] OpenError),
    #[error("the profiles' database failed")]
    Database(#[from] DbErr),
}

/// A profile in the form that certificates are made by.
pub(super) struct Compiled {
    pub profile: Profile,
    pub pki: LdevidProfile,
    /// As stored; none where it is built in.
    pub times: Option<(u64, u64)>,
}

impl Compiled {
    /// Whether what is known of the device beyond serial number and GUID matters.
    pub fn needs_record(&self) -> bool {
        let templates = self.pki.subject.iter().map(|(_, template)| template);
        let names = self.pki.names.iter().map(NameTemplate::template);
        self.pki.hardware_module || templates.chain(names).any(|template| template.names(Placeholder::Model))
    }

    /// When a certificate of this life may be renewed.
    pub fn renewable(&self, not_before: u64, not_after: u64) -> u64 {
        not_before + not_after.saturating_sub(not_before) * u64::from(self.profile.renew_percent) / 100
    }

    pub fn points_to(&self, status: Status) -> bool {
        self.profile.status.contains(&status)
    }
}

impl Profile {
    /// The profile that there is before anybody sets one.
    pub(super) fn built_in(settings: &CaSettings) -> Self {
        let rsa = if settings.rsa_device_keys { &KeyType::ISSUED[..] } else { &KeyType::ELLIPTIC[..] };
        Self { validity_seconds: settings.validity_days * 86_400, key_types: texts(rsa), ..Self::default() }
    }

    /// Checks everything that can be checked before a device asks.
    pub(super) fn compile(&self, settings: &CaSettings) -> Result<LdevidProfile, Error> {
        self.check_names()?;
        if !(1..=95).contains(&self.renew_percent) {
            return Err(Error::Field("renew_percent", "it must be from 1 to 95".to_owned()));
        }
        let no_rev_avail = self.status.contains(&Status::NoRevAvail);
        if no_rev_avail && (self.status.contains(&Status::Crl) || self.status.contains(&Status::Ocsp)) {
            let reason = "no-rev-avail says that there is neither crl nor ocsp; leave one of them out";
            return Err(Error::Field("status", reason.to_owned()));
        }
        let subject = |text: &str| -> Result<(SubjectAttribute, Template), fdo_pki::Error> {
            let reason = "write an attribute, =, and its value, as in CN={serial}";
            let refused = fdo_pki::Error::InvalidField { field: "attribute", reason };
            let (attribute, template) = text.split_once('=').ok_or(refused)?;
            Ok((attribute.parse()?, template.parse()?))
        };
        let compiled = LdevidProfile {
            validity_seconds: self.validity_seconds,
            backdate_seconds: self.backdate_seconds,
            organization: settings.organization.clone(),
            subject: each("subject", &self.subject, subject)?,
            names: each("names", &self.names, str::parse)?,
            key_uses: each("key_usages", &self.key_usages, str::parse)?,
            extended_key_uses: each("extended_key_usages", &self.extended_key_usages, str::parse)?,
            key_types: each("key_types", &self.key_types, key_type)?,
            hardware_module: self.hardware_module,
            no_rev_avail,
        };
        compiled.check().map_err(|error| Error::Field("profile", error.to_string()))?;
        Ok(compiled)
    }

    fn check_names(&self) -> Result<(), Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let named = (1..=64).contains(&self.name.len()) && self.name.chars().all(plain);
        if !named || EST_OPERATIONS.contains(&self.name.as_str()) {
            let reason = "use 1 to 64 of a-z, 0-9, - and _, and no name of an operation of EST";
            return Err(Error::Field("name", reason.to_owned()));
        }
        if self.description.as_ref().is_some_and(|text| text.len() > 1000) {
            return Err(Error::Field("description", "use at most 1000 bytes".to_owned()));
        }
        if self.name == LDEVID && !self.models.is_empty() {
            let reason = "ldevid is for the devices that no other profile names";
            return Err(Error::Field("models", reason.to_owned()));
        }
        let fits =
            |model: &String| !model.is_empty() && model.len() <= 255 && !model.chars().any(char::is_control);
        if self.models.len() > MOST_ENTRIES || !self.models.iter().all(fits) {
            return Err(Error::Field("models", "name at most 100, each in 1 to 255 bytes".to_owned()));
        }
        Ok(())
    }
}

fn key_type(text: &str) -> Result<KeyType, fdo_pki::Error> {
    let reason = "use P-256, P-384, RSA2048 or RSA3072";
    let known = KeyType::from_str(text).ok().filter(|key_type| KeyType::ISSUED.contains(key_type));
    known.ok_or(fdo_pki::Error::InvalidField { field: "key type", reason })
}

fn each<T>(
    field: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, fdo_pki::Error>,
) -> Result<Vec<T>, Error> {
    if texts.len() > MOST_ENTRIES {
        return Err(Error::Field(field, "name at most 100".to_owned()));
    }
    let wrong = |text: &String, error: fdo_pki::Error| Error::Field(field, format!("{text:?}: {error}"));
    texts.iter().map(|text| read(text).map_err(|error| wrong(text, error))).collect()
}

/// Writes a profile in the place of what was there; true where there was none. Certificates that are out keep what
/// they say.
pub async fn put(app: &App, actor: &str, profile: &Profile) -> Result<bool, Error> {
    profile.compile(&app.settings.ca)?;
    if let Some(id) = &profile.authority
        && !app
            .ca
            .authority(id)
            .is_some_and(|authority| authority.role == Role::External && authority.is_trusted())
    {
        return Err(Error::Field("authority", format!("there is no outside CA {id} that is trusted")));
    }
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let others = store::all(&transaction).await?;
    for other in others.iter().filter(|other| other.profile.name != profile.name) {
        if let Some(model) = profile.models.iter().find(|model| other.profile.models.contains(model)) {
            return Err(Error::ModelTaken { model: model.clone(), profile: other.profile.name.clone() });
        }
    }
    let is_new = !others.iter().any(|other| other.profile.name == profile.name);
    if is_new && others.len() >= MOST {
        return Err(Error::Field("profile", format!("there are {MOST} already")));
    }
    store::upsert(&transaction, profile, now).await?;
    record(&transaction, actor, "profile.set", profile, now).await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(is_new)
}

/// Takes a profile away; its devices get "ldevid" at their next renewal.
pub async fn delete(app: &App, actor: &str, name: &str) -> Result<(), Error> {
    let now = app.clock.now();
    let transaction = database::begin(&app.db).await?;
    let Some(gone) = store::all(&transaction).await?.into_iter().find(|stored| stored.profile.name == name) else {
        return Err(if name == LDEVID {
            Error::BuiltIn(name.to_owned())
        } else {
            Error::NotFound(name.to_owned())
        });
    };
    store::delete(&transaction, name).await?;
    record(&transaction, actor, "profile.delete", &gone.profile, now).await?;
    transaction.commit().await?;
    app.ca.reload(&app.db).await?;
    Ok(())
}

async fn record(
    conn: &database::DatabaseTransaction,
    actor: &str,
    action: &str,
    profile: &Profile,
    now: u64,
) -> Result<(), DbErr> {
    let detail = format!("{} seconds, keys {}", profile.validity_seconds, profile.key_types.join(" "));
    let event = Event { actor, action, subject: &profile.name, outcome: Outcome::Success, detail: &detail };
    audit::record(conn, now, event).await
}
