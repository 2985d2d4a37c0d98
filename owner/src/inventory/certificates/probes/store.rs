//! Rows of probed endpoints and of what they serve.

use std::collections::HashMap;

use fdo_service::queue;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder, QuerySelect, TryInsertResult};

use super::{Probe, Sighting};
use crate::db::entity::probe::{ActiveModel, Column, Entity, Model};
use crate::db::entity::{inventory_certificate, probe_sighting};
use crate::db::{signed, unsigned};
use crate::inventory::certificates::Source;

impl From<Model> for Probe {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            endpoint: row.endpoint,
            every_seconds: unsigned(row.every_seconds),
            next_at: unsigned(row.next_at),
            last_at: row.last_at.map(unsigned),
            last_seen: row.last_seen.map(unsigned),
            failures: unsigned(row.failures),
            error: row.error,
            created: unsigned(row.created),
        }
    }
}

/// False where the endpoint is on the list.
pub(super) async fn insert(conn: &impl ConnectionTrait, probe: &Probe) -> Result<bool, DbErr> {
    let row = ActiveModel {
        id: Set(probe.id.clone()),
        endpoint: Set(probe.endpoint.clone()),
        every_seconds: Set(signed(probe.every_seconds)),
        next_at: Set(signed(probe.next_at)),
        last_at: Set(None),
        last_seen: Set(None),
        failures: Set(0),
        error: Set(None),
        created: Set(signed(probe.created)),
    };
    let once = OnConflict::column(Column::Endpoint).do_nothing().to_owned();
    let inserted = Entity::insert(row).on_conflict(once).try_insert().exec_without_returning(conn).await?;
    Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
}

/// By its id or its endpoint.
pub async fn find(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Probe>, DbErr> {
    let either = Condition::any().add(Column::Id.eq(name)).add(Column::Endpoint.eq(name.to_lowercase()));
    Ok(Entity::find().filter(either).one(conn).await?.map(Probe::from))
}

/// In the order of their endpoints.
pub async fn list(conn: &impl ConnectionTrait, after: Option<String>, limit: u64) -> Result<Vec<Probe>, DbErr> {
    let mut query = Entity::find().order_by_asc(Column::Endpoint).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Endpoint.gt(after));
    }
    Ok(query.all(conn).await?.into_iter().map(Probe::from).collect())
}

/// Those that failed at least so often in a row.
pub async fn failing(conn: &impl ConnectionTrait, times: u64, limit: u64) -> Result<Vec<Probe>, DbErr> {
    let query = Entity::find().filter(Column::Failures.gte(signed(times))).order_by_asc(Column::Id).limit(limit);
    Ok(query.all(conn).await?.into_iter().map(Probe::from).collect())
}

pub(super) async fn set_interval(conn: &impl ConnectionTrait, id: &str, seconds: u64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::EverySeconds, Expr::value(signed(seconds)))
        .filter(Column::Id.eq(id))
        .exec(conn)
        .await
        .map(|_| ())
}

pub(super) async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(conn).await.map(|_| ())
}

/// Takes due endpoints for this process: nobody else gets them before `until`. Inside a transaction.
pub(super) async fn take_due(
    conn: &impl ConnectionTrait,
    now: u64,
    until: u64,
    limit: u64,
) -> Result<Vec<Probe>, DbErr> {
    let due = queue::take_due::<Entity>(conn, Column::NextAt, Condition::all(), now, until, limit).await?;
    Ok(due.into_iter().map(Probe::from).collect())
}

/// Writes down how it went.
pub(super) async fn looked(conn: &impl ConnectionTrait, probe: &Probe) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(signed(probe.next_at)))
        .col_expr(Column::LastAt, Expr::value(probe.last_at.map(signed)))
        .col_expr(Column::LastSeen, Expr::value(probe.last_seen.map(signed)))
        .col_expr(Column::Failures, Expr::value(signed(probe.failures)))
        .col_expr(Column::Error, Expr::value(probe.error.clone()))
        .filter(Column::Id.eq(&probe.id))
        .exec(conn)
        .await
        .map(|_| ())
}

