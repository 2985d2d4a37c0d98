//! What the steps of a plan must hold to: each for itself, and all together.

use std::collections::HashSet;

use fdo_protocol::service_info::conformance::Token;
use fdo_protocol::service_info::{command, download, payload, upload, wget};

use super::Error;
use super::step::{CommandStep, ConformanceStep, PayloadStep, Step, UploadStep, WgetStep};
use crate::files;

/// How many steps a plan may have.
const MAX_STEPS: usize = 100;

/// A field, and what is wrong with it.
type Wrong = (&'static str, String);

/// Checks the steps of a plan.
pub fn check(steps: &[Step]) -> Result<(), Error> {
    if steps.len() > MAX_STEPS {
        return Err(Error::Field("steps", format!("a plan has at most {MAX_STEPS} steps")));
    }
    let mut once = HashSet::new();
    for (index, step) in steps.iter().enumerate() {
        let wrong = |field, problem| Error::Step { number: index + 1, module: step.module(), field, problem };
        one(step).map_err(|(field, problem)| wrong(field, problem))?;
        let unique = match step {
            Step::Wifi(_) | Step::Csr(_) | Step::Conformance(_) => Some(("module", String::new())),
            Step::Download(step) => Some(("name", step.name.clone())),
            Step::Upload(step) => Some(("name", step.name.clone())),
            Step::Command(_) | Step::Wget(_) | Step::Payload(_) => None,
        };
        if let Some((field, value)) = unique
            && !once.insert((step.module(), value))
        {
            return Err(wrong(field, "an earlier step has it already".to_owned()));
        }
    }
    Ok(())
}

/// Seconds that a command may run.
const MAX_TIMEOUT: u64 = 86_400;

fn one(step: &Step) -> Result<(), Wrong> {
    match step {
        Step::Wifi(step) => match &step.networks {
            Some(ids) if ids.is_empty() || ids.len() > 64 => {
                Err(("networks", "name 1 to 64 networks, or leave it out for all".to_owned()))
            }
            _ => Ok(()),
        },
        Step::Csr(_) => Ok(()),
        Step::Download(step) => {
            stored(&step.file)?;
            target(&step.name, download::MAX_NAME)
        }
        Step::Command(step) => a_command(step),
        Step::Upload(step) => an_upload(step),
        Step::Wget(step) => a_fetch(step),
        Step::Payload(step) => a_payload(step),
        Step::Conformance(step) => a_token(step),
    }
}

fn a_command(step: &CommandStep) -> Result<(), Wrong> {
    text("command", &step.command, command::MAX_TEXT)?;
    if step.args.len() > command::MAX_ARGUMENTS {
        return Err(("args", format!("use at most {} arguments", command::MAX_ARGUMENTS)));
    }
    if step.args.iter().any(|argument| argument.len() > command::MAX_TEXT || argument.contains('\0')) {
        return Err(("args", format!("an argument has at most {} bytes, none of them 0", command::MAX_TEXT)));
    }
    if step.timeout.is_some_and(|seconds| !(1..=MAX_TIMEOUT).contains(&seconds)) {
        return Err(("timeout", format!("use 1 to {MAX_TIMEOUT} seconds, or leave it out")));
    }
    Ok(())
}

fn an_upload(step: &UploadStep) -> Result<(), Wrong> {
    if step.limit == Some(0) {
        return Err(("limit", "use at least 1 byte, or leave it out".to_owned()));
    }
    target(&step.name, upload::MAX_NAME)
}

fn a_fetch(step: &WgetStep) -> Result<(), Wrong> {
    text("url", &step.url, wget::MAX_URL)?;
    let url = reqwest::Url::parse(&step.url).map_err(|error| ("url", error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(("url", "use http:// or https://".to_owned()));
    }
    if step.sha384.is_some() && step.digest().is_none() {
        return Err(("sha384", "a SHA-384 has 96 hexadecimal digits".to_owned()));
    }
    step.name.as_ref().map_or(Ok(()), |name| target(name, wget::MAX_NAME))
}

fn a_payload(step: &PayloadStep) -> Result<(), Wrong> {
    stored(&step.file)?;
    text("mime", &step.mime, payload::MAX_TEXT)?;
    if !step.mime.contains('/') {
        return Err(("mime", "a MIME type has two parts, such as application/json".to_owned()));
    }
    step.name.as_ref().map_or(Ok(()), |name| text("name", name, payload::MAX_TEXT))?;
    step.version.as_ref().map_or(Ok(()), |version| text("version", version, payload::MAX_TEXT))
}

fn a_token(step: &ConformanceStep) -> Result<(), Wrong> {
    match &step.token {
        Some(token) if Token::new(token.expose().to_owned()).is_err() => {
            Err(("token", "use 1 to 4096 printable characters without spaces".to_owned()))
        }
        _ => Ok(()),
    }
}

/// A file here.
fn stored(name: &str) -> Result<(), Wrong> {
    files::check_name(name).map_err(|error| ("file", error.to_string()))
}

fn text(field: &'static str, text: &str, most: usize) -> Result<(), Wrong> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err((field, format!("use 1 to {most} bytes without control characters")));
    }
    Ok(())
}

/// A file's name on a device.
fn target(name: &str, most: usize) -> Result<(), Wrong> {
    text("name", name, most)?;
    if name.ends_with('/') || name.split('/').any(|part| part == "..") {
        return Err(("name", "name a file, without `..`".to_owned()));
    }
    Ok(())
}
