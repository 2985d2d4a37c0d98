//! What was signed over, by the hash of the tip that it follows; never changed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signer_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub previous: Vec<u8>,
    pub guid: String,
    pub checksum: String,
    pub fingerprint: String,
    pub signer: String,
    pub created: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
