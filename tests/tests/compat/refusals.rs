//! What is refused: callers that are no scripts of ours, operators without the right, bad input; nothing changes by it.

use std::net::TcpListener;

use fdo_service::compat::CompatSettings;
use fdo_tests::world::{START, World, WorldSettings};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Site, compat, pem, settings};

#[tokio::test]
async fn web_pages_and_foreign_names_are_refused() {
    let site = Site::new().await;
    let url = format!("{}/api/v2/rvinfo", site.manufacturer);
    let with = async |name: &str, value: &str| {
        let response = site.http.get(&url).header(name, value).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap()["code"].clone())
    };
    assert_eq!(with("origin", "http://127.0.0.1").await, (403, json!("compat-browser")));
    assert_eq!(with("sec-fetch-site", "same-origin").await, (403, json!("compat-browser")));
    assert_eq!(with("host", "evil.example").await, (403, json!("compat-host")));
    assert_eq!(with("host", "manufacturer:8038").await, (200, Value::Null));
    site.stop().await;
}

#[tokio::test]
async fn the_operators_role_is_the_callers_and_ends_with_its_token() {
    let site = Site::with(settings(), "read-only", None).await;
    let set = json!([[{"dns": "rv"}, {"protocol": "http"}]]).to_string();
    let url = format!("{}/api/v2/rvinfo", site.manufacturer);
    assert_eq!(site.get(url.clone()).await, json!([]));
    let (status, refusal) = site.call(Method::PUT, url.clone(), &set).await;
    assert_eq!((status, &refusal["code"]), (403, &json!("role")));
    assert!(refusal["message"].as_str().unwrap().contains("read-only"), "{refusal}");
    let ca = site.call(Method::POST, format!("{}/api/v2/device-ca", site.rendezvous), "x").await;
    assert_eq!(ca.0, 403);
    assert_eq!(site.get(url.clone()).await, json!([]));
    // Every call is in the trail, as the operator's.
    let trail = site.trail(&site.world.manufacturer_api).await;
    let calls: Vec<(&Value, &Value)> = trail.iter().map(|entry| (&entry["subject"], &entry["outcome"])).collect();
    let (get, put) = (json!("GET /api/v2/rvinfo"), json!("PUT /api/v2/rvinfo"));
    let (success, refused) = (json!("success"), json!("refused"));
    assert_eq!(calls, [(&get, &success), (&put, &refused), (&get, &success)]);

    let api = &site.world.manufacturer_api;
    let id = trail[0]["actor"].as_str().unwrap().to_owned();
    // Two of one name are nobody, and so is none.
    let second: Value = api
        .post("/api/v1/tokens", &json!({ "name": "scripts", "role": "admin", "expires": START + 10 }))
        .await
        .unwrap();
    let code = async || site.call(Method::GET, url.clone(), "").await.1["code"].clone();
    assert_eq!(code().await, "compat-operator");
    api.delete(&format!("/api/v1/tokens/{id}")).await.unwrap();
    assert_eq!(site.call(Method::PUT, url.clone(), &set).await.0, 200);
    site.world.clock.advance(10);
    assert_eq!(code().await, "compat-operator", "{second}");
    assert_eq!(site.get(format!("{}/health", site.manufacturer)).await["status"], "OK");
    site.stop().await;
}

#[tokio::test]
async fn the_operator_listener_wants_a_token_for_the_same_routes() {
    let site = Site::new().await;
    let maker = format!("http://{}", site.world.manufacturer_config.operators.address);
    let url = format!("{maker}/api/v2/rvinfo");
    let (status, problem) = site.call(Method::GET, url.clone(), "").await;
    assert_eq!((status, &problem["status"]), (401, &json!(401)));
    let _: Value = site.world.manufacturer_api.get("/api/v2/rvinfo").await.unwrap();
    let _: Value = site.world.owner_api.get("/api/v2/rvto2addr").await.unwrap();
    let _: Value = site.world.rendezvous_api.get("/api/v2/device-ca").await.unwrap();
    // Version 1 and that server's health are on the other listener only, and no native route is on that one.
    assert!(site.world.owner_api.get::<Value>("/api/v1/owner/devices").await.is_err());
    let native = site.call(Method::GET, format!("{}/api/v1/tokens", site.owner), "").await;
    assert_eq!((native.0, &native.1["code"]), (404, &json!("no-such-route")));
    site.stop().await;
}

#[tokio::test]
async fn it_is_off_by_default_and_starts_on_loopback_only() {
    let world = World::new().await;
    assert!(world.manufacturer.as_ref().unwrap().address("compat").is_none());
    assert!(world.rendezvous.as_ref().unwrap().address("compat").is_none());
    assert!(world.owner.as_ref().unwrap().address("compat").is_none());
    let folder = tempfile::tempdir().unwrap();
    for wrong in [
        CompatSettings { address: Some("0.0.0.0:0".to_owned()), ..compat() },
        CompatSettings { operator: None, ..compat() },
    ] {
        let config = fdo_owner::config::Config { compat: wrong.clone(), ..world.owner_config.clone() };
        let data = folder.path().join("owner");
        let started = fdo_owner::app::start(&config, &data, world.clock.clone(), world.random.clone());
        let error = started.await.err().unwrap().to_string();
        assert!(error.contains("compat."), "{error}");
    }
    world.stop().await;
}

