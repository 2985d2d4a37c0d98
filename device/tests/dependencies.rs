//! The agent carries no server and no database: what it depends on, directly or not, is looked up in the lock file.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

#[test]
fn the_agent_depends_on_no_service_no_server_and_no_database() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let mut dependencies: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let names = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
        // "name" or "name version".
        let names = names.filter_map(|name| name.as_str()?.split(' ').next());
        dependencies.entry(package["name"].as_str().unwrap()).or_default().extend(names);
    }
    let mut reached = BTreeSet::new();
    let mut next = vec!["fdo-device"];
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            next.extend(&dependencies[name]);
        }
    }
    assert!(reached.contains("fdo-pki") && reached.contains("reqwest"));
    for forbidden in ["fdo-service", "fdo-manufacturer", "fdo-rendezvous", "fdo-owner", "actix", "sea-orm", "sqlx"]
    {
        let found: Vec<_> = reached.iter().filter(|name| name.starts_with(forbidden)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
