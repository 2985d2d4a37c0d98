//! Rows of IDevIDs: serial number and to-be-signed bytes are stored before the signature is made.

use fdo_pki::ToBeSigned;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, PaginatorTrait, QueryOrder};

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

/// The certificates of a key under a serial, the newest first; whatever was never signed is none.
pub(super) async fn list_signed(
    conn: &impl ConnectionTrait,
    canon: &str,
    spki_sha256: &[u8; 32],
) -> Result<Vec<Vec<u8>>, DbErr> {
    let signed = row::Entity::find()
        .filter(row::Column::Canon.eq(canon))
        .filter(row::Column::SpkiSha256.eq(spki_sha256.to_vec()))
        .filter(row::Column::Der.is_not_null())
        .order_by_desc(row::Column::Created);
    Ok(signed.all(conn).await?.into_iter().filter_map(|certificate| certificate.der).collect())
}

/// Whether a device with another serial has this key in its voucher.
pub(super) async fn key_used_by_another(
    conn: &impl ConnectionTrait,
    spki_sha256: &[u8; 32],
    canon: &str,
) -> Result<bool, DbErr> {
    let same_key = row::Entity::find()
        .filter(row::Column::SpkiSha256.eq(spki_sha256.to_vec()))
        .filter(row::Column::Canon.ne(canon));
    for certificate in same_key.all(conn).await? {
        let vouchers = voucher::Entity::find().filter(voucher::Column::CertificateSerial.eq(certificate.serial));
        if vouchers.count(conn).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets the certificates of abandoned attempts: they never left this service, since only a voucher carries one.
pub(super) async fn forget_unused(conn: &impl ConnectionTrait, canon: &str, kept: &str) -> Result<(), DbErr> {
    let of_serial = row::Entity::find().filter(row::Column::Canon.eq(canon)).filter(row::Column::Serial.ne(kept));
    for certificate in of_serial.all(conn).await? {
        let serial = certificate.serial;
        let vouchers = voucher::Entity::find().filter(voucher::Column::CertificateSerial.eq(serial.clone()));
        if vouchers.count(conn).await? == 0 {
            row::Entity::delete_by_id(serial).exec(conn).await?;
        }
    }
    Ok(())
}
