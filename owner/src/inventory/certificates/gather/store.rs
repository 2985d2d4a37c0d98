//! What other tables know of certificates: the CA's, vouchers', pins.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{JoinType, QueryOrder, QuerySelect, Select};

use crate::db::entity::{authority, certificate, device, inventory_certificate, trusted_key, voucher};
use crate::db::{signed, unsigned};
use crate::inventory::certificates::Standing;

const REVOKED: &str = "revoked";

/// A certificate that the CA issued.
pub(super) struct Issued {
    pub serial: String,
    pub device_id: String,
    pub device_serial: Option<String>,
    pub guid: String,
    pub profile: String,
    pub der: Vec<u8>,
    pub created: u64,
    pub updated: u64,
    pub confirmed: bool,
    pub revoked: bool,
    pub reason: Option<String>,
}

fn issued(row: certificate::Model) -> Issued {
    Issued {
        confirmed: row.session.is_none(),
        revoked: row.state == REVOKED,
        der: row.der.unwrap_or_default(),
        created: unsigned(row.created),
        updated: unsigned(row.updated),
        serial: row.serial,
        device_id: row.device_id,
        device_serial: row.device_serial,
        guid: row.guid,
        profile: row.profile,
        reason: row.reason,
    }
}

fn signed_ones() -> Select<certificate::Entity> {
    certificate::Entity::find().filter(certificate::Column::Der.is_not_null())
}

/// Those whose records changed after a time and a serial, in that order.
pub(super) async fn changed(
    conn: &impl ConnectionTrait,
    after: Option<(u64, String)>,
    limit: u64,
) -> Result<Vec<Issued>, DbErr> {
    use certificate::Column::{Serial, Updated};
    let mut query = signed_ones().order_by_asc(Updated).order_by_asc(Serial).limit(limit);
    if let Some((updated, serial)) = after {
        let here = Expr::tuple([Expr::col(Updated), Expr::col(Serial)]);
        query = query.filter(here.gt(Expr::tuple([Expr::value(signed(updated)), Expr::value(serial)])));
    }
    Ok(query.all(conn).await?.into_iter().map(issued).collect())
}

fn with_list() -> Select<certificate::Entity> {
    use certificate::Column::Fingerprint;
    use inventory_certificate::Column::Fingerprint as Listed;
    let on = certificate::Entity::belongs_to(inventory_certificate::Entity).from(Fingerprint).to(Listed).into();
    signed_ones().join(JoinType::LeftJoin, on)
}

fn listed_as() -> Expr {
    Expr::col((inventory_certificate::Entity, inventory_certificate::Column::Status))
}

/// Those whose records changed since then and that are not listed as they stand.
pub(super) async fn missed(conn: &impl ConnectionTrait, since: u64, limit: u64) -> Result<Vec<Issued>, DbErr> {
    use certificate::Column::{Serial, State, Updated};
    let revoked = State.eq(REVOKED).and(listed_as().ne(Standing::Revoked.name()));
    let query = with_list()
        .filter(Updated.gte(signed(since)))
        .filter(listed_as().is_null().or(revoked))
        .order_by_asc(Updated)
        .order_by_asc(Serial)
        .limit(limit);
    Ok(query.all(conn).await?.into_iter().map(issued).collect())
}

/// Those listed as pending whose TO2 has ended.
pub(super) async fn settled(conn: &impl ConnectionTrait, limit: u64) -> Result<Vec<Issued>, DbErr> {
    use certificate::Column::{Session, State};
    let query = with_list()
        .filter(listed_as().eq(Standing::Pending.name()))
        .filter(Session.is_null().or(State.eq(REVOKED)))
        .limit(limit);
    Ok(query.all(conn).await?.into_iter().map(issued).collect())
}

/// A device's voucher.
pub(super) struct Held {
    pub guid: String,
    pub device_id: String,
    pub serial: Option<String>,
    pub bytes: Vec<u8>,
    pub created: u64,
}

/// The vouchers that devices have now, in the order of their GUIDs.
pub(super) async fn vouchers(
    conn: &impl ConnectionTrait,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<Held>, DbErr> {
    let on =
        voucher::Entity::belongs_to(device::Entity).from(voucher::Column::Guid).to(device::Column::Guid).into();
    let mut query = voucher::Entity::find()
        .select_only()
        .columns([voucher::Column::Guid, voucher::Column::DeviceId])
        .column(device::Column::Serial)
        .columns([voucher::Column::Bytes, voucher::Column::Created])
        .join(JoinType::InnerJoin, on)
        .order_by_asc(voucher::Column::Guid)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(voucher::Column::Guid.gt(after));
    }
    type Row = (String, String, Option<String>, Vec<u8>, i64);
    let rows: Vec<Row> = query.into_tuple().all(conn).await?;
    let held = |(guid, device_id, serial, bytes, created)| Held {
        guid,
        device_id,
        serial,
        bytes,
        created: unsigned(created),
    };
    Ok(rows.into_iter().map(held).collect())
}

/// The CAs of this owner that devices may still meet.
pub(super) async fn authorities(conn: &impl ConnectionTrait) -> Result<Vec<(String, Vec<u8>)>, DbErr> {
    let rows = authority::Entity::find().filter(authority::Column::State.ne("retired")).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.certificate)).collect())
}

/// A pinned key or CA.
pub(super) struct Pin {
    pub is_ca: bool,
    pub name: String,
    pub der: Vec<u8>,
}

pub(super) async fn pins(conn: &impl ConnectionTrait) -> Result<Vec<Pin>, DbErr> {
    let rows = trusted_key::Entity::find().all(conn).await?;
    Ok(rows.into_iter().map(|row| Pin { is_ca: row.kind == "device-ca", name: row.name, der: row.der }).collect())
}
