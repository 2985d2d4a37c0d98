//! `/api/v1/keys`: the public halves.

use actix_web::web::{Data, Json};
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::Page;
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::app::App;

/// An owner key as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyView {
    pub key_type: String,
    /// SHA-256 over the key in its X509 form.
    pub fingerprint: String,
    /// Whether new vouchers are claimed for it.
    pub preferred: bool,
    pub public_key: String,
    pub file: String,
}

/// `GET /api/v1/keys`
pub async fn list(app: Data<App>, _: Require<Read>) -> Result<Json<Page<KeyView>>, Problem> {
    let mut items = Vec::new();
    for file in app.keys.all() {
        let (public, key_type) = (file.key.verifying_key(), file.key.key_type());
        let preferred = app.keys.for_type(key_type).is_some_and(|key| key.verifying_key() == public);
        let pem = pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, public.spki_der());
        items.push(KeyView {
            key_type: key_type.to_string(),
            fingerprint: file.fingerprint(),
            preferred,
            public_key: pem.unwrap_or_default(),
            file: file.path.display().to_string(),
        });
    }
    Ok(Json(Page { items, next: None }))
}
