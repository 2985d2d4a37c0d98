//! How a refused registration is told: to an owner by message 255, to an operator by a problem.

use fdo_protocol::{Error, VoucherFault};
use fdo_service::endpoint::Fault;

use crate::policy::Refusal;
use crate::registrations::RegistrationError;

impl From<RegistrationError> for Fault {
    fn from(error: RegistrationError) -> Self {
        let told = match &error {
            RegistrationError::Shorter | RegistrationError::OtherOwner(_) | RegistrationError::Taken => {
                VoucherFault::NotTheOwner.into()
            }
            RegistrationError::Superseded => Error::Rejected("a later registration is in its place"),
            RegistrationError::Quota(_) => Error::Rejected("no more registrations for this owner"),
            RegistrationError::Full => Error::Internal("no room for registrations"),
            RegistrationError::Database(source) => return Self::internal(source),
        };
        Self::new(told).because(error.to_string())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let told = match refusal {
            Refusal::Denied(..) | Refusal::NotAllowed(_) => VoucherFault::Untrusted.into(),
            Refusal::TooShort { .. } => Error::Rejected("the owner asks for less time than is granted here"),
        };
        Self::new(told).because(refusal.to_string())
    }
}
