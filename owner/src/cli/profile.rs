//! `fdo-owner profile list|get|set|remove`: what stands in devices' certificates, and for how long.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fdo_service::cli::{ApiClient, Output, Table};

use super::{Error, escaped, read_file};
use crate::ca::profiles::routes::ProfileView;
use crate::ca::profiles::{Approval, Profile, Status};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All certificate profiles.
    List,
    /// One profile, in the form that `set --file` takes.
    Get {
        #[arg(value_name = "PROFILE")]
        name: String,
    },
    /// Write a profile: that of a file, or what there is (else what is built in) with these changes.
    Set(Box<Set>),
    /// Take a profile away; its devices get "ldevid" when they renew.
    Remove {
        #[arg(value_name = "PROFILE")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Set {
    #[arg(value_name = "PROFILE")]
    name: String,
    /// TOML, or JSON where the name ends in `.json`
    #[arg(long)]
    file: Option<PathBuf>,
    #[arg(long)]
    description: Option<String>,
    /// A model whose devices get it; may be given again
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
    /// Part of the subject, as in CN={serial}; may be given again
    #[arg(long, value_name = "ATTRIBUTE=TEXT")]
    subject: Vec<String>,
    /// An alternative name, as in dns:{serial}.plant.example; may be given again
    #[arg(long, value_name = "KIND:TEXT")]
    san: Vec<String>,
    /// digitalSignature, contentCommitment, keyEncipherment, keyAgreement; may be given again
    #[arg(long, value_name = "USE")]
    key_usage: Vec<String>,
    /// clientAuth, serverAuth, ipsecIKE or an OID; may be given again
    #[arg(long, value_name = "USE")]
    extended_key_usage: Vec<String>,
    /// Life of a certificate, as in 90d, 12h, 6s
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    validity: Option<u64>,
    /// How far back it begins, for devices whose clock is late
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    backdate: Option<u64>,
    /// P-256, P-384, RSA2048, RSA3072; may be given again
    #[arg(long, value_name = "TYPE")]
    key_type: Vec<String>,
    /// Renewal begins after so many percent of the life
    #[arg(long, value_name = "NUMBER")]
    renew_percent: Option<u8>,
    /// A device may keep its key when it renews
    #[arg(long, value_name = "BOOL")]
    reuse_key: Option<bool>,
    /// What it says of its status: crl, ocsp, issuer, or no-rev-avail, or none; separated by commas
    #[arg(long, value_name = "LIST", value_parser = status)]
    status: Option<StatusList>,
    /// Name the hardware of the IDevID too
    #[arg(long, value_name = "BOOL")]
    hardware_module: Option<bool>,
    /// The outside CA that signs; `own` for our own
    #[arg(long, value_name = "CA")]
    authority: Option<String>,
    /// automatic, or manual: an operator approves each request
    #[arg(long, value_name = "HOW", value_parser = approval)]
    approval: Option<Approval>,
}

/// As one value of one flag.
#[derive(Clone, Debug)]
struct StatusList(Vec<Status>);

/// Seconds from `90d`, `12h`, `30m`, `6s` or a bare number.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a number and s, m, h or d, as in 90d".to_owned();
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

fn status(text: &str) -> Result<StatusList, String> {
    let one = |word: &str| match word {
        "crl" => Ok(Status::Crl),
        "ocsp" => Ok(Status::Ocsp),
        "issuer" => Ok(Status::Issuer),
        "no-rev-avail" => Ok(Status::NoRevAvail),
        other => Err(format!("{other}: use crl, ocsp, issuer, no-rev-avail, or none")),
    };
    if text == "none" {
        return Ok(StatusList(Vec::new()));
    }
    text.split(',').map(one).collect::<Result<_, _>>().map(StatusList)
}

