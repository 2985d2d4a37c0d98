//! `fdo.download` on the device: files that the owner sends, confined to one directory and streamed to disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use fdo_protocol::Error;
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::download::{MODULE, ToDevice, ToOwner};
use sha2::{Digest as _, Sha384};

use super::Answers;
use crate::store::sync_directory;

/// The module's state.
pub struct Download {
    directory: PathBuf,
    limit: u64,
    announced: Announced,
    receiving: Option<Receiving>,
    /// The current file is done or refused: further data is dropped until the next name.
    closed: bool,
    written: Vec<String>,
    /// Makes the names in a directory durable.
    sync: fn(&Path) -> io::Result<()>,
}

/// What the owner said of the file to come.
#[derive(Default)]
struct Announced {
    name: Option<String>,
    length: Option<u64>,
    sha384: Option<[u8; 48]>,
}

struct Receiving {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    hash: Sha384,
    length: u64,
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // After the rename there is nothing of this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Download {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// Files go below `directory`, each of at most `limit` bytes.
    pub fn new(directory: &Path, limit: u64) -> Self {
        Self {
            directory: directory.to_path_buf(),
            limit,
            announced: Announced::default(),
            receiving: None,
            closed: true,
            written: Vec::new(),
            sync: sync_directory,
        }
    }

    /// The files that were written, by the name that the owner gave them.
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type. What goes wrong with a file is told by `done`.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => {}
            ToDevice::Name(name) => {
                self.receiving = None;
                self.announced = Announced { name: Some(name), ..Announced::default() };
                self.closed = false;
            }
            ToDevice::Length(length) => self.announced.length = Some(length),
            ToDevice::Sha384(digest) => self.announced.sha384 = Some(digest),
            ToDevice::Data(_) if self.closed => {}
            ToDevice::Data(data) => match self.take(&data) {
                Ok(Some(length)) => {
                    self.closed = true;
                    answers.tell(&ToOwner::Done(Some(length)));
                    self.written.extend(self.announced.name.take());
                }
                Ok(None) => {}
                Err(reason) => {
                    self.closed = true;
                    self.receiving = None;
                    let name = self.announced.name.as_deref().unwrap_or_default();
                    answers.refuse(format!("download of {name:?}: {reason}"));
                    answers.tell(&ToOwner::Done(None));
                }
            },
        }
        Ok(())
    }

    /// The length once the file is complete and in its place.
    fn take(&mut self, data: &[u8]) -> Result<Option<u64>, String> {
        let mut receiving = match self.receiving.take() {
            Some(receiving) => receiving,
            None => self.open()?,
        };
        receiving.length += data.len() as u64;
        let most = self.announced.length.unwrap_or(self.limit);
        if receiving.length > most || receiving.length > self.limit {
            return Err(format!("more than {} bytes", most.min(self.limit)));
        }
        receiving.hash.update(data);
        receiving.file.write_all(data).map_err(|error| error.to_string())?;
        let complete = self.announced.length == Some(receiving.length);
        // Without a length, an empty piece ends the file.
        let ended = data.is_empty();
        if !complete && !ended {
            self.receiving = Some(receiving);
            return Ok(None);
        }
        if !complete && self.announced.length.is_some() {
            return Err("it ended before its length was reached".to_owned());
        }
        self.publish(receiving).map(Some)
    }

    /// The owner takes `done` for the end of it and never sends the file again: what it says must outlive a power cut.
    fn publish(&self, mut receiving: Receiving) -> Result<u64, String> {
        let digest = std::mem::take(&mut receiving.hash).finalize();
        if self.announced.sha384.is_some_and(|expected| expected != digest.as_slice()) {
            return Err("its SHA-384 is not the announced one".to_owned());
        }
        receiving.file.sync_all().map_err(|error| error.to_string())?;
        check_target(&receiving.target)?;
        fs::rename(&receiving.temporary, &receiving.target).map_err(|error| error.to_string())?;
        let parent = receiving.target.parent().unwrap_or(&self.directory);
        (self.sync)(parent).map_err(|error| error.to_string())?;
        Ok(receiving.length)
    }

    fn open(&self) -> Result<Receiving, String> {
        let name = self.announced.name.as_deref().ok_or("data without a name")?;
        if self.announced.length.is_some_and(|length| length > self.limit) {
            return Err(format!("it is larger than {} bytes", self.limit));
        }
        let (parent, file_name) = self.confine(name)?;
        let target = parent.join(&file_name);
        check_target(&target)?;
        let temporary = parent.join(format!(".fdo-{}.part", self.written.len()));
        let _ = fs::remove_file(&temporary);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| error.to_string())?;
        Ok(Receiving { file, temporary, target, hash: Sha384::new(), length: 0 })
    }

    /// The directory and the name of a file that the owner asks for; never outside ours, never through a link.
    fn confine(&self, name: &str) -> Result<(PathBuf, String), String> {
        if name.is_empty() || name.chars().any(char::is_control) || name.contains('\\') {
            return Err("not a usable file name".to_owned());
        }
        let mut parts = Vec::new();
        for component in Path::new(name).components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str().ok_or("not a usable file name")?),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                    return Err("it is outside the directory for downloads".to_owned());
                }
            }
        }
        let file_name = parts.pop().filter(|_| !name.ends_with('/')).ok_or("not a usable file name")?;
        if file_name.starts_with(".fdo-") {
            return Err("the name is reserved".to_owned());
        }
        self.create(&self.directory).map_err(|error| error.to_string())?;
        let mut parent = self.directory.clone();
        for part in parts {
            parent.push(part);
            match fs::symlink_metadata(&parent) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err("its directory is a link or a file".to_owned()),
                Err(_) => self.create(&parent).map_err(|error| error.to_string())?,
            }
        }
        Ok((parent, file_name.to_owned()))
    }

    /// A directory whose name is durable, with those above it.
    fn create(&self, path: &Path) -> io::Result<()> {
        let named = |path: &&Path| !path.as_os_str().is_empty();
        let missing: Vec<&Path> = path.ancestors().filter(named).take_while(|path| !path.is_dir()).collect();
        for path in missing.into_iter().rev() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            (self.sync)(path.parent().filter(named).unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }
}

/// A rename would replace a link and not follow it, but whoever put it there meant something else.
fn check_target(target: &Path) -> Result<(), String> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err("something that is no file stands in its place".to_owned()),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
