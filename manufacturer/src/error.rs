//! The slices' errors at the edge: problem+json for operators.

use fdo_service::problem::Problem;

use crate::allocations::AllocationError;
use crate::buyers::BuyerError;
use crate::claims::ExtendError;
use crate::csv::CsvError;
use crate::devices::DeviceError;
use crate::keys::KeyError;

impl From<DeviceError> for Problem {
    fn from(error: DeviceError) -> Self {
        let detail = error.to_string();
        match error {
            DeviceError::Unknown(_) => Self::not_found("serial-unknown", detail),
            DeviceError::NotInitialized(_) => Self::conflict("not-initialized", detail),
            DeviceError::Blocked(_) => Self::conflict("device-blocked", detail),
            DeviceError::Serial(_) => Self::unprocessable("serial", detail),
            DeviceError::Database(error) => error.into(),
        }
    }
}

impl From<BuyerError> for Problem {
    fn from(error: BuyerError) -> Self {
        let detail = error.to_string();
        match error {
            BuyerError::Unknown(_) => Self::not_found("buyer-unknown", detail),
            BuyerError::Exists(_) => Self::conflict("buyer-exists", detail),
            BuyerError::Name => Self::unprocessable("name", detail),
            BuyerError::CodeInvalid => Self::forbidden("code-invalid", detail),
            BuyerError::KeyElsewhere => Self::conflict("key-elsewhere", detail),
            BuyerError::Suspended => Self::forbidden("buyer-suspended", detail),
            BuyerError::Key(error) => Self::internal(&error),
            BuyerError::Database(error) => error.into(),
        }
    }
}

impl From<AllocationError> for Problem {
    fn from(error: AllocationError) -> Self {
        let detail = error.to_string();
        match error {
            AllocationError::NotAllocated(_) => Self::not_found("not-allocated", detail),
            AllocationError::Claimed(_) => Self::conflict("claimed", detail),
            AllocationError::Device(error) => error.into(),
            AllocationError::Buyer(error) => error.into(),
            AllocationError::Database(error) => error.into(),
        }
    }
}

impl From<CsvError> for Problem {
    fn from(error: CsvError) -> Self {
        Self::unprocessable("csv", error.to_string())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::internal(&error)
    }
}

impl From<ExtendError> for Problem {
    fn from(error: ExtendError) -> Self {
        let detail = error.to_string();
        match error {
            ExtendError::NotFound(_) => Self::not_found("voucher-unknown", detail),
            ExtendError::Blocked(_) => Self::conflict("device-blocked", detail),
            ExtendError::Allocated(_) => Self::conflict("allocated", detail),
            ExtendError::OtherKey { .. } => Self::conflict("extended-elsewhere", detail),
            ExtendError::KeyType { .. } => Self::unprocessable("key-type", detail),
            ExtendError::Claim(error) => Self::internal(&error),
        }
    }
}
