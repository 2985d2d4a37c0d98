//! Rows of the inventory of certificates.

use std::collections::HashSet;

use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, ExprTrait, Func, OnConflict, SimpleExpr};
use sea_orm::{ActiveValue::Set, PaginatorTrait, QueryOrder, QuerySelect, Select};

use super::{Found, Listed, Source, Standing, Status, found};
use crate::db::entity::inventory_certificate::{ActiveModel, Column, Entity, Model};
use crate::db::entity::{certificate, work_cursor};
use crate::db::{signed, unsigned};

/// 9999-12-31T23:59:59Z: no well-defined end (RFC 5280, 4.1.2.5).
pub const WITHOUT_END: u64 = 253_402_300_799;
/// Rows in one INSERT; SQLite takes 32766 values in a statement.
const ROWS: usize = 500;

impl TryFrom<Model> for Listed {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("inventory_certificate.{column} holds an impossible value"));
        Ok(Self {
            source: Source::from_name(&row.source).ok_or_else(|| bad("source"))?,
            standing: Standing::from_name(&row.status).ok_or_else(|| bad("status"))?,
            not_before: unsigned(row.not_before),
            not_after: unsigned(row.not_after),
            first_seen: unsigned(row.first_seen),
            last_seen: unsigned(row.last_seen),
            attention: row.attention.map(unsigned),
            fingerprint: row.fingerprint,
            subject: row.subject,
            issuer: row.issuer,
            issuer_name: row.issuer_name,
            serial: row.serial,
            key_type: row.key_type,
            is_ca: row.is_ca,
            reason: row.reason,
            device_id: row.device_id,
            device_serial: row.device_serial,
            guid: row.guid,
            profile: row.profile,
            name: row.name,
        })
    }
}

fn row(found: &Found) -> ActiveModel {
    let listed = found.listed.clone();
    ActiveModel {
        words: Set(found.words()),
        der: Set(found.der.clone()),
        fingerprint: Set(listed.fingerprint),
        source: Set(listed.source.name().to_owned()),
        subject: Set(listed.subject),
        issuer: Set(listed.issuer),
        issuer_name: Set(listed.issuer_name),
        serial: Set(listed.serial),
        not_before: Set(signed(listed.not_before)),
        not_after: Set(signed(listed.not_after)),
        key_type: Set(listed.key_type),
        is_ca: Set(listed.is_ca),
        status: Set(listed.standing.name().to_owned()),
        reason: Set(listed.reason),
        device_id: Set(listed.device_id),
        device_serial: Set(listed.device_serial),
        guid: Set(listed.guid),
        profile: Set(listed.profile),
        name: Set(listed.name),
        first_seen: Set(signed(listed.first_seen)),
        last_seen: Set(signed(listed.last_seen)),
        attention: Set(listed.attention.map(signed)),
    }
}

/// Lists what was found; what is listed already is told of. Each part of a chain that many devices share is written once.
pub async fn record(conn: &impl ConnectionTrait, found: &[Found]) -> Result<(), DbErr> {
    let mut seen = HashSet::new();
    let mut once: Vec<&Found> =
        found.iter().rev().filter(|found| seen.insert(&found.listed.fingerprint)).collect();
    // In one order everywhere, so that two writers never wait for one another.
    once.sort_by(|a, b| a.listed.fingerprint.cmp(&b.listed.fingerprint));
    let (weak, strong): (Vec<&Found>, Vec<&Found>) =
        once.into_iter().partition(|found| !found.listed.source.is_authoritative());
    let (shared, own): (Vec<&Found>, Vec<&Found>) = strong.into_iter().partition(|found| found.is_shared());
    for rows in shared.chunks(ROWS) {
        // Without an update, since many writers meet here, and each would lock the row for the others.
        let once = OnConflict::column(Column::Fingerprint).do_nothing().to_owned();
        insert(conn, rows, once).await?;
    }
    for rows in own.chunks(ROWS) {
        insert(conn, rows, known()).await?;
    }
    for rows in weak.chunks(ROWS) {
        let mut known = OnConflict::column(Column::Fingerprint);
        known.update_column(Column::LastSeen);
        insert(conn, rows, known).await?;
        // It was thought to be gone, and here it is again.
        let names = rows.iter().map(|found| found.listed.fingerprint.clone());
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(Standing::Active.name()))
            .col_expr(Column::Attention, Expr::value(0_i64))
            .filter(Column::Fingerprint.is_in(names))
            .filter(Column::Status.eq(Standing::Retired.name()))
            .filter(Column::Source.is_in([Source::Upload.name(), Source::Probe.name()]))
            .exec(conn)
            .await?;
    }
    Ok(())
}

async fn insert(conn: &impl ConnectionTrait, rows: &[&Found], known: OnConflict) -> Result<(), DbErr> {
    let rows = rows.iter().map(|found| row(found));
    Entity::insert_many(rows).on_conflict(known).exec_without_returning(conn).await.map(|_| ())
}

