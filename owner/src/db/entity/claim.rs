//! A claim of one serial at one manufacturer.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "claim")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub manufacturer: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub serial: String,
    pub state: String,
    pub error: Option<String>,
    pub detail: Option<String>,
    pub guid: Option<String>,
    pub attempts: i32,
    pub next_at: Option<i64>,
    pub requested: i64,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
