//! The set of modules as an owner meets it.
#![allow(clippy::unwrap_used)]

mod both_sides;

use fdo_protocol::cbor::encode;

use super::*;
use std::path::Path;

use crate::config::Config;
use crate::random::Random;

fn settings(command: bool) -> ModuleSettings {
    let config = Config { commands: command, uploads: false, wget: false, ..Config::default() };
    config.agent_settings(Some(Path::new("/nonexistent"))).unwrap().modules
}

fn modules(settings: &ModuleSettings, key_type: KeyType, serial: &str, size: usize) -> Modules {
    let situation = Situation { key_type, serial, ldevid: None, signature: OwnerSignature::default() };
    Modules::new(settings, situation, size)
}

/// What they say once the floor is theirs.
fn take(modules: &mut Modules) -> Vec<ServiceInfoKv> {
    std::mem::take(&mut modules.outgoing)
}

#[test]
fn an_unknown_module_is_declined_once_and_unknown_messages_are_ignored() {
    let mut device = modules(&settings(false), KeyType::P256, "SN", 1300);
    assert_eq!(device.names(), ["fdo.wifi", "fdo.csr", "firstlight.est", "fdo.download"]);
    assert!(modules(&settings(true), KeyType::P256, "SN", 1300).names().contains(&"fdo.command"));
    let mut rng = Random::seeded(1).rng();
    for message in ["active", "command", "execute", "active"] {
        device.receive(&ServiceInfoKv::new("fdo.command", message, &true), &mut rng).unwrap();
    }
    for module in ["fdo.wifi", "fdo.csr", "firstlight.est", "fdo.download"] {
        device.receive(&ServiceInfoKv::new(module, "new-in-2030", &7_u64), &mut rng).unwrap();
    }
    let said = take(&mut device);
    assert_eq!((said.len(), said[0].key.as_str()), (1, "fdo.command:active"));
    assert_eq!(*said[0].value, encode(&false));
    for number in 0..1000 {
        let kv = ServiceInfoKv::new(&format!("m{number}"), "active", &true);
        device.receive(&kv, &mut rng).unwrap();
    }
    assert!(take(&mut device).len() < MAX_UNKNOWN);
    let outcome = device.finish(0, "SN", "/state", false).unwrap();
    assert_eq!(outcome.refused.len(), MAX_REFUSED);
    assert!(outcome.ldevid.is_none() && outcome.wifi.files.is_none());
}

#[test]
fn a_request_for_a_certificate_is_for_a_key_of_its_own() {
    let mut device = modules(&settings(false), KeyType::P384, "SN-1", 1300);
    let mut rng = Random::seeded(1).rng();
    device.receive(&ServiceInfoKv::new("fdo.csr", "active", &true), &mut rng).unwrap();
    device.receive(&ServiceInfoKv::new("fdo.csr", "active", &true), &mut rng).unwrap();
    let said = take(&mut device);
    let keys: Vec<&str> = said.iter().map(ServiceInfoKv::message).collect();
    assert_eq!(keys, ["active", "cacerts-req", "simpleenroll-req"]);
    assert_eq!(*said[1].value, encode(&281_u64));
    let text: String = fdo_protocol::cbor::decode(&said[2].value).unwrap();
    let csr = fdo_pki::Csr::from_any(text.as_bytes()).unwrap().verify().unwrap();
    assert_eq!(csr.public_key().key_type(), KeyType::P384);
    assert_eq!(csr.requested_subject(), "serialNumber=SN-1");
    let outcome = device.finish(0, "SN-1", "/state", false).unwrap();
    assert!(matches!(outcome.ldevid, Some(Err(why)) if why.contains("did not answer")));
}

#[test]
fn a_module_with_a_long_name_gets_no_answer_that_does_not_fit() {
    let mut rng = Random::seeded(1).rng();
    for (size, longest) in [(256, 236), (1300, 248), (65_535, 248)] {
        for (length, answers) in [(longest, 1), (longest + 1, 0)] {
            let mut device = modules(&settings(false), KeyType::P256, "SN", size);
            let key = format!("{}:x", "m".repeat(length));
            device.receive(&ServiceInfoKv::from_item(key, vec![0xf5]), &mut rng).unwrap();
            let said = take(&mut device);
            assert_eq!(said.len(), answers, "{size}, {length}");
            assert_eq!(device.finish(0, "SN", "/state", false).unwrap().refused.len(), 1);
        }
    }
}

#[test]
fn what_is_kept_of_a_refusal_is_short() {
    let mut device = modules(&settings(false), KeyType::P256, "SN", 1300);
    let mut rng = Random::seeded(1).rng();
    let name = format!("../{}", "\u{1}".repeat(1000));
    for (message, item) in [("name", encode(name.as_str())), ("data", encode("x"))] {
        let kv = ServiceInfoKv::from_item(format!("fdo.download:{message}"), item);
        device.receive(&kv, &mut rng).unwrap();
    }
    let refused = device.finish(0, "SN", "/state", false).unwrap().refused;
    assert!(refused[0].starts_with("download of") && refused[0].chars().count() <= MAX_NOTE + 1, "{refused:?}");
}
