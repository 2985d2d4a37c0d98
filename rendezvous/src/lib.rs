//! The rendezvous service: owners say where their devices find them (TO0), devices ask for it (TO1).
//!
//! The modules below stand in import order: each uses only what is listed before it.

pub mod db;

// level 1: who may register, and what is registered
pub mod policy;
pub mod registrations;

pub mod config;
mod error;

// level 2: one conversation each
pub mod redirection;
pub mod registration;

// edges
pub mod app;
pub mod cli;
pub mod conversation;
mod routes;
