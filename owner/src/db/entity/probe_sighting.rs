//! A certificate at its place in the chain that an endpoint serves.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "probe_sighting")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub probe_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub fingerprint: String,
    pub first_seen: i64,
    pub last_seen: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
