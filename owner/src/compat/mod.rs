//! What go-fdo-server's owner answers its operators' scripts, in the same shapes: redirect, vouchers, resale, devices,
//! device CAs, health. Everything is done by the slices above; only shapes are made here.

mod authorities {
    pub(super) mod routes;
}
mod devices {
    pub(super) mod routes;
}
mod redirect {
    pub(super) mod routes;
}
mod vouchers {
    pub(super) mod routes;
}
pub mod routes;
