//! What a client asks for: the certification request, and the names in it, which must be the device's own.

use base64ct::{Base64, Encoding};
use fdo_pki::{Certificate, Csr, OtherName, Requested, VerifiedCsr};

use super::client::Client;
use super::refusal::{Refusal, of_request};
use crate::app::App;
use crate::config::ChallengePassword;
use crate::inventory;

/// Reads a request and checks that its sender holds the key (EST-6, EST-16).
pub(super) fn read(body: &[u8]) -> Result<VerifiedCsr, Refusal> {
    Csr::from_any(body).and_then(Csr::verify).map_err(|error| of_request(&error))
}

/// Checks what a request asks for beyond its key, of a device that is known.
pub(super) async fn check(
    app: &App,
    client: &Client,
    requested: &Requested,
    channel: Option<&[u8; 32]>,
    is_renewal: bool,
) -> Result<(), Refusal> {
    challenge(app.settings.est.challenge_password, requested, channel)?;
    if let Some(shown) = client.issued.as_ref().filter(|_| is_renewal) {
        return unchanged(&shown.certificate, requested);
    }
    let device = &client.device;
    let guid = device.guid.to_string();
    let own = |name: &str| device.serial.as_deref() == Some(name) || name.eq_ignore_ascii_case(&guid);
    if let Some(other) = requested.serial_numbers().find(|name| !own(name)) {
        return Err(other_name("serial number", other));
    }
    for text in requested.alternative_texts() {
        if text.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("urn:uuid:")) && !own(&text[9..]) {
            return Err(other_name("alternative name", text));
        }
    }
    // Other names are passed over, since the certificate gets its own; but nobody asks in another device's name.
    for name in requested.common_names().filter(|name| !own(name)) {
        match inventory::find_by_name(&app.db, name).await {
            Ok(other) if other.id != device.id => return Err(other_name("common name", name)),
            Err(inventory::Error::Ambiguous(_)) => return Err(other_name("common name", name)),
            Err(inventory::Error::NotFound(_)) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn other_name(field: &str, name: &str) -> Refusal {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Refusal::forbidden(format!("The request's {field} `{name}` is not this device's."))
}

/// RFC 7030, 4.2.2: subject and alternative names are those of the certificate that is renewed.
fn unchanged(renewed: &Certificate, requested: &Requested) -> Result<(), Refusal> {
    let which = match requested.differs_from(renewed).map_err(|error| of_request(&error))? {
        None => return Ok(()),
        Some(OtherName::Subject) => "subject",
        Some(OtherName::AlternativeNames) => "alternative names",
    };
    Err(Refusal::forbidden(format!(
        "The request's {which} differ from those of the certificate that it is to renew; ask for the same."
    )))
}

fn challenge(rule: ChallengePassword, requested: &Requested, channel: Option<&[u8; 32]>) -> Result<(), Refusal> {
    let Some(password) = requested.challenge_password() else { return Ok(()) };
    match rule {
        ChallengePassword::Ignore => Ok(()),
        ChallengePassword::Refuse => Err(Refusal::bad_request(
            "The request holds a challengePassword, which cannot be checked here: tls-unique does not exist in TLS 1.3. \
             Leave it out.",
        )),
        // Nothing secret is compared: both sides have the name of their channel.
        ChallengePassword::TlsExporter => {
            if channel.is_some_and(|channel| Base64::encode_string(channel) == password.trim()) {
                return Ok(());
            }
            Err(Refusal::bad_request(
                "The request's challengePassword is not tls-exporter (RFC 9266) of this TLS connection, in base64.",
            ))
        }
    }
}
