//! Voucher transfer between organisations: a maker pushes to an owner, a draft client pulls from the maker, one owner
//! sells to another by push and by pull; processes are killed on the way and nothing is lost.
#![allow(clippy::unwrap_used)]

use fdo_owner::config::Config;
use fdo_owner::vouchers;
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::cli::ApiClient;
use fdo_service::host::random::Random;
use fdo_service::outbound::Guard;
use fdo_service::transfer::client::{CallError, Connection, ServerKey};
use fdo_service::transfer::did::did_key;
use fdo_service::transfer::{PULL_ROOT, PUSH_ROOT, voucher_id};
use fdo_tests::replica::{self, OtherOwner};
use fdo_tests::world::{World, WorldSettings, free_port};
use serde_json::{Value, json};

fn listening(config: &mut Config) {
    config.transfer.address = Some(format!("127.0.0.1:{}", free_port()));
    config.transfer.poll_seconds = 0;
}

async fn world() -> World {
    World::with(WorldSettings {
        owner: Some(listening),
        manufacturer: Some(|config| {
            config.claims.claim_on_allocate = true;
            config.outbound_allow = vec!["loopback".into()];
        }),
        ..WorldSettings::default()
    })
    .await
}

async fn born(world: &World, serial: &str, key_type: KeyType) -> Guid {
    world.admit(serial).await;
    world.device(serial).init(&world.birth(serial, key_type)).await.unwrap()
}

async fn allocate(world: &World, serials: &[&str], buyer: &str) {
    let body = json!({ "buyer": buyer, "serials": serials });
    let _: Value = world.manufacturer_api.post("/api/v1/allocations", &body).await.unwrap();
}

/// How an owner is found: its DID and the fingerprint of its TLS key.
async fn introduced(api: &ApiClient) -> (String, String) {
    let us: Value = api.get("/api/v1/transfer").await.unwrap();
    (us["did"].as_str().unwrap().to_owned(), us["tls_fingerprint"].as_str().unwrap().to_owned())
}

/// Makes `who` a partner of `at` under this name.
async fn partners(at: &ApiClient, who: &ApiClient, name: &str) {
    let (did, fingerprint) = introduced(who).await;
    let partner = json!({ "name": name, "did": did, "fingerprint": fingerprint });
    let added: Value = at.post("/api/v1/partners", &partner).await.unwrap();
    assert_eq!(added["keys"].as_array().unwrap().len(), 2, "{added}");
    let twice = at.post::<_, Value>("/api/v1/partners", &partner).await.unwrap_err();
    assert!(twice.to_string().contains("partner-exists"), "{twice}");
}

/// Waits for what a background job does; it looks once a second.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{what} never came");
}

async fn has(api: &ApiClient, guid: &Guid) -> bool {
    api.get::<Value>(&format!("/api/v1/vouchers/{guid}")).await.is_ok()
}

async fn pushes(api: &ApiClient, guid: &Guid) -> Value {
    let all: Vec<Value> = api.pages("/api/v1/pushes").await.unwrap();
    all.into_iter().find(|push| push["guid"] == guid.to_string()).unwrap_or(Value::Null)
}

async fn connect(url: &str, fingerprint: &str) -> Connection {
    let mut pin = [0; 32];
    hex::decode_to_slice(fingerprint, &mut pin).unwrap();
    let guard = Guard::new(&["loopback".into()]).unwrap();
    Connection::open(&guard, url, ServerKey::Pinned(pin)).await.unwrap()
}

