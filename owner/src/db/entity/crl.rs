//! The newest CRL of a CA's shard; shard -1 is the list of all that the CA revoked.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "crl")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub authority: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i32,
    /// The number of this list; 0 while there is none.
    pub number: i64,
    /// The last number that was given out, for this list or one that is being signed.
    pub reserved: i64,
    pub der: Option<Vec<u8>>,
    pub this_update: i64,
    pub next_update: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
