//! `fdo-owner manufacturer list|add|refresh|remove`.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};
use zeroize::{Zeroize, Zeroizing};

use super::{Error, at, escaped, read_file};
use crate::manufacturers::routes::{ManufacturerView, NewManufacturer};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The manufacturers that this owner is enrolled at.
    List,
    /// Enrol at a manufacturer with what `fdo-manufacturer buyer add` printed; asks for what is not given.
    Add {
        /// Such as https://maker.example:8040
        url: String,
        /// The fingerprint of its identity.
        #[arg(long)]
        fingerprint: Option<String>,
        /// A file that holds the one-time code.
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Fetch its keys and device CAs again.
    Refresh {
        #[arg(value_name = "ID OR NAME")]
        name: String,
    },
    /// Forget a manufacturer; its vouchers and what was pinned for it stay.
    Remove { id: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    let manufacturer: ManufacturerView = match command {
        Command::List => {
            let all: Vec<ManufacturerView> = api.pages("/api/v1/manufacturers").await?;
            return Ok(output.print(&all, |all| table(all))?);
        }
        Command::Remove { id } => {
            api.delete(&format!("/api/v1/manufacturers/{}", escaped(id))).await?;
            return Ok(output.line(format!("manufacturer {id} is forgotten"))?);
        }
        Command::Refresh { name } => {
            api.post(&format!("/api/v1/manufacturers/{}/refresh", escaped(name)), &()).await?
        }
        Command::Add { url, fingerprint, code_file } => {
            let fingerprint = match fingerprint {
                Some(fingerprint) => fingerprint.clone(),
                None => ask("identity fingerprint: ")?.to_string(),
            };
            let code = match code_file {
                Some(path) => {
                    let mut bytes = read_file(path)?;
                    let code = Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned());
                    bytes.zeroize();
                    code
                }
                None => ask("one-time code: ")?,
            };
            let new = NewManufacturer { url: url.clone(), fingerprint, code: code.to_string() };
            api.post("/api/v1/manufacturers", &new).await?
        }
    };
    output.print(&manufacturer, |maker| table(std::slice::from_ref(maker)))?;
    let pinned = manufacturer.pinned.len();
    Ok(output
        .line(format!("{pinned} of its keys and device CAs are pinned; `fdo-owner trust list` shows them"))?)
}

fn ask(what: &str) -> Result<Zeroizing<String>, Error> {
    let mut out = std::io::stderr().lock();
    write!(out, "{what}")?;
    out.flush()?;
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line)?;
    let text = Zeroizing::new(line.trim().to_owned());
    if text.is_empty() { Err(Error::Usage("nothing was entered")) } else { Ok(text) }
}

fn table(makers: &[ManufacturerView]) -> Table {
    makers.iter().fold(Table::new(&["ID", "NAME", "URL", "ADDED"]), |table, maker| {
        table.row([maker.id.as_str(), &maker.name, &maker.url, &at(maker.created)])
    })
}