fn approval(text: &str) -> Result<Approval, String> {
    match text {
        "automatic" => Ok(Approval::Automatic),
        "manual" => Ok(Approval::Manual),
        _ => Err("use automatic or manual".to_owned()),
    }
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List => {
            let all: Vec<ProfileView> = api.pages("/api/v1/profiles").await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Get { name } => {
            let found: ProfileView = api.get(&path(name)).await?;
            if output.json {
                return Ok(output.value(&found)?);
            }
            let text = toml::to_string(&found.profile).map_err(|error| wrong_file(name, &error))?;
            Ok(output.bytes(text.as_bytes())?)
        }
        Command::Set(set) => {
            let before = match &set.file {
                Some(file) => read(file)?,
                None => present(api, &set.name).await?,
            };
            let written: ProfileView = api.put(&path(&set.name), &set.apply(before)).await?;
            Ok(output.print(&written, |written| table(std::slice::from_ref(written)))?)
        }
        Command::Remove { name } => {
            api.delete(&path(name)).await?;
            Ok(output.line(format!("profile {name} is removed"))?)
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/profiles/{}", escaped(name))
}

/// The profile of this name, else what is built in under it.
async fn present(api: &ApiClient, name: &str) -> Result<Profile, Error> {
    let all: Vec<ProfileView> = api.pages("/api/v1/profiles").await?;
    let found = all.into_iter().find(|view| view.profile.name == name);
    Ok(found.map_or_else(Profile::default, |view| view.profile))
}

fn wrong_file(name: &str, error: &dyn std::fmt::Display) -> Error {
    Error::ProfileFile(name.into(), error.to_string())
}

fn read(path: &Path) -> Result<Profile, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::ProfileFile(path.to_owned(), error.to_string());
    let text = String::from_utf8(read_file(path)?).map_err(|error| wrong(&error))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        return serde_json::from_str(&text).map_err(|error| wrong(&error));
    }
    toml::from_str(&text).map_err(|error| wrong(&error))
}

impl Set {
    fn apply(&self, mut profile: Profile) -> Profile {
        let replace = |list: &mut Vec<String>, given: &[String]| {
            if !given.is_empty() {
                *list = given.to_vec();
            }
        };
        profile.name = self.name.clone();
        replace(&mut profile.models, &self.model);
        replace(&mut profile.subject, &self.subject);
        replace(&mut profile.names, &self.san);
        replace(&mut profile.key_usages, &self.key_usage);
        replace(&mut profile.extended_key_usages, &self.extended_key_usage);
        replace(&mut profile.key_types, &self.key_type);
        if let Some(description) = &self.description {
            profile.description = Some(description.clone());
        }
        profile.validity_seconds = self.validity.unwrap_or(profile.validity_seconds);
        profile.backdate_seconds = self.backdate.unwrap_or(profile.backdate_seconds);
        profile.renew_percent = self.renew_percent.unwrap_or(profile.renew_percent);
        profile.reuse_key = self.reuse_key.unwrap_or(profile.reuse_key);
        profile.hardware_module = self.hardware_module.unwrap_or(profile.hardware_module);
        profile.approval = self.approval.unwrap_or(profile.approval);
        if let Some(StatusList(status)) = &self.status {
            profile.status.clone_from(status);
        }
        if let Some(authority) = &self.authority {
            profile.authority = (authority != "own").then(|| authority.clone());
        }
        profile
    }
}

fn table(profiles: &[ProfileView]) -> Table {
    let head = Table::new(&["PROFILE", "MODELS", "LIFE", "KEYS", "SIGNED BY", "APPROVAL", "SET"]);
    profiles.iter().fold(head, |table, view| {
        let profile = &view.profile;
        let models = if profile.models.is_empty() { "-".to_owned() } else { profile.models.join(", ") };
        let life = match profile.validity_seconds {
            seconds if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
            seconds => format!("{seconds} s"),
        };
        let authority = profile.authority.as_deref().unwrap_or("own CA");
        let approval = match profile.approval {
            Approval::Automatic => "automatic",
            Approval::Manual => "manual",
        };
        let set = if view.built_in { "built in" } else { "yes" };
        table.row([&profile.name, &models, &life, &profile.key_types.join(" "), authority, approval, set])
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("90d"), Ok(7_776_000));
        assert_eq!(seconds("6s"), Ok(6));
        assert_eq!(seconds("6"), Ok(6));
        for wrong in ["", "d", "1w", "99999999999999999999d", "-1s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_of_status_are_read() {
        assert_eq!(status("crl,ocsp").unwrap().0, [Status::Crl, Status::Ocsp]);
        assert!(status("none").unwrap().0.is_empty());
        assert!(status("crl,nothing").is_err());
    }
}
