//! Rows of vouchers whose device is out of service.

use sea_orm::ExprTrait;
use sea_orm::entity::prelude::*;

use super::super::store::{is_in_use, resume};
use super::super::{Error, State};
use crate::db::entity::voucher::{Column, Entity};
use crate::db::signed;

/// Takes every voucher of a device out of use, blocked ones too: no TO2, and TO0 is not renewed.
pub async fn decommission(conn: &impl ConnectionTrait, now: u64, device_id: &str) -> Result<(), Error> {
    let of_device = || Entity::update_many().filter(Column::DeviceId.eq(device_id));
    of_device().col_expr(Column::BlockedFrom, Expr::col(Column::State)).filter(is_in_use()).exec(conn).await?;
    of_device()
        .col_expr(Column::State, Expr::value(State::Decommissioned.name()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(is_in_use().or(Column::State.eq(State::Blocked.name())))
        .exec(conn)
        .await?;
    Ok(())
}

/// They are in use again, as they were; what was never onboarded is registered.
pub async fn recommission(conn: &impl ConnectionTrait, now: u64, device_id: &str) -> Result<(), Error> {
    resume(conn, now, device_id, State::Decommissioned).await
}
