//! Files stay where they belong, whole or not at all.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::{fs, io};

use fdo_protocol::cbor::{self, ByteString, encode};

use super::*;
use crate::store::sync_directory;

fn send(module: &mut Download, pairs: &[(&str, Vec<u8>)]) -> (Vec<i64>, Vec<String>) {
    let mut answers = Answers::new(Download::NAME);
    for (message, item) in pairs {
        module.receive(message, item, &mut answers).unwrap();
    }
    let done = answers.pairs().iter().filter(|kv| kv.message() == "done");
    (done.map(|kv| cbor::decode(&kv.value).unwrap()).collect(), answers.refused().to_vec())
}

fn data(bytes: &[u8]) -> (&'static str, Vec<u8>) {
    ("data", encode(&ByteString(bytes.to_vec())))
}

fn whole(name: &str, content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("active", vec![0xf5]),
        ("name", encode(name)),
        ("length", encode(&(content.len() as u64))),
        ("sha-384", encode(&ByteString(Sha384::digest(content).to_vec()))),
        data(content),
    ]
}

thread_local! {
    static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

fn remember(directory: &Path) -> io::Result<()> {
    SYNCED.with_borrow_mut(|synced| synced.push(directory.to_path_buf()));
    sync_directory(directory)
}

#[test]
fn the_names_on_the_way_to_a_file_are_durable_before_it_is_done() {
    let base = tempfile::tempdir().unwrap();
    let files = base.path().join("files");
    let mut module = Download::new(&files, 1000);
    module.directory.sync = remember;
    assert_eq!(send(&mut module, &whole("a/b/app.conf", b"hello")).0, [5]);
    let made = [base.path().to_path_buf(), files.clone(), files.join("a"), files.join("a/b")];
    assert_eq!(SYNCED.take(), made);
    assert_eq!(send(&mut module, &whole("a/c", b"hello")).0, [5]);
    assert_eq!(SYNCED.take(), [files.join("a")]);

    module.directory.sync = |_| Err(io::Error::other("the disk is gone"));
    let (done, refused) = send(&mut module, &whole("d", b"hello"));
    assert_eq!(done, [-1]);
    assert!(refused[0].contains("the disk is gone"), "{refused:?}");
    assert!(!module.written().contains(&"d".to_owned()));
}

#[test]
fn the_limits_of_the_protocol_hold() {
    let base = tempfile::tempdir().unwrap();
    let mut module = Download::new(base.path(), 1000);
    let mut answers = Answers::new(Download::NAME);
    for (message, item) in [
        ("name", encode(&"n".repeat(1025))),
        ("sha-384", encode(&ByteString(vec![0; 32]))),
        ("data", encode(&ByteString(vec![0; 65_536]))),
    ] {
        assert!(matches!(module.receive(message, &item, &mut answers), Err(Error::Malformed(_))), "{message}");
    }
    // Text for bytes, as some owners write it.
    assert_eq!(
        send(&mut module, &[("name", encode("t")), ("length", encode(&2_u64)), ("data", encode("ab"))]).0,
        [2]
    );
}

/// Every file below a directory.
fn files(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(files(&entry));
        } else {
            found.push(entry.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn a_file_arrives_whole_and_private() {
    let base = tempfile::tempdir().unwrap();
    let mut module = Download::new(base.path(), 1000);
    assert_eq!(send(&mut module, &whole("a/./b/app.conf", b"hello")).0, [5]);
    let path = base.path().join("a/b/app.conf");
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Some owners end every file with an empty piece, and a next file replaces the last.
    assert!(send(&mut module, &[data(b"")]).0.is_empty());
    assert_eq!(send(&mut module, &whole("a/b/app.conf", b"")).0, [0]);
    assert_eq!(fs::read(&path).unwrap(), b"");
    let streamed = [("name", encode("s")), data(b"ab"), data(b"cd"), data(b"")];
    assert_eq!(send(&mut module, &streamed).0, [4]);
    assert_eq!(module.written(), ["a/./b/app.conf", "a/b/app.conf", "s"]);
}

#[test]
fn nothing_is_written_outside_the_directory() {
    let base = tempfile::tempdir().unwrap();
    let inside = base.path().join("files");
    fs::create_dir_all(inside.join("real")).unwrap();
    fs::write(base.path().join("victim"), b"untouched").unwrap();
    symlink(base.path(), inside.join("out")).unwrap();
    symlink(base.path().join("victim"), inside.join("link")).unwrap();
    let mut module = Download::new(&inside, 1000);
    for name in [
        "../victim",
        "/etc/passwd",
        "real/../../victim",
        "..",
        ".",
        "",
        "a/",
        "out/victim",
        "link",
        "real",
        "a\u{0}b",
        "a\nb",
        "..\\victim",
        ".fdo-0.part",
        "real/.fdo-9.part",
    ] {
        let (done, refused) = send(&mut module, &whole(name, b"evil"));
        assert_eq!((done.as_slice(), refused.len()), ([-1].as_slice(), 1), "{name:?}");
    }
    assert_eq!(fs::read(base.path().join("victim")).unwrap(), b"untouched");
    assert_eq!(files(&inside).len(), 2);
}

#[test]
fn a_file_that_is_too_long_cut_or_changed_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let mut module = Download::new(base.path(), 100);
    let name = || ("name", encode("f"));
    let length = |length: u64| ("length", encode(&length));
    let hash = ("sha-384", encode(&ByteString(vec![0; 48])));
    for pairs in [
        vec![name(), length(101), data(b"x")],
        vec![name(), length(2), data(b"xyz")],
        vec![name(), data(&[0; 60]), data(&[0; 60])],
        vec![name(), length(3), data(b"x"), data(b"")],
        vec![name(), length(1), hash, data(b"x")],
    ] {
        assert_eq!(send(&mut module, &pairs).0, [-1]);
    }
    // An interrupted file goes with the next name, and what follows a refusal is dropped.
    send(&mut module, &[name(), length(5), data(b"x"), name()]);
    assert!(files(base.path()).is_empty());
    send(&mut module, &[("name", encode("../x")), data(b"1"), data(b"2")]);
    drop(module);
    assert!(files(base.path()).is_empty());
}
