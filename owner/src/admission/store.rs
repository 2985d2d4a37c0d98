//! Rows of admission rules and of groups.

use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, PaginatorTrait, QueryOrder, QuerySelect, TransactionSession, TransactionTrait};

use super::rule::check_name;
use super::{Criteria, Deed, Effect, Error, MOST_MEMBERS, MOST_RULES, Rule};
use crate::db::entity::{admission_member as member, admission_rule as row};
use crate::db::{signed, unsigned};

/// Rows that go in one statement.
const BATCH: usize = 1_000;
/// The distance between rules that are added one after the other.
const STEP: u32 = 10;

impl TryFrom<row::Model> for Rule {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("admission_rule.{column} holds an impossible value"));
        let criteria: Criteria = serde_json::from_str(&row.criteria).map_err(|_| bad("criteria"))?;
        let deed = |name: String| Deed::from_name(&name).ok_or_else(|| bad("deed"));
        Ok(Self {
            position: u32::try_from(row.position).map_err(|_| bad("position"))?,
            effect: Effect::from_name(&row.effect).ok_or_else(|| bad("effect"))?,
            deed: row.deed.map(deed).transpose()?,
            criteria,
            created: unsigned(row.created),
            id: row.id,
        })
    }
}

/// All rules in the order in which they are looked at.
pub async fn list(conn: &impl ConnectionTrait) -> Result<Vec<Rule>, Error> {
    let query = row::Entity::find().order_by_asc(row::Column::Position).order_by_asc(row::Column::Id);
    let rows = query.limit(MOST_RULES).all(conn).await?;
    Ok(rows.into_iter().map(Rule::try_from).collect::<Result<_, _>>()?)
}

/// Writes a new rule; position 0 is after all others.
pub async fn insert(conn: &impl ConnectionTrait, mut rule: Rule) -> Result<Rule, Error> {
    rule.check()?;
    if row::Entity::find().count(conn).await? >= MOST_RULES {
        return Err(Error::TooMany);
    }
    if let Some(group) = &rule.criteria.group
        && member::Entity::find().filter(member::Column::Name.eq(group)).count(conn).await? == 0
    {
        return Err(Error::NoGroup(group.clone()));
    }
    if rule.position == 0 {
        let last = list(conn).await?.last().map_or(0, |last| last.position);
        rule.position = last.saturating_add(STEP);
    }
    let criteria = serde_json::to_string(&rule.criteria).map_err(|error| DbErr::Custom(error.to_string()))?;
    let new = row::ActiveModel {
        id: Set(rule.id.clone()),
        position: Set(i64::from(rule.position)),
        effect: Set(rule.effect.name().to_owned()),
        deed: Set(rule.deed.map(|deed| deed.name().to_owned())),
        criteria: Set(criteria),
        created: Set(signed(rule.created)),
    };
    match row::Entity::insert(new).exec_without_returning(conn).await {
        Err(error) if database::is_unique_violation(&error) => Err(Error::Exists(rule.id)),
        other => other.map(|_| rule).map_err(Error::from),
    }
}

/// Takes a rule away.
pub async fn delete(conn: &impl ConnectionTrait, id: &str) -> Result<(), Error> {
    let gone = row::Entity::delete_by_id(id).exec(conn).await?;
    if gone.rows_affected == 0 { Err(Error::NotFound(id.to_owned())) } else { Ok(()) }
}

/// The groups that a serial belongs to.
pub(super) async fn groups_of(conn: &impl ConnectionTrait, serial: &str) -> Result<Vec<String>, Error> {
    let query = member::Entity::find().select_only().column(member::Column::Name);
    Ok(query.filter(member::Column::Serial.eq(serial)).into_tuple().all(conn).await?)
}

/// All groups and how many serials each holds.
pub async fn groups(conn: &impl ConnectionTrait) -> Result<Vec<(String, u64)>, Error> {
    let counted: Vec<(String, i64)> = member::Entity::find()
        .select_only()
        .column(member::Column::Name)
        .column_as(member::Column::Serial.count(), "members")
        .group_by(member::Column::Name)
        .order_by_asc(member::Column::Name)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(counted.into_iter().map(|(name, count)| (name, unsigned(count))).collect())
}

/// The serials of a group.
pub async fn members(conn: &impl ConnectionTrait, name: &str) -> Result<Vec<String>, Error> {
    let query = member::Entity::find().select_only().column(member::Column::Serial);
    let query = query.filter(member::Column::Name.eq(name)).order_by_asc(member::Column::Serial);
    let found: Vec<String> = query.into_tuple().all(conn).await?;
    if found.is_empty() { Err(Error::NoGroup(name.to_owned())) } else { Ok(found) }
}

/// Makes a group of these serials, instead of those that it held.
pub async fn put_group<C>(conn: &C, name: &str, mut serials: Vec<String>) -> Result<(), Error>
where
    C: ConnectionTrait + TransactionTrait,
{
    check_name("group", name)?;
    serials.sort();
    serials.dedup();
    if serials.is_empty() || serials.len() > MOST_MEMBERS {
        return Err(Error::Field("serials", "name 1 to 100000 serials"));
    }
    if serials.iter().any(|serial| serial.is_empty() || serial.len() > 255) {
        return Err(Error::Field("serials", "a serial has 1 to 255 bytes"));
    }
    let transaction = conn.begin().await?;
    member::Entity::delete_many().filter(member::Column::Name.eq(name)).exec(&transaction).await?;
    for batch in serials.chunks(BATCH) {
        let rows = batch
            .iter()
            .map(|serial| member::ActiveModel { name: Set(name.to_owned()), serial: Set(serial.clone()) });
        member::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Takes a group away that no rule names.
pub async fn delete_group(conn: &impl ConnectionTrait, name: &str) -> Result<(), Error> {
    if list(conn).await?.iter().any(|rule| rule.criteria.group.as_deref() == Some(name)) {
        return Err(Error::GroupInUse(name.to_owned()));
    }
    let gone = member::Entity::delete_many().filter(member::Column::Name.eq(name)).exec(conn).await?;
    if gone.rows_affected == 0 { Err(Error::NoGroup(name.to_owned())) } else { Ok(()) }
}
