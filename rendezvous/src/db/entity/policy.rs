//! The one row of settings that operators have changed, and its version.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Counts changes of settings and lists.
    pub version: i64,
    pub changed: i64,
    pub accept: Option<String>,
    pub replace_rule: Option<String>,
    pub device_ca: Option<String>,
    pub max_wait_seconds: Option<i64>,
    pub min_wait_seconds: Option<i64>,
    pub owner_quota: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
