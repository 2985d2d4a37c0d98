//! Ownership vouchers as they were after DI.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub guid: String,
    pub canon: String,
    pub serial: String,
    pub model: String,
    pub key_type: String,
    pub manufacturer_key: Vec<u8>,
    pub certificate_serial: String,
    pub state: String,
    pub bytes: Vec<u8>,
    pub created: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
