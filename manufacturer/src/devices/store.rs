//! Rows of serial numbers.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use fdo_service::database::is_postgres;

use super::{Device, DeviceState};
use crate::db::entity::device as row;
use crate::db::{impossible, signed, unsigned};
use crate::serial::Serial;

impl TryFrom<row::Model> for Device {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        let guid = row.guid.map(|guid| guid.parse()).transpose().map_err(|_| impossible("device.guid"))?;
        Ok(Self {
            serial: Serial::parse(&row.serial).map_err(|_| impossible("device.serial"))?,
            model: row.model,
            hardware_serial: row.hardware_serial,
            state: DeviceState::from_name(&row.state).ok_or_else(|| impossible("device.state"))?,
            guid,
            created: unsigned(row.created, "device.created")?,
            updated: unsigned(row.updated, "device.updated")?,
        })
    }
}

fn active(device: &Device) -> row::ActiveModel {
    row::ActiveModel {
        canon: Set(device.serial.canon().to_owned()),
        serial: Set(device.serial.to_string()),
        model: Set(device.model.clone()),
        hardware_serial: Set(device.hardware_serial.clone()),
        state: Set(device.state.name().to_owned()),
        guid: Set(device.guid.map(|guid| guid.to_string())),
        created: Set(signed(device.created)),
        updated: Set(signed(device.updated)),
    }
}

pub async fn insert(conn: &impl ConnectionTrait, device: &Device) -> Result<(), DbErr> {
    row::Entity::insert(active(device)).exec_without_returning(conn).await.map(|_| ())
}

pub async fn update(conn: &impl ConnectionTrait, device: &Device) -> Result<(), DbErr> {
    row::Entity::update(active(device)).exec(conn).await.map(|_| ())
}

pub async fn find(conn: &impl ConnectionTrait, canon: &str) -> Result<Option<Device>, DbErr> {
    row::Entity::find_by_id(canon).one(conn).await?.map(Device::try_from).transpose()
}

/// SQLite needs no lock: its one connection is ours until the transaction ends.
pub async fn find_locked(conn: &impl ConnectionTrait, canon: &str) -> Result<Option<Device>, DbErr> {
    let mut query = row::Entity::find_by_id(canon);
    if is_postgres(conn) {
        query = query.lock_exclusive();
    }
    query.one(conn).await?.map(Device::try_from).transpose()
}

pub async fn list(
    conn: &impl ConnectionTrait,
    state: Option<DeviceState>,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<Device>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Canon).limit(limit);
    if let Some(state) = state {
        query = query.filter(row::Column::State.eq(state.name()));
    }
    if let Some(after) = after {
        query = query.filter(row::Column::Canon.gt(after));
    }
    query.all(conn).await?.into_iter().map(Device::try_from).collect()
}
