//! Rows of devices and of their GUIDs.

use fdo_protocol::Guid;
use fdo_service::compat::page::Window;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, ExprTrait, Func, Query};
use sea_orm::{ActiveValue::Set, Condition, PaginatorTrait, QueryOrder, QuerySelect};

use super::{Device, DeviceState, Error, certificates, reports};
use crate::db::entity::{device, device_guid};
use crate::db::{signed, unsigned};

impl TryFrom<device::Model> for Device {
    type Error = DbErr;

    fn try_from(row: device::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("device.{column} holds an impossible value"));
        Ok(Self {
            guid: row.guid.parse().map_err(|_| bad("guid"))?,
            state: DeviceState::from_name(&row.state).ok_or_else(|| bad("state"))?,
            certificate_expires: row.certificate_expires.map(unsigned),
            onboarded: row.onboarded.map(unsigned),
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            id: row.id,
            serial: row.serial,
            model: row.model,
            device_info: row.device_info,
            owner_key: row.owner_key,
            maker: row.maker,
            progress: row.progress,
            reason: row.reason,
            certificate: row.certificate,
        })
    }
}

/// A device whose first voucher has come.
pub struct NewDevice<'a> {
    pub id: &'a str,
    pub serial: Option<&'a str>,
    pub guid: Guid,
    pub model: Option<&'a str>,
    pub device_info: &'a str,
    pub owner_key: &'a str,
    pub maker: Option<&'a str>,
}

/// Writes a new device.
pub async fn insert(conn: &impl ConnectionTrait, now: u64, new: &NewDevice<'_>) -> Result<(), Error> {
    let row = device::ActiveModel {
        id: Set(new.id.to_owned()),
        serial: Set(new.serial.map(str::to_owned)),
        guid: Set(new.guid.to_string()),
        model: Set(new.model.map(str::to_owned)),
        device_info: Set(new.device_info.to_owned()),
        state: Set(DeviceState::Imported.name().to_owned()),
        blocked_from: Set(None),
        owner_key: Set(new.owner_key.to_owned()),
        maker: Set(new.maker.map(str::to_owned)),
        created: Set(signed(now)),
        updated: Set(signed(now)),
        progress: Set(None),
        reason: Set(None),
        certificate: Set(None),
        certificate_expires: Set(None),
        onboarded: Set(None),
    };
    device::Entity::insert(row).exec_without_returning(conn).await?;
    add_guid(conn, now, new.id, &new.guid).await
}

async fn add_guid(conn: &impl ConnectionTrait, now: u64, id: &str, guid: &Guid) -> Result<(), Error> {
    let row = device_guid::ActiveModel {
        guid: Set(guid.to_string()),
        device_id: Set(id.to_owned()),
        since: Set(signed(now)),
    };
    device_guid::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}

/// Gives a device its next GUID.
pub async fn move_to(
    conn: &impl ConnectionTrait,
    now: u64,
    id: &str,
    guid: &Guid,
    owner_key: &str,
    state: DeviceState,
) -> Result<(), Error> {
    device::Entity::update_many()
        .col_expr(device::Column::Guid, Expr::value(guid.to_string()))
        .col_expr(device::Column::OwnerKey, Expr::value(owner_key))
        .col_expr(device::Column::State, Expr::value(state.name()))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(id))
        .exec(conn)
        .await?;
    add_guid(conn, now, id, guid).await
}

/// By its id.
pub async fn find(conn: &impl ConnectionTrait, id: &str) -> Result<Option<Device>, Error> {
    let row = device::Entity::find_by_id(id).one(conn).await?;
    Ok(row.map(Device::try_from).transpose()?)
}

/// By any GUID that it has or had.
pub async fn find_by_guid(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<Device>, Error> {
    let row = device::Entity::find().filter(device::Column::Id.in_subquery(owner_of(guid))).one(conn).await?;
    Ok(row.map(Device::try_from).transpose()?)
}

fn owner_of(guid: &Guid) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .column(Alias::new("device_id"))
        .from(Alias::new("device_guid"))
        .and_where(Expr::col(Alias::new("guid")).eq(guid.to_string()))
        .take()
}

