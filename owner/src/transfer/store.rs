//! Rows of receipts.

use fdo_protocol::Guid;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::Receipt;
use crate::db::entity::transfer_receipt::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl TryFrom<Model> for Receipt {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |_| DbErr::Type("transfer_receipt.guid holds an impossible value".to_owned());
        Ok(Self {
            guid: row.guid.parse().map_err(bad)?,
            partner_id: row.partner_id,
            serial: row.serial,
            model: row.model,
            manufacturer: row.manufacturer,
            sha256: row.sha256,
            size: unsigned(row.size),
            received: unsigned(row.received),
        })
    }
}

/// The latest push of a voucher by a partner.
pub(super) async fn upsert(conn: &impl ConnectionTrait, receipt: &Receipt) -> Result<(), DbErr> {
    let row = ActiveModel {
        guid: Set(receipt.guid.to_string()),
        partner_id: Set(receipt.partner_id.clone()),
        serial: Set(receipt.serial.clone()),
        model: Set(receipt.model.clone()),
        manufacturer: Set(receipt.manufacturer.clone()),
        sha256: Set(receipt.sha256.clone()),
        size: Set(signed(receipt.size)),
        received: Set(signed(receipt.received)),
    };
    let mut again = OnConflict::columns([Column::Guid, Column::PartnerId]);
    again.update_columns([Column::Serial, Column::Model, Column::Manufacturer, Column::Sha256, Column::Size]);
    Entity::insert(row).on_conflict(again).exec_without_returning(conn).await.map(|_| ())
}

/// By GUID or serial, of this partner.
pub(super) async fn find(
    conn: &impl ConnectionTrait,
    partner_id: &str,
    guid: Option<Guid>,
    serial: &str,
) -> Result<Option<Receipt>, DbErr> {
    let query = Entity::find().filter(Column::PartnerId.eq(partner_id));
    let query = match guid {
        Some(guid) => query.filter(Column::Guid.eq(guid.to_string())),
        None => query.filter(Column::Serial.eq(serial)),
    };
    query.order_by_desc(Column::Received).one(conn).await?.map(Receipt::try_from).transpose()
}

/// A partner's, the newest first.
pub(super) async fn list(
    conn: &impl ConnectionTrait,
    partner_id: &str,
    limit: u64,
) -> Result<Vec<Receipt>, DbErr> {
    let rows = Entity::find()
        .filter(Column::PartnerId.eq(partner_id))
        .order_by_desc(Column::Received)
        .order_by_asc(Column::Guid)
        .limit(limit)
        .all(conn)
        .await?;
    rows.into_iter().map(Receipt::try_from).collect()
}
