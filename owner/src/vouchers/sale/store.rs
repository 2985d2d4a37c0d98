//! Rows of vouchers whose device is sold.

use fdo_protocol::Guid;
use fdo_protocol::voucher::VerifiedVoucher;
use sea_orm::entity::prelude::*;

use super::super::store::{is_in_use, locked, new_device, resume};
use super::super::{AcceptedVoucher, Error, State, StoredVoucher};
use super::ForSale;
use crate::db::entity::voucher::{Column, Entity};
use crate::db::signed;
use crate::inventory;

/// The voucher of this GUID, locked until the transaction ends.
pub async fn for_sale(conn: &impl ConnectionTrait, guid: &Guid) -> Result<ForSale, Error> {
    let row = locked(conn, guid).await?.ok_or(Error::NotFound(*guid))?;
    let voucher = VerifiedVoucher::trust_stored(&row.bytes)?;
    let stored = StoredVoucher::try_from(row)?;
    if !matches!(stored.state, State::Imported | State::Onboarded) {
        return Err(Error::NotInUse(*guid, stored.state));
    }
    Ok(ForSale { voucher, state: stored.state, tip: stored.hash })
}

/// Takes every voucher of a device out of use: no TO2, and TO0 is not renewed.
pub async fn sell(conn: &impl ConnectionTrait, now: u64, device_id: &str) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::BlockedFrom, Expr::col(Column::State))
        .col_expr(Column::State, Expr::value(State::Sold.name()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::DeviceId.eq(device_id))
        .filter(is_in_use())
        .exec(conn)
        .await?;
    Ok(())
}

/// The sale came to nothing: what was never onboarded is registered again.
pub async fn keep_after_all(conn: &impl ConnectionTrait, now: u64, device_id: &str) -> Result<(), Error> {
    resume(conn, now, device_id, State::Sold).await
}

/// The new owner has the device. False where there is nothing sold of it, such as when it was bought back meanwhile.
pub async fn deliver(conn: &impl ConnectionTrait, now: u64, guid: &Guid, device_id: &str) -> Result<bool, Error> {
    let sold = || {
        Entity::update_many()
            .col_expr(Column::State, Expr::value(State::Delivered.name()))
            .col_expr(Column::BlockedFrom, Expr::value(None::<String>))
            .col_expr(Column::Updated, Expr::value(signed(now)))
            .filter(Column::State.eq(State::Sold.name()))
    };
    let delivered = sold().filter(Column::Guid.eq(guid.to_string())).exec(conn).await?;
    if delivered.rows_affected == 0 {
        return Ok(false);
    }
    sold().filter(Column::DeviceId.eq(device_id)).exec(conn).await?;
    Ok(true)
}

/// The device comes back by a longer chain of the same voucher; the row of the voucher is the caller's to change.
pub async fn take_back(
    conn: &impl ConnectionTrait,
    now: u64,
    guid: &Guid,
    accepted: &AcceptedVoucher,
) -> Result<(), Error> {
    if !inventory::take_back(conn, now, &accepted.device_id).await? {
        new_device(conn, now, accepted).await?;
    }
    // Its earlier GUIDs, if this was sold under a later one, are over.
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Archived.name()))
        .filter(Column::DeviceId.eq(&accepted.device_id))
        .filter(Column::Guid.ne(guid.to_string()))
        .filter(Column::State.is_in([State::Sold.name(), State::Delivered.name()]))
        .exec(conn)
        .await?;
    Ok(())
}