#[tokio::test]
async fn a_maker_pushes_what_it_allocated_and_is_told_how_that_stands() {
    let world = world().await;
    let identity = json!({ "name": "Maker", "did": did_of(&world), "fingerprint": world.identity_fingerprint });
    let maker: Value = world.owner_api.post("/api/v1/partners", &identity).await.unwrap();
    assert_eq!(maker["keys"].as_array().unwrap().len(), 3, "identity and both voucher keys: {maker}");
    let trust: Value = world.manufacturer_api.get("/api/v1/trust").await.unwrap();
    for key in trust["voucher_signing_keys"].as_array().unwrap() {
        let pin = json!({ "kind": "manufacturer-key", "name": "Maker", "pem": key["public_key"] });
        let _: Value = world.owner_api.post("/api/v1/trust", &pin).await.unwrap();
    }
    partners(&world.manufacturer_api, &world.owner_api, "Owner").await;
    let _: Value = world.manufacturer_api.post("/api/v1/buyers", &json!({ "name": "Owner" })).await.unwrap();
    let buyer: Value = world.manufacturer_api.post("/api/v1/buyers/Owner/keys", &json!({})).await.unwrap();
    assert_eq!(buyer["keys"].as_array().unwrap().len(), 2, "{buyer}");

    for (serial, key_type) in [("SN-256", KeyType::P256), ("SN-384", KeyType::P384)] {
        let guid = born(&world, serial, key_type).await;
        allocate(&world, &[serial], "Owner").await;
        until("the pushed voucher", async || has(&world.owner_api, &guid).await).await;
        until("the end of the push", async || pushes(&world.manufacturer_api, &guid).await["state"] == "pushed")
            .await;
        let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
        assert_eq!(device["guid"], guid.to_string(), "{device}");
        // The same status by the call that the drafts have, with the maker's own key.
        let pem = std::fs::read_to_string(world.directory.path().join("manufacturer/keys/identity.pem")).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        let us: Value = world.owner_api.get("/api/v1/transfer").await.unwrap();
        let root = us["push_root"].as_str().unwrap();
        let connection = connect(root, us["tls_fingerprint"].as_str().unwrap()).await;
        let keys: Vec<_> = world
            .owner
            .as_ref()
            .unwrap()
            .app
            .keys
            .all()
            .iter()
            .map(|file| file.key.verifying_key().clone())
            .collect();
        let session =
            connection.authenticate(&key, &keys, world.clock.now(), &mut Random::system().rng()).await.unwrap();
        let status: Value = session.get(&format!("/status/{guid}")).await.unwrap();
        assert_eq!((&status["status"], &status["serial"]), (&json!("completed"), &json!(serial)), "{status}");
        world.clock.advance(60);
    }
    world.stop().await;
}

fn did_of(world: &World) -> String {
    format!("did:web:127.0.0.1%3A{}", world.claims_url.rsplit_once(':').unwrap().1)
}

#[tokio::test]
async fn a_client_that_only_pulls_gets_what_is_its_own_and_nothing_else() {
    let world = world().await;
    let keys: Vec<SigningKey> = (1..=2)
        .map(|seed| SigningKey::generate(KeyType::P256, &mut Random::seeded(seed).rng()).unwrap())
        .collect();
    for (name, key) in ["Draft", "Other"].into_iter().zip(&keys) {
        let partner = json!({ "name": name, "did": did_key(key.verifying_key()) });
        let _: Value = world.manufacturer_api.post("/api/v1/partners", &partner).await.unwrap();
        let _: Value = world.manufacturer_api.post("/api/v1/buyers", &json!({ "name": name })).await.unwrap();
        let _: Value =
            world.manufacturer_api.post(&format!("/api/v1/buyers/{name}/keys"), &json!({})).await.unwrap();
    }
    let mut guids = Vec::new();
    for serial in ["SN-1", "SN-2", "SN-3"] {
        guids.push(born(&world, serial, KeyType::P256).await);
    }
    allocate(&world, &["SN-1", "SN-2"], "Draft").await;
    allocate(&world, &["SN-3"], "Other").await;
    let claimed = async || world.manufacturer_api.pages::<Value>("/api/v1/claims").await.unwrap().len() == 3;
    until("the extended vouchers", claimed).await;

    let connection = connect(&format!("{}{PULL_ROOT}", world.claims_url), &world.identity_fingerprint).await;
    let session =
        connection.authenticate(&keys[0], &[], world.clock.now(), &mut Random::system().rng()).await.unwrap();
    let mut found = Vec::new();
    let mut path = "?limit=1&fields=serial".to_owned();
    loop {
        let page: Value = session.get(&path).await.unwrap();
        found.extend(page["vouchers"].as_array().unwrap().clone());
        let Some(next) = page["continuation"].as_str() else { break };
        path = format!("?limit=1&fields=serial&continuation={next}");
    }
    let mut serials: Vec<&str> = found.iter().map(|item| item["serial"].as_str().unwrap()).collect();
    serials.sort_unstable();
    assert_eq!(serials, ["SN-1", "SN-2"]);
    assert!(found.iter().all(|item| item.as_object().unwrap().len() == 2), "{found:?}");
    let (first, second) = (session.download(&guids[0]).await.unwrap(), session.download(&guids[0]).await.unwrap());
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(first.checksum.unwrap(), fdo_service::transfer::checksum(&first.bytes));
    let foreign = session.download(&guids[2]).await.err().unwrap();
    assert!(matches!(foreign, CallError::Refused { status: 404, .. }), "{foreign}");
    let status: Value = session.get(&format!("/status/{}", guids[1])).await.unwrap();
    assert_eq!(status["status"], "assigned", "{status}");
    world.stop().await;
}

