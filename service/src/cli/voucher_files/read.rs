//! Files, folders and archives, read on a thread of its own that waits for whoever takes what it found.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::pieces::{Piece, pieces};

/// What waits to be taken; the memory that reading needs is this often the largest voucher, at the very most.
const AHEAD: usize = 64;
/// Folders within folders; beyond it somebody linked them in a circle.
const MAX_DEPTH: usize = 64;

/// What was found, in the order of the files.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// What follows is of this file; of a member of an archive, both names.
    File(String),
    /// A voucher in CBOR, not looked at yet.
    Voucher(Vec<u8>),
    /// Something that is to be a voucher, or that was named, and cannot be read.
    Unreadable(String),
    /// The file holds no voucher, which is fine where a folder was named.
    Nothing,
    /// A private key stood there; it was not read.
    PrivateKey,
    /// So many bytes of files are done.
    Done(u64),
}

/// A reading that goes on as what it finds is taken.
pub struct Reading {
    /// Bytes of all files.
    pub total: u64,
    /// What is found; it ends when all was read.
    pub found: Receiver<Found>,
}

/// A file, and whether it was named itself.
struct Source {
    path: PathBuf,
    size: u64,
    named: bool,
}

/// Reads files, and all files in folders, in the order of their names.
///
/// # Errors
/// A path that was named and is not there, or a folder that cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Reading, (PathBuf, io::Error)> {
    let mut sources = Vec::new();
    for path in paths {
        let about = fs::metadata(path).map_err(|error| (path.clone(), error))?;
        if about.is_dir() {
            below(path, MAX_DEPTH, &mut sources)?;
        } else {
            sources.push(Source { path: path.clone(), size: about.len(), named: true });
        }
    }
    let total = sources.iter().map(|source| source.size).sum();
    let (sender, found) = channel(AHEAD);
    // It ends by itself when nobody takes any more.
    std::thread::spawn(move || sources.iter().all(|source| one(source, &sender)));
    Ok(Reading { total, found })
}

fn below(folder: &Path, depth: usize, sources: &mut Vec<Source>) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (folder.to_owned(), error);
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut entries: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A link that leads nowhere is no voucher.
        let Ok(about) = fs::metadata(&path) else { continue };
        if hidden {
            continue;
        }
        // A link to a folder may lead back up.
        let is_link = fs::symlink_metadata(&path).is_ok_and(|about| about.is_symlink());
        if about.is_dir() && !is_link && depth > 0 {
            below(&path, depth - 1, sources)?;
        } else if about.is_file() {
            sources.push(Source { path, size: about.len(), named: false });
        }
    }
    Ok(())
}

/// False when nobody takes any more.
fn one(source: &Source, sender: &Sender<Found>) -> bool {
    let name = source.path.display().to_string();
    let read = File::open(&source.path).and_then(|mut file| {
        if is_tar(&mut file)? { archive(file, &name, sender) } else { stream(file, &name, source.named, sender) }
    });
    match read {
        Ok(true) => tell(sender, Found::Done(source.size)),
        Ok(false) => false,
        Err(error) => {
            tell(sender, Found::File(name))
                && tell(sender, Found::Unreadable(error.to_string()))
                && tell(sender, Found::Done(source.size))
        }
    }
}

fn tell(sender: &Sender<Found>, found: Found) -> bool {
    sender.blocking_send(found).is_ok()
}

/// The mark that tar archives have had since 1988 at this place.
fn is_tar(file: &mut File) -> io::Result<bool> {
    let mut head = Vec::new();
    file.by_ref().take(262).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head.get(257..) == Some(&b"ustar"[..]))
}

fn archive(file: File, name: &str, sender: &Sender<Found>) -> io::Result<bool> {
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let member = format!("{name}:{}", entry.path()?.display());
        if !stream(entry, &member, false, sender)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn stream(file: impl Read, name: &str, named: bool, sender: &Sender<Found>) -> io::Result<bool> {
    if !tell(sender, Found::File(name.to_owned())) {
        return Ok(false);
    }
    let (mut seen, mut goes_on) = (false, true);
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let is_empty = reader.fill_buf()?.is_empty();
    pieces(&mut reader, &mut |piece| {
        seen |= piece != Piece::PrivateKey;
        goes_on = tell(
            sender,
            match piece {
                Piece::Voucher(cbor) => Found::Voucher(cbor),
                Piece::Malformed(why) => Found::Unreadable(why.to_owned()),
                Piece::PrivateKey => Found::PrivateKey,
            },
        );
        goes_on
    })?;
    if seen || !goes_on {
        return Ok(goes_on);
    }
    let why = if is_empty { "it is empty" } else { "it holds no voucher, neither in PEM nor in CBOR" };
    Ok(tell(sender, if named { Found::Unreadable(why.to_owned()) } else { Found::Nothing }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PEM: &[u8] = b"-----BEGIN OWNERSHIP VOUCHER-----\r\nhQ==\r\n-----END OWNERSHIP VOUCHER-----\r\n";

    fn all(paths: &[PathBuf]) -> (u64, Vec<Found>) {
        let mut reading = read(paths).unwrap();
        let found = std::iter::from_fn(|| reading.found.blocking_recv()).collect();
        (reading.total, found)
    }

    #[test]
    fn folders_and_archives_are_read_in_order_and_what_is_no_voucher_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        };
        file("deep/er/b", PEM);
        file("a.cbor", b"\x85");
        file(".hidden", PEM);
        file("z.txt", b"read me\n");
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(PEM.len() as u64);
        archive.append_data(&mut header, "./8fee", PEM).unwrap();
        file("ovs.tar.gz", &archive.into_inner().unwrap());
        let (total, found) = all(&[folder.path().to_owned()]);
        let name = |name: &str| Found::File(folder.path().join(name).display().to_string());
        let voucher = || Found::Voucher(vec![0x85]);
        let bytes = PEM.len() as u64;
        let archived = total - bytes - 1 - 8;
        assert_eq!(
            found,
            [
                name("a.cbor"),
                voucher(),
                Found::Done(1),
                name("deep/er/b"),
                voucher(),
                Found::Done(bytes),
                name("ovs.tar.gz:8fee"),
                voucher(),
                Found::Done(archived),
                name("z.txt"),
                Found::Nothing,
                Found::Done(8),
            ]
        );
    }

    #[test]
    fn what_was_named_must_be_there_and_hold_a_voucher() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        assert!(read(std::slice::from_ref(&path)).is_err());
        fs::write(&path, b"").unwrap();
        let (_, found) = all(&[path]);
        assert!(found.contains(&Found::Unreadable("it is empty".into())), "{found:?}");
    }

    #[test]
    fn reading_waits_and_ends_when_nobody_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.pem");
        fs::write(&path, PEM.repeat(10 * AHEAD)).unwrap();
        let mut reading = read(&[path]).unwrap();
        for _ in 0..5 {
            assert!(reading.found.blocking_recv().is_some());
        }
        assert!(reading.found.len() <= AHEAD);
        drop(reading);
    }
}
