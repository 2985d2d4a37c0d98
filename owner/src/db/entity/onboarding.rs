//! One TO2 of a device.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "onboarding")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub device_id: String,
    pub guid: String,
    pub new_guid: String,
    pub started: i64,
    pub open_until: i64,
    pub finished: Option<i64>,
    pub phase: String,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub facts: String,
    pub transfers: String,
    pub certificate: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
