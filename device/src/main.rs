//! `fdo-device`: the device agent as a program. It says what it did, in words or as JSON.

mod command_line;

use std::process::ExitCode;

use clap::Parser as _;

use command_line::{Arguments, report, run};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    command_line::start_logging(&arguments);
    let json = arguments.json;
    match run(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::failure(&error, json);
            ExitCode::FAILURE
        }
    }
}
