//! A device that was sold on, and the voucher that its new owner gets.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "resale")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tip: String,
    pub guid: String,
    pub device_id: String,
    pub serial: Option<String>,
    pub state: String,
    pub next_key: String,
    pub entries: i32,
    pub onboarded: bool,
    pub bytes: Vec<u8>,
    pub sold: i64,
    pub handed_over: Option<i64>,
    pub delivered: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
