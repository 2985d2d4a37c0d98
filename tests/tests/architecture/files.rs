//! Rule 6 and the small ones: each file says what it is for and stays short; names say something; nothing in the
//! repository knows the machine that it was written on.

use std::io::Write as _;

use crate::hold;
use crate::source::{Source, files, sources};

const MOST_LINES: usize = 500;
const AIM: usize = 400;
const EMPTY_WORDS: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "handlers"];

fn without_purpose(file: &Source) -> Option<String> {
    let purpose = file.text.lines().next().unwrap_or_default();
    let said = purpose.strip_prefix("//!").is_some_and(|text| text.trim().len() > 5);
    (!said).then(|| format!("{} does not begin with `//!` and what it is for", file.path))
}

fn too_long(file: &Source) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > MOST_LINES).then(|| format!("{} has {lines} lines", file.path))
}

fn empty_name(file: &Source) -> Option<String> {
    let empty = |part: &str| EMPTY_WORDS.contains(&part.trim_end_matches(".rs"));
    file.path.split('/').any(empty).then(|| format!("{} has a name that says nothing", file.path))
}

/// Directories of one machine, and the host that a lock file alone may name.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    const MARKS: [&str; 5] = [
        concat!("/wor", "k/"),
        concat!("/ro", "ot/"),
        concat!("/far", "m/"),
        concat!("/ho", "me/"),
        concat!("crates", ".io"),
    ];
    let marks = MARKS.iter().filter(|mark| text.contains(*mark));
    marks.map(|mark| format!("{path} contains {mark}")).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    hold("every file says what it is for", &sources().iter().filter_map(without_purpose).collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    let all = sources();
    let mut stderr = std::io::stderr().lock();
    for file in &all {
        let lines = file.text.lines().count();
        if lines > AIM {
            let _ = writeln!(stderr, "note: {} has {lines} lines; the aim is {AIM}", file.path);
        }
    }
    hold("files are short", &all.iter().filter_map(too_long).collect::<Vec<_>>());
}

#[test]
fn names_say_something() {
    hold("names say something", &sources().iter().filter_map(empty_name).collect::<Vec<_>>());
}

#[test]
fn the_pure_crates_document_what_is_public() {
    let all = sources();
    for path in ["protocol/src/lib.rs", "pki/src/lib.rs"] {
        let lib = all.iter().find(|file| file.path == path).unwrap();
        assert!(lib.code().contains("#![deny(missing_docs)]"), "{path} does not deny missing_docs");
    }
}

#[test]
fn nothing_knows_one_machine() {
    const TEXT: [&str; 12] =
        [".rs", ".md", ".toml", ".sh", ".yaml", ".yml", ".json", ".txt", ".service", ".conf", "justfile", "run"];
    let mut found = Vec::new();
    for (path, at) in files(|name| name != "Cargo.lock" && TEXT.iter().any(|end| name.ends_with(end))) {
        found.extend(machine_paths(&path, &String::from_utf8_lossy(&std::fs::read(at).unwrap())));
    }
    hold("nothing knows one machine", &found);
}

#[test]
fn bad_files_are_seen() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    assert!(without_purpose(&file("a.rs", "use x;\n")).is_some());
    assert!(without_purpose(&file("a.rs", "//!\nuse x;\n")).is_some());
    assert!(without_purpose(&file("a.rs", "//! Vouchers.\n")).is_none());
    assert!(
        too_long(&file("a.rs", &"x\n".repeat(501))).is_some()
            && too_long(&file("a.rs", &"x\n".repeat(500))).is_none()
    );
    assert!(empty_name(&file("owner/src/helpers.rs", "")).is_some());
    assert!(empty_name(&file("owner/src/common/x.rs", "")).is_some());
    assert!(empty_name(&file("owner/src/claims/store.rs", "")).is_none());
    assert_eq!(machine_paths("a.md", concat!("see /wor", "k/x and /ro", "ot/y")).len(), 2);
}
