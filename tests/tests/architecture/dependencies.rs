//! Rules 1 and 2 over Cargo: which of our crates a crate may use, and what must not come in by any way at all.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::hold;
use crate::source::root;

/// Ours, and which others of ours each may use outside its tests.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("fdo-protocol", &[]),
    ("fdo-pki", &["fdo-protocol"]),
    ("fdo-http", &["fdo-protocol"]),
    ("fdo-service", &["fdo-protocol", "fdo-http", "fdo-pki"]),
    ("fdo-manufacturer", &["fdo-protocol", "fdo-http", "fdo-pki", "fdo-service"]),
    ("fdo-rendezvous", &["fdo-protocol", "fdo-http", "fdo-pki", "fdo-service"]),
    ("fdo-owner", &["fdo-protocol", "fdo-http", "fdo-pki", "fdo-service"]),
    ("fdo-device", &["fdo-protocol", "fdo-http", "fdo-pki"]),
];
const SERVICES: [&str; 3] = ["fdo-manufacturer", "fdo-rendezvous", "fdo-owner"];

/// Runtimes, HTTP, databases, clocks and sources of randomness. A name that ends in `-` is a beginning.
const IMPURE: [&str; 26] = [
    "tokio",
    "tokio-",
    "async-std",
    "smol",
    "mio",
    "actix-",
    "axum",
    "warp",
    "reqwest",
    "hyper",
    "hyper-",
    "h2",
    "ureq",
    "rustls",
    "native-tls",
    "sea-orm",
    "sea-orm-",
    "sqlx",
    "sqlx-",
    "rusqlite",
    "libsqlite3-sys",
    "chrono",
    "time",
    "getrandom",
    "rand",
    "rand_chacha",
];
/// An agent carries no server and no database.
const SERVERLY: [&str; 8] =
    ["actix-", "fdo-service", "sea-orm", "sea-orm-", "sqlx", "sqlx-", "libsqlite3-sys", "rusqlite"];

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo).args(arguments).arg("--offline").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every crate that `package` is built from, itself left out.
fn closure(package: &str) -> BTreeSet<String> {
    let tree = cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "none"]);
    let all: BTreeSet<String> =
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(all.contains(package) && all.len() > 10, "cargo tree shows nothing of {package}");
    all.into_iter().filter(|name| name != package).collect()
}

fn among(package: &str, crates: &BTreeSet<String>, forbidden: &[&str]) -> Vec<String> {
    let matches = |name: &str, rule: &str| name == rule || (rule.ends_with('-') && name.starts_with(rule));
    let found = crates.iter().filter(|name| forbidden.iter().any(|rule| matches(name, rule)));
    found.map(|name| format!("{package} -> {name}")).collect()
}

/// What the manifests allow themselves beyond `MAY_USE`; services may not name one another even in tests.
fn sideways(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some((_, allowed)) = MAY_USE.iter().find(|(of, _)| *of == name) else { continue };
        for dependency in package["dependencies"].as_array().unwrap() {
            let (other, kind) = (dependency["name"].as_str().unwrap(), dependency["kind"].as_str());
            let ours = MAY_USE.iter().any(|(of, _)| *of == other);
            let sibling = SERVICES.contains(&name) && SERVICES.contains(&other) && name != other;
            if sibling || (ours && kind.is_none() && !allowed.contains(&other)) {
                found.push(format!("{name} -> {other}"));
            }
        }
    }
    found
}

#[test]
fn the_pure_crates_are_pure() {
    let mut found = Vec::new();
    for package in ["fdo-protocol", "fdo-pki"] {
        found.extend(among(package, &closure(package), &IMPURE));
    }
    hold("pure crates depend on no runtime, HTTP, database, clock or source of randomness", &found);
}

#[test]
fn the_device_agent_carries_no_server_and_no_database() {
    hold("fdo-device", &among("fdo-device", &closure("fdo-device"), &SERVERLY));
}

#[test]
fn our_crates_depend_one_way() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let names: Vec<&str> =
        metadata["packages"].as_array().unwrap().iter().filter_map(|package| package["name"].as_str()).collect();
    for (name, _) in MAY_USE {
        assert!(names.contains(&name), "{name} is not in the workspace");
    }
    hold("our crates depend one way", &sideways(&metadata));
}

#[test]
fn impure_crates_are_seen() {
    let crates = ["actix-rt", "sha2", "time", "timeless"].map(str::to_owned).into();
    assert_eq!(among("fdo-pki", &crates, &IMPURE), ["fdo-pki -> actix-rt", "fdo-pki -> time"]);
    assert!(closure("fdo-rendezvous").contains("tokio"));
}

#[test]
fn sideways_dependencies_are_seen() {
    let package = |name: &str, other: &str, kind: Option<&str>| serde_json::json!({ "packages": [{ "name": name, "dependencies": [{ "name": other, "kind": kind }] }] });
    assert_eq!(sideways(&package("fdo-owner", "fdo-rendezvous", Some("dev"))).len(), 1);
    assert_eq!(sideways(&package("fdo-device", "fdo-service", None)).len(), 1);
    assert_eq!(sideways(&package("fdo-protocol", "fdo-pki", Some("dev"))).len(), 0);
    assert_eq!(sideways(&package("fdo-protocol", "fdo-pki", None)).len(), 1);
}
