//! `fdo.wget` on the device: a file that it fetches by itself, while the owner waits.

mod fetch;

use std::path::PathBuf;
use std::time::Duration;

use fdo_http::outbound::Guard;
use fdo_protocol::Error;
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::wget::{MODULE, ToDevice, ToOwner};

use super::Answers;
use super::background::Background;
use super::files::FilesDirectory;

/// How many files of full size are fetched in one onboarding.
const FILES_OF_FULL_SIZE: u64 = 4;
/// How many files are fetched in one onboarding.
const MAX_FILES: usize = 256;
/// How much of a complaint the owner is told, in characters.
const MAX_COMPLAINT: usize = 150;

/// What the configuration allows.
#[derive(Debug, Clone)]
pub struct WgetSettings {
    /// The directory for files.
    pub directory: PathBuf,
    /// The most bytes of one file.
    pub limit: u64,
    /// How long one file may take.
    pub time_limit: Duration,
    /// Which addresses may be called.
    pub guard: Guard,
    /// The only CA (DER) for `https`; those of the system if none.
    pub authority: Option<Vec<u8>>,
    /// Whether `http` without a hash will do.
    pub unverified: bool,
}

/// The module's state.
pub struct Wget {
    settings: WgetSettings,
    sha384: Option<[u8; 48]>,
    name: Option<String>,
    work: Background<Result<fetch::Fetched, String>>,
    url: String,
    written: Vec<String>,
    /// Bytes that all further files together may have.
    left: u64,
    /// How many files were asked for.
    asked: usize,
}

impl Wget {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The module with these limits.
    pub fn new(settings: WgetSettings) -> Self {
        Self {
            left: settings.limit.saturating_mul(FILES_OF_FULL_SIZE),
            asked: 0,
            settings,
            sha384: None,
            name: None,
            work: Background::idle(),
            url: String::new(),
            written: Vec::new(),
        }
    }

    /// The files that were written.
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Whether a file is being fetched.
    pub fn is_busy(&self) -> bool {
        self.work.is_busy()
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type, [`Error::Rejected`] for a second file before the first is there.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => self.work = Background::idle(),
            ToDevice::Sha384(digest) => self.sha384 = Some(digest),
            ToDevice::Name(name) => self.name = Some(name),
            ToDevice::Url(_) if self.is_busy() => {
                return Err(Error::Rejected("a second URL before the first was fetched"));
            }
            ToDevice::Url(_) if self.asked >= MAX_FILES => {
                return Err(Error::Rejected("more files to fetch than this device takes"));
            }
            ToDevice::Url(url) => {
                self.asked += 1;
                let (sha384, name) = (self.sha384.take(), self.name.take());
                self.url = fetch::without_secrets(&url);
                tracing::info!(url = self.url, "fetching a file for the owner");
                let directory = FilesDirectory::new(&self.settings.directory);
                let settings = WgetSettings { limit: self.settings.limit.min(self.left), ..self.settings.clone() };
                self.work.start(fetch::fetch(settings, directory, url, name, sha384));
            }
        }
        Ok(())
    }

    /// Waits for the file for so long, and tells the owner when it is there.
    pub async fn settle(&mut self, patience: Duration, answers: &mut Answers) {
        match self.work.wait(patience).await {
            None => {}
            Some(Ok(Ok(fetched))) => {
                answers.tell(&ToOwner::Done(Some(fetched.length)));
                self.left = self.left.saturating_sub(fetched.length);
                self.written.push(fetched.name);
            }
            Some(Ok(Err(reason)) | Err(reason)) => {
                answers.refuse(format!("fetching {:?}: {reason}", self.url));
                answers.tell(&ToOwner::Error(reason.chars().take(MAX_COMPLAINT).collect()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
