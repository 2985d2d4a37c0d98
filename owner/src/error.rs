//! Why the service does not start, and each slice's errors as problem+json.

use fdo_service::database::DatabaseError;
use fdo_service::host::HostError;
use fdo_service::host::tls::TlsError;
use fdo_service::operators::OperatorError;
use fdo_service::outbound::OutboundError;
use fdo_service::problem::Problem;

use crate::config::SettingError;
use crate::keys::KeyError;
use crate::vouchers::upload::ImportError;
use crate::{inventory, networks, trust, vouchers};

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    DataDir(#[from] std::io::Error),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Operators(#[from] OperatorError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Host(#[from] HostError),
}

impl From<inventory::Error> for Problem {
    fn from(error: inventory::Error) -> Self {
        let detail = error.to_string();
        match error {
            inventory::Error::NotFound(_) => Self::not_found("device-unknown", detail),
            inventory::Error::Ambiguous(_) => Self::conflict("serial-ambiguous", detail),
            inventory::Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<trust::Error> for Problem {
    fn from(error: trust::Error) -> Self {
        let detail = error.to_string();
        match error {
            trust::Error::Key(_) | trust::Error::Certificate(_) => Self::unprocessable("trust-unusable", detail),
            trust::Error::NotFound(_) => Self::not_found("trust-unknown", detail),
            trust::Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<vouchers::Error> for Problem {
    fn from(error: vouchers::Error) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            vouchers::Error::NotFound(_) => Self::not_found(code, detail),
            vouchers::Error::Fork(_) | vouchers::Error::OtherMaker(_) | vouchers::Error::NotInUse(..) => {
                Self::conflict(code, detail)
            }
            vouchers::Error::Database(_) | vouchers::Error::Inventory(_) => Self::internal(&error),
            _ => Self::unprocessable(code, detail),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::File(_) => Self::bad_request("voucher-file", error.to_string()),
            ImportError::Trust(error) => error.into(),
        }
    }
}

impl From<networks::Error> for Problem {
    fn from(error: networks::Error) -> Self {
        let detail = error.to_string();
        match error {
            networks::Error::NotFound(_) => Self::not_found("network-unknown", detail),
            networks::Error::Exists(_) => Self::conflict("network-exists", detail),
            networks::Error::Field(..) => Self::unprocessable("network-field", detail),
            networks::Error::Sealed(_) | networks::Error::Database(_) => Self::internal(&error),
        }
    }
}
