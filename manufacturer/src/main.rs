//! `fdo-manufacturer`: runs the service, or speaks to its operator API.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use fdo_manufacturer::cli::{Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be gone; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "fdo-manufacturer: {error:#}");
            ExitCode::FAILURE
        }
    }
}
