//! `fdo-rendezvous policy show|set|reset|allow|deny|device-ca`.

use std::path::Path;

use clap::{Args, Subcommand};
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, at};
use crate::policy::routes::{Added, DeviceCaView, ListedKeyView, NewDeviceCa, NewKey, PolicyView};
use crate::policy::{Accept, DeviceCaRule, List, PolicyChange, fingerprint_of};
use crate::registrations::{Party, Replace};

const POLICY: &str = "/api/v1/policy";
const DEVICE_CAS: &str = "/api/v1/policy/device-cas";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Who may register now, and on which terms.
    Show,
    /// Change it; it counts from the next registration on, at every replica.
    Set(Set),
    /// Go back to the settings of the configuration; the lists stay.
    Reset,
    /// Keys that may register where `accept` is allow-list.
    #[command(subcommand)]
    Allow(AllowCommand),
    /// Keys that may not register, unless `accept` is open.
    #[command(subcommand)]
    Deny(DenyCommand),
    /// CAs that devices' certificates must chain to where `device-ca` is required.
    #[command(subcommand)]
    DeviceCa(DeviceCaCommand),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Who is welcome.
    #[arg(long, value_enum)]
    accept: Option<Accept>,
    /// Whose voucher takes the place of a live registration; a shorter one never does.
    #[arg(long, value_enum)]
    replace: Option<Replace>,
    /// Which devices are registered.
    #[arg(long, value_enum)]
    device_ca: Option<DeviceCaRule>,
    /// The longest registration that is granted.
    #[arg(long, value_name = "SECONDS")]
    max_wait_seconds: Option<u32>,
    /// Who asks for less is refused.
    #[arg(long, value_name = "SECONDS")]
    min_wait_seconds: Option<u32>,
    /// Live registrations that one owner's key may have, 0 for any number.
    #[arg(long, value_name = "NUMBER")]
    owner_quota: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum AllowCommand {
    /// All keys on the list.
    List,
    /// Put a key on the list.
    Add(Listing),
    /// Take a key off the list.
    Remove(KeyArguments),
}

#[derive(Debug, Subcommand)]
pub(super) enum DenyCommand {
    /// All keys on the list.
    List,
    /// Put a key on the list; its registrations end.
    Add {
        #[command(flatten)]
        add: Listing,
        /// Let its registrations run out instead of ending them.
        #[arg(long)]
        keep_registrations: bool,
    },
    /// Take a key off the list.
    Remove(KeyArguments),
}

#[derive(Debug, Args)]
pub(super) struct KeyArguments {
    /// As whose it is listed: that of who registers, or the one in the voucher's header.
    #[arg(value_enum)]
    party: Party,
    /// A PEM file with a public key or a certificate, or a fingerprint of 64 digits.
    key: String,
}

#[derive(Debug, Args)]
pub(super) struct Listing {
    #[command(flatten)]
    key: KeyArguments,
    /// What to remember about it.
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum DeviceCaCommand {
    /// All listed device CAs.
    List,
    /// List a device CA.
    Add {
        /// A CERTIFICATE in PEM.
        #[arg(value_name = "FILE")]
        file: std::path::PathBuf,
        /// What to remember about it.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Take a device CA off the list.
    Remove { fingerprint: String },
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::Show => Ok(output.print(&api.get::<PolicyView>(POLICY).await?, shown)?),
        Command::Set(set) => {
            let change = set.change();
            if change == PolicyChange::default() {
                return Err(Error::NothingToSet);
            }
            Ok(output.print(&api.patch::<_, PolicyView>(POLICY, &change).await?, shown)?)
        }
        Command::Reset => {
            api.delete(POLICY).await?;
            Ok(output.print(&api.get::<PolicyView>(POLICY).await?, shown)?)
        }
        Command::Allow(command) => match command {
            AllowCommand::List => list(List::Allow, api, output).await,
            AllowCommand::Add(new) => add(List::Allow, new, false, api, output).await,
            AllowCommand::Remove(key) => remove(List::Allow, key, api, output).await,
        },
        Command::Deny(command) => match command {
            DenyCommand::List => list(List::Deny, api, output).await,
            DenyCommand::Add { add: new, keep_registrations } => {
                add(List::Deny, new, *keep_registrations, api, output).await
            }
            DenyCommand::Remove(key) => remove(List::Deny, key, api, output).await,
        },
        Command::DeviceCa(command) => device_ca(command, api, output).await,
    }
}

impl Set {
    fn change(&self) -> PolicyChange {
        PolicyChange {
            accept: self.accept,
            replace: self.replace,
            device_ca: self.device_ca,
            max_wait_seconds: self.max_wait_seconds,
            min_wait_seconds: self.min_wait_seconds,
            owner_quota: self.owner_quota,
        }
    }
}

impl KeyArguments {
    /// The content of the file, or the fingerprint.
    fn text(&self) -> Result<String, Error> {
        let path = Path::new(&self.key);
        if path.is_file() {
            return std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source });
        }
        fingerprint_of(&self.key)?;
        Ok(self.key.clone())
    }
}