#[tokio::test]
async fn bad_input_is_told_and_changes_nothing() {
    let site = Site::new().await;
    let guid = site.birth("SN-1").await;
    let (maker, owner, rendezvous) = (&site.manufacturer, &site.owner, &site.rendezvous);
    let unknown = "00".repeat(16);
    let key = pem("PUBLIC KEY", site.owner_key().spki_der());
    let private = pem("PRIVATE KEY", b"x");
    let large = "x".repeat(1024 * 1024 + 1);
    let extend = |guid: &str| format!("{maker}/api/v2/vouchers/{guid}/extend");
    let (put, post, get, delete) = (Method::PUT, Method::POST, Method::GET, Method::DELETE);
    let cases = [
        (&put, format!("{maker}/api/v2/rvinfo"), "no json", 400, "body"),
        (&put, format!("{maker}/api/v2/rvinfo"), "[[{\"protocol\":\"http\"}]]", 400, "rvinfo"),
        (&post, format!("{maker}/api/v1/rvinfo"), "[]", 400, "rvinfo"),
        (&post, format!("{maker}/api/v2/rvinfo"), "[]", 405, "method"),
        (&get, format!("{maker}/api/v2/vouchers?limit=101"), "", 400, "limit"),
        (&get, format!("{maker}/api/v2/vouchers?guid=xyz"), "", 400, "guid"),
        (&get, format!("{maker}/api/v2/vouchers?sortBy=colour"), "", 400, "query"),
        (&get, format!("{maker}/api/v2/vouchers/xyz"), "", 400, "guid"),
        (&get, format!("{maker}/api/v2/vouchers/{unknown}"), "", 404, "voucher-unknown"),
        (&post, extend(&unknown), &key, 404, "voucher-unknown"),
        (&post, extend(&guid), "no key", 400, "public-key"),
        (&post, extend(&guid), &private, 400, "public-key"),
        (&put, format!("{owner}/api/v2/rvto2addr"), "{}", 400, "body"),
        (&put, format!("{owner}/api/v2/rvto2addr"), "[{\"port\":1,\"protocol\":\"http\"}]", 400, "rvto2addr"),
        (&get, format!("{owner}/api/v2/vouchers/{unknown}"), "", 404, "voucher-unknown"),
        (&post, format!("{owner}/api/v2/vouchers/{unknown}/extend"), &key, 404, "device-unknown"),
        (&get, format!("{owner}/api/v2/devices?old_guid=xyz"), "", 400, "guid"),
        (&get, format!("{owner}/api/v2/devices?limit=0"), "", 400, "limit"),
        (&post, format!("{rendezvous}/api/v2/device-ca"), &large, 413, "body-too-large"),
        (&post, format!("{owner}/api/v2/device-ca"), &large, 413, "body-too-large"),
        (&get, format!("{rendezvous}/api/v2/device-ca/xyz"), "", 404, "not-listed"),
        (&delete, format!("{owner}/api/v2/device-ca/{}", "00".repeat(32)), "", 404, "trust-unknown"),
        (&get, format!("{owner}/api/v2/nothing"), "", 404, "no-such-route"),
    ];
    for (method, url, body, status, code) in cases {
        let (got, refusal) = site.call(method.clone(), url.clone(), body).await;
        assert_eq!((got, refusal["code"].as_str()), (status, Some(code)), "{method} {url}: {refusal}");
        assert!(refusal["message"].as_str().is_some_and(|message| message.len() > 10), "{refusal}");
    }
    assert_eq!(site.get(format!("{maker}/api/v2/rvinfo")).await, json!([]));
    assert_eq!(site.get(format!("{owner}/api/v2/rvto2addr")).await, json!([]));
    assert_eq!(site.get(format!("{maker}/api/v2/vouchers/{guid}")).await["numEntries"], 0);
    assert_eq!(site.get(format!("{owner}/api/v2/vouchers")).await["total"], 0);
    site.stop().await;
}

#[tokio::test]
async fn fdo_is_spoken_at_the_same_address_and_keeps_its_own_errors() {
    let site = Site::new().await;
    for (url, message) in [(&site.manufacturer, 10), (&site.rendezvous, 30), (&site.owner, 60)] {
        let request =
            site.http.post(format!("{url}/fdo/101/msg/{message}")).header("content-type", "application/cbor");
        let response = request.body("nonsense").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["message-type"]),
            (500, &"255".parse().unwrap())
        );
        let error = response.bytes().await.unwrap();
        let error: fdo_protocol::messages::ErrorMessage = fdo_protocol::cbor::decode(&error).unwrap();
        assert_eq!((error.code, error.previous), (100, message));
    }
    site.stop().await;
}

