//! A device's life with services that behave, over a network that does not always.
#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use fdo_device::config::Config;
use fdo_device::store::{Directory, StoreError};
use fdo_device::{Attempts, BirthError, OnboardError, Onboarded, Policy};
use fdo_protocol::cbor::{self, ByteString, Writer};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use fdo_protocol::service_info::{ServiceInfoKv, negotiated_size};
use fdo_protocol::{ErrorCode, RendezvousInfo};
use sha2::Digest as _;
use world::{Fate, ONCE, SERIAL, World};

fn network(id: &str, trust: u64) -> ServiceInfoKv {
    let mut item = Writer::default();
    item.map(6).unsigned(0).text("1.0").unsigned(1).text(id).unsigned(2).text("corp");
    item.unsigned(3).unsigned(1).unsigned(4).bytes(b"correct horse").unsigned(6).unsigned(trust);
    ServiceInfoKv::from_item("fdo.wifi:network-add".into(), item.into_bytes())
}

fn on(module: &str) -> ServiceInfoKv {
    ServiceInfoKv::new(module, "active", &true)
}

fn everything() -> Vec<Vec<ServiceInfoKv>> {
    vec![vec![on("fdo.wifi"), network("site", 1), network("dock", 0)], vec![on("fdo.csr")]]
}

fn now(outcome: Result<Onboarded, OnboardError>) -> Box<fdo_device::store::Status> {
    match outcome.unwrap() {
        Onboarded::Now { status, .. } => status,
        Onboarded::Already(_) => panic!("there was something to do"),
    }
}

fn file(world: &World, name: &str) -> String {
    String::from_utf8(world.state.read(name).unwrap().unwrap().to_vec()).unwrap()
}

/// Key, certificate and CA belong together, whatever happened before.
fn assert_ldevid(world: &World) {
    let key = SigningKey::from_pem(&file(world, "ldevid/ldevid-key.pem")).unwrap();
    let certificate = fdo_pki::pem::decode_certificates(&file(world, "ldevid/ldevid.pem")).unwrap();
    let certificate = fdo_pki::Certificate::parse(&certificate[0]).unwrap();
    assert_eq!(&certificate.public_key().unwrap(), key.verifying_key());
    let authority = fdo_pki::pem::decode_certificates(&file(world, "ldevid/ldevid-ca.pem")).unwrap();
    certificate.verify_signed_by(&fdo_pki::Certificate::parse(&authority[0]).unwrap()).unwrap();
    assert_ne!(key.verifying_key(), world.store().device_key().unwrap().verifying_key());
}

#[tokio::test]
async fn a_device_is_born_finds_its_owner_and_stays_there() {
    for key_type in [KeyType::P256, KeyType::P384] {
        let world = World::new(key_type);
        let guid = world.agent().init(&world.birth()).await.unwrap();
        world.services().script = everything().into();
        let status = now(world.power_on().await);
        assert_eq!(status.networks, ["site"]);
        assert_eq!(status.serial, SERIAL);
        assert_eq!(status.ldevid.as_ref().unwrap().subject, format!("serialNumber={SERIAL}"));
        assert_ldevid(&world);
        assert_eq!(world.wifi.names().unwrap(), ["fdo-site.nmconnection"]);
        let credential = world.store().credential().unwrap();
        assert!(!credential.active && credential.guid != guid);
        assert!(world.store().pending().unwrap().is_none());

        let before = world.services().received.len();
        assert_eq!(world.power_on().await.unwrap(), Onboarded::Already(credential.guid));
        assert_eq!(world.services().received.len(), before);
        assert!(world.services().errors.is_empty());
        let again = Policy { reonboard: true, ..ONCE };
        now(world.agent().onboard(again).await);
        assert_ldevid(&world);
    }
}

#[tokio::test]
async fn a_second_birth_is_refused_unless_forced() {
    let world = World::born().await;
    let before = world.credential();
    let refused = world.agent().init(&world.birth()).await;
    assert!(matches!(refused, Err(BirthError::Store(_))), "{refused:?}");
    let mut birth = world.birth();
    birth.force = true;
    world.services().down = vec!["manufacturer.example".into()];
    assert!(world.agent().init(&birth).await.is_err());
    assert_eq!(world.credential(), before);
    world.services().down.clear();
    world.agent().init(&birth).await.unwrap();
    assert_ne!(world.credential(), before);
    now(world.power_on().await);
}

