//! A certificate that the owner's CA issued, or was about to.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificate")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub serial: String,
    pub guid: String,
    pub device_id: String,
    pub device_serial: Option<String>,
    pub subject: String,
    /// The claim to the key, unique: `key_sha256`, and what follows it where a key is certified once more.
    pub spki: String,
    pub tbs: Vec<u8>,
    pub der: Option<Vec<u8>>,
    pub state: String,
    pub session: Option<String>,
    pub pending_until: Option<i64>,
    pub not_after: i64,
    pub created: i64,
    pub revoked: Option<i64>,
    pub reason: Option<String>,
    pub authority: String,
    pub profile: String,
    /// SHA-256 of the DER in hexadecimal, once there is one.
    pub fingerprint: Option<String>,
    pub key_type: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo in hexadecimal.
    pub key_sha256: Option<String>,
    pub not_before: i64,
    pub shard: i32,
    pub origin: String,
    /// SHA-256 of the certification request in hexadecimal.
    pub request: Option<String>,
    pub replaces: Option<String>,
    pub reason_code: Option<i32>,
    pub updated: i64,
    /// Since when its CRL does not show its state; null where it does.
    pub unlisted: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
