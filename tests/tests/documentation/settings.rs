//! The example configurations: they load, their defaults are the defaults, and every example in them is understood.

use fdo_service::host::config;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::root;

/// Lines that are commented out, brought to life: `#key = ..` are defaults, `# key = ..` are examples.
fn alive(text: &str, examples: bool) -> String {
    let setting = |line: &str| {
        let name: String = line.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        (!name.is_empty() && line[name.len()..].starts_with(" = ")) || line.starts_with("[[")
    };
    let mut lines = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("# "), line.strip_prefix('#')) {
            (Some(example), _) if examples && setting(example) => lines.push(example),
            (None, Some(default)) if !examples && setting(default) => lines.push(default),
            _ => lines.push(line),
        }
    }
    lines.join("\n")
}

fn load<C: Default + Serialize + DeserializeOwned>(text: &str) -> Result<Value, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let config: C =
        config::load(Some(file.path()), "FDO_DOCUMENTATION_TEST_", &()).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(config).unwrap())
}

fn check<C: Default + Serialize + DeserializeOwned>(path: &str) {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let defaults = serde_json::to_value(C::default()).unwrap();
    assert_eq!(load::<C>(&text).unwrap(), defaults, "{path} as it is");
    let shown = alive(&text, false);
    assert!(shown.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count() > 8, "{path}");
    assert_eq!(load::<C>(&shown).unwrap(), defaults, "{path}: what it shows as defaults");
    let tried = load::<C>(&alive(&text, true)).unwrap_or_else(|error| panic!("{path}: an example: {error}"));
    assert_ne!(tried, defaults, "{path} has no examples");
    unmentioned(&defaults, &text, path);
}

/// Every setting stands in the example.
fn unmentioned(defaults: &Value, text: &str, path: &str) {
    for (name, value) in defaults.as_object().into_iter().flatten() {
        assert!(text.contains(name), "{path} does not mention {name}");
        unmentioned(value, text, path);
    }
}

#[test]
fn the_manufacturers_example_is_true() {
    check::<fdo_manufacturer::config::Config>("deploy/manufacturer.toml");
}

#[test]
fn the_rendezvous_example_is_true() {
    check::<fdo_rendezvous::config::Config>("deploy/rendezvous.toml");
}

#[test]
fn the_owners_example_is_true() {
    check::<fdo_owner::config::Config>("deploy/owner.toml");
}

#[test]
fn the_devices_example_is_true() {
    check::<fdo_device::config::Config>("deploy/device.toml");
}

#[test]
fn wrong_settings_are_seen() {
    type Owner = fdo_owner::config::Config;
    assert!(load::<Owner>(&alive("# Prose.\n# no_such = 1\n", true)).unwrap_err().contains("no_such"));
    let other = load::<Owner>(&alive("#log = \"trace\"\n", false)).unwrap();
    assert_ne!(other, serde_json::to_value(Owner::default()).unwrap());
}
