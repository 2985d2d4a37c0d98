//! Links lead somewhere, files that are named are there, and the glossary's types exist.

use std::path::Path;

use super::{Document, document, documents, root};

/// Targets of the links in a document's prose.
fn links(document: &Document) -> Vec<String> {
    let prose = document.prose();
    let targets =
        prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()));
    targets.collect()
}

/// A heading as it is addressed: lower case, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .collect::<String>();
    kept.replace(' ', "-")
}

fn broken(document: &Document, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (file, place) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&document.path).parent().unwrap();
    let path = if file.is_empty() { document.path.clone().into() } else { folder.join(file) };
    let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
        return (!root().join(&path).is_dir()).then(|| format!("{}: {target} leads nowhere", document.path));
    };
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#')));
    let found = place.is_empty() || headings.into_iter().any(|heading| heading == place);
    (!found).then(|| format!("{}: {target} has no such heading", document.path))
}

/// A span that names a file or folder of the workspace.
fn is_path(span: &str) -> bool {
    span.contains('/')
        && !span.contains([' ', '<', '{', '*', '$', '~', ':'])
        && !span.starts_with('/')
        && !span.contains("..")
}

/// The source of a crate, all files one after the other.
fn source(krate: &str) -> String {
    let folder = match krate {
        "fdo_http" => "protocol/http".to_owned(),
        other => other.strip_prefix("fdo_").unwrap_or(other).to_owned(),
    };
    let (mut text, mut folders) = (String::new(), vec![root().join(folder).join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    text
}

/// What of `path`, such as `fdo_pki::Csr`, its crate does not define.
fn undefined(path: &str) -> Option<String> {
    let (krate, inner) = path.split_once("::").unwrap_or((path, ""));
    let source = source(krate);
    let defines = |name: &str| {
        let kinds =
            if name.starts_with(char::is_uppercase) { &["struct", "enum", "trait", "type"][..] } else { &["mod"] };
        kinds.iter().any(|kind| {
            let item = format!("pub {kind} {name}");
            source
                .match_indices(&item)
                .any(|(at, _)| !source[at + item.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    };
    let missing = inner.split("::").filter(|name| !name.is_empty()).find(|name| !defines(name));
    missing.map(|name| format!("{path}: {krate} has no public {name}"))
}

#[test]
fn links_lead_somewhere() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        for target in links(&document) {
            seen += 1;
            wrong.extend(broken(&document, &target));
        }
    }
    assert!(seen > 20, "only {seen} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_are_named_are_there() {
    let (root, mut wrong) = (root(), Vec::new());
    for document in documents() {
        for span in document.spans().into_iter().filter(|span| is_path(span)) {
            let top = span.split('/').next().unwrap_or_default();
            // What a build makes is not there before it.
            if top == "target" {
                continue;
            }
            // Elsewhere a path may be one below any service; ARCHITECTURE names whole paths.
            let whole = document.path == "ARCHITECTURE.md" || root.join(top).exists();
            if whole && !root.join(&span).exists() {
                wrong.push(format!("{}: there is no {span}", document.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let map = document("ARCHITECTURE.md").spans().into_iter().filter(|span| is_path(span)).count();
    assert!(map > 60, "ARCHITECTURE names only {map} places");
}

#[test]
fn the_types_of_the_glossary_exist() {
    let types: Vec<String> =
        document("docs/glossary.md").spans().into_iter().filter(|span| span.starts_with("fdo_")).collect();
    assert!(types.len() > 50, "the glossary names only {} types", types.len());
    let wrong: Vec<String> = types.iter().filter_map(|path| undefined(path)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_places_are_seen() {
    let file = Document {
        path: "docs/x.md".into(),
        text: "[a](nowhere.md) [b](../README.md#no-such) [c](../README.md)".into(),
    };
    let wrong: Vec<String> = links(&file).iter().filter_map(|target| broken(&file, target)).collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(undefined("fdo_pki::NoSuchType").is_some() && undefined("fdo_pki::nowhere::Csr").is_some());
    assert!(undefined("fdo_pki::Csr").is_none());
    assert_eq!(anchor(" By hand, slowly"), "by-hand-slowly");
}
