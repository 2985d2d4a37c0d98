//! The walls of the workspace as tests: who may depend on whom, and which crate may be named in which file. Every
//! checker is also shown code that it must refuse, so that no rule can fall asleep.

#![allow(clippy::unwrap_used)]

mod dependencies;
mod files;
mod known_breaks;
mod slices;
mod source;
mod walls;

use known_breaks::KNOWN_BREAKS;

/// Fails with all violations of `rule`, save those that are known; a known one that is gone must be struck off.
fn hold(rule: &str, found: &[String]) {
    let known: Vec<&str> = KNOWN_BREAKS.iter().filter(|(of, _)| *of == rule).map(|(_, what)| *what).collect();
    let new: Vec<&String> = found.iter().filter(|what| !known.contains(&what.as_str())).collect();
    assert!(new.is_empty(), "{rule}:\n  {}", new.into_iter().cloned().collect::<Vec<_>>().join("\n  "));
    let gone: Vec<&str> = known.into_iter().filter(|what| !found.iter().any(|found| found == what)).collect();
    assert!(gone.is_empty(), "{rule}: repaired, strike them off known_breaks.rs:\n  {}", gone.join("\n  "));
}
