//! A message about an alert on its way to a target.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_delivery")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub alert_id: String,
    pub target_id: String,
    pub event: String,
    pub body: String,
    pub state: String,
    pub attempts: i64,
    pub next_at: Option<i64>,
    pub error: Option<String>,
    pub created: i64,
    pub sent: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
