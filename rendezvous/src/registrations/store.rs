//! Rows of registrations.

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect};

use super::{DeviceId, Party, Registration};
use crate::db::entity::registration::{Column, Entity, Model};

impl TryFrom<Model> for Registration {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("registration.{column} holds an impossible value"));
        let hash = |bytes: Vec<u8>, column| <[u8; 32]>::try_from(bytes).map_err(|_| bad(column));
        let time = |seconds: i64, column| u64::try_from(seconds).map_err(|_| bad(column));
        Ok(Self {
            guid: Guid::from_bytes(row.guid.try_into().map_err(|_| bad("guid"))?),
            device: hash(row.device, "device")?,
            device_key: row.device_key,
            to1d: row.to1d,
            owner: hash(row.owner, "owner")?,
            manufacturer: hash(row.manufacturer, "manufacturer")?,
            entries: u32::try_from(row.entries).map_err(|_| bad("entries"))?,
            greeted: time(row.greeted, "greeted")?,
            registered: time(row.registered, "registered")?,
            renewed: time(row.renewed, "renewed")?,
            expires: time(row.expires, "expires")?,
            proven: row.proven,
        })
    }
}

impl From<&Registration> for Model {
    fn from(registration: &Registration) -> Self {
        Self {
            guid: registration.guid.as_bytes().to_vec(),
            device: registration.device.to_vec(),
            device_key: registration.device_key.clone(),
            to1d: registration.to1d.clone(),
            owner: registration.owner.to_vec(),
            manufacturer: registration.manufacturer.to_vec(),
            entries: i32::try_from(registration.entries).unwrap_or(i32::MAX),
            greeted: signed(registration.greeted),
            registered: signed(registration.registered),
            renewed: signed(registration.renewed),
            expires: signed(registration.expires),
            proven: registration.proven,
        }
    }
}

/// Until the transaction ends, nobody else decides about this GUID.
pub(super) async fn lock(conn: &impl ConnectionTrait, guid: &Guid) -> Result<(), DbErr> {
    // SQLite's transactions run one after the other already.
    if fdo_service::database::is_postgres(conn) {
        let key = guid.as_bytes().first_chunk().map_or(0, |half| i64::from_be_bytes(*half));
        conn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({key})")).await?;
    }
    Ok(())
}

/// Until the transaction ends, nobody else counts what this owner has. Take it after [`lock`].
pub(super) async fn lock_owner(conn: &impl ConnectionTrait, owner: &[u8; 32]) -> Result<(), DbErr> {
    if fdo_service::database::is_postgres(conn) {
        // Two halves: these locks are others than those of GUIDs, which anybody could choose to meet them.
        let half = |at: usize| owner[at..].first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes));
        conn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({}, {})", half(0), half(4))).await?;
    }
    Ok(())
}

/// All of a GUID, live or not, the oldest first.
pub(super) async fn list_of(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Vec<Registration>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Guid.eq(guid.as_bytes().to_vec()))
        .order_by_asc(Column::Registered)
        .order_by_asc(Column::Device)
        .all(conn)
        .await?;
    rows.into_iter().map(Registration::try_from).collect()
}

/// A page of all, by GUID and device.
pub(super) async fn list(
    conn: &impl ConnectionTrait,
    after: Option<DeviceId>,
    limit: u64,
) -> Result<Vec<Registration>, DbErr> {
    let mut query = Entity::find().order_by_asc(Column::Guid).order_by_asc(Column::Device).limit(limit);
    if let Some((guid, device)) = after {
        let guid = guid.as_bytes().to_vec();
        query = query.filter(
            Condition::any()
                .add(Column::Guid.gt(guid.clone()))
                .add(Condition::all().add(Column::Guid.eq(guid)).add(Column::Device.gt(device.to_vec()))),
        );
    }
    let rows = query.all(conn).await?;
    rows.into_iter().map(Registration::try_from).collect()
}

/// Writes a registration in the place of an earlier one of the same device.
pub(super) async fn upsert(conn: &impl ConnectionTrait, registration: &Registration) -> Result<(), DbErr> {
    let mut replace = OnConflict::columns([Column::Guid, Column::Device]);
    replace.update_columns([
        Column::DeviceKey,
        Column::To1d,
        Column::Owner,
        Column::Manufacturer,
        Column::Entries,
        Column::Greeted,
        Column::Renewed,
        Column::Expires,
    ]);
    let row = Model::from(registration).into_active_model();
    Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn delete_device(conn: &impl ConnectionTrait, (guid, device): DeviceId) -> Result<u64, DbErr> {
    let key = (guid.as_bytes().to_vec(), device.to_vec());
    Ok(Entity::delete_by_id(key).exec(conn).await?.rows_affected)
}

/// Removes all of a GUID.
pub(super) async fn delete(conn: &impl ConnectionTrait, guid: &Guid) -> Result<u64, DbErr> {
    let rows = Entity::delete_many().filter(Column::Guid.eq(guid.as_bytes().to_vec()));
    Ok(rows.exec(conn).await?.rows_affected)
}

/// How many of a key's registrations have not expired.
pub(super) async fn count_live(
    conn: &impl ConnectionTrait,
    party: Party,
    fingerprint: &[u8; 32],
    now: u64,
) -> Result<u64, DbErr> {
    let rows = Entity::find().filter(of(party).eq(fingerprint.to_vec()));
    rows.filter(Column::Expires.gt(signed(now))).count(conn).await
}

/// Removes all of a key, live or not.
pub(super) async fn delete_of(
    conn: &impl ConnectionTrait,
    party: Party,
    fingerprint: &[u8; 32],
) -> Result<u64, DbErr> {
    let rows = Entity::delete_many().filter(of(party).eq(fingerprint.to_vec()));
    Ok(rows.exec(conn).await?.rows_affected)
}

fn of(party: Party) -> Column {
    match party {
        Party::Owner => Column::Owner,
        Party::Manufacturer => Column::Manufacturer,
    }
}

/// Removes what nobody can use any more.
pub(super) async fn delete_expired(conn: &impl ConnectionTrait, now: u64) -> Result<u64, DbErr> {
    let rows = Entity::delete_many().filter(Column::Expires.lte(signed(now)));
    Ok(rows.exec(conn).await?.rows_affected)
}

pub(super) async fn mark_proven(conn: &impl ConnectionTrait, (guid, device): DeviceId) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Proven, Expr::value(true))
        .filter(Column::Guid.eq(guid.as_bytes().to_vec()))
        .filter(Column::Device.eq(device.to_vec()))
        .exec(conn)
        .await
        .map(|_| ())
}

pub(super) async fn count(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().count(conn).await
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
