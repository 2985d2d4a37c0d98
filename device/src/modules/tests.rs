//! The set of modules as an owner meets it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fdo_protocol::cbor::encode;

use super::*;
use crate::random::Random;

fn settings(command: bool) -> ModuleSettings {
    let directory = PathBuf::from("/nonexistent");
    let command = command.then(|| CommandSettings {
        directory: directory.clone(),
        time_limit: Duration::from_secs(1),
        output_limit: 1,
    });
    ModuleSettings { wifi: WifiSettings::default(), enrolment: true, download: Some((directory, 1)), command }
}

#[tokio::test]
async fn an_unknown_module_is_declined_once_and_unknown_messages_are_ignored() {
    let mut modules = Modules::new(&settings(false), KeyType::P256, "SN", 1300);
    assert_eq!(modules.names(), ["fdo.wifi", "fdo.csr", "fdo.download"]);
    assert!(Modules::new(&settings(true), KeyType::P256, "SN", 1300).names().contains(&"fdo.command"));
    let mut rng = Random::seeded(1).rng();
    for message in ["active", "command", "execute", "active"] {
        modules.receive(&ServiceInfoKv::new("fdo.command", message, &true), &mut rng).await.unwrap();
    }
    for module in ["fdo.wifi", "fdo.csr", "fdo.download"] {
        modules.receive(&ServiceInfoKv::new(module, "new-in-2030", &7_u64), &mut rng).await.unwrap();
    }
    let said = modules.take_outgoing();
    assert_eq!((said.len(), said[0].key.as_str()), (1, "fdo.command:active"));
    assert_eq!(*said[0].value, encode(&false));
    for number in 0..1000 {
        let kv = ServiceInfoKv::new(&format!("m{number}"), "active", &true);
        modules.receive(&kv, &mut rng).await.unwrap();
    }
    assert!(modules.take_outgoing().len() < MAX_UNKNOWN);
    let outcome = modules.finish(0, "SN", "/state", false).unwrap();
    assert_eq!(outcome.refused.len(), MAX_REFUSED);
    assert!(outcome.ldevid.is_none() && outcome.wifi.files.is_none());
}

#[tokio::test]
async fn a_request_for_a_certificate_is_for_a_key_of_its_own() {
    let mut modules = Modules::new(&settings(false), KeyType::P384, "SN-1", 1300);
    let mut rng = Random::seeded(1).rng();
    modules.receive(&ServiceInfoKv::new("fdo.csr", "active", &true), &mut rng).await.unwrap();
    modules.receive(&ServiceInfoKv::new("fdo.csr", "active", &true), &mut rng).await.unwrap();
    let said = modules.take_outgoing();
    let keys: Vec<&str> = said.iter().map(ServiceInfoKv::message).collect();
    assert_eq!(keys, ["active", "cacerts-req", "simpleenroll-req"]);
    assert_eq!(*said[1].value, encode(&281_u64));
    let text: String = fdo_protocol::cbor::decode(&said[2].value).unwrap();
    let csr = fdo_pki::Csr::from_any(text.as_bytes()).unwrap().verify().unwrap();
    assert_eq!(csr.public_key().key_type(), KeyType::P384);
    assert_eq!(csr.requested_subject(), "serialNumber=SN-1");
    let outcome = modules.finish(0, "SN-1", "/state", false).unwrap();
    assert!(matches!(outcome.ldevid, Some(Err(why)) if why.contains("did not answer")));
}

#[tokio::test]
async fn a_module_with_a_long_name_gets_no_answer_that_does_not_fit() {
    let mut rng = Random::seeded(1).rng();
    for (size, longest) in [(256, 236), (1300, 248), (65_535, 248)] {
        for (length, answers) in [(longest, 1), (longest + 1, 0)] {
            let mut modules = Modules::new(&settings(false), KeyType::P256, "SN", size);
            let key = format!("{}:x", "m".repeat(length));
            modules.receive(&ServiceInfoKv::from_item(key, vec![0xf5]), &mut rng).await.unwrap();
            let said = modules.take_outgoing();
            assert_eq!(said.len(), answers, "{size}, {length}");
            assert_eq!(modules.finish(0, "SN", "/state", false).unwrap().refused.len(), 1);
        }
    }
}

#[tokio::test]
async fn what_is_kept_of_a_refusal_is_short() {
    let mut modules = Modules::new(&settings(false), KeyType::P256, "SN", 1300);
    let mut rng = Random::seeded(1).rng();
    let name = format!("../{}", "\u{1}".repeat(1000));
    for (message, item) in [("name", encode(name.as_str())), ("data", encode("x"))] {
        let kv = ServiceInfoKv::from_item(format!("fdo.download:{message}"), item);
        modules.receive(&kv, &mut rng).await.unwrap();
    }
    let refused = modules.finish(0, "SN", "/state", false).unwrap().refused;
    assert!(refused[0].starts_with("download of") && refused[0].chars().count() <= MAX_NOTE + 1, "{refused:?}");
}
