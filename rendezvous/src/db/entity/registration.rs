//! One device's redirect. A device is a GUID with the certificate of one key.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub guid: Vec<u8>,
    /// SHA-256 of the device's certificate.
    #[sea_orm(primary_key, auto_increment = false)]
    pub device: Vec<u8>,
    /// SubjectPublicKeyInfo of the device's key.
    pub device_key: Vec<u8>,
    /// The redirect, exactly as it was signed.
    pub to1d: Vec<u8>,
    /// Fingerprint of the key that signed it.
    pub owner: Vec<u8>,
    /// Fingerprint of the key in the voucher's header.
    pub manufacturer: Vec<u8>,
    /// Entries of the voucher that it came with.
    pub entries: i32,
    /// When the conversation that brought it began.
    pub greeted: i64,
    pub registered: i64,
    pub renewed: i64,
    pub expires: i64,
    /// Whether the device has shown that it holds its key.
    pub proven: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