/// Up to two devices of this serial: two are one too many.
pub(super) async fn by_serial(conn: &impl ConnectionTrait, serial: &str) -> Result<Vec<Device>, Error> {
    let rows = device::Entity::find().filter(device::Column::Serial.eq(serial)).limit(2).all(conn).await?;
    Ok(rows.into_iter().map(Device::try_from).collect::<Result<_, _>>()?)
}

/// All GUIDs of a device, the newest first.
pub async fn guids_of(conn: &impl ConnectionTrait, id: &str) -> Result<Vec<(Guid, u64)>, Error> {
    let rows = device_guid::Entity::find()
        .filter(device_guid::Column::DeviceId.eq(id))
        .order_by_desc(device_guid::Column::Since)
        .all(conn)
        .await?;
    let bad = |_| DbErr::Type("device_guid.guid holds an impossible value".to_owned());
    let guids = rows.into_iter().map(|row| Ok((row.guid.parse().map_err(bad)?, unsigned(row.since))));
    Ok(guids.collect::<Result<_, DbErr>>()?)
}

/// Which devices to list.
#[derive(Default)]
pub struct Filter<'a> {
    pub state: Option<DeviceState>,
    pub serial: Option<&'a str>,
    /// Part of a serial, a GUID, a model or a device information.
    pub text: Option<&'a str>,
}

/// Devices in the order of their ids.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter<'_>,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<Device>, Error> {
    let mut query = device::Entity::find().order_by_asc(device::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(device::Column::Id.gt(after));
    }
    if let Some(state) = filter.state {
        query = query.filter(device::Column::State.eq(state.name()));
    }
    if let Some(serial) = filter.serial {
        query = query.filter(device::Column::Serial.eq(serial));
    }
    if let Some(text) = filter.text {
        let any = Condition::any()
            .add(device::Column::Serial.contains(text))
            .add(device::Column::Guid.contains(text))
            .add(device::Column::Model.contains(text))
            .add(device::Column::DeviceInfo.contains(text));
        query = query.filter(any);
    }
    let rows = query.all(conn).await?;
    Ok(rows.into_iter().map(Device::try_from).collect::<Result<_, _>>()?)
}

/// How many devices there are in each state that any is in.
pub async fn count_by_state(conn: &impl ConnectionTrait) -> Result<Vec<(DeviceState, u64)>, Error> {
    let rows: Vec<(String, i64)> = device::Entity::find()
        .select_only()
        .column(device::Column::State)
        .column_as(device::Column::Id.count(), "devices")
        .group_by(device::Column::State)
        .into_tuple()
        .all(conn)
        .await?;
    let state = |name: &str| {
        let unknown = || DbErr::Type("device.state holds an impossible value".to_owned());
        DeviceState::from_name(name).ok_or_else(unknown)
    };
    Ok(rows.into_iter().map(|(name, count)| Ok((state(&name)?, unsigned(count)))).collect::<Result<_, DbErr>>()?)
}

/// A part of the fleet, the last changed first, and how many there are in all; where `old` is given, the device that
/// had this GUID before.
pub async fn select(
    conn: &impl ConnectionTrait,
    window: Window,
    old: Option<&Guid>,
) -> Result<(Vec<Device>, u64), Error> {
    let mut query = device::Entity::find();
    if let Some(old) = old {
        let had = device::Column::Id.in_subquery(owner_of(old));
        query = query.filter(had).filter(device::Column::Guid.ne(old.to_string()));
    }
    let total = query.clone().count(conn).await?;
    let query = query.order_by_desc(device::Column::Updated).order_by_asc(device::Column::Id);
    let rows = query.limit(window.limit).offset(window.offset).all(conn).await?;
    Ok((rows.into_iter().map(Device::try_from).collect::<Result<_, _>>()?, total))
}

