//! Rows of vouchers.

use fdo_protocol::Guid;
use fdo_service::compat::vouchers::{SortBy, Wanted};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Func};
use sea_orm::{ActiveValue::Set, Condition, Order, PaginatorTrait, QueryOrder, QuerySelect};

use super::{StoredVoucher, VoucherState};
use crate::db::entity::voucher as row;
use crate::db::{impossible, signed, unsigned};

impl TryFrom<row::Model> for StoredVoucher {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            guid: row.guid.parse().map_err(|_| impossible("voucher.guid"))?,
            canon: row.canon,
            serial: row.serial,
            model: row.model,
            key_type: row.key_type.parse().map_err(|_| impossible("voucher.key_type"))?,
            manufacturer_key: row.manufacturer_key,
            certificate_serial: row.certificate_serial,
            state: VoucherState::from_name(&row.state).ok_or_else(|| impossible("voucher.state"))?,
            bytes: row.bytes,
            created: unsigned(row.created, "voucher.created")?,
        })
    }
}

pub async fn insert(conn: &impl ConnectionTrait, voucher: &StoredVoucher) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        guid: Set(voucher.guid.to_string()),
        canon: Set(voucher.canon.clone()),
        serial: Set(voucher.serial.clone()),
        model: Set(voucher.model.clone()),
        key_type: Set(voucher.key_type.to_string()),
        manufacturer_key: Set(voucher.manufacturer_key.clone()),
        certificate_serial: Set(voucher.certificate_serial.clone()),
        state: Set(voucher.state.name().to_owned()),
        bytes: Set(voucher.bytes.clone()),
        created: Set(signed(voucher.created)),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub async fn find(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<StoredVoucher>, DbErr> {
    row::Entity::find_by_id(guid.to_string()).one(conn).await?.map(StoredVoucher::try_from).transpose()
}

pub async fn newest_of(conn: &impl ConnectionTrait, canon: &str) -> Result<Option<StoredVoucher>, DbErr> {
    let newest = row::Entity::find()
        .filter(row::Column::Canon.eq(canon))
        .order_by_desc(row::Column::Created)
        .order_by_asc(row::Column::State);
    newest.one(conn).await?.map(StoredVoucher::try_from).transpose()
}

pub async fn list(
    conn: &impl ConnectionTrait,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<StoredVoucher>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Guid).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Guid.gt(after));
    }
    query.all(conn).await?.into_iter().map(StoredVoucher::try_from).collect()
}

/// What a script asks for, and how many there are in all.
pub async fn select(conn: &impl ConnectionTrait, wanted: &Wanted) -> Result<(Vec<StoredVoucher>, u64), DbErr> {
    use row::Column;
    let like =
        |column: Expr, text: &str| Expr::from(Func::lower(column)).like(format!("%{}%", text.to_lowercase()));
    let digits =
        || Expr::from(Func::cust("REPLACE").args([Expr::col(Column::Guid), Expr::value("-"), Expr::value("")]));
    let mut query = row::Entity::find().filter(Column::State.eq(VoucherState::Active.name()));
    if let Some(guid) = wanted.guid {
        query = query.filter(Column::Guid.eq(guid.to_string()));
    }
    if let Some(text) = &wanted.device_info {
        query = query.filter(like(Expr::col(Column::Model), text));
    }
    if let Some(text) = &wanted.search {
        let either = Condition::any().add(like(Expr::col(Column::Model), text)).add(like(digits(), text));
        query = query.filter(either);
    }
    let total = query.clone().count(conn).await?;
    let column = match wanted.sort_by {
        SortBy::CreatedAt | SortBy::UpdatedAt => Column::Created,
        SortBy::Guid => Column::Guid,
        SortBy::DeviceInfo => Column::Model,
    };
    let order = if wanted.descending { Order::Desc } else { Order::Asc };
    let query = query.order_by(column, order).order_by_asc(Column::Guid);
    let rows = query.limit(wanted.window.limit).offset(wanted.window.offset).all(conn).await?;
    Ok((rows.into_iter().map(StoredVoucher::try_from).collect::<Result<_, _>>()?, total))
}

pub async fn set_state(conn: &impl ConnectionTrait, guid: &Guid, state: VoucherState) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(state.name()))
        .filter(row::Column::Guid.eq(guid.to_string()));
    update.exec(conn).await.map(|_| ())
}
