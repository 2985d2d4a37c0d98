//! Rows of vouchers: import, the hot path of TO2, what replaces what, and when the rendezvous is due.

use fdo_protocol::Guid;
use fdo_protocol::voucher::{VerifiedVoucher, Voucher};
use fdo_service::compat::vouchers::{SortBy, Wanted};
use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Func, Query};
use sea_orm::{ActiveValue::Set, Condition, Order, PaginatorTrait, QueryOrder, QuerySelect, TryInsertResult};
use sha2::{Digest, Sha256};

use super::{AcceptedVoucher, Error, State, StoredVoucher, decommission, sale};
use crate::db::entity::device;
use crate::db::entity::voucher::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};
use crate::inventory::certificates::{self, Holder};
use crate::inventory::{self, DeviceState, NewDevice};
use crate::keys;

impl TryFrom<Model> for StoredVoucher {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("voucher.{column} holds an impossible value"));
        let guid = |text: &str| text.parse::<Guid>().map_err(|_| bad("guid"));
        Ok(Self {
            guid: guid(&row.guid)?,
            state: State::from_name(&row.state).ok_or_else(|| bad("state"))?,
            entries: u32::try_from(row.entries).map_err(|_| bad("entries"))?,
            replaced_by: row.replaced_by.as_deref().map(guid).transpose()?,
            register_at: row.register_at.map(unsigned),
            created: unsigned(row.created),
            updated: unsigned(row.updated),
            device_id: row.device_id,
            owner_key: row.owner_key,
            maker_key: row.maker_key,
            trusted: row.trusted,
            hash: row.hash,
        })
    }
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    New,
    /// It was here, byte for byte.
    Same,
    /// A longer chain of the same voucher took its place.
    Extended,
}

/// Writes a voucher and its device, inside the caller's transaction; the rendezvous is due at once.
pub async fn import(conn: &impl ConnectionTrait, now: u64, accepted: &AcceptedVoucher) -> Result<Imported, Error> {
    let voucher = &accepted.voucher;
    let row = row(voucher, &accepted.device_id, State::Imported, accepted.trusted, now);
    // Two at once: the second waits here, then finds the first one's row.
    let inserted = Entity::insert(row).on_conflict_do_nothing().exec_without_returning(conn).await?;
    if matches!(inserted, TryInsertResult::Inserted(1..)) {
        settle_device(conn, now, accepted).await?;
        list_certificates(conn, now, accepted).await?;
        return Ok(Imported::New);
    }
    let guid = voucher.guid();
    let stored = locked(conn, &guid).await?.ok_or(Error::NotFound(guid))?;
    let is_delivered = stored.state == State::Delivered.name();
    if stored.hash == hash(voucher.bytes()) {
        return if is_delivered { Err(Error::SoldOn(guid)) } else { Ok(Imported::Same) };
    }
    let earlier = Voucher::from_bytes(&stored.bytes)?;
    let longer = voucher.entries().len() > earlier.entries().len() && voucher.continues(&earlier);
    let extensible = [State::Imported, State::Sold, State::Delivered].map(State::name);
    if !longer || !extensible.contains(&stored.state.as_str()) {
        return Err(Error::Fork(guid));
    }
    if stored.state != State::Imported.name() {
        // Only whom it was sold to can have gone on with the chain: it comes back.
        sale::take_back(conn, now, &guid, accepted).await?;
        list_certificates(conn, now, accepted).await?;
    }
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Imported.name()))
        .col_expr(Column::BlockedFrom, Expr::value(None::<String>))
        .col_expr(Column::Bytes, Expr::value(voucher.bytes().to_vec()))
        .col_expr(Column::Hash, Expr::value(hash(voucher.bytes())))
        .col_expr(Column::OwnerKey, Expr::value(keys::fingerprint(voucher.owner_key())))
        .col_expr(Column::Entries, Expr::value(entries(voucher)))
        .col_expr(Column::RegisterAt, Expr::value(signed(now)))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .exec(conn)
        .await?;
    Ok(Imported::Extended)
}

/// The device's certificate and the CAs above it become part of the inventory.
async fn list_certificates(
    conn: &impl ConnectionTrait,
    now: u64,
    accepted: &AcceptedVoucher,
) -> Result<(), Error> {
    let guid = accepted.voucher.guid().to_string();
    let holder = Holder { device_id: Some(&accepted.device_id), serial: accepted.serial(), guid: Some(&guid) };
    let certificates = accepted.voucher.certificates().unwrap_or_default().iter().map(|der| &der[..]);
    Ok(certificates::record(conn, &certificates::gather::chain(certificates, holder, now)).await?)
}

