//! Vouchers extended to a buyer: signed once, handed out for ever.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "claim")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub guid: String,
    pub canon: String,
    pub serial: String,
    pub model: String,
    pub buyer_id: String,
    pub fingerprint: String,
    pub bytes: Vec<u8>,
    pub checksum: String,
    pub size: i64,
    pub request_id: String,
    pub created: i64,
    pub delivered: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
