//! DI once more: a device whose DI was cut short before it had stored its credential comes again with the same key.
//!
//! It gets a new GUID under its old certificate, for an hour and as long as nobody was given the voucher before.

use fdo_protocol::Guid;
use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::voucher::VerifiedVoucher;
use fdo_service::database::{ConnectionTrait, DbErr};
use fdo_service::endpoint::Fault;

use crate::allocations;
use crate::devices::{Device, DeviceState};
use crate::vouchers::{self, StoredVoucher, VoucherState};

/// A request recorded at the line is good for a second birth only so long after the voucher was made: time enough to
/// switch the device on again, and too short for whoever finds the recording later.
pub(super) const WINDOW_SECONDS: u64 = 3600;

/// The device's voucher, if it certifies `key` and may still be replaced.
pub(super) async fn unfinished(
    conn: &impl ConnectionTrait,
    device: Option<&Device>,
    key: &VerifyingKey,
    now: u64,
) -> Result<Option<StoredVoucher>, Fault> {
    let failed = |error: DbErr| Fault::internal(&error);
    let Some(guid) = device.and_then(|device| device.guid) else { return Ok(None) };
    if replaceable(conn, device, &guid, now).await.map_err(failed)?.is_err() {
        return Ok(None);
    }
    let Some(voucher) = vouchers::store::find(conn, &guid).await.map_err(failed)? else { return Ok(None) };
    let verified = VerifiedVoucher::trust_stored(&voucher.bytes)?;
    Ok((verified.device_key() == key).then_some(voucher))
}

/// Whether `guid` is still the device's and was given to nobody; else the reason. Under the device's lock it stays so,
/// since a claim takes that lock too.
pub(super) async fn replaceable(
    conn: &impl ConnectionTrait,
    device: Option<&Device>,
    guid: &Guid,
    now: u64,
) -> Result<Result<(), String>, DbErr> {
    if !device.is_some_and(|device| device.state == DeviceState::Initialized && device.guid == Some(*guid)) {
        return Ok(Err(format!("{guid} is no longer the device's GUID, or the device is blocked")));
    }
    let voucher = vouchers::store::find(conn, guid).await?;
    let Some(voucher) = voucher.filter(|voucher| voucher.state == VoucherState::Active) else {
        return Ok(Err(format!("the voucher of {guid} is blocked")));
    };
    if now.saturating_sub(voucher.created) > WINDOW_SECONDS {
        return Ok(Err(format!("the voucher of {guid} is too old; an operator must release the serial number")));
    }
    if allocations::store::is_claimed(conn, guid).await? {
        return Ok(Err(format!("the voucher of {guid} is claimed; an operator must release the serial number")));
    }
    Ok(Ok(()))
}
