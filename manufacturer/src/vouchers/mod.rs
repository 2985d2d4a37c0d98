//! Ownership vouchers as DI left them, by GUID and by serial number.

pub mod routes;
pub mod store;

use fdo_protocol::Guid;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::voucher::Voucher;
use fdo_service::compat::vouchers::Wanted;
use fdo_service::database::{DatabaseConnection, DbErr};

/// Whether a voucher may still be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoucherState {
    Active,
    /// Its serial was released for another initialization, or its device was born again.
    Blocked,
}

impl VoucherState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Blocked].into_iter().find(|state| state.name() == name)
    }
}

/// A voucher without entries, and what is known beside it.
#[derive(Clone, Debug)]
pub struct StoredVoucher {
    pub guid: Guid,
    /// The serial in the form by which serials are compared.
    pub canon: String,
    pub serial: String,
    pub model: String,
    /// Type of the manufacturer's key, and so of every owner's.
    pub key_type: KeyType,
    /// The manufacturer's key as SubjectPublicKeyInfo.
    pub manufacturer_key: Vec<u8>,
    /// Serial number of the IDevID.
    pub certificate_serial: String,
    pub state: VoucherState,
    pub bytes: Vec<u8>,
    pub created: u64,
}

impl StoredVoucher {
    /// The voucher itself; an error means that the row was changed by another hand.
    pub fn voucher(&self) -> Result<Voucher, fdo_protocol::Error> {
        Voucher::from_bytes(&self.bytes)
    }
}

/// The vouchers of a service.
#[derive(Clone)]
pub struct Vouchers {
    db: DatabaseConnection,
}

impl Vouchers {
    pub fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }

    /// By GUID (with or without hyphens), else the newest of a serial in its compared form.
    pub async fn find(&self, guid: Option<Guid>, canon: Option<&str>) -> Result<Option<StoredVoucher>, DbErr> {
        if let Some(guid) = guid
            && let Some(found) = store::find(&self.db, &guid).await?
        {
            return Ok(Some(found));
        }
        match canon {
            Some(canon) => store::newest_of(&self.db, canon).await,
            None => Ok(None),
        }
    }

    /// The part of the list that a script asks for, and how many there are in all. Blocked ones are not among them.
    pub async fn select(&self, wanted: &Wanted) -> Result<(Vec<StoredVoucher>, u64), DbErr> {
        store::select(&self.db, wanted).await
    }

    /// In the order of their GUIDs.
    pub async fn list(&self, after: Option<String>, limit: u64) -> Result<Vec<StoredVoucher>, DbErr> {
        store::list(&self.db, after, limit).await
    }
}
