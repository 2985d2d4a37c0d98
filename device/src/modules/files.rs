//! The directory that owners may write to and read from: nothing outside it, never through a link, whole files only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use crate::store::sync_directory;

/// What the names of our own files in it begin with.
const RESERVED: &str = ".fdo-";
const UNUSABLE: &str = "not a usable file name";

/// The directory.
#[derive(Debug, Clone)]
pub struct FilesDirectory {
    path: PathBuf,
    /// Makes the names in a directory durable.
    pub(super) sync: fn(&Path) -> io::Result<()>,
}

/// A file that is being written. Unless it is published, nothing of it stays.
pub struct PartFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    sync: fn(&Path) -> io::Result<()>,
    length: u64,
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // After the rename there is nothing of this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl FilesDirectory {
    /// At this path; made when it is needed.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), sync: sync_directory }
    }

    /// Begins the file that an owner calls `name`. Two that are written at once have different marks.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn create(&self, name: &str, mark: &str) -> Result<PartFile, String> {
        let (parts, file_name) = parts(name)?;
        self.make(&self.path).map_err(|error| text(&error))?;
        let mut parent = self.path.clone();
        for part in parts {
            parent.push(part);
            match fs::symlink_metadata(&parent) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err("its directory is a link or a file".to_owned()),
                Err(_) => self.make(&parent).map_err(|error| text(&error))?,
            }
        }
        let target = parent.join(file_name);
        check_target(&target)?;
        let temporary = parent.join(format!("{RESERVED}{mark}.part"));
        let _ = fs::remove_file(&temporary);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| text(&error))?;
        Ok(PartFile { file, temporary, target, sync: self.sync, length: 0 })
    }

    /// Opens the file that an owner calls `name`, with its length in bytes.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn open(&self, name: &str) -> Result<(File, u64), String> {
        let (parts, file_name) = parts(name)?;
        let mut path = self.path.clone();
        for part in parts {
            path.push(part);
            if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                return Err("there is no such file".to_owned());
            }
        }
        path.push(file_name);
        // Opening something else than a file could wait for ever.
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {}
            _ => return Err("there is no such file".to_owned()),
        }
        let file = File::open(&path).map_err(|error| text(&error))?;
        let length = file.metadata().map_err(|error| text(&error))?.len();
        Ok((file, length))
    }

    /// A directory whose name is durable, with those above it.
    fn make(&self, path: &Path) -> io::Result<()> {
        let named = |path: &&Path| !path.as_os_str().is_empty();
        let missing: Vec<&Path> = path.ancestors().filter(named).take_while(|path| !path.is_dir()).collect();
        for path in missing.into_iter().rev() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            (self.sync)(path.parent().filter(named).unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }
}

impl PartFile {
    /// Adds to it.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn write(&mut self, data: &[u8]) -> Result<(), String> {
        self.file.write_all(data).map_err(|error| text(&error))?;
        self.length = self.length.saturating_add(data.len() as u64);
        Ok(())
    }

    /// Its length so far, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it lies until it is published.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Puts it in its place, durable before this returns: an owner never sends it again. Gives its length in bytes.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn publish(self) -> Result<u64, String> {
        self.file.sync_all().map_err(|error| text(&error))?;
        check_target(&self.target)?;
        fs::rename(&self.temporary, &self.target).map_err(|error| text(&error))?;
        (self.sync)(self.target.parent().unwrap_or(Path::new("."))).map_err(|error| text(&error))?;
        Ok(self.length)
    }
}

/// The directories on the way and the file's own name.
fn parts(name: &str) -> Result<(Vec<&str>, &str), String> {
    if name.is_empty() || name.chars().any(char::is_control) || name.contains('\\') {
        return Err(UNUSABLE.to_owned());
    }
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().ok_or(UNUSABLE)?),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err("it is outside the directory for files".to_owned());
            }
        }
    }
    let file_name = parts.pop().filter(|_| !name.ends_with('/')).ok_or(UNUSABLE)?;
    if file_name.starts_with(RESERVED) {
        return Err("the name is reserved".to_owned());
    }
    Ok((parts, file_name))
}

/// A rename would replace a link and not follow it, but whoever put it there meant something else.
fn check_target(target: &Path) -> Result<(), String> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err("something that is no file stands in its place".to_owned()),
        Err(_) => Ok(()),
    }
}

fn text(error: &io::Error) -> String {
    error.to_string()
}
