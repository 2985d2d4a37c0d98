//! A key that the owner makes for a device (`serverkeygen`), where the configuration allows it: a key that somebody else
//! knew is a weaker identity. It travels in the tunnel and is not kept.

use fdo_pki::{Csr, DeviceSerial, build_csr};
use fdo_protocol::Error;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::service_info::csr::{CsrError, ServerKey};

use super::failure::Failure;
use super::provide::issue;
use super::stage::Facts;
use crate::app::App;
use crate::serviceinfo::{Provision, Provisioning};

/// A key of the type of the one that asks, with its certificate.
pub(super) async fn generate(
    app: &App,
    facts: &Facts,
    plan: &mut Provisioning,
    csr: &[u8],
) -> Result<Provision, Failure> {
    if !app.settings.ca.server_key_generation {
        return Ok(Provision::Refused(CsrError::NotSupported));
    }
    // Nobody keeps the key until an operator or an outside CA has decided.
    let profile = app.ca.profile_of(&app.db, &facts.device_id).await?;
    if !app.ca.answers_at_once(&profile) {
        return Ok(Provision::Refused(CsrError::NotSupported));
    }
    let Ok(asked) = Csr::from_any(csr).and_then(Csr::verify) else {
        return Ok(Provision::Refused(CsrError::BadRequest));
    };
    let key_type = asked.public_key().key_type();
    if key_type.curve().is_none() {
        return Ok(Provision::Refused(CsrError::UnsupportedFormat));
    }
    let key = SigningKey::generate(key_type, &mut app.random.rng())?;
    let failed = |_| Error::Internal("a request for a key that was made here");
    // The certificate names the device by the owner's records, whatever stands here.
    let serial = DeviceSerial::parse(&facts.guid.to_string()).map_err(failed)?;
    let request = build_csr(&key, None, &serial).map_err(failed)?;
    Ok(match issue(app, facts, plan, &request).await? {
        Provision::Certificate(certificate) => {
            Provision::KeyAndCertificate(ServerKey { pkcs8: key.to_pkcs8_der()?, certificate }.to_text())
        }
        refused => refused,
    })
}
