//! Rows of the policy: its one row of settings, listed keys, device CAs.

use fdo_pki::Certificate;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{Condition, QueryOrder, QuerySelect};

use super::{Accept, DeviceCa, DeviceCaRule, List, ListedKey, PolicyChange};
use crate::db::entity::{policy, policy_device_ca, policy_key};
use crate::registrations::{Party, Replace};

/// The only row of settings.
const ROW: i32 = 1;

/// How often the policy has changed.
pub(super) async fn version(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let only = policy::Entity::find_by_id(ROW).select_only().column(policy::Column::Version);
    let version: Option<i64> = only.into_tuple().one(conn).await?;
    Ok(unsigned(version.ok_or_else(missing)?))
}

/// Counts a change; until the transaction ends nobody else makes one.
pub(super) async fn advance(conn: &impl ConnectionTrait, now: u64) -> Result<(), DbErr> {
    policy::Entity::update_many()
        .col_expr(policy::Column::Version, Expr::col(policy::Column::Version).add(1))
        .col_expr(policy::Column::Changed, Expr::value(signed(now)))
        .filter(policy::Column::Id.eq(ROW))
        .exec(conn)
        .await
        .map(|_| ())
}

/// What operators have set, and when anything was changed last.
pub(super) async fn settings(conn: &impl ConnectionTrait) -> Result<(PolicyChange, u64), DbErr> {
    let row = policy::Entity::find_by_id(ROW).one(conn).await?.ok_or_else(missing)?;
    let bad = |column: &str| impossible("policy", column);
    let number = |value: Option<i64>, column: &str| {
        value.map(|value| u32::try_from(value).map_err(|_| bad(column))).transpose()
    };
    let change = PolicyChange {
        accept: named(row.accept.as_deref(), &Accept::ALL, Accept::name, "accept")?,
        replace: named(row.replace_rule.as_deref(), &Replace::ALL, Replace::name, "replace_rule")?,
        device_ca: named(row.device_ca.as_deref(), &DeviceCaRule::ALL, DeviceCaRule::name, "device_ca")?,
        max_wait_seconds: number(row.max_wait_seconds, "max_wait_seconds")?,
        min_wait_seconds: number(row.min_wait_seconds, "min_wait_seconds")?,
        owner_quota: row.owner_quota.map(unsigned),
    };
    Ok((change, unsigned(row.changed)))
}

fn named<T: Copy>(
    text: Option<&str>,
    all: &[T],
    name: fn(T) -> &'static str,
    column: &str,
) -> Result<Option<T>, DbErr> {
    let Some(text) = text else { return Ok(None) };
    let found = all.iter().copied().find(|value| name(*value) == text);
    found.map(Some).ok_or_else(|| impossible("policy", column))
}

pub(super) async fn set(conn: &impl ConnectionTrait, change: &PolicyChange) -> Result<(), DbErr> {
    let row = policy::ActiveModel {
        id: Set(ROW),
        accept: Set(change.accept.map(|accept| accept.name().to_owned())),
        replace_rule: Set(change.replace.map(|replace| replace.name().to_owned())),
        device_ca: Set(change.device_ca.map(|rule| rule.name().to_owned())),
        max_wait_seconds: Set(change.max_wait_seconds.map(i64::from)),
        min_wait_seconds: Set(change.min_wait_seconds.map(i64::from)),
        owner_quota: Set(change.owner_quota.map(signed)),
        ..Default::default()
    };
    policy::Entity::update(row).exec(conn).await.map(|_| ())
}

impl TryFrom<policy_key::Model> for ListedKey {
    type Error = DbErr;

    fn try_from(row: policy_key::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| impossible("policy_key", column);
        let list = List::ALL.into_iter().find(|list| list.name() == row.list);
        let party = Party::ALL.into_iter().find(|party| party.name() == row.party);
        Ok(Self {
            list: list.ok_or_else(|| bad("list"))?,
            party: party.ok_or_else(|| bad("party"))?,
            fingerprint: row.fingerprint.try_into().map_err(|_| bad("fingerprint"))?,
            note: row.note,
            created: unsigned(row.created),
        })
    }
}

/// Both lists.
pub(super) async fn all_keys(conn: &impl ConnectionTrait) -> Result<Vec<ListedKey>, DbErr> {
    policy_key::Entity::find().all(conn).await?.into_iter().map(ListedKey::try_from).collect()
}