/// Notes where a device stands; one that is blocked or sold stays so.
pub async fn record_state(
    conn: &impl ConnectionTrait,
    now: u64,
    guid: &Guid,
    state: DeviceState,
    progress: Option<&str>,
    reason: Option<&str>,
) -> Result<(), Error> {
    device::Entity::update_many()
        .col_expr(device::Column::State, Expr::value(state.name()))
        .col_expr(device::Column::Progress, Expr::value(progress))
        .col_expr(device::Column::Reason, Expr::value(reason))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.in_subquery(owner_of(guid)))
        .filter(is_ours())
        .exec(conn)
        .await?;
    Ok(())
}

/// Neither stopped nor sold.
fn is_ours() -> Expr {
    device::Column::State.is_not_in(DeviceState::STOPPED.map(DeviceState::name))
}

/// Stops a device, or lets it go on from where it stood.
pub async fn set_blocked(conn: &impl ConnectionTrait, now: u64, id: &str, blocked: bool) -> Result<(), Error> {
    let (is, stopped) = (device::Column::State, DeviceState::Blocked.name());
    let before =
        Func::coalesce([Expr::col(device::Column::BlockedFrom), Expr::value(DeviceState::Imported.name())]);
    let update = match blocked {
        true => device::Entity::update_many()
            .col_expr(device::Column::BlockedFrom, Expr::col(is))
            .col_expr(is, Expr::value(stopped))
            .filter(is_ours()),
        false => device::Entity::update_many()
            .col_expr(is, before.into())
            .col_expr(device::Column::BlockedFrom, Expr::value(None::<String>))
            .filter(is.eq(stopped)),
    };
    update
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(())
}

/// Takes a device out of service, a blocked one too; false where it is sold or gone.
pub async fn decommission(conn: &impl ConnectionTrait, now: u64, id: &str) -> Result<bool, Error> {
    let of_device = || device::Entity::update_many().filter(device::Column::Id.eq(id));
    of_device()
        .col_expr(device::Column::BlockedFrom, Expr::col(device::Column::State))
        .filter(is_ours())
        .exec(conn)
        .await?;
    let updated = of_device()
        .col_expr(device::Column::State, Expr::value(DeviceState::Decommissioned.name()))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::State.ne(DeviceState::Sold.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// It goes back into service, and stands where it stood; false where it was not out of it.
pub async fn recommission(conn: &impl ConnectionTrait, now: u64, id: &str) -> Result<bool, Error> {
    let before = [Expr::col(device::Column::BlockedFrom), Expr::value(DeviceState::Imported.name())];
    let updated = device::Entity::update_many()
        .col_expr(device::Column::State, Func::coalesce(before).into())
        .col_expr(device::Column::BlockedFrom, Expr::value(None::<String>))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(id))
        .filter(device::Column::State.eq(DeviceState::Decommissioned.name()))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// What an onboarding made of a device.
pub struct Onboarded<'a> {
    pub id: &'a str,
    /// The GUID that it came with, and the one that it has now.
    pub from: Guid,
    pub guid: Guid,
    pub progress: &'a str,
    pub reason: Option<&'a str>,
    /// The newest LDevID with its last second of validity.
    pub certificate: Option<&'a (String, u64)>,
}

/// Notes that a device was onboarded; false where it is blocked or sold.
pub async fn record_onboarded(
    conn: &impl ConnectionTrait,
    now: u64,
    onboarded: &Onboarded<'_>,
) -> Result<bool, Error> {
    let serial = onboarded.certificate.map(|(serial, _)| serial.as_str());
    let expires = onboarded.certificate.map(|(_, not_after)| signed(*not_after));
    let updated = device::Entity::update_many()
        .col_expr(device::Column::Guid, Expr::value(onboarded.guid.to_string()))
        .col_expr(device::Column::State, Expr::value(DeviceState::Onboarded.name()))
        .col_expr(device::Column::Progress, Expr::value(onboarded.progress))
        .col_expr(device::Column::Reason, Expr::value(onboarded.reason))
        .col_expr(device::Column::Certificate, Expr::value(serial))
        .col_expr(device::Column::CertificateExpires, Expr::value(expires))
        .col_expr(device::Column::Onboarded, Expr::value(signed(now)))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(onboarded.id))
        .filter(is_ours())
        .exec(conn)
        .await?;
    if updated.rows_affected == 0 {
        return Ok(false);
    }
    if onboarded.guid != onboarded.from {
        add_guid(conn, now, onboarded.id, &onboarded.guid).await?;
    }
    Ok(true)
}

