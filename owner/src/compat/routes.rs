//! `/api/v2` on the operator listener and the compat listener, `/api/v1/owner` and `/api/v1/device-ca` on the latter only.

use actix_web::Resource;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use fdo_service::compat::certificates::MAX_BODY;
use fdo_service::compat::{self, Gate, Wrapped, key, resource};
use fdo_service::problem;

use super::{authorities, devices, redirect, vouchers};
use crate::app::App;
use crate::vouchers::upload::MAX_FILE;

/// Bytes of a redirect.
const MAX_REDIRECT_BODY: usize = 64 * 1024;

/// Version 2, for the operator listener too.
pub fn configure(cfg: &mut ServiceConfig) {
    let to2 = resource("/api/v2/rvto2addr").app_data(PayloadConfig::new(MAX_REDIRECT_BODY));
    let to2 = to2.route(web::get().to(redirect::routes::get)).route(web::put().to(redirect::routes::put));
    let import = resource("/api/v2/vouchers").app_data(PayloadConfig::new(MAX_FILE));
    let extend = resource("/api/v2/vouchers/{guid}/extend").app_data(PayloadConfig::new(key::MAX_BODY));
    let import =
        import.route(web::get().to(vouchers::routes::list)).route(web::post().to(vouchers::routes::import));
    cfg.service(to2.route(web::delete().to(redirect::routes::delete)))
        .service(import)
        .service(resource("/api/v2/vouchers/{guid}").route(web::get().to(vouchers::routes::get)))
        .service(extend.route(web::post().to(vouchers::routes::extend)))
        .service(resource("/api/v2/devices").route(web::get().to(devices::routes::list)))
        .service(all(resource("/api/v2/device-ca")))
        .service(one(resource("/api/v2/device-ca/{fingerprint}")));
}

/// The whole compat listener.
pub fn listener(cfg: &mut ServiceConfig, app: &Data<App>, gate: &Gate) {
    problem::configure(cfg);
    compat::configure_health(cfg, &app.db);
    cfg.app_data(Data::new(gate.clone())).app_data(app.clone());
    configure(cfg);
    let redirect = resource("/api/v1/owner/redirect").app_data(PayloadConfig::new(MAX_REDIRECT_BODY));
    let redirect =
        redirect.route(web::get().to(redirect::routes::get_1)).route(web::post().to(redirect::routes::post_1));
    let import = resource("/api/v1/owner/vouchers").app_data(PayloadConfig::new(MAX_FILE));
    let resell = resource("/api/v1/owner/resell/{guid}").app_data(PayloadConfig::new(key::MAX_BODY));
    cfg.service(redirect.route(web::put().to(redirect::routes::put_1)))
        .service(import.route(web::post().to(vouchers::routes::import_1)))
        .service(resell.route(web::post().to(vouchers::routes::extend)))
        .service(resource("/api/v1/owner/devices").route(web::get().to(devices::routes::list_1)))
        .service(all(resource("/api/v1/device-ca")))
        .service(one(resource("/api/v1/device-ca/{fingerprint}")));
}

fn all<T: Wrapped>(resource: Resource<T>) -> Resource<T> {
    let resource = resource.app_data(PayloadConfig::new(MAX_BODY));
    resource.route(web::get().to(authorities::routes::list)).route(web::post().to(authorities::routes::import))
}

fn one<T: Wrapped>(resource: Resource<T>) -> Resource<T> {
    resource.route(web::get().to(authorities::routes::get)).route(web::delete().to(authorities::routes::remove))
}
