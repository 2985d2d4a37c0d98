//! The module of the owner that does a step.

use fdo_protocol::service_info::chunking::ContentHash;
use fdo_protocol::service_info::conformance::Token;
use fdo_protocol::service_info::owner::{
    Command, Conformance, Csr, Download, OwnerModule, Payload, PayloadOptions, Upload, Wget, Wifi,
};
use fdo_protocol::service_info::wifi::Layout;

use super::Source;
use super::outline::Content;
use crate::files::Described;
use crate::plans::{PayloadStep, Step, WifiLayout};

/// What a file that cannot be read is announced as: it fails in its turn, with the reason that counts.
const UNREADABLE: Described = Described { length: 1, sha384: [0; 48] };

/// The module of a step with where its file lies, unless there is nothing to send. `limit` is for the device's files.
pub(super) fn module(step: &Step, content: Content, limit: u64) -> Option<(OwnerModule, Source)> {
    let (file, source) = match content {
        Content::Skipped(_) => return None,
        Content::Networks(networks) => {
            let Step::Wifi(step) = step else { return None };
            let layout = match step.layout {
                WifiLayout::Go => Layout::Go,
                WifiLayout::Schema => Layout::Schema,
            };
            return Some((OwnerModule::Wifi(Wifi::new(&networks, layout)), Source::Nowhere));
        }
        Content::File(file, source) => (file, source),
        Content::Missing(_) | Content::Plain => (UNREADABLE, Source::Nowhere),
    };
    let module = match step {
        Step::Wifi(_) => return None,
        Step::Csr(_) => OwnerModule::Csr(Csr::new()),
        Step::Download(step) => OwnerModule::Download(Download::new(step.name.clone(), file.length, file.sha384)),
        Step::Command(step) => {
            let command = Command::new(step.command.clone(), step.args.clone(), step.may_fail(), step.output);
            OwnerModule::Command(command.with_limit(step.timeout))
        }
        Step::Upload(step) => OwnerModule::Upload(Upload::new(step.name.clone(), limit, step.need_sha)),
        Step::Wget(step) => {
            OwnerModule::Wget(Wget::new(step.url.clone(), step.name.clone(), step.digest(), step.length))
        }
        Step::Payload(step) => OwnerModule::Payload(Box::new(payload(step, file))),
        // The token was checked when the plan was written.
        Step::Conformance(step) => {
            let token = Token::new(step.token.as_ref()?.expose().to_owned()).ok()?;
            OwnerModule::Conformance(Conformance::new(token))
        }
    };
    Some((module, source))
}

fn payload(step: &PayloadStep, file: Described) -> Payload {
    Payload::new(PayloadOptions {
        source: step.file.clone(),
        mime_type: step.mime.clone(),
        name: step.name.clone(),
        version: step.version.clone(),
        length: file.length,
        hash: ContentHash::sha384(file.sha384),
        estimated_duration: step.seconds,
        require_ack: step.ack,
    })
}