/// A page of one list, by party and fingerprint.
pub(super) async fn list_keys(
    conn: &impl ConnectionTrait,
    list: List,
    after: Option<(Party, [u8; 32])>,
    limit: u64,
) -> Result<Vec<ListedKey>, DbErr> {
    use policy_key::Column;
    let mut query = policy_key::Entity::find()
        .filter(Column::List.eq(list.name()))
        .order_by_asc(Column::Party)
        .order_by_asc(Column::Fingerprint)
        .limit(limit);
    if let Some((party, fingerprint)) = after {
        let same = Condition::all().add(Column::Party.eq(party.name()));
        let later = same.add(Column::Fingerprint.gt(fingerprint.to_vec()));
        query = query.filter(Condition::any().add(Column::Party.gt(party.name())).add(later));
    }
    query.all(conn).await?.into_iter().map(ListedKey::try_from).collect()
}

pub(super) async fn count_keys(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    policy_key::Entity::find().count(conn).await
}

/// Lists a key; one that is listed takes the new note.
pub(super) async fn insert_key(conn: &impl ConnectionTrait, key: &ListedKey) -> Result<(), DbErr> {
    use policy_key::Column;
    let row = policy_key::ActiveModel {
        list: Set(key.list.name().to_owned()),
        party: Set(key.party.name().to_owned()),
        fingerprint: Set(key.fingerprint.to_vec()),
        note: Set(key.note.clone()),
        created: Set(signed(key.created)),
    };
    let mut renew = OnConflict::columns([Column::List, Column::Party, Column::Fingerprint]);
    renew.update_column(Column::Note);
    policy_key::Entity::insert(row).on_conflict(renew).exec_without_returning(conn).await.map(|_| ())
}

/// Whether it was listed.
pub(super) async fn delete_key(
    conn: &impl ConnectionTrait,
    list: List,
    party: Party,
    fingerprint: &[u8; 32],
) -> Result<bool, DbErr> {
    let key = (list.name().to_owned(), party.name().to_owned(), fingerprint.to_vec());
    Ok(policy_key::Entity::delete_by_id(key).exec(conn).await?.rows_affected > 0)
}

impl TryFrom<policy_device_ca::Model> for DeviceCa {
    type Error = DbErr;

    fn try_from(row: policy_device_ca::Model) -> Result<Self, DbErr> {
        let certificate = Certificate::parse(&row.der).map_err(|_| impossible("policy_device_ca", "der"))?;
        Ok(Self { certificate, note: row.note, created: unsigned(row.created) })
    }
}

/// All listed device CAs, the oldest first.
pub(super) async fn device_cas(conn: &impl ConnectionTrait) -> Result<Vec<DeviceCa>, DbErr> {
    let rows = policy_device_ca::Entity::find()
        .order_by_asc(policy_device_ca::Column::Created)
        .order_by_asc(policy_device_ca::Column::Fingerprint)
        .all(conn)
        .await?;
    rows.into_iter().map(DeviceCa::try_from).collect()
}

pub(super) async fn find_device_ca(
    conn: &impl ConnectionTrait,
    fingerprint: &[u8; 32],
) -> Result<Option<DeviceCa>, DbErr> {
    let row = policy_device_ca::Entity::find_by_id(fingerprint.to_vec()).one(conn).await?;
    row.map(DeviceCa::try_from).transpose()
}

pub(super) async fn count_device_cas(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    policy_device_ca::Entity::find().count(conn).await
}

pub(super) async fn insert_device_ca(conn: &impl ConnectionTrait, authority: &DeviceCa) -> Result<(), DbErr> {
    let row = policy_device_ca::ActiveModel {
        fingerprint: Set(authority.certificate.fingerprint().to_vec()),
        der: Set(authority.certificate.der().to_vec()),
        note: Set(authority.note.clone()),
        created: Set(signed(authority.created)),
    };
    policy_device_ca::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

/// Whether it was listed.
pub(super) async fn delete_device_ca(conn: &impl ConnectionTrait, fingerprint: &[u8; 32]) -> Result<bool, DbErr> {
    let gone = policy_device_ca::Entity::delete_by_id(fingerprint.to_vec()).exec(conn).await?;
    Ok(gone.rows_affected > 0)
}

fn missing() -> DbErr {
    DbErr::RecordNotFound("policy".to_owned())
}

fn impossible(table: &str, column: &str) -> DbErr {
    DbErr::Type(format!("{table}.{column} holds an impossible value"))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
