//! A voucher at a rendezvous.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub guid: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub rendezvous: String,
    pub granted: Option<i64>,
    pub registered: Option<i64>,
    pub expires: Option<i64>,
    pub next_at: i64,
    pub failures: i32,
    pub error: Option<String>,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
