//! `fdo-owner voucher import`: reads as much as is sent, and tells of each file what became of it.

use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use clap::Args;
use fdo_service::cli::voucher_files::{self, Found};
use fdo_service::cli::{ApiClient, CliError, Output, Table, progress};
use serde::Serialize;

use super::Error;
use crate::vouchers::routes::{Report, ReportItem};

/// What goes into one request: the service makes few transactions of it, and it is done in a moment.
const VOUCHERS: usize = 200;
const BYTES: usize = 1024 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Read as they are: PEM of go-fdo-server, pri-fidoiot (CRLF) and others, one block or many in a file; CBOR; folders of these \
with all that is below them, such as the stores of fido-device-onboard-rs; tar archives. Private keys in PEM files are \
passed over, with a warning. What is here already is left as it is, so a broken import is simply done again; a longer \
chain of the same voucher takes the place of the shorter one.")]
pub(super) struct Import {
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Take vouchers of makers that nobody here vouches for.
    #[arg(long)]
    allow_untrusted: bool,
}

/// What became of a file.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    vouchers: Vec<ReportItem>,
    /// It holds no voucher, and was found in a folder.
    skipped: bool,
    warnings: Vec<&'static str>,
}

/// What became of all files.
#[derive(Debug, Default, Serialize)]
struct ImportReport {
    files: Vec<FileReport>,
    imported: usize,
    extended: usize,
    unchanged: usize,
    refused: usize,
    skipped: usize,
}

/// What was read and not yet sent.
#[derive(Default)]
struct Waiting {
    pem: Vec<u8>,
    /// The file that each is of, and its place there.
    places: Vec<(usize, usize)>,
}

impl Waiting {
    fn add(&mut self, cbor: &[u8], place: (usize, usize)) {
        self.pem.extend_from_slice(b"-----BEGIN OWNERSHIP VOUCHER-----\n");
        self.pem.extend_from_slice(Base64::encode_string(cbor).as_bytes());
        self.pem.extend_from_slice(b"\n-----END OWNERSHIP VOUCHER-----\n");
        self.places.push(place);
    }

    fn is_enough(&self) -> bool {
        self.places.len() >= VOUCHERS || self.pem.len() >= BYTES
    }
}

pub(super) async fn run(args: &Import, api: &ApiClient, output: Output) -> Result<(), Error> {
    let mut report = ImportReport::default();
    let ended = send_all(args, api, &mut report).await;
    report.count();
    if output.json {
        output.value(&report)?;
    } else if !report.files.is_empty() {
        output.print(&report, ImportReport::table)?;
        output.line(format!(
            "{} imported, {} extended, {} here already, {} refused, {} files without a voucher",
            report.imported, report.extended, report.unchanged, report.refused, report.skipped
        ))?;
    }
    ended?;
    let total = report.imported + report.extended + report.unchanged + report.refused;
    match report.refused {
        0 => Ok(()),
        refused => Err(Error::Refused { refused, total }),
    }
}

/// What was sent stays in the report also where something fails on the way.
async fn send_all(args: &Import, api: &ApiClient, report: &mut ImportReport) -> Result<(), Error> {
    let mut reading = voucher_files::read(&args.paths).map_err(|(path, source)| Error::File { path, source })?;
    let bar = progress::bytes(reading.total, "importing");
    let mut waiting = Waiting::default();
    while let Some(found) = reading.found.recv().await {
        let file = report.files.len().saturating_sub(1);
        match (found, report.files.last_mut()) {
            (Found::File(name), _) => {
                report.files.push(FileReport {
                    file: name,
                    vouchers: Vec::new(),
                    skipped: false,
                    warnings: Vec::new(),
                });
            }
            (Found::Voucher(cbor), Some(report)) => {
                waiting.add(&cbor, (file, report.vouchers.len()));
                report.vouchers.push(item("not-sent", None, None));
            }
            (Found::Unreadable(why), Some(report)) => {
                report.vouchers.push(item("refused", Some("voucher-file"), Some(why)));
            }
            (Found::Nothing, Some(report)) => report.skipped = true,
            (Found::PrivateKey, Some(report)) => {
                report.warnings.push("a private key stands in it; it was not read, and does not belong there");
            }
            (Found::Done(bytes), _) => bar.inc(bytes),
            (_, None) => {}
        }
        if waiting.is_enough() {
            send(std::mem::take(&mut waiting), args.allow_untrusted, api, report).await?;
        }
    }
    send(waiting, args.allow_untrusted, api, report).await?;
    bar.finish_and_clear();
    Ok(())
}

fn item(status: &str, code: Option<&str>, detail: Option<String>) -> ReportItem {
    ReportItem { guid: None, serial: None, status: status.to_owned(), code: code.map(str::to_owned), detail }
}

async fn send(
    waiting: Waiting,
    allow_untrusted: bool,
    api: &ApiClient,
    report: &mut ImportReport,
) -> Result<(), CliError> {
    if waiting.places.is_empty() {
        return Ok(());
    }
    let path = format!("/api/v1/vouchers?allow_untrusted={allow_untrusted}&each=true");
    let answer: Report = api.post_bytes(&path, "application/x-pem-file", waiting.pem).await?;
    if answer.results.len() != waiting.places.len() {
        return Err(CliError::Answer("it tells of another number of vouchers than were sent".to_owned()));
    }
    for ((file, place), item) in waiting.places.into_iter().zip(answer.results) {
        report.files[file].vouchers[place] = item;
    }
    Ok(())
}

impl ImportReport {
    fn count(&mut self) {
        for file in &self.files {
            self.skipped += usize::from(file.skipped);
            for voucher in &file.vouchers {
                match voucher.status.as_str() {
                    "imported" => self.imported += 1,
                    "extended" => self.extended += 1,
                    "unchanged" => self.unchanged += 1,
                    "refused" => self.refused += 1,
                    _ => {}
                }
            }
        }
    }

    /// A line for each voucher, and for each file that has something else to tell.
    fn table(&self) -> Table {
        let head = Table::new(&["FILE", "GUID", "SERIAL", "STATUS", "WHY"]);
        self.files.iter().fold(head, |table, file| {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let told =
                |table: Table, status: &str, why: &str| table.row([file.file.as_str(), "-", "-", status, why]);
            let table = file.warnings.iter().fold(table, |table, warning| told(table, "warning", warning));
            let table = if file.skipped { told(table, "skipped", "it holds no voucher") } else { table };
            file.vouchers.iter().fold(table, |table, item| {
                let (guid, serial, why) = (or_dash(&item.guid), or_dash(&item.serial), or_dash(&item.detail));
                table.row([file.file.as_str(), &guid, &serial, item.status.as_str(), &why])
            })
        })
    }
}
