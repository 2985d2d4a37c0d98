//! Rows of devices' reports, one a device.

use fdo_service::database::{ConnectionTrait, DbErr};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::RenewalReport;
use crate::db::entity::renewal_report::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};

impl From<Model> for RenewalReport {
    fn from(row: Model) -> Self {
        Self {
            device_id: row.device_id,
            at: unsigned(row.at),
            error: row.error,
            consecutive: u32::try_from(row.consecutive).unwrap_or(u32::MAX),
        }
    }
}

/// Keeps a report in place of the one before it.
pub async fn record(conn: &impl ConnectionTrait, report: &RenewalReport) -> Result<(), DbErr> {
    let row = ActiveModel {
        device_id: Set(report.device_id.clone()),
        at: Set(signed(report.at)),
        error: Set(report.error.clone()),
        consecutive: Set(i64::from(report.consecutive)),
    };
    let mut replace = OnConflict::column(Column::DeviceId);
    replace.update_columns([Column::At, Column::Error, Column::Consecutive]);
    Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await?;
    Ok(())
}

/// What this device said last.
pub async fn find(conn: &impl ConnectionTrait, device_id: &str) -> Result<Option<RenewalReport>, DbErr> {
    Ok(Entity::find_by_id(device_id).one(conn).await?.map(Into::into))
}

/// Devices whose renewal fails, by what they said since then: the latest first.
pub async fn list(conn: &impl ConnectionTrait, since: u64, most: u64) -> Result<Vec<RenewalReport>, DbErr> {
    let query = Entity::find().filter(Column::Consecutive.gt(0)).filter(Column::At.gte(signed(since)));
    let rows = query.order_by_desc(Column::At).order_by_asc(Column::DeviceId).limit(most).all(conn).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The device has a new certificate: what it said is over.
pub async fn settle(conn: &impl ConnectionTrait, device_id: &str) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::Consecutive, Expr::value(0_i64));
    update.filter(Column::DeviceId.eq(device_id)).exec(conn).await?;
    Ok(())
}

/// Forgets what a device said.
pub async fn forget(conn: &impl ConnectionTrait, device_id: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(device_id).exec(conn).await?;
    Ok(())
}
