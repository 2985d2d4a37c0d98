//! Why the service does not start, and each slice's errors as problem+json.

use fdo_service::compat::CompatSettingsError;
use fdo_service::database::DatabaseError;
use fdo_service::host::HostError;
use fdo_service::host::tls::TlsError;
use fdo_service::operators::OperatorError;
use fdo_service::outbound::OutboundError;
use fdo_service::problem::Problem;
use fdo_service::secret_file::SecretFileError;

use crate::config::SettingError;
use crate::enrollment::est;
use crate::keys::KeyError;
use crate::manufacturers::CallError;
use crate::vouchers::upload::ImportError;
use crate::{
    admission, alerts, ca, claims, enrollment, files, inventory, manufacturers, networks, plans, redirect,
    registration, resale, serviceinfo, trust, uploads, vouchers,
};

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
    Ca(#[from] ca::OpenError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Operators(#[from] OperatorError),
    #[error(transparent)]
    Compat(#[from] CompatSettingsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the certificate of the transfer listener cannot be used: {0}")]
    Certificate(#[from] fdo_pki::Error),
    #[error(transparent)]
    Est(#[from] est::listener::Error),
    #[error("cannot read the secret of the admission webhook: {0}")]
    Admission(#[from] SecretFileError),
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

impl From<alerts::Error> for Problem {
    fn from(error: alerts::Error) -> Self {
        use alerts::Error;
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found("alert-unknown", detail),
            Error::Closed(_) => Self::conflict("alert-closed", detail),
            Error::Until => Self::unprocessable("alert-until", detail),
            Error::TargetUnknown(_) => Self::not_found("alert-target-unknown", detail),
            Error::TargetExists(_) => Self::conflict("alert-target-exists", detail),
            Error::Target(..) => Self::unprocessable("alert-target", detail),
            Error::Unsent(_) => Self::new(502, "alert-unsent", detail),
            Error::Days => Self::unprocessable("days", detail),
            Error::Sealed | Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<inventory::certificates::Error> for Problem {
    fn from(error: inventory::certificates::Error) -> Self {
        use inventory::certificates::Error;
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found("certificate-unknown", detail),
            Error::Fingerprint(_) => Self::bad_request("fingerprint", detail),
            Error::Search => Self::bad_request("search", detail),
            Error::Device(error) => error.into(),
            Error::NotUploaded(..) => Self::conflict("certificate-not-uploaded", detail),
            Error::PrivateKey => Self::unprocessable("private-key", detail),
            Error::Certificate(_) => Self::unprocessable("certificate", detail),
            Error::ProbeUnknown(_) => Self::not_found("probe-unknown", detail),
            Error::ProbeExists(_) => Self::conflict("probe-exists", detail),
            Error::Endpoint(_) => Self::unprocessable("endpoint", detail),
            Error::Interval => Self::unprocessable("interval", detail),
            Error::Database(_) => Self::internal(&error),
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
            vouchers::Error::Fork(_)
            | vouchers::Error::OtherMaker(_)
            | vouchers::Error::SoldOn(_)
            | vouchers::Error::SaleOpen(_)
            | vouchers::Error::NotInUse(..) => Self::conflict(code, detail),
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

impl From<files::Error> for Problem {
    fn from(error: files::Error) -> Self {
        let detail = error.to_string();
        match error {
            files::Error::NotFound(_) => Self::not_found("file-unknown", detail),
            files::Error::Name => Self::unprocessable("file-name", detail),
            files::Error::Digest => Self::unprocessable("file-digest", detail),
            files::Error::Folder(files::FolderError::TooLarge(_)) => Self::new(413, "file-too-large", detail),
            files::Error::Folder(files::FolderError::CutShort(_)) => Self::bad_request("file-cut-short", detail),
            files::Error::Folder(files::FolderError::Io { .. }) | files::Error::Database(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<uploads::Error> for Problem {
    fn from(error: uploads::Error) -> Self {
        match error {
            uploads::Error::NotFound(_) => Self::not_found("upload-unknown", error.to_string()),
            other => Self::internal(&other),
        }
    }
}

impl From<ca::authorities::rollover::Error> for Problem {
    fn from(error: ca::authorities::rollover::Error) -> Self {
        use ca::authorities::rollover::Error;
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found("ca-unknown", detail),
            Error::RootSecret => Self::unprocessable("ca-root-secret", detail),
            Error::Chain(_) | Error::Key(_) | Error::OtherKey | Error::Id => {
                Self::unprocessable("ca-unusable", detail)
            }
            Error::Known(_) => Self::conflict("ca-known", detail),
            Error::InUse { .. } => Self::conflict("ca-in-use", detail),
            Error::RootGone
            | Error::Standing { .. }
            | Error::Below { .. }
            | Error::Named { .. }
            | Error::TooMany => Self::conflict("ca-standing", detail),
            Error::Pki(_) | Error::Reload(_) | Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<enrollment::external::Error> for Problem {
    fn from(error: enrollment::external::Error) -> Self {
        use enrollment::external::Error;
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found("request-unknown", detail),
            Error::State { .. } | Error::Unconfirmed(_) | Error::OwnCa(_) | Error::ProfileGone(_) => {
                Self::conflict("request-state", detail)
            }
            Error::Upload(_) => Self::unprocessable("certificate-unusable", detail),
            Error::Mismatch(_) => Self::unprocessable("certificate-mismatch", detail),
            Error::Reason => Self::unprocessable("reason", detail),
            Error::Ca(ca::Error::Database(_) | ca::Error::Authority(_)) | Error::Database(_) => {
                Self::internal(&error)
            }
            Error::Ca(_) => Self::conflict("request-not-granted", detail),
        }
    }
}

impl From<ca::profiles::Error> for Problem {
    fn from(error: ca::profiles::Error) -> Self {
        use ca::profiles::Error;
        let detail = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found("profile-unknown", detail),
            Error::Field(..) => Self::unprocessable("profile-field", detail),
            Error::ModelTaken { .. } => Self::conflict("profile-model-taken", detail),
            Error::BuiltIn(_) => Self::conflict("profile-built-in", detail),
            Error::Reload(_) | Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<plans::Error> for Problem {
    fn from(error: plans::Error) -> Self {
        let detail = error.to_string();
        match error {
            plans::Error::NotFound(_) => Self::not_found("plan-unknown", detail),
            plans::Error::Field(..) => Self::unprocessable("plan-field", detail),
            plans::Error::Step { .. } => Self::unprocessable("plan-step", detail),
            plans::Error::FileInUse(..) => Self::conflict("file-in-use", detail),
            plans::Error::File(error) => error.into(),
            plans::Error::Network(error) => error.into(),
            plans::Error::Sealed(_) | plans::Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<admission::Error> for Problem {
    fn from(error: admission::Error) -> Self {
        let detail = error.to_string();
        match error {
            admission::Error::NotFound(_) => Self::not_found("rule-unknown", detail),
            admission::Error::NoGroup(_) => Self::not_found("group-unknown", detail),
            admission::Error::Exists(_) => Self::conflict("rule-exists", detail),
            admission::Error::GroupInUse(_) => Self::conflict("group-in-use", detail),
            admission::Error::TooMany => Self::conflict("rules-too-many", detail),
            admission::Error::Field(..) => Self::unprocessable("rule-field", detail),
            admission::Error::Denied(_) => Self::forbidden("not-admitted", detail),
            admission::Error::Unanswered(_) => Self::unavailable("admission-unanswered", detail),
            admission::Error::Inventory(error) => error.into(),
            admission::Error::Voucher(error) => error.into(),
            admission::Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<serviceinfo::Error> for Problem {
    fn from(error: serviceinfo::Error) -> Self {
        match error {
            serviceinfo::Error::Plan(error) => error.into(),
            serviceinfo::Error::Network(error) => error.into(),
            serviceinfo::Error::Inventory(error) => error.into(),
            serviceinfo::Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<registration::Error> for Problem {
    fn from(error: registration::Error) -> Self {
        match error {
            registration::Error::NotFound(_) => Self::not_found("voucher-unknown", error.to_string()),
            registration::Error::Over(_) => Self::conflict("registration-over", error.to_string()),
            other => Self::internal(&other),
        }
    }
}

impl From<manufacturers::Error> for Problem {
    fn from(error: manufacturers::Error) -> Self {
        let detail = error.to_string();
        match error {
            manufacturers::Error::Fingerprint => Self::unprocessable("fingerprint", detail),
            manufacturers::Error::NotFound(_) => Self::not_found("manufacturer-unknown", detail),
            manufacturers::Error::Unnamed(0) => Self::conflict(
                "manufacturer-none",
                "No manufacturer is known here; enrol at one with `fdo-owner manufacturer add URL`.",
            ),
            manufacturers::Error::Unnamed(_) => Self::bad_request("manufacturer-unnamed", detail),
            manufacturers::Error::Url(_) => Self::conflict("manufacturer-url", detail),
            manufacturers::Error::Call(error) => Self::from_call(&error),
            manufacturers::Error::Trust(error) => error.into(),
            manufacturers::Error::Database(_) => Self::internal(&error),
        }
    }
}

impl From<resale::Error> for Problem {
    fn from(error: resale::Error) -> Self {
        let detail = error.to_string();
        match error {
            resale::Error::NeverOnboarded(_) => Self::conflict("resale-never-onboarded", detail),
            resale::Error::OtherKey { .. } => Self::conflict("resale-other-key", detail),
            resale::Error::HandedOver(_) => Self::conflict("resale-handed-over", detail),
            resale::Error::NothingLeft(_) => Self::conflict("resale-nothing-left", detail),
            resale::Error::Registering(_) => Self::unavailable("resale-registering", detail),
            resale::Error::NotFound(_) => Self::not_found("resale-unknown", detail),
            resale::Error::Key(_) => Self::unprocessable("resale-key", detail),
            resale::Error::KeyType { .. } => Self::unprocessable("resale-key-type", detail),
            resale::Error::OwnKey(_) => Self::unprocessable("resale-own-key", detail),
            resale::Error::Voucher(error) => error.into(),
            resale::Error::Inventory(error) => error.into(),
            resale::Error::Extend(_) | resale::Error::KeyGone(_) | resale::Error::Database(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<redirect::Error> for Problem {
    fn from(error: redirect::Error) -> Self {
        match error {
            redirect::Error::TooMany | redirect::Error::Setting(_) => {
                Self::unprocessable("redirect", error.to_string())
            }
            redirect::Error::Database(_) => Self::internal(&error),
        }
    }
}

/// A call to somebody else that failed, by whose fault it is.
trait FromCall {
    fn from_call(error: &CallError) -> Self;
}

impl FromCall for Problem {
    fn from_call(error: &CallError) -> Self {
        let detail = error.to_string();
        match error {
            CallError::Url(_) => Self::unprocessable("manufacturer-url", detail),
            CallError::Outbound(_) => Self::unprocessable("outbound-refused", detail),
            CallError::Identity(_) => Self::new(502, "manufacturer-identity", detail),
            CallError::Network { .. } => Self::new(502, "manufacturer-unreachable", detail),
            CallError::Refused { code, .. } if code == "code_invalid" => {
                Self::unprocessable("code-invalid", detail)
            }
            CallError::Refused { .. } => Self::new(502, "manufacturer-refuses", detail),
            CallError::Answer(_) | CallError::KeyAuth(_) => Self::new(502, "manufacturer-answer", detail),
            CallError::Settings(_) => Self::internal(error),
        }
    }
}

impl From<claims::Error> for Problem {
    fn from(error: claims::Error) -> Self {
        let detail = error.to_string();
        match error {
            claims::Error::Count => Self::unprocessable("serials", detail),
            claims::Error::Serial { .. } => Self::unprocessable("serial", detail),
            claims::Error::NotFound(_) => Self::not_found("claim-unknown", detail),
            claims::Error::Settled(..) => Self::conflict("claim-settled", detail),
            claims::Error::Manufacturer(error) => error.into(),
            claims::Error::Trust(error) => error.into(),
            claims::Error::Voucher(error) => error.into(),
            claims::Error::Database(_) => Self::internal(&error),
        }
    }
}
