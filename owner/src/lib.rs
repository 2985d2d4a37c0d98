//! The owner service: claims, TO0, TO2, service info, certificates and the view of the fleet.
//!
//! The slices below stand in import order: each uses only what is listed before it. `app` holds what all of them
//! share, `routes` names every URL, `jobs` every background job.

pub mod app;
pub mod config;
pub mod db;
pub mod error;

pub mod keys;

#[cfg(test)]
mod fixtures;

// level 1: nouns
pub mod inventory;
pub mod trust;
pub mod vouchers;
pub mod networks;
pub mod files;
pub mod plans;
pub mod uploads;
pub mod manufacturers;
pub mod ca;
pub mod redirect;

// level 2: one deed on a noun
pub mod admission;
pub mod claims;
pub mod registration;
pub mod revocation;
pub mod serviceinfo;

// level 3: whole procedures
pub mod onboarding;
pub mod enrollment;
pub mod resale;
pub mod transfer;
pub mod alerts;

// level 4: edges
pub mod cli;
pub mod compat;
pub mod console;
pub mod jobs;
pub mod routes;
