//! Rows of profiles, as JSON.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder};

use super::Profile;
use crate::ca::authorities::store::count_change;
use crate::db::entity::profile::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

/// A profile that an operator set.
pub(in crate::ca) struct StoredProfile {
    pub profile: Profile,
    pub created: u64,
    pub updated: u64,
}

impl TryFrom<Model> for StoredProfile {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |_| DbErr::Type("profile.content holds an impossible value".to_owned());
        let profile = Profile { name: row.name, ..serde_json::from_str(&row.content).map_err(bad)? };
        Ok(Self { profile, created: unsigned(row.created), updated: unsigned(row.updated) })
    }
}

/// All of them, in the order of their names.
pub(in crate::ca) async fn all(conn: &impl ConnectionTrait) -> Result<Vec<StoredProfile>, DbErr> {
    let rows = Entity::find().order_by_asc(Column::Name).all(conn).await?;
    rows.into_iter().map(StoredProfile::try_from).collect()
}

/// Writes a profile, or what it has become.
pub(super) async fn upsert(conn: &impl ConnectionTrait, profile: &Profile, now: u64) -> Result<(), DbErr> {
    let content = serde_json::to_string(profile).map_err(|error| DbErr::Json(error.to_string()))?;
    let row = ActiveModel {
        name: Set(profile.name.clone()),
        content: Set(content),
        created: Set(signed(now)),
        updated: Set(signed(now)),
    };
    let mut replace = OnConflict::column(Column::Name);
    replace.update_columns([Column::Content, Column::Updated]);
    Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await?;
    count_change(conn).await
}

pub(super) async fn delete(conn: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(name).exec(conn).await?;
    count_change(conn).await
}
