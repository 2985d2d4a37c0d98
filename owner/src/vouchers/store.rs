//! Rows of vouchers: import, the hot path of TO2, what replaces what, and when the rendezvous is due.

use fdo_protocol::Guid;
use fdo_protocol::voucher::{VerifiedVoucher, Voucher};
use fdo_service::database;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect, TryInsertResult};
use sha2::{Digest, Sha256};

use super::{AcceptedVoucher, Error, State, StoredVoucher};
use crate::db::entity::voucher::{ActiveModel, Column, Entity, Model};
use crate::db::{signed, unsigned};
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
        return Ok(Imported::New);
    }
    let guid = voucher.guid();
    let stored = locked(conn, &guid).await?.ok_or(Error::NotFound(guid))?;
    if stored.hash == hash(voucher.bytes()) {
        return Ok(Imported::Same);
    }
    let earlier = Voucher::from_bytes(&stored.bytes)?;
    let longer = voucher.entries().len() > earlier.entries().len() && voucher.continues(&earlier);
    if !longer || stored.state != State::Imported.name() {
        return Err(Error::Fork(guid));
    }
    Entity::update_many()
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

/// The device of a new voucher: new too, or made again by the same maker under another GUID.
async fn settle_device(conn: &impl ConnectionTrait, now: u64, accepted: &AcceptedVoucher) -> Result<(), Error> {
    let voucher = &accepted.voucher;
    let owner_key = accepted.owner_key_type().to_string();
    let Some(device) = inventory::find(conn, &accepted.device_id).await? else {
        let new = NewDevice {
            id: &accepted.device_id,
            serial: accepted.serial(),
            guid: voucher.guid(),
            model: accepted.asserted.model.as_deref().or(Some(&voucher.header().device_info)),
            device_info: &voucher.header().device_info,
            owner_key: &owner_key,
            maker: accepted.asserted.maker.as_deref(),
        };
        return Ok(inventory::insert(conn, now, &new).await?);
    };
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
    Ok(inventory::move_to(conn, now, &device.id, &voucher.guid(), &owner_key, DeviceState::Imported).await?)
}

fn archive(now: u64) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Archived.name()))
        .col_expr(Column::RegisterAt, Expr::value(None::<i64>))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::State.ne(State::Blocked.name()))
}

fn row(voucher: &VerifiedVoucher, device_id: &str, state: State, trusted: bool, now: u64) -> ActiveModel {
    ActiveModel {
        guid: Set(voucher.guid().to_string()),
        device_id: Set(device_id.to_owned()),
        state: Set(state.name().to_owned()),
        owner_key: Set(keys::fingerprint(voucher.owner_key())),
        maker_key: Set(keys::fingerprint(voucher.manufacturer_key())),
        trusted: Set(trusted),
        entries: Set(entries(voucher)),
        bytes: Set(voucher.bytes().to_vec()),
        hash: Set(hash(voucher.bytes())),
        replaced_by: Set(None),
        register_at: Set(Some(signed(now))),
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

/// The row, locked until the transaction ends.
async fn locked(conn: &impl ConnectionTrait, guid: &Guid) -> Result<Option<Model>, DbErr> {
    let query = Entity::find_by_id(guid.to_string());
    let query = if database::is_postgres(conn) { query.lock_exclusive() } else { query };
    query.one(conn).await
}

/// The voucher that TO2 with this GUID begins with: one SELECT. None where the GUID is unknown, archived or blocked.
pub async fn find_for_onboarding(
    conn: &impl ConnectionTrait,
    guid: &Guid,
) -> Result<Option<VerifiedVoucher>, Error> {
    let found: Option<Vec<u8>> = Entity::find_by_id(guid.to_string())
        .select_only()
        .column(Column::Bytes)
        .filter(Column::State.is_not_in([State::Archived.name(), State::Blocked.name()]))
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

/// TO2 ended (70) with a new GUID: keeps its voucher. The old one may be used until the device is seen with the new.
pub async fn replace(
    conn: &impl ConnectionTrait,
    now: u64,
    old: &Guid,
    new: &VerifiedVoucher,
) -> Result<(), Error> {
    let stored = StoredVoucher::try_from(locked(conn, old).await?.ok_or(Error::NotFound(*old))?)?;
    if matches!(stored.state, State::Archived | State::Blocked) {
        return Err(Error::NotInUse(*old, stored.state));
    }
    if let Some(unseen) = stored.replaced_by {
        // Its 71 was lost and the device came back with the old GUID: it never took that one up.
        archive(now).filter(Column::Guid.eq(unseen.to_string())).exec(conn).await?;
    }
    Entity::insert(row(new, &stored.device_id, State::Onboarded, stored.trusted, now))
        .exec_without_returning(conn)
        .await?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Replaced.name()))
        .col_expr(Column::ReplacedBy, Expr::value(new.guid().to_string()))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Guid.eq(old.to_string()))
        .exec(conn)
        .await?;
    let owner_key = new.owner_key().key_type().to_string();
    Ok(inventory::move_to(conn, now, &stored.device_id, &new.guid(), &owner_key, DeviceState::Onboarded).await?)
}

/// TO2 ended (70) and the device keeps its credential.
pub async fn reuse(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Onboarded.name()))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .filter(Column::State.is_not_in([State::Archived.name(), State::Blocked.name()]))
        .exec(conn)
        .await?;
    Ok(())
}

/// The device proved itself under this GUID: what it replaced is over.
pub async fn confirm_seen(conn: &impl ConnectionTrait, now: u64, guid: &Guid) -> Result<(), Error> {
    archive(now).filter(Column::ReplacedBy.eq(guid.to_string())).exec(conn).await?;
    Ok(())
}

/// An operator stops a device, or lets it go on: TO2 is refused at once, and TO0 is not renewed.
pub async fn set_blocked(conn: &impl ConnectionTrait, now: u64, guid: &Guid, blocked: bool) -> Result<(), Error> {
    let stored = StoredVoucher::try_from(locked(conn, guid).await?.ok_or(Error::NotFound(*guid))?)?;
    let (state, register_at) = match (stored.state, blocked) {
        (State::Archived, _) => return Err(Error::NotInUse(*guid, stored.state)),
        (State::Blocked, false) => (State::Imported, Some(signed(now))),
        (_, true) => (State::Blocked, None),
        (_, false) => return Ok(()),
    };
    Entity::update_many()
        .col_expr(Column::State, Expr::value(state.name()))
        .col_expr(Column::RegisterAt, Expr::value(register_at))
        .col_expr(Column::Updated, Expr::value(signed(now)))
        .filter(Column::Guid.eq(guid.to_string()))
        .exec(conn)
        .await?;
    let device = if blocked { DeviceState::Blocked } else { DeviceState::Imported };
    Ok(inventory::record_state(conn, now, guid, device, None, None).await?)
}

/// GUIDs that the rendezvous is to be told of now, the longest due first.
pub async fn due_for_registration(conn: &impl ConnectionTrait, now: u64, limit: u64) -> Result<Vec<Guid>, Error> {
    let due: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Guid)
        .filter(Column::RegisterAt.lte(signed(now)))
        .filter(Column::State.is_not_in([State::Archived.name(), State::Blocked.name()]))
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
