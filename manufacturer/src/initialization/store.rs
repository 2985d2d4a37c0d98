//! Rows of IDevIDs: serial number and to-be-signed bytes are stored before the signature is made.

use fdo_pki::ToBeSigned;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SelectStatement;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder, QuerySelect, QueryTrait};

use crate::db::entity::{certificate as row, voucher};
use crate::db::signed;

pub(super) async fn insert(
    conn: &impl ConnectionTrait,
    canon: &str,
    tbs: &ToBeSigned,
    issuer: &str,
    now: u64,
) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        serial: Set(tbs.serial().to_string()),
        canon: Set(canon.to_owned()),
        subject: Set(tbs.subject().to_owned()),
        issuer: Set(issuer.to_owned()),
        spki_sha256: Set(tbs.spki_sha256().to_vec()),
        tbs: Set(tbs.der().to_vec()),
        der: Set(None),
        not_after: Set(signed(tbs.not_after())),
        created: Set(signed(now)),
    };
    row::Entity::insert(row).exec_without_returning(conn).await.map(|_| ())
}

pub(super) async fn set_signed(conn: &impl ConnectionTrait, serial: &str, der: &[u8]) -> Result<(), DbErr> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Der, Expr::value(der.to_vec()))
        .filter(row::Column::Serial.eq(serial));
    update.exec(conn).await.map(|_| ())
}

/// The certificates of a key under a serial, the newest first; whatever was never signed is none. One that no voucher
/// carries must be from `since` or later, so that it is not swept before it is in one.
pub(super) async fn list_signed(
    conn: &impl ConnectionTrait,
    canon: &str,
    spki_sha256: &[u8; 32],
    since: u64,
) -> Result<Vec<Vec<u8>>, DbErr> {
    let signed = row::Entity::find()
        .filter(row::Column::Canon.eq(canon))
        .filter(row::Column::SpkiSha256.eq(spki_sha256.to_vec()))
        .filter(row::Column::Der.is_not_null())
        .filter(
            Condition::any()
                .add(row::Column::Created.gte(signed(since)))
                .add(row::Column::Serial.in_subquery(in_vouchers())),
        )
        .order_by_desc(row::Column::Created);
    Ok(signed.all(conn).await?.into_iter().filter_map(|certificate| certificate.der).collect())
}

/// Whether a device with another serial has this key in its voucher.
pub(super) async fn key_used_by_another(
    conn: &impl ConnectionTrait,
    spki_sha256: &[u8; 32],
    canon: &str,
) -> Result<bool, DbErr> {
    let used = row::Entity::find()
        .select_only()
        .column(row::Column::Serial)
        .filter(row::Column::SpkiSha256.eq(spki_sha256.to_vec()))
        .filter(row::Column::Canon.ne(canon))
        .filter(row::Column::Serial.in_subquery(in_vouchers()));
    Ok(used.limit(1).into_tuple::<String>().one(conn).await?.is_some())
}

/// Forgets the certificates of abandoned attempts: they never left this service, since only a voucher carries one.
pub(super) async fn forget_unused(conn: &impl ConnectionTrait, canon: &str, kept: &str) -> Result<(), DbErr> {
    let unused = row::Entity::delete_many()
        .filter(row::Column::Canon.eq(canon))
        .filter(row::Column::Serial.ne(kept))
        .filter(row::Column::Serial.not_in_subquery(in_vouchers()));
    unused.exec(conn).await.map(|_| ())
}

/// As [`forget_unused`] for all serials: the certificates made from `since` until before `until`.
pub(super) async fn sweep_unused(conn: &impl ConnectionTrait, since: u64, until: u64) -> Result<u64, DbErr> {
    let unused = row::Entity::delete_many()
        .filter(row::Column::Created.gte(signed(since)))
        .filter(row::Column::Created.lt(signed(until)))
        .filter(row::Column::Serial.not_in_subquery(in_vouchers()));
    Ok(unused.exec(conn).await?.rows_affected)
}

/// The certificates in vouchers of the same device, which its serial finds by an index.
fn in_vouchers() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    let same_device =
        Expr::col((voucher::Entity, voucher::Column::Canon)).equals((row::Entity, row::Column::Canon));
    let certificates = voucher::Entity::find().select_only().column(voucher::Column::CertificateSerial);
    certificates.filter(same_device).into_query()
}
