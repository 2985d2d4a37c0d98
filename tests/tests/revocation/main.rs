//! Which certificates are revoked, as programs of others learn it from the running owner: CRL and OCSP.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod caches;
mod site;
mod stopped;
mod tools;
