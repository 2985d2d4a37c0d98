//! `fdo-owner file list|add|remove`: files that plans name, streamed to the service.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at, escaped};
use crate::files::routes::FileView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All files.
    List,
    /// Add a file, or put it in the place of the one of this name.
    Add {
        /// Its name here: letters, digits, `-`, `_`, `.`
        name: String,
        path: PathBuf,
    },
    /// Take a file away that no plan names.
    Remove { name: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List => {
            let all: Vec<FileView> = api.pages("/api/v1/files").await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Add { name, path } => {
            let added = add(api, name, path).await?;
            Ok(output.print(&added, |added| table(std::slice::from_ref(added)))?)
        }
        Command::Remove { name } => {
            api.delete(&format!("/api/v1/files/{}", escaped(name))).await?;
            Ok(output.line(format!("file {name} is removed"))?)
        }
    }
}

async fn add(api: &ApiClient, name: &str, path: &Path) -> Result<FileView, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    Ok(api.put_file(&format!("/api/v1/files/{}", escaped(name)), file, length).await?)
}

fn table(files: &[FileView]) -> Table {
    let head = Table::new(&["NAME", "BYTES", "SHA-384", "UPDATED"]);
    files.iter().fold(head, |table, file| {
        let length = file.length.to_string();
        table.row([file.name.as_str(), &length, &file.sha384, &at(file.updated)])
    })
}