/// What is listed already takes what its own record says, where that is something else.
fn known() -> OnConflict {
    let mut known = OnConflict::column(Column::Fingerprint);
    known.update_columns([
        Column::Source,
        Column::Status,
        Column::Reason,
        Column::DeviceId,
        Column::DeviceSerial,
        Column::Guid,
        Column::Profile,
        Column::Name,
        Column::Words,
        Column::LastSeen,
        Column::Attention,
    ]);
    let texts = [Column::Reason, Column::DeviceId, Column::Guid, Column::Name];
    let changed = texts
        .into_iter()
        .fold(differs(Column::Source).or(differs(Column::Status)), |any, column| any.or(differs_or_null(column)));
    known.action_and_where(changed);
    known
}

fn both(column: Column) -> (SimpleExpr, SimpleExpr) {
    (Expr::col((Entity, column)), Expr::col((Alias::new("excluded"), column)))
}

fn differs(column: Column) -> SimpleExpr {
    let (here, there) = both(column);
    here.ne(there)
}

fn differs_or_null(column: Column) -> SimpleExpr {
    let empty = |side: SimpleExpr| SimpleExpr::from(Func::coalesce([side, Expr::value("")]));
    let (here, there) = both(column);
    empty(here).ne(empty(there))
}

/// Which certificates to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The inventory's id of the device.
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    pub serial: Option<String>,
    /// The issuer's common name; its whole name where it has none.
    pub issuer: Option<String>,
    pub expires_before: Option<u64>,
    pub expires_after: Option<u64>,
    pub key_type: Option<String>,
    pub status: Option<Status>,
    pub fingerprint: Option<String>,
    pub source: Option<Source>,
    /// Beginnings of words of subject, serial, GUID or name; all of them.
    pub words: Vec<String>,
}

impl Filter {
    /// The words of a search.
    pub fn search(text: &str) -> Vec<String> {
        found::words(text)
    }

    fn apply(&self, mut query: Select<Entity>, postgres: bool, now: u64) -> Select<Entity> {
        let exact = [
            (Column::DeviceId, &self.device_id),
            (Column::DeviceSerial, &self.device_serial),
            (Column::Serial, &self.serial),
            (Column::IssuerName, &self.issuer),
            (Column::KeyType, &self.key_type),
            (Column::Fingerprint, &self.fingerprint),
        ];
        for (column, wanted) in exact {
            if let Some(wanted) = wanted {
                query = query.filter(column.eq(wanted));
            }
        }
        if let Some(source) = self.source {
            query = query.filter(Column::Source.eq(source.name()));
        }
        if let Some(before) = self.expires_before {
            query = query.filter(Column::NotAfter.lt(signed(before)));
        }
        if let Some(after) = self.expires_after {
            query = query.filter(Column::NotAfter.gte(signed(after)));
        }
        if let Some(status) = self.status {
            query = with_status(query, status, now);
        }
        for word in &self.words {
            query = query.filter(has_word(word, postgres));
        }
        query
    }
}

fn with_status(query: Select<Entity>, status: Status, now: u64) -> Select<Entity> {
    let active = Column::Status.eq(Standing::Active.name());
    match status {
        Status::Valid => query
            .filter(active)
            .filter(Column::NotAfter.gte(signed(now)))
            .filter(Column::NotBefore.lte(signed(now))),
        Status::Expired => query.filter(active).filter(Column::NotAfter.lt(signed(now))),
        Status::Future => query
            .filter(active)
            .filter(Column::NotAfter.gte(signed(now)))
            .filter(Column::NotBefore.gt(signed(now))),
        Status::Pending | Status::Replaced | Status::Revoked | Status::Retired => {
            query.filter(Column::Status.eq(status.name()))
        }
    }
}

/// A word is letters and digits only, so it needs no escaping.
fn has_word(word: &str, postgres: bool) -> SimpleExpr {
    if postgres {
        let all = "array_to_tsvector(string_to_array(words, ' ')) @@ CAST($1 AS tsquery)";
        return Expr::cust_with_values(all, [format!("'{word}':*")]);
    }
    Expr::cust_with_values("(' ' || words) LIKE ?", [format!("% {word}%")])
}

/// In the order of their ends; after an end and a fingerprint.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    after: Option<(u64, String)>,
    limit: u64,
    now: u64,
) -> Result<Vec<Listed>, DbErr> {
    let mut query = filter.apply(Entity::find(), database::is_postgres(conn), now);
    if let Some((end, fingerprint)) = after {
        let here = Expr::tuple([Expr::col(Column::NotAfter), Expr::col(Column::Fingerprint)]);
        query = query.filter(here.gt(Expr::tuple([Expr::value(signed(end)), Expr::value(fingerprint)])));
    }
    // What was kept of a certificate is not wanted in a list.
    let rows = query
        .select_only()
        .columns(<Column as sea_orm::Iterable>::iter().filter(|column| !matches!(column, Column::Der)))
        .column_as(Expr::value(None::<Vec<u8>>).cast_as(Alias::new(blob(conn))), "der")
        .order_by_asc(Column::NotAfter)
        .order_by_asc(Column::Fingerprint)
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(Listed::try_from).collect()
}

