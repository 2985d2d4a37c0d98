//! Rows of onboardings: one a TO2 in which the device proved itself.

use std::fmt;

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, Condition, ExprTrait, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::db::entity::onboarding::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};
use crate::inventory::Transfer;
use crate::serviceinfo::DeviceFacts;

/// How far a TO2 has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The device has proven itself.
    Attested,
    /// It is given what the plan has for it.
    Provisioning,
    /// It is over, one way or the other.
    Ended,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Provisioning => "provisioning",
            Self::Ended => "ended",
        }
    }
}

/// How a TO2 ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Onboarded,
    OnboardedWithoutCertificate,
    Failed,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Onboarded => "onboarded",
            Self::OnboardedWithoutCertificate => "onboarded-without-certificate",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One TO2 of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    pub device_id: String,
    /// The GUID that the device came with, and the one that it was given.
    pub guid: Guid,
    pub new_guid: Guid,
    pub started: u64,
    /// Until when it counts as running without a further message.
    pub open_until: u64,
    pub finished: Option<u64>,
    pub phase: Phase,
    pub outcome: Option<Outcome>,
    pub reason: Option<String>,
    pub facts: DeviceFacts,
    /// How far its files have come.
    pub transfers: Vec<Transfer>,
    /// The serial number of the LDevID.
    pub certificate: Option<String>,
}

impl TryFrom<Model> for Run {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("onboarding.{column} holds an impossible value"));
        let phases = [Phase::Attested, Phase::Provisioning, Phase::Ended];
        let outcomes = [Outcome::Onboarded, Outcome::OnboardedWithoutCertificate, Outcome::Failed];
        let outcome = |name: &String| {
            outcomes.into_iter().find(|outcome| outcome.name() == name).ok_or_else(|| bad("outcome"))
        };
        Ok(Self {
            guid: row.guid.parse().map_err(|_| bad("guid"))?,
            new_guid: row.new_guid.parse().map_err(|_| bad("new_guid"))?,
            started: unsigned(row.started),
            open_until: unsigned(row.open_until),
            finished: row.finished.map(unsigned),
            phase: phases.into_iter().find(|phase| phase.name() == row.phase).ok_or_else(|| bad("phase"))?,
            outcome: row.outcome.as_ref().map(outcome).transpose()?,
            facts: serde_json::from_str(&row.facts).map_err(|_| bad("facts"))?,
            transfers: serde_json::from_str(&row.transfers).map_err(|_| bad("transfers"))?,
            id: row.id,
            device_id: row.device_id,
            reason: row.reason,
            certificate: row.certificate,
        })
    }
}

fn row(run: &Run) -> Result<ActiveModel, DbErr> {
    let json = |error: serde_json::Error| DbErr::Json(error.to_string());
    let facts = serde_json::to_string(&run.facts).map_err(json)?;
    let transfers = serde_json::to_string(&run.transfers).map_err(json)?;
    Ok(ActiveModel {
        id: Set(run.id.clone()),
        device_id: Set(run.device_id.clone()),
        guid: Set(run.guid.to_string()),
        new_guid: Set(run.new_guid.to_string()),
        started: Set(signed(run.started)),
        open_until: Set(signed(run.open_until)),
        finished: Set(run.finished.map(signed)),
        phase: Set(run.phase.name().to_owned()),
        outcome: Set(run.outcome.map(|outcome| outcome.name().to_owned())),
        reason: Set(run.reason.clone()),
        facts: Set(facts),
        transfers: Set(transfers),
        certificate: Set(run.certificate.clone()),
    })
}

/// What an ended TO2 adds to a running one's row.
const ENDED: [Column; 8] = [
    Column::NewGuid,
    Column::Finished,
    Column::Phase,
    Column::Outcome,
    Column::Reason,
    Column::Facts,
    Column::Transfers,
    Column::Certificate,
];

/// Writes a running TO2; false when it has ended meanwhile.
pub(super) async fn upsert_running(conn: &impl ConnectionTrait, run: &Run) -> Result<bool, DbErr> {
    unless_ended(conn, run, &[Column::Phase, Column::NewGuid, Column::OpenUntil, Column::Transfers]).await
}

/// Writes a TO2 that has ended; false when it has ended before, as for the second of two equal requests.
pub(super) async fn finish(conn: &impl ConnectionTrait, run: &Run) -> Result<bool, DbErr> {
    unless_ended(conn, run, &ENDED).await
}

async fn unless_ended(conn: &impl ConnectionTrait, run: &Run, columns: &[Column]) -> Result<bool, DbErr> {
    let mut unless_ended = OnConflict::column(Column::Id);
    unless_ended
        .update_columns(columns.iter().copied())
        .action_and_where(Expr::col((Entity, Column::Finished)).is_null());
    let inserted = Entity::insert(row(run)?).on_conflict(unless_ended).exec_without_returning(conn).await?;
    Ok(inserted > 0)
}

/// How a TO2 ended, if it did.
pub(super) async fn outcome(conn: &impl ConnectionTrait, id: &str) -> Result<Option<Outcome>, DbErr> {
    let row = Entity::find_by_id(id).one(conn).await?;
    Ok(row.map(Run::try_from).transpose()?.and_then(|run| run.outcome))
}

/// The device is still there.
pub(super) async fn keep_open(conn: &impl ConnectionTrait, id: &str, until: u64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::OpenUntil, Expr::value(signed(until)))
        .filter(Column::Id.eq(id))
        .filter(Column::Finished.is_null())
        .exec(conn)
        .await
        .map(|_| ())
}

/// Those that have not ended although nothing was heard of them for too long.
pub(super) async fn unfinished(conn: &impl ConnectionTrait, now: u64, limit: u64) -> Result<Vec<Run>, DbErr> {
    Entity::find()
        .filter(Column::Finished.is_null())
        .filter(Column::OpenUntil.lte(signed(now)))
        .limit(limit)
        .all(conn)
        .await?
        .into_iter()
        .map(Run::try_from)
        .collect()
}

/// The newest first; those before an id, of a GUID that the device came with or was given.
pub async fn list(
    conn: &impl ConnectionTrait,
    guid: Option<&str>,
    before: Option<&str>,
    limit: u64,
) -> Result<Vec<Run>, DbErr> {
    let mut query = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(guid) = guid {
        query = query.filter(Condition::any().add(Column::Guid.eq(guid)).add(Column::NewGuid.eq(guid)));
    }
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(conn).await?.into_iter().map(Run::try_from).collect()
}

/// The latest TO2 of a device, by the inventory's id.
pub async fn latest(conn: &impl ConnectionTrait, device_id: &str) -> Result<Option<Run>, DbErr> {
    let query = Entity::find().filter(Column::DeviceId.eq(device_id)).order_by_desc(Column::Id);
    query.one(conn).await?.map(Run::try_from).transpose()
}

/// The device is not ours any more, so what it said of itself is not kept.
pub async fn forget(conn: &impl ConnectionTrait, device_id: &str) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::DeviceId.eq(device_id)).exec(conn).await.map(|_| ())
}