/// A second owner with a transfer listener that trusts the world's maker.
async fn second(world: &World, address: &str) -> OtherOwner {
    let mut config = world.owner_config.clone();
    config.transfer.address = Some(address.to_owned());
    let other = replica::owner_with(world, config, "second-owner", 2).await;
    let trust: Value = world.manufacturer_api.get("/api/v1/trust").await.unwrap();
    for key in trust["voucher_signing_keys"].as_array().unwrap() {
        let pin = json!({ "kind": "manufacturer-key", "name": "Maker", "pem": key["public_key"] });
        let _: Value = other.api.post("/api/v1/trust", &pin).await.unwrap();
    }
    other
}

async fn owned(world: &World, serial: &str) -> Guid {
    let guid = born(world, serial, KeyType::P256).await;
    let bought = world.buy(&[serial]).await;
    assert_eq!(bought["results"][0]["state"], "fulfilled", "{bought}");
    guid
}

async fn sell(api: &ApiClient, serial: &str, to: &str) -> Value {
    let sale = json!({ "to": to, "even_if_never_onboarded": true });
    api.post(&format!("/api/v1/vouchers/{serial}/transfer"), &sale).await.unwrap()
}

#[tokio::test]
async fn an_owner_sells_to_another_by_push_and_by_pull_and_a_kill_loses_nothing() {
    let mut world = world().await;
    world.enrol().await;
    let address = format!("127.0.0.1:{}", free_port());
    let other = second(&world, &address).await;
    partners(&world.owner_api, &other.api, "B").await;
    partners(&other.api, &world.owner_api, "A").await;
    let pushed = owned(&world, "SN-1").await;
    let pulled = owned(&world, "SN-2").await;
    let late = owned(&world, "SN-3").await;

    // By push: A forgets the device when B has said that it has it.
    let sale = sell(&world.owner_api, "SN-1", "B").await;
    assert_eq!(sale["push"]["state"], "queued", "{sale}");
    until("the pushed voucher", async || has(&other.api, &pushed).await).await;
    let delivered = async |guid: &Guid| {
        let sale: Value = world.owner_api.get(&format!("/api/v1/resales/{guid}")).await.unwrap();
        sale["state"] == "delivered"
    };
    until("the end of the sale", async || delivered(&pushed).await).await;
    assert!(world.owner_api.get::<Value>("/api/v1/devices/SN-1").await.is_err(), "forgotten at A");
    let device: Value = other.api.get("/api/v1/devices/SN-1").await.unwrap();
    assert_eq!(device["guid"], pushed.to_string());

    // By pull: sold to B's key, which B's operator fetches.
    let key = other.running.app.keys.for_type(KeyType::P256).unwrap().verifying_key().clone();
    let sale = sell(&world.owner_api, "SN-2", &did_key(&key).unwrap()).await;
    assert_eq!(sale["push"], Value::Null, "{sale}");
    let pull = json!({ "from": "A" });
    let report: Value = other.api.post("/api/v1/pulls", &pull).await.unwrap();
    assert_eq!(report["imported"], json!([pulled.to_string()]), "{report}");
    world.clock.advance(120);
    let again: Value = other.api.post("/api/v1/pulls", &pull).await.unwrap();
    assert_eq!((&again["imported"], &again["refused"]), (&json!([]), &json!([])), "{again}");
    let mine = vouchers::bytes(&other.running.app.db, &pulled).await.unwrap().unwrap();
    let sold = fdo_owner::resale::find(&world.owner.as_ref().unwrap().app.db, &pulled).await.unwrap().unwrap();
    assert_eq!((mine, sold.state), (sold.bytes, fdo_owner::resale::State::HandedOver));

    // B is down, A is killed with the push in its queue; after both are back, B gets it.
    other.running.kill().await;
    sell(&world.owner_api, "SN-3", "B").await;
    until("a push in vain", async || pushes(&world.owner_api, &late).await["attempts"].as_u64() >= Some(1)).await;
    world.owner.take().unwrap().kill().await;
    let folder = world.directory.path().join("owner");
    let owner = fdo_owner::app::start(&world.owner_config, &folder, world.clock.clone(), Random::seeded(9)).await;
    world.owner = Some(owner.unwrap());
    let other = second(&world, &address).await;
    // Longer than the pause after a failure, and than the kill leaves the push with a process that is no more.
    world.clock.advance(400);
    until("the voucher after the restarts", async || has(&other.api, &late).await).await;
    until("the end of the push", async || pushes(&world.owner_api, &late).await["state"] == "pushed").await;
    assert!(delivered_at(&world, &late).await);
    other.running.stop().await;
    world.stop().await;
}

