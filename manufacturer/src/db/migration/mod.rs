//! Migrations of the manufacturer's tables: time-stamped, forward only, for SQLite and PostgreSQL alike.

pub mod m20260901_000101_manufacturer;
pub mod m20261101_000102_bounds;
pub mod m20261125_000120_rendezvous;
