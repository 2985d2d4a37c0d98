//! `fdo.download` on the device: files that the owner sends, confined to one directory and streamed to disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use fdo_protocol::Error;
use fdo_protocol::cbor::{self, ByteString};
use fdo_protocol::service_info::decode_active;
use sha2::{Digest as _, Sha384};

use super::Answers;

/// The module's state.
pub struct Download {
    directory: PathBuf,
    limit: u64,
    announced: Announced,
    receiving: Option<Receiving>,
    /// The current file is done or refused: further data is dropped until the next name.
    closed: bool,
    written: Vec<String>,
}

/// What the owner said of the file to come.
#[derive(Default)]
struct Announced {
    name: Option<String>,
    length: Option<u64>,
    sha384: Option<Vec<u8>>,
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
    pub const NAME: &'static str = "fdo.download";

    /// Files go below `directory`, each of at most `limit` bytes.
    pub fn new(directory: &Path, limit: u64) -> Self {
        Self {
            directory: directory.to_path_buf(),
            limit,
            announced: Announced::default(),
            receiving: None,
            closed: true,
            written: Vec::new(),
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
        match message {
            "active" => {
                if decode_active(item)? {
                    answers.say("active", &true);
                }
            }
            "name" => {
                self.receiving = None;
                self.announced = Announced { name: Some(cbor::decode(item)?), ..Announced::default() };
                self.closed = false;
            }
            "length" => self.announced.length = Some(cbor::decode(item)?),
            "sha-384" => self.announced.sha384 = Some(cbor::decode::<ByteString>(item)?.0),
            "data" => {
                let data: ByteString = cbor::decode(item)?;
                if self.closed {
                    return Ok(());
                }
                match self.take(&data) {
                    Ok(Some(length)) => {
                        self.closed = true;
                        answers.say("done", &length);
                        self.written.extend(self.announced.name.take());
                    }
                    Ok(None) => {}
                    Err(reason) => {
                        self.closed = true;
                        self.receiving = None;
                        let name = self.announced.name.as_deref().unwrap_or_default();
                        answers.refuse(format!("download of {name:?}: {reason}"));
                        answers.say("done", &-1_i64);
                    }
                }
            }
            _ => answers.ignored(message),
        }
        Ok(())
    }

    /// The length once the file is complete and in its place.
    fn take(&mut self, data: &[u8]) -> Result<Option<i64>, String> {
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

    fn publish(&self, mut receiving: Receiving) -> Result<i64, String> {
        let digest = std::mem::take(&mut receiving.hash).finalize();
        if self.announced.sha384.as_deref().is_some_and(|expected| expected != digest.as_slice()) {
            return Err("its SHA-384 is not the announced one".to_owned());
        }
        receiving.file.sync_all().map_err(|error| error.to_string())?;
        check_target(&receiving.target)?;
        fs::rename(&receiving.temporary, &receiving.target).map_err(|error| error.to_string())?;
        i64::try_from(receiving.length).map_err(|_| "too large".to_owned())
    }

    fn open(&self) -> Result<Receiving, String> {
        let name = self.announced.name.as_deref().ok_or("data without a name")?;
        if self.announced.length.is_some_and(|length| length > self.limit) {
            return Err(format!("it is larger than {} bytes", self.limit));
        }
        let (parent, file_name) = confine(&self.directory, name)?;
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
}

/// A rename would replace a link and not follow it, but whoever put it there meant something else.
fn check_target(target: &Path) -> Result<(), String> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err("something that is no file stands in its place".to_owned()),
        Err(_) => Ok(()),
    }
}

/// The directory and the name of a file that the owner asks for; never outside `directory`, never through a link.
fn confine(directory: &Path, name: &str) -> Result<(PathBuf, String), String> {
    if name.is_empty() || name.len() > 1024 || name.chars().any(char::is_control) || name.contains('\\') {
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
    let create = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    create(directory).map_err(|error| error.to_string())?;
    let mut parent = directory.to_path_buf();
    for part in parts {
        parent.push(part);
        match fs::symlink_metadata(&parent) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err("its directory is a link or a file".to_owned()),
            Err(_) => create(&parent).map_err(|error| error.to_string())?,
        }
    }
    Ok((parent, file_name.to_owned()))
}

#[cfg(test)]
mod tests;