#[tokio::test]
async fn a_lost_71_strands_nobody() {
    let world = World::born().await;
    world.services().script = everything().into();
    let old = world.store().credential().unwrap().guid;
    world.services().accident = Some((70, Fate::ReplyLost));
    assert!(world.power_on().await.is_err());
    assert_eq!(world.store().credential().unwrap().guid, old);
    let new = world.store().pending().unwrap().unwrap().credential.unwrap().guid;
    // It happens again, now with the new GUID, and the owner forgets the old one meanwhile.
    world.services().vouchers.truncate(1);
    assert!(world.power_on().await.is_err());
    assert_eq!(world.store().credential().unwrap().guid, new);
    world.services().vouchers.truncate(1);
    world.services().accident = None;
    now(world.power_on().await);
    assert!(world.store().pending().unwrap().is_none());
    assert_ldevid(&world);
}

/// The same where the owner keeps the GUID: the credentials differ by their secrets alone.
#[tokio::test]
async fn a_lost_71_strands_nobody_whose_guid_stays() {
    let world = World::born().await;
    world.services().keeps_guid = true;
    let fates = [Fate::ReplyLost, Fate::RequestLost, Fate::ReplyLost, Fate::ReplyLost, Fate::RequestLost];
    for (start, fate) in (1..).zip(fates) {
        world.services().accident = Some((70, fate));
        let mut agent = world.agent();
        agent.random = fdo_device::Random::seeded(start);
        assert!(agent.onboard(ONCE).await.is_err());
        // The owner knows the latest voucher alone.
        world.services().vouchers.truncate(1);
    }
    world.services().accident = None;
    now(world.power_on().await);
}

#[tokio::test]
async fn a_lost_70_leaves_the_old_credential_valid() {
    let world = World::born().await;
    world.services().accident = Some((70, Fate::RequestLost));
    assert!(world.power_on().await.is_err());
    world.services().accident = None;
    world.services().received.clear();
    now(world.power_on().await);
    // The new GUID was asked for first, and nobody knew it.
    let asked = world.services().received.iter().filter(|(number, _)| *number == 30).count();
    assert_eq!(asked, 2);
}

