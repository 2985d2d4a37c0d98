//! What the services' command lines share: a client of the operator API, tables, progress.

mod client;
mod output;
pub mod progress;
pub mod voucher_files;

pub use client::{ApiClient, CliError, token};
pub use output::{Output, Table};
