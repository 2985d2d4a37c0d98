//! What a device gets in TO2, as data: which modules in which order, which of them it must have, and what came of it.

mod facts;
mod modules;
mod outline;
mod preview;
mod renewal;

use fdo_protocol::cbor::{Decode, Encode, Reader, Writer};
use fdo_protocol::cbor_array;
use fdo_protocol::service_info::TurnLimits;
use fdo_protocol::service_info::csr::{self, CsrError};
use fdo_protocol::service_info::owner::{Conversation, ModuleFailure, ModuleOutcome};
use fdo_service::database::DbErr;

pub use facts::{DeviceFacts, ModuleFacts, shown};
pub use outline::{Origin, subject};
pub use preview::{Preview, PreviewStep, preview};
pub use renewal::renewal;

use crate::app::App;
use crate::inventory::{self, Transfer};
use crate::networks;
use crate::plans::{self, Step, Subject};
use outline::{Content, Outlined};

pub use fdo_protocol::service_info::owner::{Need, Provision};

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Plan(#[from] plans::Error),
    #[error(transparent)]
    Network(#[from] networks::Error),
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    #[error("the database of what devices get failed")]
    Database(#[from] DbErr),
}

/// A plan while one device is served.
pub struct Provisioning {
    /// The exchange of 68 and 69.
    pub conversation: Conversation,
    /// The plan's id, or `configuration`.
    plan: String,
    /// One for each module of the conversation.
    steps: Vec<Planned>,
    networks: Vec<String>,
    /// Serials of the certificates that were issued on the way.
    pub certificates: Vec<String>,
    /// Until when those are kept unconfirmed, and the TO2 counts as running.
    pub pending_until: u64,
}
cbor_array!(Provisioning { conversation, plan, steps, networks, certificates, pending_until });

/// What the owner keeps of a step besides its module.
struct Planned {
    /// A device without it fails.
    required: bool,
    /// What it does, for people.
    what: String,
    source: Source,
    /// The most bytes of a file of the device's.
    limit: u64,
}
cbor_array!(Planned { required, what, source, limit });

/// Where the file of a step lies.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// There is none.
    Nowhere,
    /// At a path of the configuration.
    Path(String),
    /// Among the stored files, under this name of its content.
    Stored(String),
}

impl Encode for Source {
    fn encode_into(&self, writer: &mut Writer) {
        let (kind, text) = match self {
            Self::Nowhere => (0, ""),
            Self::Path(path) => (1, path.as_str()),
            Self::Stored(content) => (2, content.as_str()),
        };
        writer.array(2).unsigned(kind).text(text);
    }
}

impl Decode for Source {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, fdo_protocol::Error> {
        reader.array(2)?;
        let (kind, text) = (reader.unsigned()?, String::decode_from(reader)?);
        Ok(match kind {
            0 => Self::Nowhere,
            1 => Self::Path(text),
            2 => Self::Stored(text),
            _ => return Err(fdo_protocol::Error::Malformed("a stored source of an unknown kind")),
        })
    }
}

/// How `fdo.csr` ends where a certificate is not there yet.
const WAITS: ModuleOutcome = ModuleOutcome::Failed(ModuleFailure::Enrolment(CsrError::RateExceeded));

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With all that was planned and a certificate.
    Onboarded,
    /// Without a certificate, which was optional or not planned.
    OnboardedWithoutCertificate(String),
    /// Without something that is required.
    Failed(String),
}

/// What a device gets that takes service info of the size that it announced in 66.
pub async fn plan(app: &App, subject: &Subject, announced: Option<u16>) -> Result<Provisioning, Error> {
    let outline = outline::outline(app, subject).await?;
    let most = app.settings.uploads.file_bytes;
    let mut networks = Vec::new();
    let (mut modules, mut steps) = (Vec::new(), Vec::new());
    if renewal(app).is_some() {
        // It comes first because it waits for an answer of its own, during which the others go on.
        let (module, step) = renewal::step();
        modules.push(module);
        steps.push(step);
    }
    for Outlined { step, content } in outline.steps {
        if let Content::Networks(sent) = &content {
            networks.extend(sent.iter().map(|network| network.id.clone()));
        }
        let limit = match &step {
            Step::Upload(step) => step.limit.unwrap_or(most).min(most),
            _ => 0,
        };
        let Some((module, source)) = modules::module(&step, content, limit) else { continue };
        modules.push(module);
        steps.push(Planned { required: step.is_required(), what: step.describe(), source, limit });
    }
    Ok(Provisioning {
        conversation: Conversation::new(announced, modules, TurnLimits::default()),
        plan: outline.origin.name().to_owned(),
        steps,
        networks,
        certificates: Vec::new(),
        pending_until: 0,
    })
}

impl Provisioning {
    /// The part of a file that the running module asks for.
    pub async fn read(&self, app: &App, offset: u64, length: usize) -> Provision {
        let source = self.conversation.asking().and_then(|index| self.steps.get(index)).map(|step| &step.source);
        let path = match source {
            Some(Source::Path(path)) => path.into(),
            Some(Source::Stored(content)) => app.folder.path(content),
            Some(Source::Nowhere) | None => return Provision::Refused(CsrError::BadRequest),
        };
        match app.files.read(&path, offset, length).await {
            Ok(part) => Provision::FilePart(part),
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "a file of a plan cannot be read");
                Provision::Refused(CsrError::BadRequest)
            }
        }
    }

    /// The number of the step whose module asks, and how many bytes its file has, or may have at most.
    pub fn arriving(&self) -> Option<(usize, u64)> {
        let index = self.conversation.asking()?;
        let module = self.conversation.modules().nth(index)?;
        let announced = module.progress().and_then(|progress| progress.total);
        Some((index + 1, announced.unwrap_or(self.steps.get(index)?.limit)))
    }

    /// The files that are on their way or arrived, in order.
    pub fn transfers(&self) -> Vec<Transfer> {
        let steps = self.conversation.modules().zip(&self.steps);
        let moving = steps.filter_map(|(module, step)| {
            let progress = module.progress().filter(|progress| progress.done > 0)?;
            Some(Transfer {
                module: module.name().to_owned(),
                what: step.what.clone(),
                done: progress.done,
                total: progress.total,
            })
        });
        moving.collect()
    }

    /// What came of it once the conversation is done.
    pub fn verdict(&self) -> Verdict {
        let mut without = Some("the plan has no certificate in it".to_owned());
        for (module, step) in self.conversation.modules().zip(&self.steps) {
            let is_csr = module.name() == csr::MODULE;
            // Whoever has to wait for a certificate cannot be told to require it now.
            if is_csr && module.outcome() == Some(&WAITS) {
                let why = "the certificate waits for an approval or an outside CA; the device fetches it by EST";
                without = without.map(|_| why.to_owned());
                continue;
            }
            let outcome = match module.outcome() {
                Some(ModuleOutcome::Done) => {
                    without = without.filter(|_| !is_csr);
                    continue;
                }
                Some(outcome) => outcome.to_string(),
                None => "it did not end".to_owned(),
            };
            if step.required {
                return Verdict::Failed(format!("{} is required: {outcome}", module.name()));
            }
            if is_csr {
                without = Some(format!("{}: {outcome}", csr::MODULE));
            }
        }
        match without {
            Some(why) => Verdict::OnboardedWithoutCertificate(why),
            None => Verdict::Onboarded,
        }
    }

    /// What the device said of itself and what it got.
    pub fn facts(&self) -> DeviceFacts {
        let whats = self.steps.iter().map(|step| step.what.as_str());
        DeviceFacts::of(&self.conversation, &self.plan, whats, &self.networks)
    }
}
