//! Files of one directory that are replaced whole or not at all: on disk, or in memory for simulated devices.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

/// Where an agent keeps files. Every change is one step: it has happened after a crash, or it has not.
#[derive(Clone)]
pub struct Directory(Kind);

#[derive(Clone)]
enum Kind {
    Disk(PathBuf),
    Memory(Arc<Mutex<Memory>>),
}

#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Zeroizing<Vec<u8>>>,
    links: BTreeMap<String, String>,
    /// Changes that still succeed; the next one fails, as if the power went. `None`: no limit.
    changes_left: Option<usize>,
}

impl Memory {
    /// The name with a link at its beginning followed.
    fn resolve(&self, name: &str) -> String {
        let through = name.split_once('/').and_then(|(first, rest)| Some((self.links.get(first)?, rest)));
        through.map_or_else(|| name.to_owned(), |(target, rest)| format!("{target}/{rest}"))
    }

    fn change(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => Err(io::Error::other("simulated crash")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Directory {
    /// A directory on disk; created with mode 0700 where it does not exist.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn on_disk(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(Kind::Disk(path.to_path_buf())))
    }

    /// Files that live as long as this value and its clones.
    pub fn in_memory() -> Self {
        Self(Kind::Memory(Arc::default()))
    }

    /// In memory: lets `changes` more changes succeed, then fails every one. `None` lifts the limit.
    pub fn fail_after(&self, changes: Option<usize>) {
        if let Kind::Memory(memory) = &self.0 {
            lock(memory).changes_left = changes;
        }
    }

    /// Where the directory is, if it is on disk.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Disk(path) => Some(path),
            Kind::Memory(_) => None,
        }
    }

    /// Makes the directory itself private, whoever made it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn make_private(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Disk(path) => fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
            Kind::Memory(_) => Ok(()),
        }
    }

    /// The content of a file; `None` where there is none.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match &self.0 {
            Kind::Disk(path) => match fs::read(path.join(name)) {
                Ok(content) => Ok(Some(Zeroizing::new(content))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Kind::Memory(memory) => {
                let memory = lock(memory);
                Ok(memory.files.get(&memory.resolve(name)).cloned())
            }
        }
    }

    /// Writes a file of mode 0600 in place of whatever had its name. Parents are created with mode 0700.
    ///
    /// # Errors
    /// What the operating system says; then the old content is still there.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        match &self.0 {
            Kind::Disk(path) => replace_on_disk(&path.join(name), content),
            Kind::Memory(memory) => {
                let mut memory = lock(memory);
                memory.change()?;
                let name = memory.resolve(name);
                memory.files.insert(name, Zeroizing::new(content.to_vec()));
                Ok(())
            }
        }
    }

    /// Removes a file or a link, if there is one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match &self.0 {
            Kind::Disk(path) => match fs::remove_file(path.join(name)) {
                Ok(()) => sync_directory(path.join(name).parent().unwrap_or(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            },
            Kind::Memory(memory) => {
                let mut memory = lock(memory);
                memory.change()?;
                let name = memory.resolve(name);
                memory.files.remove(&name);
                memory.links.remove(&name);
                Ok(())
            }
        }
    }

    /// Points the name `link` at the subdirectory `target`, in one step.
    ///
    /// # Errors
    /// What the operating system says; then the link points where it did.
    pub fn point(&self, link: &str, target: &str) -> io::Result<()> {
        match &self.0 {
            Kind::Disk(path) => {
                let fresh = path.join(format!(".{link}.new"));
                if fs::symlink_metadata(&fresh).is_ok() {
                    fs::remove_file(&fresh)?;
                }
                symlink(target, &fresh)?;
                fs::rename(&fresh, path.join(link))?;
                sync_directory(path)
            }
            Kind::Memory(memory) => {
                let mut memory = lock(memory);
                memory.change()?;
                memory.links.insert(link.to_owned(), target.to_owned());
                Ok(())
            }
        }
    }

    /// Where a link points; `None` where there is none.
    pub fn pointed(&self, link: &str) -> Option<String> {
        match &self.0 {
            Kind::Disk(path) => fs::read_link(path.join(link)).ok()?.to_str().map(str::to_owned),
            Kind::Memory(memory) => lock(memory).links.get(link).cloned(),
        }
    }

    /// Removes a subdirectory and what is in it, if it exists.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove_subdirectory(&self, name: &str) -> io::Result<()> {
        match &self.0 {
            Kind::Disk(path) => match fs::remove_dir_all(path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Kind::Memory(memory) => {
                let mut memory = lock(memory);
                memory.change()?;
                memory.files.retain(|file, _| !file.starts_with(&format!("{name}/")));
                Ok(())
            }
        }
    }

    /// The names directly in it, sorted.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = match &self.0 {
            Kind::Disk(path) => fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.file_name().into_string().ok()))
                .filter_map(Result::transpose)
                .collect::<io::Result<_>>()?,
            Kind::Memory(memory) => {
                let first = |name: &String| name.split('/').next().unwrap_or(name).to_owned();
                lock(memory).files.keys().map(first).collect()
            }
        };
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn replace_on_disk(path: &Path, content: &[u8]) -> io::Result<()> {
    let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "a file needs a directory and a name");
    let parent = path.parent().ok_or_else(nowhere)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(nowhere)?;
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let temporary = parent.join(format!(".{name}.new"));
    // What a crash left behind may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(parent)
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the operating system says.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn both(test: impl Fn(Directory)) {
        let temporary = tempfile::tempdir().unwrap();
        test(Directory::on_disk(&temporary.path().join("state")).unwrap());
        test(Directory::in_memory());
    }

    #[test]
    fn files_are_replaced_removed_and_listed() {
        both(|directory| {
            assert!(directory.read("a").unwrap().is_none());
            directory.replace("a", b"1").unwrap();
            directory.replace("a", b"2").unwrap();
            directory.replace("sub/b", b"3").unwrap();
            assert_eq!(**directory.read("a").unwrap().unwrap(), *b"2");
            assert_eq!(directory.names().unwrap(), ["a", "sub"]);
            directory.remove("a").unwrap();
            directory.remove("a").unwrap();
            directory.remove_subdirectory("sub").unwrap();
            assert!(directory.names().unwrap().is_empty());
        });
    }

    #[test]
    fn a_link_moves_from_one_generation_to_the_next() {
        both(|directory| {
            directory.replace("g-1/key", b"one").unwrap();
            directory.replace("g-2/key", b"two").unwrap();
            directory.point("g", "g-1").unwrap();
            assert_eq!(**directory.read("g/key").unwrap().unwrap(), *b"one");
            directory.point("g", "g-2").unwrap();
            assert_eq!(**directory.read("g/key").unwrap().unwrap(), *b"two");
            assert_eq!(directory.pointed("g").unwrap(), "g-2");
        });
    }

    #[test]
    fn modes_are_private_and_leftovers_do_not_matter() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let directory = Directory::on_disk(&path).unwrap();
        fs::write(path.join(".secret.new"), b"left by a crash, world readable").unwrap();
        directory.replace("secret", b"s").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("secret"))), (0o700, 0o600));
        assert_eq!(directory.names().unwrap(), ["secret"]);
    }
}
