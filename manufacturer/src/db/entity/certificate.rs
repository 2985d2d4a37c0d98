//! Issued IDevIDs; a row is written before the signature is made.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificate")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub serial: String,
    pub canon: String,
    pub subject: String,
    pub issuer: String,
    pub spki_sha256: Vec<u8>,
    pub tbs: Vec<u8>,
    pub der: Option<Vec<u8>>,
    pub not_after: i64,
    pub created: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
