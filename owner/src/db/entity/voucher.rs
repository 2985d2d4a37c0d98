//! A voucher that was verified before it was stored.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub guid: String,
    pub device_id: String,
    pub state: String,
    pub blocked_from: Option<String>,
    pub owner_key: String,
    pub maker_key: String,
    pub trusted: bool,
    pub entries: i32,
    pub bytes: Vec<u8>,
    pub hash: Vec<u8>,
    pub replaced_by: Option<String>,
    pub register_at: Option<i64>,
    pub created: i64,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
