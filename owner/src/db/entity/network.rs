//! A Wi-Fi network; its password is sealed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "network")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub ssid: String,
    pub auth: i32,
    pub secret: Option<Vec<u8>>,
    pub trust_level: i32,
    pub enabled: bool,
    pub scope: String,
    pub target: Option<String>,
    pub created: i64,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