fn blob(conn: &impl ConnectionTrait) -> &'static str {
    if database::is_postgres(conn) { "bytea" } else { "blob" }
}

/// How many there are.
pub async fn count(conn: &impl ConnectionTrait, filter: &Filter, now: u64) -> Result<u64, DbErr> {
    filter.apply(Entity::find(), database::is_postgres(conn), now).count(conn).await
}

/// One with its DER: a certificate, or the SubjectPublicKeyInfo of a bare key.
pub async fn find(conn: &impl ConnectionTrait, fingerprint: &str) -> Result<Option<(Listed, Vec<u8>)>, DbErr> {
    let Some(mut row) = Entity::find_by_id(fingerprint).one(conn).await? else { return Ok(None) };
    let der = match row.der.take() {
        Some(der) => der,
        None => certificate::Entity::find_by_id(&row.serial)
            .select_only()
            .column(certificate::Column::Der)
            .into_tuple::<Option<Vec<u8>>>()
            .one(conn)
            .await?
            .flatten()
            .unwrap_or_default(),
    };
    Ok(Some((Listed::try_from(row)?, der)))
}

/// The device is not ours any more: what it holds is not used here.
pub async fn withdraw_holder(conn: &impl ConnectionTrait, device_id: &str) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(Standing::Retired.name()))
        .col_expr(Column::Attention, Expr::value(None::<i64>))
        .filter(Column::DeviceId.eq(device_id))
        .filter(Column::Status.eq(Standing::Active.name()))
        .exec(conn)
        .await
        .map(|_| ())
}

/// Marks certificates as not used any more, for a reason.
pub(super) async fn set_standing(
    conn: &impl ConnectionTrait,
    fingerprints: &[String],
    standing: Standing,
) -> Result<(), DbErr> {
    for some in fingerprints.chunks(ROWS) {
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(standing.name()))
            .col_expr(Column::Attention, Expr::value(None::<i64>))
            .filter(Column::Fingerprint.is_in(some.iter().cloned()))
            .filter(Column::Status.eq(Standing::Active.name()))
            .exec(conn)
            .await?;
    }
    Ok(())
}

/// The active certificates of a source; for sources that are few.
pub(super) async fn active_of(conn: &impl ConnectionTrait, source: Source) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Fingerprint)
        .filter(Column::Source.eq(source.name()))
        .filter(Column::Status.eq(Standing::Active.name()))
        .into_tuple()
        .all(conn)
        .await
}

/// The active LDevIDs of devices: device, profile, when it began, fingerprint.
pub(super) async fn active_ldevids(
    conn: &impl ConnectionTrait,
    devices: Vec<String>,
) -> Result<Vec<(String, Option<String>, i64, String)>, DbErr> {
    Entity::find()
        .select_only()
        .columns([Column::DeviceId, Column::Profile, Column::FirstSeen, Column::Fingerprint])
        .filter(Column::DeviceId.is_in(devices))
        .filter(Column::Source.eq(Source::Ldevid.name()))
        .filter(Column::Status.eq(Standing::Active.name()))
        .into_tuple()
        .all(conn)
        .await
}

/// How far a piece of background work has come.
pub async fn cursor(conn: &impl ConnectionTrait, name: &str) -> Result<Option<String>, DbErr> {
    Ok(work_cursor::Entity::find_by_id(name).one(conn).await?.map(|row| row.value))
}

pub async fn set_cursor(conn: &impl ConnectionTrait, name: &str, value: &str) -> Result<(), DbErr> {
    let row = work_cursor::ActiveModel { name: Set(name.to_owned()), value: Set(value.to_owned()) };
    let mut known = OnConflict::column(work_cursor::Column::Name);
    known.update_column(work_cursor::Column::Value);
    work_cursor::Entity::insert(row).on_conflict(known).exec_without_returning(conn).await.map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(crate) async fn clear(conn: &impl ConnectionTrait) {
        Entity::delete_many().exec(conn).await.unwrap();
    }

    /// Rows of nobody, one of them with a name that a spreadsheet would run.
    pub(crate) async fn fill(conn: &impl ConnectionTrait, number: u64) {
        let rows: Vec<Found> = (0..number)
            .map(|place| {
                let mut found = Found {
                    listed: Listed {
                        fingerprint: format!("{place:064x}"),
                        source: Source::Upload,
                        subject: format!("CN=row {place}"),
                        issuer: String::new(),
                        issuer_name: String::new(),
                        serial: format!("{place:x}"),
                        not_before: 1,
                        not_after: 2_000_000_000 + place / 3,
                        key_type: "P-256".to_owned(),
                        is_ca: false,
                        standing: Standing::Active,
                        reason: None,
                        device_id: None,
                        device_serial: None,
                        guid: None,
                        profile: None,
                        name: None,
                        first_seen: 1,
                        last_seen: 1,
                        attention: Some(0),
                    },
                    der: None,
                };
                if place == 7 {
                    found.listed.name = Some("=cmd|x".to_owned());
                }
                found
            })
            .collect();
        record(conn, &rows).await.unwrap();
    }
}