/// Notes the device's newest certificate with its last second of validity; false where the device is blocked or sold, or
/// has another GUID by now.
pub async fn record_certificate(
    conn: &impl ConnectionTrait,
    now: u64,
    device: &Device,
    serial: &str,
    expires: u64,
) -> Result<bool, Error> {
    let updated = device::Entity::update_many()
        .col_expr(device::Column::Certificate, Expr::value(serial))
        .col_expr(device::Column::CertificateExpires, Expr::value(signed(expires)))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(&device.id))
        .filter(device::Column::Guid.eq(device.guid.to_string()))
        .filter(is_ours())
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// A rendezvous took the device's registration; one that is further along stays there.
pub async fn record_registered(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<(), Error> {
    device::Entity::update_many()
        .col_expr(device::Column::State, Expr::value(DeviceState::Registered.name()))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Guid.eq(guid.to_string()))
        .filter(device::Column::State.eq(DeviceState::Imported.name()))
        .exec(conn)
        .await?;
    Ok(())
}

/// Notes that a device is sold, and keeps from where; false where it is blocked, sold or gone. Whoever else sells it
/// waits here.
pub async fn mark_sold(conn: &impl ConnectionTrait, now: u64, id: &str) -> Result<bool, Error> {
    let updated = device::Entity::update_many()
        .col_expr(device::Column::BlockedFrom, Expr::col(device::Column::State))
        .col_expr(device::Column::State, Expr::value(DeviceState::Sold.name()))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(id))
        .filter(is_ours())
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// The sale came to nothing: the device stands where it stood.
pub async fn unmark_sold(conn: &impl ConnectionTrait, now: u64, id: &str) -> Result<(), Error> {
    let before = [Expr::col(device::Column::BlockedFrom), Expr::value(DeviceState::Imported.name())];
    device::Entity::update_many()
        .col_expr(device::Column::State, Func::coalesce(before).into())
        .col_expr(device::Column::BlockedFrom, Expr::value(None::<String>))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(id))
        .filter(device::Column::State.eq(DeviceState::Sold.name()))
        .exec(conn)
        .await?;
    Ok(())
}

/// A sold device was bought back under the same GUID; false where its row is gone.
pub async fn take_back(conn: &impl ConnectionTrait, now: u64, id: &str) -> Result<bool, Error> {
    let updated = device::Entity::update_many()
        .col_expr(device::Column::State, Expr::value(DeviceState::Imported.name()))
        .col_expr(device::Column::BlockedFrom, Expr::value(None::<String>))
        .col_expr(device::Column::Updated, Expr::value(signed(now)))
        .filter(device::Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected > 0)
}

/// Its new owner has it: the device and its GUIDs are no longer here.
pub async fn forget(conn: &impl ConnectionTrait, id: &str) -> Result<(), Error> {
    certificates::withdraw_holder(conn, id).await?;
    device_guid::Entity::delete_many().filter(device_guid::Column::DeviceId.eq(id)).exec(conn).await?;
    reports::forget(conn, id).await?;
    device::Entity::delete_by_id(id).exec(conn).await?;
    Ok(())
}
