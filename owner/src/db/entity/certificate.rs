//! A certificate that the owner's CA issued, or was about to.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificate")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub serial: String,
    pub guid: String,
    pub device_id: String,
    pub device_serial: Option<String>,
    pub subject: String,
    pub spki: String,
    pub tbs: Vec<u8>,
    pub der: Option<Vec<u8>>,
    pub state: String,
    pub session: Option<String>,
    pub pending_until: Option<i64>,
    pub not_after: i64,
    pub created: i64,
    pub revoked: Option<i64>,
    pub reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
