//! Where devices renew their certificates: told in TO2 to those that list `firstlight.est`.

use fdo_protocol::cbor::ByteString;
use fdo_protocol::service_info::est::{self, DEFAULT_RENEW_PERCENT, RenewalSource};
use fdo_protocol::service_info::owner::{Est, ModuleOutcome, OwnerModule};

use super::{Planned, Source};
use crate::app::App;

/// The place of renewal without what only one device's voucher has; none where this owner has no EST service.
pub fn renewal(app: &App) -> Option<RenewalSource> {
    let settings = &app.settings.est;
    if !settings.is_on() {
        return None;
    }
    let url = format!("{}/.well-known/est", settings.url());
    let authorities = app.ca.trusted_certificates();
    let trust = authorities.iter().take(est::MAX_CERTIFICATES).map(|ca| ByteString(ca.der().to_vec())).collect();
    Some(RenewalSource { url, renew_percent: DEFAULT_RENEW_PERCENT, trust, idevid: Vec::new() })
}

/// The module, for every device; it ends at once where the device does not list it.
pub(super) fn step() -> (OwnerModule, Planned) {
    let what = "where to renew the certificate".to_owned();
    (OwnerModule::Est(Est::new()), Planned { required: false, what, source: Source::Nowhere, limit: 0 })
}

/// Whether nobody asked for the module: it stands in no plan, and the device does not know it.
pub(super) fn is_unasked(module: &OwnerModule) -> bool {
    module.name() == est::MODULE && module.outcome() == Some(&ModuleOutcome::NotOffered)
}
