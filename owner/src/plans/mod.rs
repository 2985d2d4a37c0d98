//! What devices get in TO2: an ordered list of steps for one device, for a model or for all.
//!
//! The narrowest plan that is for a device counts, as a whole: its own before its model's before everybody's. Plans are
//! never merged, so that what a device gets stands in one place. Steps are sealed at rest.

mod check;
pub mod routes;
mod step;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;

use fdo_protocol::Guid;
use fdo_service::database::{self, ConnectionTrait, DbErr};
use fdo_service::operators::audit::{self, Event, Outcome};
use fdo_service::sessions::SealingKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use crate::networks::Scope;
pub use step::{
    CommandStep, ConformanceStep, CsrStep, DownloadStep, PayloadStep, Secret, Step, UploadStep, WgetStep,
    WifiLayout, WifiStep,
};
pub use store::{find, list};

use crate::app::App;
use crate::{files, networks};

/// What the devices in a scope get.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    pub scope: PlanScope,
    pub description: Option<String>,
    pub steps: Vec<Step>,
    pub created: u64,
    pub updated: u64,
}

/// Which devices a plan is for; as text it is the plan's id: `all`, `model:camera`, `device:SN-0001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanScope(Scope);

impl PlanScope {
    /// Everybody's.
    pub const ALL: Self = Self(Scope::All);

    /// From `all`, `model` or `device`, and the model, or the device's serial, GUID or id.
    pub fn new(scope: &str, target: Option<&str>) -> Result<Self, Error> {
        let named = |what: &str| match target {
            Some(target) if !target.is_empty() && target.len() <= 255 && !target.chars().any(char::is_control) => {
                Ok(target.to_owned())
            }
            _ => Err(Error::Field("target", format!("name the {what} in 1 to 255 bytes"))),
        };
        match (scope, target) {
            ("all", None) => Ok(Self(Scope::All)),
            ("all", Some(_)) => Err(Error::Field("target", "a plan for all has none".to_owned())),
            ("model", _) => named("model").map(|model| Self(Scope::Model(model))),
            // A GUID in any case is the same GUID.
            ("device", _) => named("device").map(|name| Self(Scope::Device(canonical(name)))),
            _ => Err(Error::Field("scope", "use all, model or device".to_owned())),
        }
    }

    /// From its text.
    pub fn parse(id: &str) -> Result<Self, Error> {
        match id.split_once(':') {
            None => Self::new(id, None),
            Some((scope, target)) => Self::new(scope, Some(target)),
        }
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.0
    }
}

fn canonical(name: String) -> String {
    match name.parse::<Guid>() {
        Ok(guid) if guid.to_string().eq_ignore_ascii_case(&name) => guid.to_string(),
        _ => name,
    }
}

impl fmt::Display for PlanScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Scope::All => f.write_str("all"),
            Scope::Model(model) => write!(f, "model:{model}"),
            Scope::Device(device) => write!(f, "device:{device}"),
        }
    }
}

/// What is known of a device whose plan is looked up.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    pub id: Option<String>,
    pub serial: Option<String>,
    /// All that it has had.
    pub guids: Vec<Guid>,
    pub model: Option<String>,
}

impl Subject {
    /// The plans that would be for it, the narrowest first.
    fn scopes(&self) -> Vec<String> {
        let mut names: Vec<String> = self.serial.iter().cloned().map(canonical).collect();
        names.extend(self.guids.iter().map(Guid::to_string));
        names.extend(self.id.clone());
        let mut scopes: Vec<PlanScope> = names.into_iter().map(|name| PlanScope(Scope::Device(name))).collect();
        scopes.extend(self.model.clone().map(|model| PlanScope(Scope::Model(model))));
        scopes.push(PlanScope::ALL);
        scopes.iter().map(PlanScope::to_string).collect()
    }
}

/// The plan that a device gets, and those for it that are wider.
pub struct Chosen {
    pub plan: Plan,
    pub outranked: Vec<String>,
}

