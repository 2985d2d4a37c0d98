//! What the agent says: sentences for people, or one JSON object.

use std::io::Write as _;
use std::path::Path;

use fdo_device::renewal::Renewed;
use fdo_device::simulate::Summary;
use fdo_device::store::{LdevidStatus, Status, Store};
use fdo_device::{Birth, Failure, OnboardError, Onboarded};
use fdo_protocol::Guid;
use serde_json::{Value, json};

fn out(text: &str) {
    // Whoever closed the pipe does not want to hear more.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line to stderr.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn print(value: &Value) -> anyhow::Result<()> {
    out(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Tells why the command failed.
pub fn failure(error: &anyhow::Error, json: bool) {
    // Every error tells of its cause itself.
    note(&format!("fdo-device: {error}"));
    if json {
        let failures = match error.downcast_ref::<OnboardError>() {
            Some(OnboardError::Exhausted(failures)) => failures.iter().map(as_json).collect(),
            _ => Vec::new(),
        };
        let value = json!({ "result": "failed", "error": error.to_string(), "failures": failures });
        if let Err(error) = print(&value) {
            note(&format!("fdo-device: {error:#}"));
        }
    }
}

fn as_json(failure: &Failure) -> Value {
    json!({ "protocol": failure.protocol, "at": failure.at, "reason": failure.reason })
}

/// The outcome of `init`.
pub fn born(guid: Guid, birth: &Birth, state: &Path, json: bool) -> anyhow::Result<()> {
    if json {
        return print(&json!({
            "result": "initialised",
            "guid": guid.to_string(),
            "serial": birth.serial,
            "model": birth.model,
            "key_type": birth.key_type.to_string(),
            "manufacturer": birth.manufacturer.to_string(),
            "state_dir": state,
        }));
    }
    out(&format!("This device is {} ({}), GUID {guid}.", birth.serial, birth.model));
    out(&format!("Its {} key and its credential are in {}.", birth.key_type, state.display()));
    Ok(())
}

/// The outcome of `onboard`.
pub fn onboarded(outcome: &Onboarded, state: &Path, json: bool) -> anyhow::Result<()> {
    match outcome {
        Onboarded::Already(guid) if json => {
            print(&json!({ "result": "already-onboarded", "guid": guid.to_string() }))
        }
        Onboarded::Already(guid) => {
            out(&format!(
                "This device is onboarded already, GUID {guid}. Nothing to do (--reonboard does it again)."
            ));
            Ok(())
        }
        Onboarded::Now { guid, next_guid, status } if json => {
            let mut value = serde_json::to_value(status)?;
            value["result"] = "onboarded".into();
            value["guid"] = next_guid.to_string().into();
            value["previous_guid"] = guid.to_string().into();
            print(&value)
        }
        Onboarded::Now { next_guid, status, .. } => {
            let owner = status.owner.as_deref().unwrap_or("its owner");
            out(&format!("Onboarded with {owner}. The GUID is now {next_guid}."));
            brought(status, state);
            Ok(())
        }
    }
}

fn brought(status: &Status, state: &Path) {
    if let Some(ldevid) = &status.ldevid {
        out(&format!("LDevID      {} until {}", ldevid.subject, date(ldevid.not_after)));
        out(&format!("            in {}", state.join("ldevid").display()));
    }
    if let Some(why) = &status.no_ldevid {
        out(&format!("LDevID      none: {why}"));
    }
    let list = |label: &str, items: &[String]| {
        for item in items {
            // What an owner named may hold anything.
            out(&format!("{label:<11} {}", item.escape_debug()));
        }
    };
    list("Wi-Fi", &status.networks);
    list("File", &status.files);
    list("Refused", &status.refused);
}

/// The outcome of `renew`.
pub fn renewed(outcome: &Renewed, state: &Path, json: bool) -> anyhow::Result<()> {
    match outcome {
        Renewed::Now(certificate) if json => {
            let mut value = serde_json::to_value(LdevidStatus::of(certificate))?;
            value["result"] = "renewed".into();
            print(&value)
        }
        Renewed::Now(certificate) => {
            let ldevid = LdevidStatus::of(certificate);
            out(&format!(
                "Renewed: {} until {}, number {}.",
                ldevid.subject,
                date(ldevid.not_after),
                ldevid.serial
            ));
            out(&format!("Key and certificate are in {}.", state.join("ldevid").display()));
            Ok(())
        }
        Renewed::Pending(after) if json => print(&json!({ "result": "pending", "retry_after": after })),
        Renewed::Pending(after) => {
            let when = after.map_or("later".to_owned(), |seconds| format!("in {seconds} seconds"));
            out(&format!("The owner has not decided yet; ask again {when} (`fdo-device run` does)."));
            Ok(())
        }
    }
}

/// How renewal goes, under the facts of `status`.
fn renewal(store: &Store) -> anyhow::Result<()> {
    let status = store.renewal_status();
    match store.renewal_source()? {
        None => return Ok(()),
        Some(source) => out(&format!("Renewal     at {}, {} so far", source.url.escape_debug(), status.renewals)),
    }
    let line = |label: &str, text: &Option<String>| {
        if let Some(text) = text {
            out(&format!("{label:<11} {}", text.escape_debug()));
        }
    };
    line("", &status.next_at.map(|at| format!("the next one on {}", date(at))));
    line("", &status.waiting);
    line("Clock", &status.clock);
    let failure = status.failure.as_ref().zip(status.failed_at);
    line("Failed", &failure.map(|(why, at)| format!("{}, {} in a row: {why}", date(at), status.failures)));
    line("Hook", &status.hook_failure);
    Ok(())
}

/// The outcome of `status`.
pub fn status(store: &Store, json: bool) -> anyhow::Result<()> {
    let status = store.status();
    let initialised = store.is_initialised()?;
    let pending = store.pending()?.is_some();
    let credential = if initialised { Some(store.credential()?) } else { None };
    let state = match &credential {
        None => "not-initialised",
        Some(_) if pending => "unconfirmed",
        Some(credential) if credential.active => "initialised",
        Some(_) => "onboarded",
    };
    if json {
        let mut value = serde_json::to_value(&status)?;
        value["state"] = state.into();
        value["renewal"] = serde_json::to_value(store.renewal_status())?;
        value["guid"] = credential.map(|credential| credential.guid.to_string()).into();
        return print(&value);
    }
    let Some(credential) = credential else {
        out("This device has no credential yet: run `fdo-device init`.");
        return Ok(());
    };
    out(&format!(
        "State       {}",
        match state {
            "unconfirmed" => "the owner's last word was lost: run `fdo-device onboard`",
            "initialised" => "waiting for its owner: run `fdo-device onboard`",
            _ => "onboarded",
        }
    ));
    out(&format!("Serial      {}", status.serial));
    out(&format!("Model       {}", status.model));
    out(&format!("GUID        {}", credential.guid));
    for hop in credential.rv_info.device_hops() {
        for address in hop.addresses {
            out(&format!("Rendezvous  {address}{}", if hop.bypass { " (the owner itself)" } else { "" }));
        }
    }
    if let Some(owner) = &status.owner {
        out(&format!("Owner       {owner}, {}", status.onboarded_at.map(date).unwrap_or_default()));
    }
    if let (Some(failure), Some(at)) = (&status.failure, status.failed_at) {
        out(&format!("Failed      {}: {}", date(at), failure.escape_debug()));
    }
    brought(&status, store.directory().path().unwrap_or(Path::new("")));
    renewal(store)
}

/// The outcome of `simulate`.
pub fn simulated(summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        return print(&serde_json::to_value(summary)?);
    }
    out(&format!(
        "{} of {} devices in {:.1} s: {:.1} a second, half within {} ms, 95 % within {} ms{}",
        summary.succeeded,
        summary.devices,
        summary.seconds,
        summary.rate,
        summary.median_ms,
        summary.p95_ms,
        if summary.already > 0 { format!("; {} had done it before", summary.already) } else { String::new() },
    ));
    for (reason, count) in &summary.failures {
        out(&format!("{count} failed: {}", reason.escape_debug()));
    }
    Ok(())
}

fn date(seconds: u64) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_else(|| seconds.to_string())
}
