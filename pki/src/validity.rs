//! Unix seconds to X.509 times and back (RFC 5280, 4.1.2.5): UTCTime until 2049, then GeneralizedTime.

use std::time::Duration;

use der::DateTime;
use x509_cert::certificate::Raw;
use x509_cert::time::{Time, Validity};

use crate::Error;

/// 9999-12-31 23:59:59: "has no well-defined expiration date".
pub(crate) const WITHOUT_END: u64 = 253_402_300_799;

/// One instant in the form that belongs to its year.
pub(crate) fn time(seconds: u64) -> Result<Time, Error> {
    DateTime::from_unix_duration(Duration::from_secs(seconds)).map(Time::from).map_err(Error::encoding("validity"))
}

/// The period from `not_before` to `not_after`, both unix seconds and inclusive.
pub(crate) fn validity(not_before: u64, not_after: u64) -> Result<Validity<Raw>, Error> {
    if not_before >= not_after {
        let reason = "it ends before it begins: has the issuer's certificate expired?";
        return Err(Error::InvalidField { field: "validity", reason });
    }
    Ok(Validity::new(time(not_before)?, time(not_after)?))
}

/// The instant of a received time in unix seconds.
pub(crate) fn seconds(time: Time) -> u64 {
    time.to_unix_duration().as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_form_changes_in_2050_and_ends_in_9999() {
        let period = validity(2_524_607_999, 2_524_608_000).unwrap();
        assert!(matches!(period.not_before, Time::UtcTime(_)));
        assert!(matches!(period.not_after, Time::GeneralTime(_)));
        let period = validity(0, WITHOUT_END).unwrap();
        assert_eq!(period.not_after, Time::INFINITY);
        assert_eq!(seconds(period.not_after), WITHOUT_END);
        assert!(validity(0, WITHOUT_END + 1).is_err());
        assert!(validity(5, 5).is_err());
    }
}
