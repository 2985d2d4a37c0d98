//! Certificates that an operator gives: one in DER, or any number in PEM. A private key among them is refused, and nothing
//! of it is kept.

use fdo_pki::{Certificate, MAX_CERTIFICATE, pem};
use fdo_protocol::crypto::SigningKey;
use fdo_service::database;
use fdo_service::operators::audit::{self, Event, Outcome};

use super::{Error, Found, Holder, Listed, Source, Standing, store};
use crate::app::App;

/// The largest upload, in bytes.
pub const MAX_UPLOAD: usize = pem::MAX_PEM;
/// A certificate holds its subject's name in some text; PEM begins with this.
const PEM_BEGIN: &[u8] = b"-----BEGIN";

/// Lists what was uploaded; gives the rows as they stand now.
pub async fn add(app: &App, actor: &str, body: &[u8], name: Option<&str>) -> Result<Vec<Listed>, Error> {
    let now = app.clock.now();
    let certificates = match read(body) {
        Err(Error::PrivateKey) => {
            let event = Event {
                actor,
                action: "inventory.upload",
                subject: "private key",
                outcome: Outcome::Refused,
                detail: "there was a private key in the upload; nothing of it was kept",
            };
            audit::record(&app.db, now, event).await?;
            return Err(Error::PrivateKey);
        }
        other => other?,
    };
    let found = |certificate| Found::certificate(Source::Upload, certificate, Holder::default(), now).named(name);
    let found: Vec<Found> = certificates.iter().map(found).collect();
    let transaction = database::begin(&app.db).await?;
    store::record(&transaction, &found).await?;
    let mut listed = Vec::new();
    for found in &found {
        if let Some((row, _)) = store::find(&transaction, &found.listed.fingerprint).await? {
            listed.push(row);
        }
    }
    let subject = found.first().map(|found| found.listed.fingerprint.clone()).unwrap_or_default();
    let detail = format!("{} certificates", found.len());
    let event =
        Event { actor, action: "inventory.upload", subject: &subject, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, now, event).await?;
    transaction.commit().await?;
    Ok(listed)
}

/// What was uploaded is not used any more.
pub async fn retire(app: &App, actor: &str, fingerprint: &str) -> Result<(), Error> {
    let transaction = database::begin(&app.db).await?;
    let found = store::find(&transaction, fingerprint).await?;
    let (listed, _) = found.ok_or_else(|| Error::NotFound(fingerprint.to_owned()))?;
    if listed.source != Source::Upload {
        return Err(Error::NotUploaded(fingerprint.to_owned(), listed.source));
    }
    store::set_standing(&transaction, &[fingerprint.to_owned()], Standing::Retired).await?;
    let event = Event {
        actor,
        action: "inventory.retire",
        subject: fingerprint,
        outcome: Outcome::Success,
        detail: &listed.subject,
    };
    audit::record(&transaction, app.clock.now(), event).await?;
    Ok(transaction.commit().await?)
}

fn read(body: &[u8]) -> Result<Vec<Certificate>, Error> {
    if holds_private_key(body) {
        return Err(Error::PrivateKey);
    }
    if contains(body, PEM_BEGIN) {
        let text = String::from_utf8_lossy(body);
        let parsed = pem::decode_certificates(&text)?.into_iter().map(|der| Certificate::parse(&der));
        return Ok(parsed.collect::<Result<_, _>>()?);
    }
    if body.len() > MAX_CERTIFICATE {
        return Err(fdo_pki::Error::TooLarge { what: "certificate", limit: MAX_CERTIFICATE }.into());
    }
    Ok(vec![Certificate::parse(body)?])
}

/// In PEM by its label, even where the text is otherwise broken; in DER where it reads as a key.
fn holds_private_key(body: &[u8]) -> bool {
    contains(body, b"PRIVATE KEY-----") || SigningKey::from_der(body).is_ok() || is_pkcs8(body)
}

/// `PrivateKeyInfo` begins with a version number, a certificate with another sequence.
fn is_pkcs8(body: &[u8]) -> bool {
    let content = match body {
        [0x30, length @ 0..=0x7f, rest @ ..] if usize::from(*length) == rest.len() => rest,
        [0x30, 0x81, _, rest @ ..] | [0x30, 0x82, _, _, rest @ ..] => rest,
        _ => return false,
    };
    matches!(content, [0x02, 0x01, 0x00 | 0x01, ..])
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_seen_in_whatever_form() {
        let keys: [&[u8]; 5] = [
            b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
            b"x -----BEGIN ENCRYPTED PRIVATE KEY-----",
            b"-----BEGIN RSA PRIVATE KEY-----\r\nbroken",
            &[0x30, 0x05, 0x02, 0x01, 0x00, 0x30, 0x00],
            &[0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x00, 0x02],
        ];
        for key in keys {
            assert!(matches!(read(key), Err(Error::PrivateKey)), "{key:?}");
        }
        for other in [&b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"[..], b"", b"\x30\x00"] {
            assert!(matches!(read(other), Err(Error::Certificate(_))), "{other:?}");
        }
    }
}
