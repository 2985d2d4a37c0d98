//! The binary of the rendezvous service.

use clap::Parser;
use fdo_rendezvous::cli::{Cli, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Ok(run(Cli::parse()).await?)
}