#[tokio::test(start_paused = true)]
async fn a_rendezvous_that_is_down_is_asked_again_after_a_while() {
    let world = World::born().await;
    world.services().down = vec!["rv.example".into()];
    let services = world.services.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(400)).await;
        services.lock().unwrap().down.clear();
    });
    let started = tokio::time::Instant::now();
    now(world.agent().onboard(Policy { attempts: Attempts::Forever, reonboard: false }).await);
    let waited = started.elapsed().as_secs();
    assert!((400..=560).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn directives_are_followed_in_order_with_their_delays() {
    let world = World::new(KeyType::P256);
    world.services().rv_info = RendezvousInfo::new(vec![
        Directive { owner_only: true, ..Directive::at(RvProtocol::Http, "owners.example", 1) },
        Directive { delay_seconds: Some(40), ..Directive::at(RvProtocol::Http, "first.example", 1) },
        Directive { delay_seconds: Some(8), ..Directive::default() },
        Directive { bypass: true, ..Directive::at(RvProtocol::Http, "owner.example", 8043) },
    ]);
    world.services().down = vec!["first.example".into()];
    world.agent().init(&world.birth()).await.unwrap();
    world.services().received.clear();
    let started = tokio::time::Instant::now();
    now(world.power_on().await);
    assert!((36..=60).contains(&started.elapsed().as_secs()));
    // No TO1 on the way.
    assert_eq!(world.services().received[0], (60, "owner.example".to_owned()));
}

#[tokio::test]
async fn what_failed_where_is_told_and_kept() {
    let world = World::born().await;
    let before = world.credential();
    world.services().down = vec!["owner.example".into()];
    let error = world.power_on().await.unwrap_err().to_string();
    assert!(error.contains("TO2 at http://owner.example:8043: owner.example is down"), "{error}");
    assert_eq!(world.credential(), before);
    assert!(world.store().status().failure.unwrap().contains("owner.example"));
    world.services().down.clear();
    world.services().vouchers.clear();
    let error = world.power_on().await.unwrap_err().to_string();
    assert!(error.contains("TO1 at http://rv.example:8041") && error.contains("error 6"), "{error}");
    assert_eq!(world.credential(), before);
}

#[tokio::test]
async fn credential_reuse_only_where_allowed() {
    let mut world = World::born().await;
    world.services().reuse = true;
    let before = world.credential();
    assert!(world.power_on().await.is_err());
    assert_eq!(world.services().errors[0].code, ErrorCode::CredReuse.number());
    assert_eq!(world.credential(), before);
    let config = Config { credential_reuse: true, ..Config::default() };
    world.settings = config.agent_settings(None).unwrap();
    let guid = world.store().credential().unwrap().guid;
    now(world.power_on().await);
    let kept = world.store().credential().unwrap();
    assert_eq!((kept.guid, kept.active), (guid, false));
}

#[tokio::test]
async fn modules_that_are_not_offered_are_declined_once() {
    let world = World::born().await;
    let command = |message: &str, item| ServiceInfoKv::from_item(format!("fdo.command:{message}"), item);
    let run = vec![on("fdo.command"), command("command", cbor::encode("reboot")), command("execute", vec![0xf6])];
    world.services().script = vec![run.clone(), run].into();
    let status = now(world.power_on().await);
    let services = world.services();
    let said: Vec<_> = services.said.iter().filter(|kv| kv.module() == "fdo.command").collect();
    assert_eq!((said.len(), said[0].message(), said[0].value.as_slice()), (1, "active", [0xf4].as_slice()));
    assert!(status.refused[0].contains("fdo.command"));
    let modules = services.said.iter().find(|kv| kv.key == "devmod:modules").unwrap();
    assert!(!modules.value.windows(11).any(|window| window == b"fdo.command"));
}

#[tokio::test]
async fn small_messages_and_files_work() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::born().await;
    let config = Config { service_info_size: 1300, ..Config::default() };
    world.settings = config.agent_settings(Some(directory.path())).unwrap();
    let content: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let download = |message: &str, item| ServiceInfoKv::from_item(format!("fdo.download:{message}"), item);
    let mut script = vec![vec![
        on("fdo.download"),
        download("name", cbor::encode("conf/app.bin")),
        download("length", cbor::encode(&100_000_u64)),
        download("sha-384", cbor::encode(&ByteString(sha2::Sha384::digest(&content).to_vec()))),
    ]];
    script.extend(
        content.chunks(1014).map(|chunk| vec![download("data", cbor::encode(&ByteString(chunk.to_vec())))]),
    );
    script.push(vec![
        download("name", cbor::encode("../outside")),
        download("data", cbor::encode(&ByteString(vec![1]))),
    ]);
    world.services().script = script.into();
    let status = now(world.power_on().await);
    assert_eq!(std::fs::read(directory.path().join("files/conf/app.bin")).unwrap(), content);
    assert_eq!(status.files, ["conf/app.bin"]);
    assert!(status.refused[0].contains("outside"), "{:?}", status.refused);
    assert!(!directory.path().join("outside").exists());
    let done: Vec<i64> = world
        .services()
        .said
        .iter()
        .filter(|kv| kv.message() == "done")
        .map(|kv| cbor::decode(&kv.value).unwrap())
        .collect();
    assert_eq!(done, [100_000, -1]);
}

#[tokio::test]
async fn an_owner_that_takes_small_messages_hears_everything() {
    let directory = tempfile::tempdir().unwrap();
    for size in [0, 256, 600, 65_535] {
        let mut world = World::born().await;
        let files_dir = Some(directory.path().to_path_buf());
        let config = Config { commands: true, files_dir, ..Config::default() };
        world.settings = config.agent_settings(None).unwrap();
        let command = |message: &str, item| ServiceInfoKv::from_item(format!("fdo.command:{message}"), item);
        let run = vec![
            command("command", cbor::encode("seq")),
            command("args", cbor::encode(&vec!["1000".to_owned()])),
            command("return_stdout", vec![0xf5]),
            command("execute", vec![0xf6]),
        ];
        world.services().size = Some(size);
        world.services().script = vec![vec![on("fdo.csr")], run, vec![on(&"m".repeat(240))]].into();
        now(world.power_on().await);
        assert_ldevid(&world);
        let services = world.services();
        let most = negotiated_size(Some(size));
        assert!(services.longest <= most, "{} of {most}", services.longest);
        let pieces = services.said.iter().filter(|kv| kv.message() == "stdout");
        let told: usize = pieces.map(|kv| cbor::decode::<ByteString>(&kv.value).unwrap().len()).sum();
        assert_eq!(told, 3893);
    }
}