#[tokio::test]
async fn a_voucher_is_extended_for_one_owner_only() {
    let site = Site::new().await;
    let guid = site.birth("SN-1").await;
    let extend = format!("{}/api/v2/vouchers/{guid}/extend", site.manufacturer);
    // Set aside for a buyer, who claims it.
    site.world.enrol().await;
    let allocation = json!({ "buyer": "Owner", "serials": ["SN-1"] });
    let _: Value = site.world.manufacturer_api.post("/api/v1/allocations", &allocation).await.unwrap();
    let key = pem("PUBLIC KEY", site.owner_key().spki_der());
    let (status, refusal) = site.call(Method::POST, extend.clone(), &key).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("allocated")));
    site.world.manufacturer_api.delete("/api/v1/allocations/SN-1").await.unwrap();
    assert_eq!(site.call(Method::POST, extend.clone(), &key).await.0, 200);
    let other = fdo_protocol::crypto::SigningKey::generate(
        fdo_protocol::crypto::KeyType::P256,
        &mut site.world.random.rng(),
    );
    let other = pem("PUBLIC KEY", other.unwrap().verifying_key().spki_der());
    let (status, refusal) = site.call(Method::POST, extend.clone(), &other).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("extended-elsewhere")));
    let p384 = fdo_protocol::crypto::KeyType::P384;
    let second = site.birth("SN-2").await;
    let larger = fdo_protocol::crypto::SigningKey::generate(p384, &mut site.world.random.rng()).unwrap();
    let larger = pem("PUBLIC KEY", larger.verifying_key().spki_der());
    let extend = format!("{}/api/v2/vouchers/{second}/extend", site.manufacturer);
    let (status, refusal) = site.call(Method::POST, extend, &larger).await;
    assert_eq!((status, &refusal["code"]), (400, &json!("key-type")));
    site.stop().await;
}

#[tokio::test]
async fn vouchers_are_extended_at_the_first_get_where_the_settings_say_so() {
    let key = tempfile::NamedTempFile::new().unwrap();
    let owner = fdo_protocol::crypto::SigningKey::generate(
        fdo_protocol::crypto::KeyType::P256,
        &mut fdo_service::host::random::Random::seeded(5).rng(),
    );
    let owner = owner.unwrap();
    std::fs::write(key.path(), pem("PUBLIC KEY", owner.verifying_key().spki_der())).unwrap();
    static PATH: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    PATH.set(key.path().to_owned()).unwrap();
    let maker: fn(&mut fdo_manufacturer::config::Config) = |config| {
        config.compat = compat();
        config.compat_extend_to = PATH.get().cloned();
    };
    let site = Site::with(WorldSettings { manufacturer: Some(maker), ..settings() }, "admin", None).await;
    let guid = site.birth("SN-1").await;
    let url = format!("{}/api/v1/vouchers/{guid}", site.manufacturer);
    let first = site.call(Method::GET, url.clone(), "").await;
    assert_eq!(first.0, 200);
    assert_eq!(site.call(Method::GET, url, "").await, first, "the same bytes again");
    let file = first.1.as_str().unwrap().as_bytes();
    let voucher = fdo_protocol::voucher::Voucher::from_file(file).unwrap().remove(0);
    let voucher = voucher.verify(&fdo_protocol::voucher::VerifyPolicy::default()).unwrap();
    assert_eq!(voucher.owner_key(), owner.verifying_key());
    // One that the key cannot follow is shown as DI left it.
    let other = site.birth_with("SN-2", fdo_protocol::crypto::KeyType::P384).await;
    let (status, file) =
        site.call(Method::GET, format!("{}/api/v1/vouchers/{other}", site.manufacturer), "").await;
    assert_eq!(status, 200);
    let voucher = fdo_protocol::voucher::Voucher::from_file(file.as_str().unwrap().as_bytes()).unwrap().remove(0);
    assert!(voucher.entries().is_empty());
    site.stop().await;
}

/// A free port is taken before the service asks for it: the error names the listener.
#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new().await;
    let settings = CompatSettings { address: Some(taken.local_addr().unwrap().to_string()), ..compat() };
    let config = fdo_rendezvous::config::Config {
        compat: settings,
        listen: fdo_service::host::config::Listen::at("127.0.0.1:0"),
        operators: fdo_service::host::config::Listen::at("127.0.0.1:0"),
        ..world.rendezvous_config.clone()
    };
    let folder = tempfile::tempdir().unwrap();
    let started = fdo_rendezvous::app::start(&config, folder.path(), world.clock.clone(), world.random.clone());
    let error = started.await.err().unwrap().to_string();
    assert!(error.contains("compat"), "{error}");
    world.stop().await;
}
