//! Rule 2: services never import one another, and within a service a slice imports only what `lib.rs` lists before it.

use std::collections::BTreeMap;

use crate::hold;
use crate::source::{Source, mention, sources};

const SERVICES: [&str; 3] = ["manufacturer", "rendezvous", "owner"];
/// What puts a service together may import every slice.
const WIRING: [&str; 8] = ["app", "config", "error", "routes", "conversation", "jobs", "cli", "main"];
/// What slices stand on wherever `lib.rs` lists it: shared state, settings, the mapping of errors, entities.
const GROUND: [&str; 4] = ["app", "config", "error", "db"];

/// The modules of a `lib.rs`, in order, without those of its tests.
fn modules(lib: &str) -> Vec<String> {
    let (mut names, mut of_tests) = (Vec::new(), false);
    for line in lib.lines().map(str::trim) {
        let item = line.strip_prefix("pub ").unwrap_or(line);
        if let Some(name) = item.strip_prefix("mod ").and_then(|item| item.strip_suffix(';'))
            && !of_tests
        {
            names.push(name.to_owned());
        }
        of_tests = line == "#[cfg(test)]";
    }
    names
}

/// The first names that follow `start` in the code: `crate::a::b`, `crate::{a, b::{c, d}}`.
fn imports(code: &str, start: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(start) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + start.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(name(rest));
            continue;
        };
        let (mut depth, mut item) = (0_usize, String::new());
        for c in group.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => found.push(name(&std::mem::take(&mut item))),
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth == 0 => item.push(c),
                _ => {}
            }
        }
        found.push(name(&item));
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Imports of `file`, which lies in the slice `slice`, that go upwards or sideways.
fn upward(order: &[String], slice: &str, file: &str, code: &str) -> Vec<String> {
    let place = |name: &str| order.iter().position(|module| module == name);
    // In the slice's own mod.rs the crate is one step up, in its files two.
    let parent = if file.ends_with("/mod.rs") { "super::" } else { "super::super::" };
    let own = |name: &String| parent != "super::" || !code.contains(&format!("mod {name};"));
    let relative = imports(code, parent).into_iter().filter(own);
    let mut found = Vec::new();
    for other in imports(code, "crate::").into_iter().chain(relative) {
        let (Some(here), Some(there)) = (place(slice), place(&other)) else { continue };
        let said = format!("{file}: {slice} imports {other}, which lib.rs does not list before it");
        if there > here && !GROUND.contains(&other.as_str()) && !found.contains(&said) {
            found.push(said);
        }
    }
    found
}

fn by_service(all: &[Source]) -> BTreeMap<&'static str, Vec<&Source>> {
    let of = |service: &str| all.iter().filter(|file| file.path.starts_with(&format!("{service}/src/"))).collect();
    SERVICES.into_iter().map(|service| (service, of(service))).collect()
}

#[test]
fn slices_import_downwards_only() {
    let all = sources();
    let mut found = Vec::new();
    for (service, files) in by_service(&all) {
        let lib = files.iter().find(|file| file.path == format!("{service}/src/lib.rs")).unwrap();
        let order = modules(&lib.code());
        assert!(order.len() > 5, "{service}/src/lib.rs lists no modules");
        for file in files {
            let inside = file.path.strip_prefix(&format!("{service}/src/")).unwrap();
            let slice = inside.split('/').next().unwrap().trim_end_matches(".rs");
            if slice != "lib" && !WIRING.contains(&slice) && !file.is_test() {
                found.extend(upward(&order, slice, &file.path, &file.shipped()));
            }
        }
    }
    hold("slices import downwards only", &found);
}

#[test]
fn services_do_not_name_one_another() {
    let mut found = Vec::new();
    for file in sources() {
        for service in SERVICES.into_iter().filter(|service| !file.path.starts_with(&format!("{service}/"))) {
            let others = file.path.split('/').next().unwrap_or_default();
            let line = mention(&file.code(), &format!("fdo_{service}"));
            if let (Some(line), false) = (line, others == "tests") {
                found.push(format!("{}:{line} names fdo_{service}", file.path));
            }
        }
    }
    hold("services do not name one another", &found);
}

#[test]
fn upward_imports_are_seen() {
    let order = modules(
        "//! X.\nmod app;\npub mod vouchers;\npub mod claims;\n#[cfg(test)]\nmod fixtures;\nmod routes;\n",
    );
    assert_eq!(order, ["app", "vouchers", "claims", "routes"]);
    let see = |file: &str, code: &str| upward(&order, "vouchers", file, code).len();
    assert_eq!(see("owner/src/vouchers/store.rs", "use crate::claims::State;"), 1);
    assert_eq!(see("owner/src/vouchers/store.rs", "use crate::{app::App, claims::{A, B}};"), 1);
    assert_eq!(see("owner/src/vouchers/store.rs", "fn f() { crate::routes::f() }"), 1);
    assert_eq!(see("owner/src/vouchers/mod.rs", "use super::claims;"), 1);
    assert_eq!(see("owner/src/vouchers/store.rs", "use super::super::claims::X;"), 1);
    assert_eq!(see("owner/src/vouchers/mod.rs", "mod claims; use self::claims::X; use super::claims::Y;"), 0);
    assert_eq!(see("owner/src/vouchers/store.rs", "use crate::app::App; use super::Error;"), 0);
    assert_eq!(upward(&order, "claims", "owner/src/claims/mod.rs", "use crate::vouchers::Voucher;").len(), 0);
}
