//! What works: both curves, three sizes, wifi with csr, over HTTP, and what the owner keeps of it.

use fdo_owner::ca::State;
use fdo_owner::config::{CommandSetting, DownloadSetting};
use fdo_owner::inventory::DeviceState;
use fdo_owner::onboarding::Outcome;
use fdo_owner::vouchers;
use fdo_pki::Certificate;
use fdo_protocol::crypto::KeyType;

use crate::device::{Manner, Talk, onboard};
use crate::world::{SERIAL, World, config};

#[tokio::test]
async fn a_device_gets_its_networks_and_its_certificate_whatever_its_key_and_size() {
    for world in World::all().await {
        world.open_network("plant").await;
        world.open_network("office").await;
        for (key_type, size) in [
            (KeyType::P256, Some(1300)),
            (KeyType::P256, None),
            (KeyType::P256, Some(0)),
            (KeyType::P384, Some(16 * 1024)),
            (KeyType::P256, Some(65_535)),
            (KeyType::P384, Some(256)),
        ] {
            let born = world.device_of(key_type).await;
            let manner = Manner { size, ..Manner::new(&world) };
            let (next, received) = onboard(&world, &born, &manner).await.unwrap();
            assert_eq!(received.networks.len(), 2);
            assert!(received.errors.is_empty());

            let certificate = Certificate::parse(&received.certificates[0]).unwrap();
            certificate.verify_signed_by(world.app.ca.active().certificate()).unwrap();
            assert_eq!(certificate.subject_serial_number(), Some(SERIAL));
            assert_eq!(certificate.common_name(), None, "the name in the request says nothing");
            assert_eq!(certificate.uris(), [format!("urn:uuid:{}", next.guid())]);
            let mut chain = received.ca_certificates;
            chain.sort();
            let mut expected = world.app.ca.chain_der();
            expected.sort();
            assert_eq!(chain, expected);

            let known = world.known(&born.guid()).await;
            assert_eq!((known.state, known.guid), (DeviceState::Onboarded, next.guid()));
            assert_eq!(known.certificate.as_deref(), Some(certificate.serial()));
            let run = &world.runs(&born.guid()).await[0];
            assert_eq!(run.outcome, Some(Outcome::Onboarded));
            assert_eq!(run.new_guid, next.guid());
            assert_eq!(run.certificate.as_deref(), Some(certificate.serial()));
            assert_eq!(run.facts.networks.len(), 2);
            assert_eq!(run.facts.device.as_deref(), Some("gateway\\u{1b}[31m"), "escaped");
            let old = world.voucher(&born.guid()).await.unwrap();
            assert_eq!((old.state, old.register_at), (vouchers::State::Replaced, None));
            let new = world.voucher(&next.guid()).await.unwrap();
            assert_eq!((new.state, new.register_at), (vouchers::State::Onboarded, None));
        }
        let issued = world.certificates().await;
        assert!(issued.iter().all(|row| row.confirmed && row.state == State::Issued));
    }
}

#[tokio::test]
async fn a_device_without_csr_is_onboarded_without_a_certificate() {
    let world = World::new().await;
    let born = world.device().await;
    let manner = Manner { modules: vec!["devmod".into()], ..Manner::new(&world) };
    let (next, _) = onboard(&world, &born, &manner).await.unwrap();
    let run = &world.runs(&next.guid()).await[0];
    assert_eq!(run.outcome, Some(Outcome::OnboardedWithoutCertificate));
    assert!(run.reason.as_deref().unwrap().contains("fdo.csr"));
    assert_eq!(world.known(&next.guid()).await.certificate, None);
}

#[tokio::test]
async fn a_device_without_a_required_module_fails_with_that_reason() {
    let mut config = config();
    config.onboarding.csr_required = true;
    let world = World::with(config).await;
    let born = world.device().await;
    let before = world.identity(&born.guid()).await;
    let manner = Manner { modules: vec!["devmod".into()], ..Manner::new(&world) };
    assert_eq!(onboard(&world, &born, &manner).await.err(), Some(101));
    let known = world.known(&born.guid()).await;
    assert_eq!(known.state, DeviceState::Failed);
    assert!(known.reason.unwrap().contains("fdo.csr is required"));
    assert_eq!(world.runs(&born.guid()).await[0].outcome, Some(Outcome::Failed));
    assert_eq!(world.identity(&born.guid()).await, before);
    // With the module, the same device gets in.
    onboard(&world, &born, &Manner::new(&world)).await.unwrap();
    assert_eq!(world.known(&born.guid()).await.state, DeviceState::Onboarded);
}

#[tokio::test]
async fn files_and_commands_that_a_device_does_not_take_are_noted() {
    let mut config = config();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.conf");
    std::fs::write(&file, vec![7; 5000]).unwrap();
    config.downloads.push(DownloadSetting { name: "a.conf".into(), file, required: false });
    config.commands.push(CommandSetting { command: "true".into(), args: Vec::new(), required: false });
    let world = World::with(config).await;
    let born = world.device().await;
    let (next, _) = onboard(&world, &born, &Manner::new(&world)).await.unwrap();
    let run = &world.runs(&next.guid()).await[0];
    assert_eq!(run.outcome, Some(Outcome::Onboarded));
    let names: Vec<_> = run.facts.provisioned.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["fdo.csr", "fdo.download", "fdo.command"]);
}

#[tokio::test]
async fn credentials_are_reused_only_when_configured() {
    let mut config = config();
    config.onboarding.credential_reuse = true;
    let world = World::with(config).await;
    let born = world.device().await;
    let manner = Manner { allow_reuse: true, ..Manner::new(&world) };
    let (next, _) = onboard(&world, &born, &manner).await.unwrap();
    assert_eq!(next.guid(), born.guid());
    assert_eq!(world.voucher(&born.guid()).await.unwrap().state, vouchers::State::Onboarded);
    let manner = Manner { allow_reuse: true, ..Manner::new(&world) };
    onboard(&world, &next, &manner).await.unwrap();
}

#[tokio::test]
async fn devices_onboard_over_http() {
    let (world, running) = World::serving().await;
    for key_type in [KeyType::P256, KeyType::P384] {
        let born = world.device_of(key_type).await;
        let (next, received) = onboard(&world, &born, &Manner::new(&world)).await.unwrap();
        assert_eq!(received.certificates.len(), 1);
        assert_eq!(world.known(&born.guid()).await.guid, next.guid());
        // A tampered message and a stranger are refused over HTTP as they are without it.
        let mut talk = Talk::before(&world, &next, &Manner::new(&world), 66).await;
        let mut body = talk.next.body.clone();
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(talk.send(66, body).await, Err(100));
        let stranger = world.born(key_type);
        assert_eq!(Talk::hello(&world, &stranger, &Manner::new(&world)).await.err(), Some(6));
    }
    running.stop().await;
}
