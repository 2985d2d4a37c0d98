//! `fdo-owner inventory list|get|add|export`: every certificate of the fleet.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, Output, Table};
use fdo_service::paging::Page;

use super::{Error, at, escaped, read_file};
use crate::inventory::certificates::routes::{CertificateView, ROWS_HEADER, WholeView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Certificates and bare keys, those that end first at the top.
    List {
        #[command(flatten)]
        filter: Filter,
        /// The most rows; all with 0.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// One certificate with its PEM and the endpoints that serve it.
    Get {
        /// SHA-256 of the certificate.
        fingerprint: String,
    },
    /// List certificates from files, in DER or PEM; private keys are refused.
    Add {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// A name for them here.
        #[arg(long)]
        name: Option<String>,
    },
    /// What was uploaded is not used any more: nobody is told of its end.
    Retire {
        /// SHA-256 of the certificate.
        fingerprint: String,
    },
    /// Write the whole list to a file; nothing that is there is replaced.
    Export {
        path: PathBuf,
        /// csv or json [default: by the file's name, else csv]
        #[arg(long, value_enum)]
        format: Option<Form>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Form {
    Csv,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Of this device: its serial or GUID.
    #[arg(long, value_name = "SERIAL OR GUID")]
    device: Option<String>,
    /// With this serial number, in hexadecimal.
    #[arg(long)]
    serial: Option<String>,
    /// Issued by a CA of this common name.
    #[arg(long)]
    issuer: Option<String>,
    /// That end before this time: unix seconds, or days from now such as 30d.
    #[arg(long, value_name = "TIME")]
    expires_before: Option<String>,
    /// That end at this time or later.
    #[arg(long, value_name = "TIME")]
    expires_after: Option<String>,
    /// P-256, P-384, RSA2048, ..
    #[arg(long)]
    key_type: Option<String>,
    /// valid, expired, future, replaced, revoked or retired.
    #[arg(long)]
    status: Option<String>,
    #[arg(long)]
    fingerprint: Option<String>,
    /// ldevid, idevid, device-ca, authority, owner-key, maker-key, upload or probe.
    #[arg(long)]
    source: Option<String>,
    /// Beginnings of words in subject, device serial, GUID or name.
    #[arg(long, short = 'q', value_name = "TEXT")]
    search: Option<String>,
}

impl Filter {
    fn query(&self, now: u64) -> Result<Vec<String>, Error> {
        let time = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let (before, after) = (time(&self.expires_before)?, time(&self.expires_after)?);
        let given = [
            ("device", self.device.clone()),
            ("serial", self.serial.clone()),
            ("issuer", self.issuer.clone()),
            ("expires_before", before.map(|time| time.to_string())),
            ("expires_after", after.map(|time| time.to_string())),
            ("key_type", self.key_type.clone()),
            ("status", self.status.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("source", self.source.clone()),
            ("q", self.search.clone()),
        ];
        let piece =
            |(name, value): (&str, Option<String>)| value.map(|value| format!("{name}={}", escaped(&value)));
        Ok(given.into_iter().filter_map(piece).collect())
    }
}

/// Unix seconds, or days from now.
pub(super) fn moment(text: &str, now: u64) -> Result<u64, Error> {
    let wrong = Error::Usage("a time is unix seconds, or days from now such as 30d");
    match text.strip_suffix('d') {
        Some(days) => {
            let days: u64 = days.parse().map_err(|_| wrong)?;
            Ok(now.saturating_add(days.saturating_mul(86_400)))
        }
        None => text.parse().map_err(|_| wrong),
    }
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output, now: u64) -> Result<(), Error> {
    match command {
        Command::List { filter, limit } => {
            let rows = list(api, &filter.query(now)?.join("&"), *limit).await?;
            Ok(output.print(&rows, |rows| table(rows))?)
        }
        Command::Get { fingerprint } => {
            let whole: WholeView = api.get(&format!("/api/v1/inventory/{}", escaped(fingerprint))).await?;
            output.print(&whole, whole_table)?;
            Ok(output.line(whole.pem.trim_end())?)
        }
        Command::Add { files, name } => {
            let query = name.as_ref().map(|name| format!("?name={}", escaped(name))).unwrap_or_default();
            let mut added: Vec<CertificateView> = Vec::new();
            for file in files {
                let url = format!("/api/v1/inventory{query}");
                let page: Page<CertificateView> =
                    api.post_bytes(&url, "application/octet-stream", read_file(file)?).await?;
                added.extend(page.items);
            }
            Ok(output.print(&added, |added| table(added))?)
        }
        Command::Retire { fingerprint } => {
            api.delete(&format!("/api/v1/inventory/{}", escaped(fingerprint))).await?;
            Ok(output.line(format!("{fingerprint} is retired"))?)
        }
        Command::Export { path, format, filter } => export(path, *format, &filter.query(now)?, api, output).await,
    }
}

async fn list(api: &ApiClient, query: &str, limit: usize) -> Result<Vec<CertificateView>, Error> {
    let url = if query.is_empty() { "/api/v1/inventory".to_owned() } else { format!("/api/v1/inventory?{query}") };
    if limit == 0 {
        return Ok(api.pages(&url).await?);
    }
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    while rows.len() < limit {
        let page: Page<CertificateView> = api.page(&url, cursor.as_deref()).await?;
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    rows.truncate(limit);
    Ok(rows)
}

async fn export(
    path: &Path,
    format: Option<Form>,
    query: &[String],
    api: &ApiClient,
    output: Output,
) -> Result<(), Error> {
    let by_name = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let format = match (format, by_name) {
        (Some(Form::Json), _) | (None, true) => "json",
        _ => "csv",
    };
    let mut query = query.to_vec();
    query.push(format!("format={format}"));
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).await.map_err(failed)?;
    let url = format!("/api/v1/inventory/export?{}", query.join("&"));
    let bytes = api.get_rows(&url, ROWS_HEADER, &mut file).await?;
    file.sync_all().await.map_err(failed)?;
    Ok(output.line(format!("{} has {bytes} bytes", path.display()))?)
}

fn until(view: &CertificateView) -> String {
    view.not_after.map_or_else(|| "never".to_owned(), at)
}

fn table(rows: &[CertificateView]) -> Table {
    let head = Table::new(&["UNTIL", "STATUS", "SOURCE", "DEVICE", "KEY", "SUBJECT", "ISSUER", "SHA-256"]);
    rows.iter().fold(head, |table, row| {
        let device = row.device_serial.as_deref().or(row.guid.as_deref()).unwrap_or_default();
        let subject = row.subject.chars().take(60).collect::<String>();
        let issuer = row.issuer.chars().take(40).collect::<String>();
        table.row([
            until(row).as_str(),
            row.status.name(),
            row.source.name(),
            device,
            &row.key_type,
            &subject,
            &issuer,
            &row.fingerprint[..row.fingerprint.len().min(16)],
        ])
    })
}

fn whole_table(whole: &WholeView) -> Table {
    let row = &whole.certificate;
    let maybe = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut table = Table::new(&["FIELD", "VALUE"]);
    for (field, value) in [
        ("fingerprint", row.fingerprint.clone()),
        ("source", row.source.to_string()),
        ("status", row.status.to_string()),
        ("subject", row.subject.clone()),
        ("issuer", row.issuer.clone()),
        ("serial", row.serial.clone()),
        ("from", row.not_before.map(at).unwrap_or_default()),
        ("until", until(row)),
        ("key", row.key_type.clone()),
        ("device", maybe(&row.device_serial)),
        ("guid", maybe(&row.guid)),
        ("profile", maybe(&row.profile)),
        ("name", maybe(&row.name)),
        ("reason", maybe(&row.reason)),
        ("first seen", at(row.first_seen)),
        ("last seen", at(row.last_seen)),
    ] {
        if !value.is_empty() {
            table = table.row([field, &value]);
        }
    }
    whole.endpoints.iter().fold(table, |table, seen| {
        let what = if seen.position == 0 { "served at" } else { "in the chain of" };
        table.row([what, &format!("{}, last {}", seen.endpoint, at(seen.last_seen))])
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_days_from_now() {
        assert_eq!(moment("12", 100).unwrap(), 12);
        assert_eq!(moment("2d", 100).unwrap(), 172_900);
        assert!(moment("tomorrow", 100).is_err());
        assert!(moment("d", 100).is_err());
    }
}
