//! `fdo-owner upload list|get|delete`: files that devices sent.

use std::path::PathBuf;

use clap::Subcommand;
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at, escaped};
use crate::uploads::routes::UploadView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The files, the newest first.
    List {
        /// Only those of this device.
        #[arg(long, value_name = "SERIAL OR GUID")]
        device: Option<String>,
    },
    /// Write a file to this path; nothing that is there is replaced.
    Get { id: String, path: PathBuf },
    /// Take a file away.
    Delete { id: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List { device } => {
            let query = device.as_ref().map(|device| format!("?device={}", escaped(device))).unwrap_or_default();
            let all: Vec<UploadView> = api.pages(&format!("/api/v1/uploads{query}")).await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Get { id, path } => {
            let url = format!("/api/v1/uploads/{}", escaped(id));
            let upload: UploadView = api.get(&url).await?;
            let failed = |source| Error::File { path: path.clone(), source };
            let mut options = tokio::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(path).await.map_err(failed)?;
            let received = api.get_file(&format!("{url}/content"), &mut file).await?;
            file.sync_all().await.map_err(failed)?;
            if received != upload.length {
                return Err(Error::Usage("the file did not arrive whole; remove it and try again"));
            }
            Ok(output.print(&upload, |upload| table(std::slice::from_ref(upload)))?)
        }
        Command::Delete { id } => {
            api.delete(&format!("/api/v1/uploads/{}", escaped(id))).await?;
            Ok(output.line(format!("upload {id} is deleted"))?)
        }
    }
}

fn table(uploads: &[UploadView]) -> Table {
    let head = Table::new(&["ID", "GUID", "NAME", "BYTES", "SHA-384", "RECEIVED"]);
    uploads.iter().fold(head, |table, upload| {
        let length = upload.length.to_string();
        table.row([upload.id.as_str(), &upload.guid, &upload.name, &length, &upload.sha384, &at(upload.created)])
    })
}