/// The device of a new voucher: new too, or made again by the same maker under another GUID.
async fn settle_device(conn: &impl ConnectionTrait, now: u64, accepted: &AcceptedVoucher) -> Result<(), Error> {
    let voucher = &accepted.voucher;
    let owner_key = accepted.owner_key_type().to_string();
    let Some(device) = inventory::find(conn, &accepted.device_id).await? else {
        return new_device(conn, now, accepted).await;
    };
    if device.state == DeviceState::Sold {
        return Err(Error::SaleOpen(device.guid));
    }
    let maker_key = keys::fingerprint(voucher.manufacturer_key());
    let earlier = Entity::find()
        .filter(Column::DeviceId.eq(&accepted.device_id))
        .filter(Column::Guid.ne(voucher.guid().to_string()))
        .all(conn)
        .await?;
    // Whoever knows a device's public certificate could otherwise take over its row here with a voucher of their own.
    if !accepted.trusted || !earlier.iter().any(|row| row.maker_key == maker_key) {
        return Err(Error::OtherMaker(device.guid));
    }
    archive(now)
        .filter(Column::DeviceId.eq(&accepted.device_id))
        .filter(Column::Guid.ne(voucher.guid().to_string()))
        .exec(conn)
        .await?;
    // Made again, it is still the device that an operator stopped.
    let state = match device.state {
        DeviceState::Blocked => block_all(conn, now, &device.id).await.map(|()| DeviceState::Blocked)?,
        DeviceState::Decommissioned => {
            decommission::decommission(conn, now, &device.id).await.map(|()| DeviceState::Decommissioned)?
        }
        _ => DeviceState::Imported,
    };
    Ok(inventory::move_to(conn, now, &device.id, &voucher.guid(), &owner_key, state).await?)
}

/// The device's row, as its voucher tells of it.
pub(super) async fn new_device(
    conn: &impl ConnectionTrait,
    now: u64,
    accepted: &AcceptedVoucher,
) -> Result<(), Error> {
    let voucher = &accepted.voucher;
    let new = NewDevice {
        id: &accepted.device_id,
        serial: accepted.serial(),
        guid: voucher.guid(),
        model: accepted.asserted.model.as_deref().or(Some(&voucher.header().device_info)),
        device_info: &voucher.header().device_info,
        owner_key: &accepted.owner_key_type().to_string(),
        maker: accepted.asserted.maker.as_deref(),
    };
    Ok(inventory::insert(conn, now, &new).await?)
}

fn archive(now: u64) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Archived.name()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
}

fn row(voucher: &VerifiedVoucher, device_id: &str, state: State, trusted: bool, now: u64) -> ActiveModel {
    ActiveModel {
        guid: Set(voucher.guid().to_string()),
        device_id: Set(device_id.to_owned()),
        state: Set(state.name().to_owned()),
        blocked_from: Set(None),
        owner_key: Set(keys::fingerprint(voucher.owner_key())),
        maker_key: Set(keys::fingerprint(voucher.manufacturer_key())),
        trusted: Set(trusted),
        entries: Set(entries(voucher)),
        bytes: Set(voucher.bytes().to_vec()),
        hash: Set(hash(voucher.bytes())),
        replaced_by: Set(None),
        register_at: Set((state == State::Imported).then(|| signed(now))),
        created: Set(signed(now)),
        updated: Set(signed(now)),
    }
}

