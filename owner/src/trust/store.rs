//! Rows of pinned keys and CAs.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder};

use super::{Error, Kind, TrustedKey};
use crate::db::entity::trusted_key;
use crate::db::{signed, unsigned};

impl TryFrom<trusted_key::Model> for TrustedKey {
    type Error = DbErr;

    fn try_from(row: trusted_key::Model) -> Result<Self, DbErr> {
        let kind = [Kind::ManufacturerKey, Kind::DeviceCa].into_iter().find(|kind| kind.name() == row.kind);
        Ok(Self {
            kind: kind.ok_or_else(|| DbErr::Type("trusted_key.kind holds an impossible value".to_owned()))?,
            created: unsigned(row.created),
            fingerprint: row.fingerprint,
            name: row.name,
            manufacturer: row.manufacturer,
            der: row.der,
        })
    }
}

/// Pins; what is pinned already takes the new name and manufacturer.
pub async fn insert(conn: &impl ConnectionTrait, pin: &TrustedKey) -> Result<(), Error> {
    let row = trusted_key::ActiveModel {
        fingerprint: Set(pin.fingerprint.clone()),
        kind: Set(pin.kind.name().to_owned()),
        name: Set(pin.name.clone()),
        manufacturer: Set(pin.manufacturer.clone()),
        der: Set(pin.der.clone()),
        created: Set(signed(pin.created)),
    };
    let mut renew = OnConflict::column(trusted_key::Column::Fingerprint);
    renew.update_columns([trusted_key::Column::Name, trusted_key::Column::Manufacturer]);
    trusted_key::Entity::insert(row).on_conflict(renew).exec_without_returning(conn).await?;
    Ok(())
}

/// All pins, the keys before the CAs.
pub async fn list(conn: &impl ConnectionTrait) -> Result<Vec<TrustedKey>, Error> {
    let rows = trusted_key::Entity::find()
        .order_by_desc(trusted_key::Column::Kind)
        .order_by_asc(trusted_key::Column::Fingerprint)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(TrustedKey::try_from).collect::<Result<_, _>>()?)
}

/// Takes a pin back; vouchers that are here stay.
pub async fn delete(conn: &impl ConnectionTrait, fingerprint: &str) -> Result<(), Error> {
    let gone = trusted_key::Entity::delete_by_id(fingerprint).exec(conn).await?;
    if gone.rows_affected == 0 { Err(Error::NotFound(fingerprint.to_owned())) } else { Ok(()) }
}
