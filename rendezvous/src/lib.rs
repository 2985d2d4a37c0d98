//! The rendezvous service: owners say where their devices find them (TO0), devices ask for it (TO1).
//!
//! The modules below stand in import order: each uses only what is listed before it.

pub mod db;

// level 1: what is registered
pub mod registrations;

// level 2: who may register
pub mod policy;

pub mod config;
mod error;

// level 3: one conversation each
pub mod redirection;
pub mod registration;

// level 4: for scripts written for another server
mod compat;

// edges
pub mod app;
pub mod cli;
pub mod conversation;
mod routes;
