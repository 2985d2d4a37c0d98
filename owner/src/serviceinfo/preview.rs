//! The dry run: what a device would get if it came now, and why. Nothing is written, and no secret is in it.

use serde::{Deserialize, Serialize};

use super::Error;
use super::outline::{Content, Origin, Outlined, outline};
use crate::app::App;
use crate::plans::Subject;

/// What a device would get.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preview {
    /// The plan's id, or `configuration`.
    pub plan: String,
    pub why: String,
    /// Plans that would be for the device too, were this one not narrower.
    pub outranked: Vec<String>,
    pub steps: Vec<PreviewStep>,
}

/// A step as it would be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviewStep {
    pub number: usize,
    pub module: String,
    pub required: bool,
    pub what: String,
    /// Whether it would be sent.
    pub sent: bool,
    /// Why it would not be sent, or not do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The ids of the networks in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Of the file in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha384: Option<String>,
}

/// What this device would get; `listed` are the modules that it listed when it came last.
pub async fn preview(app: &App, subject: &Subject, listed: Option<&[String]>) -> Result<Preview, Error> {
    let outline = outline(app, subject).await?;
    let (why, outranked) = match &outline.origin {
        Origin::Configuration => {
            ("no plan is for this device: the configuration's settings count".to_owned(), Vec::new())
        }
        Origin::Plan { id, outranked } if outranked.is_empty() => {
            (format!("{id} is the only plan for this device"), Vec::new())
        }
        Origin::Plan { id, outranked } => {
            (format!("{id} is the narrowest plan for this device"), outranked.clone())
        }
    };
    let steps = outline.steps.iter().enumerate().map(|(index, step)| one(index + 1, step, listed)).collect();
    Ok(Preview { plan: outline.origin.name().to_owned(), why, outranked, steps })
}

fn one(number: usize, outlined: &Outlined, listed: Option<&[String]>) -> PreviewStep {
    let (step, module) = (&outlined.step, outlined.step.module());
    let mut preview = PreviewStep {
        number,
        module: module.to_owned(),
        required: step.is_required(),
        what: step.describe(),
        sent: true,
        note: None,
        networks: Vec::new(),
        length: None,
        sha384: None,
    };
    match &outlined.content {
        Content::Plain => {}
        Content::Networks(networks) => {
            preview.networks = networks.iter().map(|network| network.id.clone()).collect();
        }
        Content::File(described, _) => {
            preview.length = Some(described.length);
            preview.sha384 = Some(hex::encode(described.sha384));
        }
        Content::Skipped(why) => (preview.sent, preview.note) = (false, Some(why.clone())),
        Content::Missing(why) => preview.note = Some(format!("it would fail: {why}")),
    }
    let is_unlisted = listed.is_some_and(|listed| !listed.iter().any(|name| name == module));
    if preview.sent && is_unlisted {
        let end = if step.is_required() { "and would fail" } else { "and would go on without" };
        (preview.sent, preview.note) =
            (false, Some(format!("the device did not list {module} when it came last {end}")));
    }
    preview
}
