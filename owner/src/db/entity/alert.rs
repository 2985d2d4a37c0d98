//! An alert: open while its cause lasts.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub slot: Option<String>,
    pub kind: String,
    pub subject: String,
    pub threshold: i64,
    pub severity: String,
    pub title: String,
    pub detail: String,
    pub device_id: Option<String>,
    pub device_serial: Option<String>,
    pub count: i64,
    pub opened: i64,
    pub last: i64,
    pub closed: Option<i64>,
    pub acknowledged: Option<i64>,
    pub acknowledged_by: Option<String>,
    pub silenced_until: Option<i64>,
    pub told: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
