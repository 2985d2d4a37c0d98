//! What a device gets in TO2, as data: which modules in which order, which of them it must have, and what came of it.

mod facts;
mod outline;
mod preview;

use fdo_protocol::cbor::{Decode, Encode, Reader, Writer};
use fdo_protocol::cbor_array;
use fdo_protocol::service_info::TurnLimits;
use fdo_protocol::service_info::csr::{self, CsrError};
use fdo_protocol::service_info::owner::{Command, Conversation, Csr, Download, ModuleOutcome, OwnerModule, Wifi};
use fdo_protocol::service_info::wifi::Layout;
use fdo_service::database::DbErr;

pub use facts::{DeviceFacts, ModuleFacts, shown};
pub use outline::{Origin, subject};
pub use preview::{Preview, PreviewStep, preview};

use crate::app::App;
use crate::inventory::{self, Transfer};
use crate::plans::{self, Step, Subject, WifiLayout};
use crate::{networks, plans::CommandStep};
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
    /// Bytes of the file that have gone, of how many.
    done: u64,
    total: u64,
}
cbor_array!(Planned { required, what, source, done, total });

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
    let mut networks = Vec::new();
    let (mut modules, mut steps) = (Vec::new(), Vec::new());
    for Outlined { step, content } in outline.steps {
        if let Content::Networks(sent) = &content {
            networks.extend(sent.iter().map(|network| network.id.clone()));
        }
        let Some((module, source, total)) = module(&step, content) else { continue };
        modules.push(module);
        steps.push(Planned { required: step.is_required(), what: step.describe(), source, done: 0, total });
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

/// The module of a step, unless there is nothing to send; where its file lies, and how long that is.
fn module(step: &Step, content: Content) -> Option<(OwnerModule, Source, u64)> {
    let plain = |module| Some((module, Source::Nowhere, 0));
    match (step, content) {
        (_, Content::Skipped(_)) => None,
        (Step::Wifi(step), Content::Networks(networks)) => {
            let layout = match step.layout {
                WifiLayout::Go => Layout::Go,
                WifiLayout::Schema => Layout::Schema,
            };
            plain(OwnerModule::Wifi(Wifi::new(&networks, layout)))
        }
        (Step::Wifi(_), _) => None,
        (Step::Csr(_), _) => plain(OwnerModule::Csr(Csr::new())),
        (Step::Download(step), Content::File(file, source)) => {
            let module = Download::new(step.name.clone(), file.length, file.sha384);
            Some((OwnerModule::Download(module), source, file.length))
        }
        // Announced with a length that cannot be read, it fails in its turn with the reason that counts.
        (Step::Download(step), _) => plain(OwnerModule::Download(Download::new(step.name.clone(), 1, [0; 48]))),
        (Step::Command(step), _) => plain(OwnerModule::Command(command(step))),
    }
}

fn command(step: &CommandStep) -> Command {
    Command::new(step.command.clone(), step.args.clone(), step.may_fail(), step.output)
}

impl Provisioning {
    /// The part of a file that the running module asks for.
    pub async fn read(&mut self, app: &App, offset: u64, length: usize) -> Provision {
        let asking = self.conversation.modules().position(|module| module.need().is_some());
        let Some(step) = asking.and_then(|index| self.steps.get_mut(index)) else {
            return Provision::Refused(CsrError::BadRequest);
        };
        let path = match &step.source {
            Source::Nowhere => return Provision::Refused(CsrError::BadRequest),
            Source::Path(path) => path.into(),
            Source::Stored(content) => app.folder.path(content),
        };
        match app.files.read(&path, offset, length).await {
            Ok(part) => {
                step.done = offset + part.len() as u64;
                Provision::FilePart(part)
            }
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "a file of a plan cannot be read");
                Provision::Refused(CsrError::BadRequest)
            }
        }
    }

    /// The files that are on their way or arrived, in order.
    pub fn transfers(&self) -> Vec<Transfer> {
        let steps = self.conversation.modules().zip(&self.steps);
        let moving = steps.filter(|(_, step)| step.total > 0 && step.done > 0);
        moving
            .map(|(module, step)| Transfer {
                module: module.name().to_owned(),
                what: step.what.clone(),
                done: step.done,
                total: step.total,
            })
            .collect()
    }

    /// What came of it once the conversation is done.
    pub fn verdict(&self) -> Verdict {
        let mut without = Some("the plan has no certificate in it".to_owned());
        for (module, step) in self.conversation.modules().zip(&self.steps) {
            let is_csr = module.name() == csr::MODULE;
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