async fn delivered_at(world: &World, guid: &Guid) -> bool {
    let sale: Value = world.owner_api.get(&format!("/api/v1/resales/{guid}")).await.unwrap();
    sale["state"] == "delivered"
}

#[tokio::test]
async fn a_partner_is_known_by_its_keys_and_other_keys_wait_for_an_operator() {
    let world = world().await;
    let other = second(&world, &format!("127.0.0.1:{}", free_port())).await;
    partners(&world.owner_api, &other.api, "B").await;
    let (did, _) = introduced(&other.api).await;
    // Another server than the pinned one is not believed.
    let wrong = json!({ "name": "C", "did": did, "fingerprint": "00".repeat(32) });
    assert!(world.owner_api.post::<_, Value>("/api/v1/partners", &wrong).await.is_err());
    let unpinned = json!({ "name": "C", "did": did });
    assert!(
        world.owner_api.post::<_, Value>("/api/v1/partners", &unpinned).await.is_err(),
        "no public CA signed it"
    );
    let id = voucher_id(&Guid::from_bytes([1; 16]));
    assert!(!id.contains('-') && PUSH_ROOT.starts_with('/'));

    let _: Value = world.owner_api.post("/api/v1/partners/B/refresh", &json!({})).await.unwrap();
    // B's keys are other ones after it lost its data.
    let address = other.running.app.settings.transfer.address.clone().unwrap();
    let folder = world.directory.path().join("second-owner");
    other.running.stop().await;
    for name in ["owner-p256.pem", "owner-p384.pem"] {
        std::fs::remove_file(folder.join("keys").join(name)).unwrap();
    }
    let other = second(&world, &address).await;
    let refused = world.owner_api.post::<_, Value>("/api/v1/partners/B/refresh", &json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("partner-keys-changed"), "{refused}");
    let before: Value = world.owner_api.get("/api/v1/partners/B").await.unwrap();
    let accepted: Value =
        world.owner_api.post("/api/v1/partners/B/refresh", &json!({ "accept": true })).await.unwrap();
    assert_ne!(before["keys"], accepted["keys"]);
    other.running.stop().await;
    world.stop().await;
}
