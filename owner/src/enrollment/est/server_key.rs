//! `serverkeygen` (RFC 7030, 4.4), where the configuration allows it: a key that somebody else knew is a weaker identity.
//! It leaves in the answer and is not kept.

use fdo_pki::{Certificate, Csr, DeviceSerial, build_csr};
use fdo_protocol::crypto::SigningKey;
use fdo_service::host::PeerCertificates;
use zeroize::Zeroizing;

use super::refusal::{Refusal, of_request};
use super::{Enrolled, Enrolment, admitted, issue};
use crate::app::App;
use crate::ca::Error;

/// A key of the type of the one in the request, and its certificate.
pub struct ServerKey {
    pub pkcs8: Zeroizing<Vec<u8>>,
    pub certificate: Box<Certificate>,
}

/// Makes a key and certifies it.
pub async fn generate(
    app: &App,
    peer: Option<&PeerCertificates>,
    label: Option<&str>,
    body: &[u8],
) -> Result<ServerKey, Refusal> {
    if !app.settings.est.server_key_generation {
        return Err(Refusal::new(
            501,
            "Keys are not made for devices here; make one on the device and use simpleenroll.",
        ));
    }
    let client = admitted(app, peer).await?;
    let made = async {
        // The request's key and signature say nothing here (EST-25), save of which type the key should be.
        let asked = Csr::from_any(body).map_err(|error| of_request(&error))?;
        let requested = asked.requested().map_err(|error| of_request(&error))?;
        if requested.wants_encrypted_key() {
            let sentence = "The request names a key to encrypt the new key to, which is not known here.";
            return Err(Refusal::bad_request(sentence));
        }
        let key_type = asked.key_type();
        if key_type.curve().is_none() {
            return Err(Refusal::bad_request("RSA keys are not made here; ask for a P-256 or P-384 key."));
        }
        let failed = |error: fdo_pki::Error| Refusal::from(Error::Authority(error));
        let unmade = |error: fdo_protocol::Error| Refusal::fault(&error);
        let key = SigningKey::generate(key_type, &mut app.random.rng()).map_err(unmade)?;
        let serial = DeviceSerial::parse(&client.device.guid.to_string()).map_err(failed)?;
        let request = build_csr(&key, None, &serial).map_err(failed)?;
        match issue(app, &client, peer, label, Enrolment::Simple, &request).await? {
            Enrolled::Certificate(certificate) => {
                Ok(ServerKey { pkcs8: key.to_pkcs8_der().map_err(unmade)?, certificate })
            }
            // The key could not be kept until somebody approves.
            Enrolled::Pending(_) => Err(Refusal::new(
                501,
                "Certificates wait for an approval here, and no key is kept so long; make one on the device.",
            )),
        }
    };
    made.await.map_err(|refusal: Refusal| refusal.of(&client.device))
}