/// The chain that an endpoint serves now; gives what it served before and does not any more.
pub(super) async fn replace_sightings(
    conn: &impl ConnectionTrait,
    id: &str,
    chain: &[String],
    now: u64,
) -> Result<Vec<String>, DbErr> {
    use probe_sighting::Column as Seen;
    let earlier = probe_sighting::Entity::find().filter(Seen::ProbeId.eq(id)).all(conn).await?;
    let since: HashMap<&str, i64> =
        earlier.iter().map(|seen| (seen.fingerprint.as_str(), seen.first_seen)).collect();
    probe_sighting::Entity::delete_many().filter(Seen::ProbeId.eq(id)).exec(conn).await?;
    let rows = chain.iter().zip(0_i32..).map(|(fingerprint, position)| probe_sighting::ActiveModel {
        probe_id: Set(id.to_owned()),
        position: Set(position),
        fingerprint: Set(fingerprint.clone()),
        first_seen: Set(since.get(fingerprint.as_str()).copied().unwrap_or_else(|| signed(now))),
        last_seen: Set(signed(now)),
    });
    if !chain.is_empty() {
        probe_sighting::Entity::insert_many(rows).exec_without_returning(conn).await?;
    }
    Ok(earlier.iter().map(|seen| seen.fingerprint.clone()).filter(|seen| !chain.contains(seen)).collect())
}

/// Of these, what no endpoint serves and only endpoints told of.
pub(super) async fn unserved(conn: &impl ConnectionTrait, some: &[String]) -> Result<Vec<String>, DbErr> {
    use inventory_certificate::Column as Listed;
    let served = probe_sighting::Entity::find()
        .select_only()
        .column(probe_sighting::Column::Fingerprint)
        .filter(probe_sighting::Column::Fingerprint.is_in(some.iter().cloned()))
        .into_tuple::<String>()
        .all(conn)
        .await?;
    inventory_certificate::Entity::find()
        .select_only()
        .column(Listed::Fingerprint)
        .filter(Listed::Fingerprint.is_in(some.iter().filter(|one| !served.contains(one)).cloned()))
        .filter(Listed::Source.eq(Source::Probe.name()))
        .into_tuple()
        .all(conn)
        .await
}

/// The endpoints that serve a certificate.
pub async fn sightings(conn: &impl ConnectionTrait, wanted: Condition) -> Result<Vec<Sighting>, DbErr> {
    let rows = probe_sighting::Entity::find()
        .filter(wanted)
        .order_by_asc(probe_sighting::Column::ProbeId)
        .order_by_asc(probe_sighting::Column::Position)
        .limit(1_000)
        .all(conn)
        .await?;
    let ids: Vec<String> = rows.iter().map(|row| row.probe_id.clone()).collect();
    let probes = Entity::find().filter(Column::Id.is_in(ids)).all(conn).await?;
    let endpoints: HashMap<&str, &str> =
        probes.iter().map(|probe| (probe.id.as_str(), probe.endpoint.as_str())).collect();
    let sighting = |row: probe_sighting::Model| Sighting {
        endpoint: endpoints.get(row.probe_id.as_str()).copied().unwrap_or_default().to_owned(),
        position: u32::try_from(row.position).unwrap_or_default(),
        first_seen: unsigned(row.first_seen),
        last_seen: unsigned(row.last_seen),
        probe_id: row.probe_id,
        fingerprint: row.fingerprint,
    };
    Ok(rows.into_iter().map(sighting).collect())
}

/// Where a certificate is served.
pub async fn sightings_of(
    conn: &impl ConnectionTrait,
    fingerprint: &str,
) -> Result<Vec<super::SightingView>, DbErr> {
    let wanted = Condition::all().add(probe_sighting::Column::Fingerprint.eq(fingerprint));
    Ok(sightings(conn, wanted).await?.into_iter().map(super::SightingView::from).collect())
}

/// What an endpoint serves.
pub(super) async fn served_by(conn: &impl ConnectionTrait, id: &str) -> Result<Vec<Sighting>, DbErr> {
    sightings(conn, Condition::all().add(probe_sighting::Column::ProbeId.eq(id))).await
}
