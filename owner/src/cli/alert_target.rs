//! `fdo-owner alert-target add|list|remove|test`: who is told. A secret comes from a file or standard input, never from the
//! command line.

use std::io::BufRead;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, Output, Table};
use zeroize::Zeroizing;

use super::{Error, at, escaped, read_file};
use crate::alerts::Severity;
use crate::alerts::targets::routes::{AddedView, Secret, TargetRequest, TargetView};
use crate::alerts::targets::{Address, Encryption};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All targets, without their secrets.
    List,
    /// Have somebody told.
    #[command(subcommand)]
    Add(Add),
    /// Tell them no more.
    Remove {
        /// Its name or id.
        name: String,
    },
    /// Send a message that is about nothing, and say how that went.
    Test {
        /// Its name or id.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Add {
    /// JSON over HTTP, signed with HMAC-SHA256.
    Webhook {
        /// Its name here.
        name: String,
        url: String,
        #[command(flatten)]
        common: Common,
    },
    /// Mail over SMTP.
    Email {
        /// Its name here.
        name: String,
        /// host:port of the mail server
        #[arg(long, value_name = "HOST:PORT")]
        server: String,
        /// Who it is from.
        #[arg(long)]
        from: String,
        /// Who gets it; repeat it.
        #[arg(long, required = true)]
        to: Vec<String>,
        #[arg(long, value_enum, default_value_t = Channel::Starttls)]
        encryption: Channel,
        #[arg(long)]
        username: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Channel {
    Starttls,
    Tls,
    None,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// info, warning or critical: what matters less is not told.
    #[arg(long, default_value = "warning")]
    least_severity: String,
    /// A file with the secret: a webhook's signing key, or a mail server's password.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Read the secret from standard input.
    #[arg(long, conflicts_with = "secret_file")]
    secret_stdin: bool,
}

impl Common {
    fn secret(&self) -> Result<Option<Secret>, Error> {
        let text = if let Some(path) = &self.secret_file {
            Zeroizing::new(String::from_utf8_lossy(&Zeroizing::new(read_file(path)?)).into_owned())
        } else if self.secret_stdin {
            let mut line = Zeroizing::new(String::new());
            std::io::stdin().lock().read_line(&mut line)?;
            line
        } else {
            return Ok(None);
        };
        Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
    }

    fn severity(&self) -> Result<Severity, Error> {
        let named = Severity::ALL.into_iter().find(|severity| severity.name() == self.least_severity);
        named.ok_or(Error::Usage("--least-severity is info, warning or critical"))
    }
}

fn request(add: &Add) -> Result<TargetRequest, Error> {
    let (name, address, common) = match add {
        Add::Webhook { name, url, common } => (name, Address::Webhook { url: url.clone() }, common),
        Add::Email { name, server, from, to, encryption, username, common } => {
            let encryption = match encryption {
                Channel::Starttls => Encryption::Starttls,
                Channel::Tls => Encryption::Tls,
                Channel::None => Encryption::None,
            };
            let (server, username, from) = (server.clone(), username.clone(), from.clone());
            (name, Address::Email { server, encryption, username, from, to: to.clone() }, common)
        }
    };
    Ok(TargetRequest {
        name: name.clone(),
        address,
        secret: common.secret()?,
        least_severity: Some(common.severity()?),
        enabled: None,
    })
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    let url = |name: &str| format!("/api/v1/alert-targets/{}", escaped(name));
    match command {
        Command::List => {
            let all: Vec<TargetView> = api.pages("/api/v1/alert-targets").await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Add(add) => {
            let added: AddedView = api.post("/api/v1/alert-targets", &request(add)?).await?;
            output.print(&added, |added| table(std::slice::from_ref(&added.target)))?;
            if let Some(secret) = &added.made_secret {
                output
                    .line(format!("messages are signed with this secret, shown this once: {}", secret.text()))?;
            }
            Ok(())
        }
        Command::Remove { name } => {
            api.delete(&url(name)).await?;
            Ok(output.line(format!("{name} is told no more"))?)
        }
        Command::Test { name } => {
            let target: TargetView = api.post(&format!("{}/test", url(name)), &()).await?;
            output.line(format!("{} took the message", target.name))?;
            if output.json { Ok(output.value(&target)?) } else { Ok(()) }
        }
    }
}

fn table(targets: &[TargetView]) -> Table {
    let head = Table::new(&["ID", "NAME", "KIND", "WHERE", "FROM SEVERITY", "ENABLED", "LAST SENT", "LAST ERROR"]);
    targets.iter().fold(head, |table, target| {
        let place = match &target.address {
            Address::Webhook { url } => url.clone(),
            Address::Email { server, to, .. } => format!("{} by {server}", to.join(" ")),
        };
        table.row([
            target.id.as_str(),
            &target.name,
            target.address.kind(),
            &place,
            target.least_severity.name(),
            if target.enabled { "yes" } else { "no" },
            &target.last_sent.map_or_else(|| "never".to_owned(), at),
            target.last_error.as_deref().unwrap_or_default(),
        ])
    })
}
