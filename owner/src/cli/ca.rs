//! `fdo-owner ca`: the owner's certificate authorities, and how one takes over from another.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, CliError, Output, Table};
use fdo_service::secret_file;
use zeroize::Zeroizing;

use super::{Error, at, escaped, read_file};
use crate::ca::authorities::creation_secret;
use crate::ca::authorities::external::{Connection, Est};
use crate::ca::authorities::routes::{CaEntry, Import, Introduction};
use crate::ca::routes::{AuthorityView, CaView};
use crate::enrollment::external::routes::OutsideCa;
use crate::plans::Secret;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Root and issuing CA: names, ends, fingerprints.
    Show,
    /// Their certificates in PEM.
    Export {
        /// Which.
        #[arg(value_enum, default_value_t = Which::Chain)]
        which: Which,
    },
    /// All CAs: those that are trusted, and those that were.
    List,
    /// Make a new issuing CA under the root. Devices trust it from now on; certificates come from it once it is activated.
    Introduce {
        /// The root's secret; by default `ca-root-secret` in the data directory
        #[arg(long, value_name = "FILE")]
        root_secret: Option<PathBuf>,
    },
    /// Take an issuing CA that the company made, instead of one under our own root.
    Import {
        /// Its certificate, then what stands above it up to the root, PEM
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// Its private key, PEM; stored sealed
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Take the company's CA elsewhere, which signs what it is sent; profiles name it by its id.
    External(Box<External>),
    /// Let new certificates come from this CA. The one before stays trusted.
    Activate {
        #[arg(value_name = "CA")]
        id: String,
    },
    /// End the trust in a CA of which no certificate holds any more.
    Retire {
        #[arg(value_name = "CA")]
        id: String,
        /// Even if certificates of it still hold; their devices must then be onboarded again
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct External {
    /// 1 to 32 of a-z, 0-9 and -
    #[arg(value_name = "CA")]
    id: String,
    /// Its certificate, then what stands above it up to the root, PEM
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Where it speaks EST, as in https://pki.example/.well-known/est; without it operators carry requests by hand
    #[arg(long, value_name = "URL", requires = "server_ca")]
    est: Option<String>,
    /// The CA of the EST server's own certificate, PEM; no other is trusted
    #[arg(long, value_name = "FILE", requires = "est")]
    server_ca: Option<PathBuf>,
    /// Our name there (HTTP Basic)
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    /// The file with our password there
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Our certificate there, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Which {
    Root,
    Issuing,
    /// The issuing CA, then the root.
    Chain,
}

pub(super) async fn run(command: &Command, api: &ApiClient, data_dir: &Path, output: Output) -> Result<(), Error> {
    match command {
        Command::Show => Ok(output.print(&present(api).await?, |ca| {
            let head = Table::new(&["CA", "SUBJECT", "UNTIL", "SHA-256"]);
            let row = |table: Table, name: &str, view: &AuthorityView| {
                table.row([name, &view.subject, &at(view.not_after), &view.fingerprint])
            };
            row(row(head, "root", &ca.root), "issuing", &ca.issuing)
        })?),
        Command::Export { which } => {
            let ca = present(api).await?;
            let text = match which {
                Which::Root => ca.root.pem,
                Which::Issuing => ca.issuing.pem,
                Which::Chain => ca.issuing.pem + &ca.root.pem,
            };
            Ok(output.bytes(text.as_bytes())?)
        }
        Command::List => {
            let all: Vec<CaEntry> = api.get("/api/v1/ca/authorities").await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Introduce { root_secret } => {
            let path = root_secret.clone().unwrap_or_else(|| creation_secret(data_dir));
            let secret = Zeroizing::new(hex::encode(&*secret_file::load(&path)?));
            let body = Introduction { root_secret: Secret::new(&secret) };
            let made: CaEntry = api.post("/api/v1/ca/introduce", &body).await?;
            introduced(&made, output)
        }
        Command::Import { certificate, key } => {
            let body = Import { certificate: read_text(certificate)?, key: secret(key)? };
            let made: CaEntry = api.post("/api/v1/ca/import", &body).await?;
            introduced(&made, output)
        }
        Command::External(external) => {
            let path = format!("/api/v1/ca/external/{}", escaped(&external.id));
            let body =
                OutsideCa { certificate: read_text(&external.certificate)?, connection: external.connection()? };
            let taken: CaEntry = api.put(&path, &body).await?;
            Ok(output.print(&taken, |taken| table(std::slice::from_ref(taken)))?)
        }
        Command::Activate { id } => {
            let path = format!("/api/v1/ca/authorities/{}/activate", escaped(id));
            let active: CaEntry = api.post(&path, &()).await?;
            Ok(output.print(&active, |active| table(std::slice::from_ref(active)))?)
        }
        Command::Retire { id, force } => {
            let path = format!("/api/v1/ca/authorities/{}/retire?force={force}", escaped(id));
            let retired: CaEntry = api.post(&path, &()).await?;
            Ok(output.print(&retired, |retired| table(std::slice::from_ref(retired)))?)
        }
    }
}

async fn present(api: &ApiClient) -> Result<CaView, CliError> {
    api.get("/api/v1/ca").await
}

impl External {
    fn connection(&self) -> Result<Connection, Error> {
        let Some(url) = &self.est else { return Ok(Connection::Manual) };
        let server_ca = self.server_ca.as_deref().map(read_text).transpose()?.unwrap_or_default();
        Ok(Connection::Est(Est {
            url: url.clone(),
            server_ca,
            username: self.username.clone(),
            password: self.password_file.as_deref().map(secret).transpose()?,
            client_certificate: self.client_certificate.as_deref().map(read_text).transpose()?,
            client_key: self.client_key.as_deref().map(secret).transpose()?,
        }))
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    let source = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    String::from_utf8(read_file(path)?)
        .map_err(|error| Error::File { path: path.to_owned(), source: source(error) })
}

fn secret(path: &Path) -> Result<Secret, Error> {
    let text = Zeroizing::new(read_text(path)?);
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn introduced(made: &CaEntry, output: Output) -> Result<(), Error> {
    output.print(made, |made| table(std::slice::from_ref(made)))?;
    if !output.json {
        output.line(format!(
            "Devices get it with their next certificate or `cacerts`. When they have it: fdo-owner ca activate {}",
            made.id
        ))?;
    }
    Ok(())
}

fn table(all: &[CaEntry]) -> Table {
    let head = Table::new(&["CA", "ROLE", "STATE", "SUBJECT", "UNTIL", "CERTIFICATES", "SHA-256"]);
    all.iter().fold(head, |table, one| {
        let (role, state) = (one.role.name(), one.state.name());
        let count = one.certificates.to_string();
        table.row([&one.id, role, state, &one.subject, &at(one.not_after), &count, &one.fingerprint])
    })
}
