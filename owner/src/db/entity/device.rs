//! A device across all its GUIDs; its id is the SHA-256 of its IDevID's public key.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "device")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub serial: Option<String>,
    pub guid: String,
    pub model: Option<String>,
    pub device_info: String,
    pub state: String,
    pub blocked_from: Option<String>,
    pub owner_key: String,
    pub maker: Option<String>,
    pub progress: Option<String>,
    pub reason: Option<String>,
    pub certificate: Option<String>,
    pub certificate_expires: Option<i64>,
    pub onboarded: Option<i64>,
    pub created: i64,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
