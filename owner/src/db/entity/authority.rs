//! A CA that this owner trusts; `kind` is its id. Its key is sealed, and empty where the key is not here.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authority")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    pub certificate: Vec<u8>,
    pub sealed_key: Vec<u8>,
    pub created: i64,
    /// "root", "issuing" or "external".
    pub role: String,
    /// "active", "trusted" or "retired".
    pub state: String,
    /// What stands above the certificate, in PEM, where that is not our own root.
    pub chain: Option<Vec<u8>>,
    /// How an external CA is reached, sealed.
    pub settings: Option<Vec<u8>>,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
