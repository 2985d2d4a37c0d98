//! A certificate or a bare key that was seen somewhere in the fleet.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inventory_certificate")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fingerprint: String,
    pub source: String,
    pub subject: String,
    pub issuer: String,
    pub issuer_name: String,
    pub serial: String,
    pub not_before: i64,
    pub not_after: i64,
    pub key_type: String,
    pub is_ca: bool,
    pub status: String,
    pub reason: Option<String>,
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    pub guid: Option<String>,
    pub profile: Option<String>,
    pub name: Option<String>,
    pub words: String,
    pub first_seen: i64,
    pub last_seen: i64,
    pub attention: Option<i64>,
    pub der: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
