//! The binary of the owner service.

use clap::Parser;
use fdo_owner::cli::{Cli, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Ok(run(Cli::parse()).await?)
}
