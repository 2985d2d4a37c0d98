//! A device's request that waits for an approval or for an outside CA.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "enrollment_request")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub device_id: String,
    pub guid: String,
    pub device_serial: Option<String>,
    pub profile: String,
    pub authority: String,
    pub state: String,
    pub csr_sha256: String,
    pub key_sha256: String,
    pub csr: Vec<u8>,
    pub origin: String,
    pub session: Option<String>,
    pub pending_until: Option<i64>,
    pub replaces: Option<String>,
    /// The serial number of what was issued.
    pub certificate: Option<String>,
    pub reason: Option<String>,
    pub attempts: i64,
    pub next_attempt: Option<i64>,
    pub created: i64,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