/// Why a plan is refused, or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no plan {0}; `fdo-owner plan list` shows those there are")]
    NotFound(String),
    #[error("{0}: {1}")]
    Field(&'static str, String),
    #[error("step {number} ({module}): {field}: {problem}")]
    Step { number: usize, module: &'static str, field: &'static str, problem: String },
    #[error("the file {0} is named by the plan {1}; change that plan first")]
    FileInUse(String, String),
    #[error("the steps of plan {0} do not open; is this the sealing key that they were written with?")]
    Sealed(String),
    #[error(transparent)]
    File(#[from] files::Error),
    #[error(transparent)]
    Network(#[from] networks::Error),
    #[error("the plans' database failed")]
    Database(#[from] DbErr),
}

/// Seals the steps for their row; the id is bound to them, so that rows cannot be swapped.
fn seal(key: &SealingKey, plan: &Plan, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
    let steps = serde_json::to_vec(&plan.steps).map_err(|error| DbErr::Json(error.to_string()))?;
    let steps = Zeroizing::new(steps);
    Ok(key.derive("plans").seal(plan.scope.to_string().as_bytes(), &steps, rng))
}

fn open(key: &SealingKey, id: &str, sealed: &[u8]) -> Result<Vec<Step>, Error> {
    let opened = key.derive("plans").open(id.as_bytes(), sealed).map_err(|_| Error::Sealed(id.to_owned()))?;
    Ok(serde_json::from_slice(&opened).map_err(|error| DbErr::Json(error.to_string()))?)
}

/// The plan of a device, if any is for it.
pub async fn for_device(
    conn: &impl ConnectionTrait,
    key: &SealingKey,
    subject: &Subject,
) -> Result<Option<Chosen>, Error> {
    let scopes = subject.scopes();
    let mut found = store::among(conn, key, &scopes).await?;
    let rank = |plan: &Plan| scopes.iter().position(|scope| *scope == plan.scope.to_string());
    found.sort_by_key(rank);
    let mut plans = found.into_iter();
    Ok(plans.next().map(|plan| Chosen { plan, outranked: plans.map(|plan| plan.scope.to_string()).collect() }))
}

/// Writes a plan in the place of what its devices had; true where there was none.
pub async fn put(app: &App, actor: &str, plan: &mut Plan) -> Result<bool, Error> {
    let described = plan.description.as_ref().is_none_or(|text| text.len() <= 1000);
    if !described {
        return Err(Error::Field("description", "use at most 1000 bytes".to_owned()));
    }
    check::check(&plan.steps)?;
    let (now, id) = (app.clock.now(), plan.scope.to_string());
    let transaction = database::begin(&app.db).await?;
    let before = store::find(&transaction, &app.sealing, &id).await?;
    keep_secrets(&mut plan.steps, before.as_ref())?;
    fit(app, &transaction, &plan.steps).await?;
    plan.created = before.as_ref().map_or(now, |before| before.created);
    plan.updated = now;
    let sealed = seal(&app.sealing, plan, &mut app.random.rng())?;
    store::upsert(&transaction, plan, sealed).await?;
    let detail = plan.steps.iter().map(Step::module).collect::<Vec<_>>().join(" ");
    let event = Event { actor, action: "plan.set", subject: &id, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    Ok(before.is_none())
}

/// A token is never shown, so that whoever writes a plan again need not have it.
fn keep_secrets(steps: &mut [Step], before: Option<&Plan>) -> Result<(), Error> {
    let kept = before.iter().flat_map(|plan| &plan.steps).find_map(|step| match step {
        Step::Conformance(step) => step.token.clone(),
        _ => None,
    });
    for (index, step) in steps.iter_mut().enumerate() {
        let module = step.module();
        if let Step::Conformance(step) = step
            && step.token.is_none()
        {
            let problem = "this step needs one".to_owned();
            let missing = Error::Step { number: index + 1, module, field: "token", problem };
            step.token = Some(kept.clone().ok_or(missing)?);
        }
    }
    Ok(())
}

/// What steps name must be here; a slip of the pen shows when the plan is set and not when a device comes.
async fn fit(app: &App, conn: &impl ConnectionTrait, steps: &[Step]) -> Result<(), Error> {
    let most = app.settings.uploads.file_bytes;
    for (index, step) in steps.iter().enumerate() {
        let wrong = |field, problem| Error::Step { number: index + 1, module: step.module(), field, problem };
        if let Some(name) = step.file()
            && files::find(conn, name).await?.is_none()
        {
            return Err(wrong("file", files::Error::NotFound(name.to_owned()).to_string()));
        }
        if let Step::Upload(UploadStep { limit: Some(limit), .. }) = step
            && *limit > most
        {
            return Err(wrong("limit", format!("`uploads.file_bytes` in the configuration is {most}")));
        }
        if let Step::Wifi(WifiStep { networks: Some(ids), .. }) = step {
            for id in ids {
                if networks::find(conn, id).await?.is_none() {
                    return Err(wrong("networks", format!("there is no network {id}")));
                }
            }
        }
    }
    Ok(())
}

/// Takes a plan away; its devices get the next wider one.
pub async fn delete(app: &App, actor: &str, scope: &PlanScope) -> Result<(), Error> {
    let id = scope.to_string();
    let transaction = database::begin(&app.db).await?;
    if !store::delete(&transaction, &id).await? {
        return Err(Error::NotFound(id));
    }
    let event = Event { actor, action: "plan.delete", subject: &id, outcome: Outcome::Success, detail: "" };
    audit::record(&transaction, app.clock.now(), event).await?;
    Ok(transaction.commit().await?)
}

/// Forgets a file that no plan names.
pub async fn remove_file(app: &App, actor: &str, name: &str) -> Result<(), Error> {
    for plan in store::all(&app.db, &app.sealing).await? {
        if plan.steps.iter().any(|step| step.file() == Some(name)) {
            return Err(Error::FileInUse(name.to_owned(), plan.scope.to_string()));
        }
    }
    Ok(files::remove(app, actor, name).await?)
}