fn shown(policy: &PolicyView) -> Table {
    let PolicyView { settings, .. } = policy;
    let quota = match settings.owner_quota {
        0 => "any number".to_owned(),
        quota => quota.to_string(),
    };
    let origin = match (policy.set, policy.changed) {
        (true, changed) => format!("operators, last change {}", at(changed)),
        (false, _) => "the configuration".to_owned(),
    };
    Table::new(&["POLICY", ""])
        .row(["accept", settings.accept.name()])
        .row(["replace", settings.replace.name()])
        .row(["device CA", settings.device_ca.name()])
        .row(["wait seconds", &format!("{} to {}", settings.min_wait_seconds, settings.max_wait_seconds)])
        .row(["registrations of one owner", &quota])
        .row(["keys allowed", &policy.allowed.to_string()])
        .row(["keys denied", &policy.denied.to_string()])
        .row(["device CAs listed", &policy.device_cas.to_string()])
        .row(["set by", &origin])
}

async fn list(list: List, api: &ApiClient, output: Output) -> Result<(), Error> {
    let all: Vec<ListedKeyView> = api.pages(&format!("{POLICY}/{}", list.name())).await?;
    Ok(output.print(&all, |all| keys(all))?)
}

async fn add(list: List, new: &Listing, keep: bool, api: &ApiClient, output: Output) -> Result<(), Error> {
    let key = new.key.text()?;
    let new = NewKey { party: new.key.party, key, note: new.note.clone(), keep_registrations: keep };
    let added: Added = api.post(&format!("{POLICY}/{}", list.name()), &new).await?;
    output.print(&added, |added| keys(std::slice::from_ref(&added.key)))?;
    if list == List::Deny && !keep {
        output.line(format!("{} live registrations ended", added.ended))?;
    }
    if !added.in_force {
        let accept = if list == List::Deny { "deny-list" } else { "allow-list" };
        output.line(format!(
            "the list does not count yet; `fdo-rendezvous policy set --accept {accept}` puts it in force"
        ))?;
    }
    Ok(())
}

async fn remove(list: List, key: &KeyArguments, api: &ApiClient, output: Output) -> Result<(), Error> {
    let fingerprint = hex::encode(fingerprint_of(&key.text()?)?);
    api.delete(&format!("{POLICY}/{}/{}/{fingerprint}", list.name(), key.party.name())).await?;
    Ok(output.line(format!("{fingerprint} is off the list"))?)
}

fn keys(keys: &[ListedKeyView]) -> Table {
    keys.iter().fold(Table::new(&["AS", "FINGERPRINT", "SINCE", "NOTE"]), |table, key| {
        table.row([key.party.name(), &key.fingerprint, &at(key.created), &key.note])
    })
}

async fn device_ca(command: &DeviceCaCommand, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        DeviceCaCommand::List => {
            let all: Vec<DeviceCaView> = api.pages(DEVICE_CAS).await?;
            Ok(output.print(&all, |all| authorities(all))?)
        }
        DeviceCaCommand::Add { file, note } => {
            let unread = |source| Error::File { path: file.clone(), source };
            let pem = std::fs::read_to_string(file).map_err(unread)?;
            let view: DeviceCaView = api.post(DEVICE_CAS, &NewDeviceCa { pem, note: note.clone() }).await?;
            Ok(output.print(&view, |view| authorities(std::slice::from_ref(view)))?)
        }
        DeviceCaCommand::Remove { fingerprint } => {
            let fingerprint = hex::encode(fingerprint_of(fingerprint)?);
            api.delete(&format!("{DEVICE_CAS}/{fingerprint}")).await?;
            Ok(output.line(format!("{fingerprint} is off the list"))?)
        }
    }
}

fn authorities(all: &[DeviceCaView]) -> Table {
    all.iter().fold(Table::new(&["SUBJECT", "FINGERPRINT", "VALID TO", "NOTE"]), |table, view| {
        table.row([view.subject.as_str(), &view.fingerprint, &at(view.not_after), &view.note])
    })
}
