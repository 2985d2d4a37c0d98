//! The binary of the owner service.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use fdo_owner::cli::{Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done where standard error is closed.
            let _ = writeln!(std::io::stderr(), "fdo-owner: {error}");
            ExitCode::FAILURE
        }
    }
}
