//! Why the service does not start, and each slice's errors as problem+json.

use fdo_service::database::DatabaseError;
use fdo_service::host::HostError;
use fdo_service::host::tls::TlsError;
use fdo_service::operators::OperatorError;
use fdo_service::outbound::OutboundError;

use crate::config::SettingError;
use crate::keys::KeyError;

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
