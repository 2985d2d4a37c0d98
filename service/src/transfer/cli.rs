//! `partner ..` and `push ..` of the services' command lines, thin over the operator API.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::outbox::routes::PushView;
use super::partners::routes::{NewPartnerBody, PartnerView, RefreshBody, TokenBody, TokenView};
use super::timestamp;
use crate::cli::{ApiClient, CliError, Output, Table};

/// Organisations that vouchers are given to or taken from.
#[derive(Debug, Subcommand)]
pub enum PartnerCommand {
    /// All partners.
    List,
    /// One partner and its keys.
    Get { name: String },
    /// Add an organisation by its DID, or by URLs and keys.
    Add(AddPartner),
    /// Read a partner's DID document again.
    Refresh {
        name: String,
        /// Take other keys than before. Compare them with the partner first.
        #[arg(long)]
        accept: bool,
    },
    /// Stop taking and giving vouchers.
    Suspend { name: String },
    /// Let a suspended partner go on.
    Activate { name: String },
    /// Make a token with which the partner may push to us, and nothing else; it is shown once.
    Token {
        name: String,
        /// Good for so many days; without it, until it is revoked.
        #[arg(long)]
        days: Option<u64>,
    },
    /// Take all tokens of a partner back.
    RevokeTokens { name: String },
    /// Forget a partner; what is still to be pushed to it is dropped.
    Remove { name: String },
}

/// A partner to add.
#[derive(Debug, Args)]
pub struct AddPartner {
    pub name: String,
    /// did:web:.. (its document tells keys and URLs) or did:key:..
    #[arg(long)]
    pub did: Option<String>,
    /// SHA-256 of the TLS key that its service shows; without it, the public CAs count.
    #[arg(long, value_name = "FINGERPRINT")]
    pub fingerprint: Option<String>,
    /// Where it takes vouchers, such as https://owner.example/api/v1/vouchers
    #[arg(long, value_name = "URL")]
    pub push_url: Option<String>,
    /// Where it gives vouchers, such as https://maker.example/api/v1/pull/vouchers
    #[arg(long, value_name = "URL")]
    pub pull_url: Option<String>,
    /// A public key or certificate of it, PEM; repeat it.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// A file with the token that its operator made for our pushes; without it, our key is proven.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Vouchers on their way to partners.
#[derive(Debug, Subcommand)]
pub enum PushCommand {
    /// What was pushed, and what is still to be.
    List {
        /// queued, pushed or failed.
        #[arg(long)]
        state: Option<String>,
    },
    /// Try again at once.
    Retry { guid: String },
}

/// Runs a partner command. `now` is for the end of tokens.
pub async fn partner(command: &PartnerCommand, api: &ApiClient, output: Output, now: u64) -> Result<(), CliError> {
    let path = |name: &str, deed: &str| format!("/api/v1/partners/{}{deed}", escaped(name));
    let partner: PartnerView = match command {
        PartnerCommand::List => {
            let all: Vec<PartnerView> = api.pages("/api/v1/partners").await?;
            return output.print(&all, |all| table(all));
        }
        PartnerCommand::Get { name } => api.get(&path(name, "")).await?,
        PartnerCommand::Add(new) => api.post("/api/v1/partners", &body_of(new)?).await?,
        PartnerCommand::Refresh { name, accept } => {
            api.post(&path(name, "/refresh"), &RefreshBody { accept: *accept }).await?
        }
        PartnerCommand::Suspend { name } => api.post(&path(name, "/suspend"), &()).await?,
        PartnerCommand::Activate { name } => api.post(&path(name, "/activate"), &()).await?,
        PartnerCommand::Token { name, days } => {
            let expires = days.map(|days| now.saturating_add(days.saturating_mul(86_400)));
            let token: TokenView = api.post(&path(name, "/token"), &TokenBody { expires }).await?;
            return output.print(&token, |token| {
                Table::new(&["PARTNER", "TOKEN, SHOWN THIS ONCE"]).row([&token.partner, &token.token])
            });
        }
        PartnerCommand::RevokeTokens { name } => {
            api.delete(&path(name, "/token")).await?;
            return output.line(format!("{name} has no tokens any more"));
        }
        PartnerCommand::Remove { name } => {
            api.delete(&path(name, "")).await?;
            return output.line(format!("{name} is forgotten"));
        }
    };
    output.print(&partner, |partner| table(std::slice::from_ref(partner)))?;
    if !output.json {
        for key in &partner.keys {
            output.line(format!("key {key}"))?;
        }
    }
    Ok(())
}

/// Runs a push command.
pub async fn push(command: &PushCommand, api: &ApiClient, output: Output) -> Result<(), CliError> {
    match command {
        PushCommand::List { state } => {
            let query = state.as_ref().map(|state| format!("?state={}", escaped(state))).unwrap_or_default();
            let all: Vec<PushView> = api.pages(&format!("/api/v1/pushes{query}")).await?;
            output.print(&all, |all| pushes(all))
        }
        PushCommand::Retry { guid } => {
            let () = api.post(&format!("/api/v1/pushes/{}/retry", escaped(guid)), &()).await?;
            output.line(format!("{guid} is tried again"))
        }
    }
}

/// What the API is sent.
pub fn body_of(new: &AddPartner) -> Result<NewPartnerBody, CliError> {
    let keys = new.key.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let token = new.token_file.as_deref().map(read).transpose()?.map(|token| token.trim().to_owned());
    Ok(NewPartnerBody {
        name: new.name.clone(),
        did: new.did.clone(),
        fingerprint: new.fingerprint.clone(),
        push_root: new.push_url.clone(),
        pull_root: new.pull_url.clone(),
        keys,
        token,
    })
}

/// Pushes as a table.
pub fn pushes(all: &[PushView]) -> Table {
    let head = Table::new(&["GUID", "SERIAL", "PARTNER", "STATE", "ATTEMPTS", "NEXT", "WHY"]);
    let time = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), timestamp);
    all.iter().fold(head, |table, push| {
        let serial = push.serial.as_deref().unwrap_or("-");
        let why = push.error.as_deref().unwrap_or("-");
        let (attempts, next) = (push.attempts.to_string(), time(push.next_at));
        table.row([&push.guid, serial, &push.partner, push.state.name(), &attempts, &next, why])
    })
}

fn table(partners: &[PartnerView]) -> Table {
    let head = Table::new(&["NAME", "DID", "PUSH", "PULL", "STATE", "PULLED", "WHY NOT"]);
    partners.iter().fold(head, |table, partner| {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let state = if partner.suspended { "suspended" } else { "active" };
        let pulled = partner.pulled.map_or_else(|| "-".to_owned(), timestamp);
        table.row([
            partner.name.clone(),
            or(&partner.did),
            or(&partner.push_root),
            or(&partner.pull_root),
            state.to_owned(),
            pulled,
            or(&partner.pull_error),
        ])
    })
}

fn read(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
    Ok(text)
}

/// A piece of a path: names may hold anything printable.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
