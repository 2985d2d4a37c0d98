//! The fuzz targets over their committed corpora: what once was found, or led far into the code, is tried on each run.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

#[path = "../../tests/fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;

/// The corpus of a target, in the order of the files' names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} has only {} files", corpus.display(), files.len());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn replay(target: &str, run: fn(&[u8])) {
    for data in corpus(target) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Decode, encode, decode: a real message with a few bytes changed, cut or added decodes to what encodes to the same
    /// again, or does not decode.
    #[test]
    fn messages_nearly_real_are_refused_or_stable(
        which in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let seeds = SEEDS.get_or_init(|| corpus("messages"));
        let mut data = which.get(seeds).clone();
        for (at, byte, kind) in edits {
            let at = at.index(data.len());
            match kind {
                0 => data[at] = byte,
                1 => data.insert(at, byte),
                _ if data.len() > 1 => drop(data.remove(at)),
                _ => {}
            }
        }
        targets::messages(&data);
    }
}

static SEEDS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