fn entries(voucher: &VerifiedVoucher) -> i32 {
    i32::try_from(voucher.entries().len()).unwrap_or(i32::MAX)
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

pub(super) fn is_in_use() -> Expr {
    Column::State.is_in(State::IN_USE.map(State::name))
}

/// The row, locked until the transaction ends.
pub(super) async fn locked(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<Model>, DbErr> {
    let query = Entity::find_by_id(guid.to_string());
    let query = if database::is_postgres(conn) { query.lock_exclusive() } else { query };
    query.one(conn).await
}

/// The voucher that TO2 with this GUID begins with: one SELECT. None where the GUID is unknown, or not in use.
pub async fn find_for_onboarding(
    conn: &impl ConnectionTrait,
    guid: &Guid,
) -> Result<Option<VerifiedVoucher>, Error> {
    let found: Option<Vec<u8>> = Entity::find_by_id(guid.to_string())
        .select_only()
        .column(Column::Bytes)
        .filter(is_in_use())
        .into_tuple()
        .one(conn)
        .await?;
    Ok(found.map(|bytes| VerifiedVoucher::trust_stored(&bytes)).transpose()?)
}

/// What is known of a voucher.
pub async fn find_by_guid(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<StoredVoucher>, Error> {
    let row = Entity::find_by_id(guid.to_string()).one(conn).await?;
    Ok(row.map(StoredVoucher::try_from).transpose()?)
}

/// Its bytes in CBOR.
pub async fn bytes(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<Vec<u8>>, Error> {
    Ok(Entity::find_by_id(guid.to_string()).one(conn).await?.map(|row| row.bytes))
}

/// Vouchers in the order of their GUIDs.
pub async fn list(
    conn: &impl ConnectionTrait,
    state: Option<State>,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<StoredVoucher>, Error> {
    let mut query = Entity::find().order_by_asc(Column::Guid).limit(limit);
    if let Some(state) = state {
        query = query.filter(Column::State.eq(state.name()));
    }
    if let Some(after) = after {
        query = query.filter(Column::Guid.gt(after));
    }
    Ok(query.all(conn).await?.into_iter().map(StoredVoucher::try_from).collect::<Result<_, _>>()?)
}

/// What a script asks for, as bytes and the times of making and change, and how many there are in all. Those of
/// GUIDs that devices no longer have, and of devices that their new owners have, are not among them.
pub async fn select(
    conn: &impl ConnectionTrait,
    wanted: &Wanted,
) -> Result<(Vec<(Vec<u8>, u64, u64)>, u64), Error> {
    let like =
        |column: Expr, text: &str| Expr::from(Func::lower(column)).like(format!("%{}%", text.to_lowercase()));
    let digits =
        || Expr::from(Func::cust("REPLACE").args([Expr::col(Column::Guid), Expr::value("-"), Expr::value("")]));
    let device_info = |text: &str| {
        let devices = Query::select()
            .column(device::Column::Id)
            .from(device::Entity)
            .and_where(like(Expr::col(device::Column::DeviceInfo), text))
            .take();
        Column::DeviceId.in_subquery(devices)
    };
    let over = [State::Replaced.name(), State::Archived.name(), State::Delivered.name()];
    let mut query = Entity::find().filter(Column::State.is_not_in(over));
    if let Some(guid) = wanted.guid {
        query = query.filter(Column::Guid.eq(guid.to_string()));
    }
    if let Some(text) = &wanted.device_info {
        query = query.filter(device_info(text));
    }
    if let Some(text) = &wanted.search {
        query = query.filter(Condition::any().add(device_info(text)).add(like(digits(), text)));
    }
    let total = query.clone().count(conn).await?;
    let order = if wanted.descending { Order::Desc } else { Order::Asc };
    let query = match wanted.sort_by {
        SortBy::CreatedAt => query.order_by(Column::Created, order),
        SortBy::UpdatedAt => query.order_by(Column::Updated, order),
        SortBy::Guid => query.order_by(Column::Guid, order),
        SortBy::DeviceInfo => {
            let of = Query::select()
                .column(device::Column::DeviceInfo)
                .from(device::Entity)
                .and_where(Expr::col((device::Entity, device::Column::Id)).equals((Entity, Column::DeviceId)))
                .take();
            query.order_by(Expr::SubQuery(None, Box::new(of.into())), order)
        }
    };
    let rows =
        query.order_by_asc(Column::Guid).limit(wanted.window.limit).offset(wanted.window.offset).all(conn).await?;
    let rows = rows.into_iter().map(|row| (row.bytes, unsigned(row.created), unsigned(row.updated)));
    Ok((rows.collect(), total))
}

/// TO2 ended (70) with a new GUID: keeps its voucher, which `next` makes of the old one. The old one may be used until
/// the device is seen with the new GUID. Neither is renewed at the rendezvous: the present registration lasts long
/// enough for a lost 71.
pub async fn replace(
    conn: &impl ConnectionTrait,
    now: u64,
    old: &Guid,
    next: impl FnOnce(&VerifiedVoucher) -> Result<VerifiedVoucher, fdo_protocol::Error>,
) -> Result<(), Error> {
    let row_of_old = locked(conn, old).await?.ok_or(Error::NotFound(*old))?;
    let new = next(&VerifiedVoucher::trust_stored(&row_of_old.bytes)?)?;
    let stored = StoredVoucher::try_from(row_of_old)?;
    if !stored.state.is_in_use() {
        return Err(Error::NotInUse(*old, stored.state));
    }
    if let Some(unseen) = stored.replaced_by {
        // Its 71 was lost and the device came back with the old GUID: it never took that one up.
        archive(now).filter(Column::Guid.eq(unseen.to_string())).exec(conn).await?;
    }
    Entity::insert(row(&new, &stored.device_id, State::Onboarded, stored.trusted, now))
        .exec_without_returning(conn)
        .await?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Replaced.name()))
        .col_expr(Column::ReplacedBy, Expr::value(new.guid().to_string()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Guid.eq(old.to_string()))
        .exec(conn)
        .await?;
    Ok(())
}

/// TO2 ended (70) and the device keeps its credential.
pub async fn reuse(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<(), Error> {
    let updated = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Onboarded.name()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .filter(is_in_use())
        .exec(conn)
        .await?;
    if updated.rows_affected == 0 {
        let stored = find_by_guid(conn, guid).await?.ok_or(Error::NotFound(*guid))?;
        return Err(Error::NotInUse(*guid, stored.state));
    }
    Ok(())
}

/// The device proved itself under this GUID: what it replaced is over.
pub async fn confirm_seen(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<(), Error> {
    archive(now).filter(Column::ReplacedBy.eq(guid.to_string())).exec(conn).await?;
    Ok(())
}

/// An operator stops the device of a voucher, or lets it go on from where it stood: with none of its GUIDs it gets
/// through TO2, and TO0 is not renewed.
pub async fn set_blocked(conn: &impl ConnectionTrait, now: u64, guid: &Guid, blocked: bool) -> Result<(), Error> {
    let stored = find_by_guid(conn, guid).await?.ok_or(Error::NotFound(*guid))?;
    if !stored.state.is_in_use() && stored.state != State::Blocked {
        return Err(Error::NotInUse(*guid, stored.state));
    }
    // The device's row comes first, as at 70: an onboarding that is being committed is either waited for or refused.
    inventory::set_blocked(conn, now, &stored.device_id, blocked).await?;
    if blocked {
        block_all(conn, now, &stored.device_id).await
    } else {
        resume(conn, now, &stored.device_id, State::Blocked).await
    }
}

async fn block_all(conn: &impl ConnectionTrait, now: u64, device_id: &str) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::BlockedFrom, Expr::col(Column::State))
        .col_expr(Column::State, Expr::value(State::Blocked.name()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::DeviceId.eq(device_id))
        .filter(is_in_use())
        .exec(conn)
        .await?;
    Ok(())
}

/// What was stopped goes on from where it stood; only what was never onboarded is registered again.
pub(super) async fn resume(
    conn: &impl ConnectionTrait,
    now: u64,
    device_id: &str,
    stopped: State,
) -> Result<(), Error> {
    let imported = State::Imported.name();
    let before = || Func::coalesce([Expr::col(Column::BlockedFrom), Expr::value(imported)]);
    let stopped = Column::DeviceId.eq(device_id).and(Column::State.eq(stopped.name()));
    Entity::update_many()
        .col_expr(Column::RegisterAt, Expr::value(signed(now)))
        .filter(stopped.clone())
        .filter(Expr::from(before()).eq(imported))
        .exec(conn)
        .await?;
    Entity::update_many()
        .col_expr(Column::State, before().into())
        .col_expr(Column::BlockedFrom, Expr::value(None::<String>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(stopped)
        .exec(conn)
        .await?;
    Ok(())
}

/// GUIDs that the rendezvous is to be told of now, the longest due first.
pub async fn due_for_registration(conn: &impl ConnectionTrait, now: u64, limit: u64) -> Result<Vec<Guid>, Error> {
    let due: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Guid)
        .filter(Column::RegisterAt.lte(signed(now)))
        .filter(is_in_use())
        .order_by_asc(Column::RegisterAt)
        .limit(limit)
        .into_tuple()
        .all(conn)
        .await?;
    let bad = |_| DbErr::Type("voucher.guid holds an impossible value".to_owned());
    Ok(due.iter().map(|guid| guid.parse().map_err(bad)).collect::<Result<_, DbErr>>()?)
}

/// When the rendezvous is to be told next; `None` for never.
pub async fn set_registration(conn: &impl ConnectionTrait, guid: &Guid, next: Option<u64>) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::RegisterAt, Expr::value(next.map(signed)))
        .filter(Column::Guid.eq(guid.to_string()))
        .exec(conn)
        .await?;
    Ok(())
}