#[tokio::test]
async fn certificates_are_taken_in_every_form_that_owners_write() {
    let forms: [world::services::Writing; 3] = [
        |der| cbor::encode(&ByteString(der.to_vec())),
        |der| cbor::encode(&ByteString(fdo_pki::encode_base64(der).into_bytes())),
        |der| {
            let text = fdo_pki::encode_base64(der);
            cbor::encode(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"))
        },
    ];
    for est in forms {
        let world = World::born().await;
        world.services().est = est;
        world.services().script = vec![vec![on("fdo.csr")]].into();
        now(world.power_on().await);
        assert_ldevid(&world);
    }
}

#[tokio::test]
async fn a_lost_status_costs_no_onboarding() {
    let world = World::born().await;
    world.state.remove("status.json").unwrap();
    world.services().script = everything().into();
    world.services().down = vec!["rv.example".into()];
    assert!(world.power_on().await.is_err());
    world.services().down.clear();
    let status = now(world.power_on().await);
    assert_eq!((status.serial.as_str(), status.model.as_str()), (SERIAL, "gateway"));
    assert_ldevid(&world);
    let services = world.services();
    let told = services.said.iter().find(|kv| kv.key == "devmod:sn").unwrap();
    let told = cbor::decode::<String>(&told.value)
        .or_else(|_| cbor::decode::<ByteString>(&told.value).map(|bytes| String::from_utf8(bytes.0).unwrap()));
    assert_eq!(told.unwrap(), SERIAL);
}

#[tokio::test(start_paused = true)]
async fn two_agents_do_not_work_on_one_state() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(KeyType::P256);
    world.state = Directory::on_disk(directory.path()).unwrap();
    world.agent().init(&world.birth()).await.unwrap();
    let first = world.store();
    let lock = first.lock().unwrap();
    world.services().received.clear();
    let refused = world.power_on().await;
    assert!(matches!(refused, Err(OnboardError::Store(StoreError::Busy))), "{refused:?}");
    let mut birth = world.birth();
    birth.force = true;
    assert!(matches!(world.agent().init(&birth).await, Err(BirthError::Store(StoreError::Busy))));
    assert!(world.services().received.is_empty());
    // Who only looks is soon gone, and is waited for.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(lock);
    });
    now(world.power_on().await);
}

#[tokio::test]
async fn an_owner_that_issues_nothing_leaves_a_device_without_certificate() {
    let world = World::born().await;
    world.services().issues = false;
    let error = ServiceInfoKv::new("fdo.csr", "error", &2_u64);
    world.services().script = vec![vec![on("fdo.csr")], vec![error]].into();
    let status = now(world.power_on().await);
    assert!(status.ldevid.is_none());
    assert!(status.no_ldevid.unwrap().contains("unauthorized"));
}

/// Power may go before any change of the state: the device comes back and ends onboarded, with a whole LDevID.
#[tokio::test]
async fn a_crash_at_any_write_costs_nothing() {
    let mut writes = 0;
    loop {
        let world = World::born().await;
        world.services().script = everything().into();
        world.state.fail_after(Some(writes));
        let first = world.power_on().await;
        world.state.fail_after(None);
        let done = first.is_ok();
        let second = world.power_on().await.unwrap_or_else(|error| panic!("after {writes} writes: {error}"));
        assert!(!done || matches!(second, Onboarded::Already(_)), "after {writes} writes");
        assert_ldevid(&world);
        assert_eq!(world.wifi.names().unwrap(), ["fdo-site.nmconnection"]);
        assert!(!world.store().credential().unwrap().active);
        if done {
            break;
        }
        writes += 1;
        assert!(writes < 50);
    }
    assert!(writes > 6, "{writes} writes");
}
