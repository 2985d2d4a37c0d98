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
    let mut modules = Modules::new(&settings(false), KeyType::P256, "SN");
    assert_eq!(modules.names(), ["fdo.wifi", "fdo.csr", "fdo.download"]);
    assert!(Modules::new(&settings(true), KeyType::P256, "SN").names().contains(&"fdo.command"));
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
    let mut modules = Modules::new(&settings(false), KeyType::P384, "SN-1");
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
