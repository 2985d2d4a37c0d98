//! What came from an outside CA must be for this device and for the key that it asked for; nobody else's certificate is
//! handed to it.

use fdo_pki::Certificate;

use super::Error;
use crate::ca::Profile;
use crate::ca::requests::EnrollmentRequest;

/// By so much, in seconds, its life may be longer than the profile's: CAs count in days, and backdate.
const LENIENCE: u64 = 86_400;
/// So far, in seconds, the outside CA's clock may be ahead.
const AHEAD: u64 = 300;

/// The certificate for the key of the request; what else came are CAs.
pub(super) fn find<'a>(
    certificates: &'a [Certificate],
    request: &EnrollmentRequest,
) -> Result<&'a Certificate, Error> {
    let is_for_key = |certificate: &&Certificate| hex::encode(certificate.spki_sha256()) == request.key_sha256;
    certificates.iter().find(is_for_key).ok_or(Error::Mismatch("it is for another key"))
}

/// Checks issuer, life and names.
pub(super) fn check(
    certificate: &Certificate,
    request: &EnrollmentRequest,
    profile: &Profile,
    authority: &Certificate,
    now: u64,
) -> Result<(), Error> {
    if certificate.is_ca() {
        return Err(Error::Mismatch("it is the certificate of a CA"));
    }
    if certificate.verify_signed_by(authority).is_err() {
        return Err(Error::Mismatch("another CA signed it"));
    }
    if certificate.not_after() <= now || certificate.not_before() > now + AHEAD {
        return Err(Error::Mismatch("it is not valid now"));
    }
    let life = certificate.not_after().saturating_sub(certificate.not_before());
    if life > profile.validity_seconds + profile.backdate_seconds + LENIENCE {
        return Err(Error::Mismatch("it lives longer than the profile says"));
    }
    check_names(certificate, request)
}

/// It names the device by its serial number or by its GUID, and by neither another one.
fn check_names(certificate: &Certificate, request: &EnrollmentRequest) -> Result<(), Error> {
    let other = Error::Mismatch("it names another device");
    let guid = request.guid.to_string();
    let serial = request.device_serial.as_deref().unwrap_or(&guid);
    let named = certificate.subject_serial_number();
    if named.is_some_and(|named| named != serial) {
        return Err(other);
    }
    let uuids: Vec<&str> =
        certificate.uris().iter().filter_map(|uri| uri.get(..9).filter(is_uuid).map(|_| &uri[9..])).collect();
    if uuids.iter().any(|uuid| !uuid.eq_ignore_ascii_case(&guid)) {
        return Err(other);
    }
    if named.is_none() && uuids.is_empty() {
        return Err(Error::Mismatch(
            "it names no device; have the CA put the serial number into the subject, or urn:uuid: and the GUID into the \
             alternative names",
        ));
    }
    Ok(())
}

fn is_uuid(start: &&str) -> bool {
    start.eq_ignore_ascii_case("urn:uuid:")
}
