//! The fuzz targets over their committed corpora: what once was found, or led far into the code, is tried on each run.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

#[path = "../../tests/fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} has only {} files", corpus.display(), files.len());
    for file in files {
        let data = std::fs::read(&file).unwrap();
        run(&data);
        // And what is nearly that.
        for length in [data.len() / 2, data.len().saturating_sub(1)] {
            run(&data[..length]);
        }
        let mut changed = data.clone();
        if let Some(middle) = changed.get_mut(data.len() / 2) {
            *middle ^= 0x20;
            run(&changed);
        }
    }
}

#[test]
fn messages() {
    replay("messages", targets::messages);
}

#[test]
fn vouchers() {
    replay("vouchers", targets::vouchers);
}

#[test]
fn eat() {
    replay("eat", targets::eat);
}

#[test]
fn tunnel() {
    replay("tunnel", targets::tunnel);
}

#[test]
fn service_info() {
    replay("service_info", targets::service_info);
}

#[test]
fn to2_order() {
    replay("to2_order", targets::to2_order);
}
