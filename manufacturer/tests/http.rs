//! The whole service over HTTP in one process: DI, operators, KeyAuth, enrolment, trust, claim and download.

#![allow(clippy::unwrap_used)]

use fdo_manufacturer::app::{self, Running};
use fdo_manufacturer::config::{Admission, Config};
use fdo_pki::DeviceSerial;
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::di::device;
use fdo_protocol::key_auth::{AadPolicy, CallerHello, KeyAuthResult};
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::voucher::{VerifyPolicy, Voucher};
use fdo_protocol::{FileSecrets, PublicKeyEncoding};
use fdo_service::host::clock::Clock;
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NOW: u64 = 1_800_000_000;

struct World {
    running: Running,
    token: String,
    client: Client,
    folder: tempfile::TempDir,
}

impl World {
    async fn start(admission: Admission) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { name: "Acme".into(), admission, workers: Some(1), ..Config::default() };
        config.listen = Listen::at("127.0.0.1:0");
        config.operators = Listen::at("127.0.0.1:0");
        config.claims.address = "127.0.0.1:0".into();
        let running = app::start(&config, folder.path(), Clock::fixed(NOW), Random::system()).await.unwrap();
        let token = running.operator_token.as_ref().unwrap().to_string();
        // Pinning is the owner's task; here any certificate will do.
        let client = Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        Self { running, token, client, folder }
    }

    fn url(&self, listener: &str, path: &str) -> String {
        format!("{}{path}", self.running.url(listener).unwrap())
    }

    async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, self.url("operator", path)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.operator(Method::POST, path, Some(body)).await;
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.json().await.unwrap()
    }

    async fn message(&self, number: u8, body: Vec<u8>, token: Option<&str>) -> (String, Option<String>, Vec<u8>) {
        let url = self.url("device", &format!("/fdo/101/msg/{number}"));
        let mut request = self.client.post(url).header("content-type", "application/cbor").body(body);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (message_type, token) = (header("message-type").unwrap(), header("authorization"));
        (message_type, token, response.bytes().await.unwrap().to_vec())
    }

    async fn initialize(&self, serial: &str) -> fdo_protocol::DeviceCredential {
        let key = SigningKey::generate(KeyType::P256, &mut Random::system().rng()).unwrap();
        let csr = fdo_pki::build_csr(&key, None, &DeviceSerial::parse(serial).unwrap()).unwrap();
        let (request, waiting) = device::begin(DeviceMfgInfo {
            key_type: KeyType::P256.into(),
            key_encoding: PublicKeyEncoding::X509,
            serial_number: serial.into(),
            device_info: "Lamp".into(),
            csr: ByteString(csr),
        });
        let (number, token, body) = self.message(10, request.body, Some("")).await;
        assert_eq!(number, "11");
        let secret = Zeroizing::new(vec![1; 32]);
        let secrets = FileSecrets::new(key, secret.clone());
        let (request, waiting) = waiting.set_credentials(&body, &secrets, secret).unwrap();
        let (number, _, body) = self.message(12, request.body, token.as_deref()).await;
        assert_eq!(number, "13");
        waiting.done(&body).unwrap()
    }

    fn pull(&self, path: &str) -> String {
        self.url("claims", &format!("/api/v1/pull/vouchers{path}"))
    }

    async fn cbor(&self, path: &str, body: Vec<u8>) -> Vec<u8> {
        let request = self.client.post(self.pull(path)).header("content-type", "application/cbor").body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.bytes().await.unwrap().to_vec()
    }

    async fn prove(&self, key: &SigningKey) -> String {
        let pem = std::fs::read_to_string(self.folder.path().join("keys/identity.pem")).unwrap();
        let identity = SigningKey::from_pem(&pem).unwrap();
        let hello = CallerHello::new(key.verifying_key(), &mut Random::system().rng());
        let challenge = self.cbor("/auth/hello", hello.bytes().to_vec()).await;
        let proof = hello.prove(&challenge, identity.verifying_key(), key, AadPolicy::default()).unwrap();
        let result = self.cbor("/auth/prove", proof).await;
        KeyAuthResult::from_bytes(&result, NOW).unwrap().token.to_string()
    }
}

async fn json_of(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_device_is_born_bought_and_handed_over() {
    let world = World::start(Admission::Listed).await;
    let report = world.post("/api/v1/devices", json!({ "serials": ["FL-0001..FL-0003"], "model": "Sun" })).await;
    assert_eq!(report["accepted"], 3);
    let credential = world.initialize("FL-0001").await;
    let device = world.operator(Method::GET, "/api/v1/devices/fl0001", None).await;
    assert_eq!(device.json::<Value>().await.unwrap()["guid"], credential.guid.to_string());

    let added = world.post("/api/v1/buyers", json!({ "name": "Globex" })).await;
    assert_eq!(added["identity_fingerprint"], world.running.identity_fingerprint);
    let csv = "serial,buyer\nFL-0001,Globex\nFL-0002,Globex\n";
    let import = world.url("operator", "/api/v1/allocations/import");
    let request = world.client.post(import).bearer_auth(&world.token).header("content-type", "text/csv").body(csv);
    assert_eq!(json_of(request.send().await.unwrap()).await.1["accepted"], 2);

    let keys =
        KeyType::ELLIPTIC.map(|key_type| SigningKey::generate(key_type, &mut Random::system().rng()).unwrap());
    let claims =
        |token: &str, body: Value| world.client.post(world.pull("/claims")).bearer_auth(token).json(&body).send();
    let mut tokens = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let token = world.prove(key).await;
        let (status, refused) =
            json_of(claims(&token, json!({ "claims": [{ "serial": "FL-0001" }] })).await.unwrap()).await;
        assert_eq!((status, &refused["error_code"]), (403, &json!("key_not_enrolled")));
        let body = json!({ "code": added["code"], "complete": index == 1 });
        let enrolment = world.client.post(world.pull("/enrolment")).bearer_auth(&token).json(&body);
        let (status, enrolled) = json_of(enrolment.send().await.unwrap()).await;
        assert_eq!(
            (status, &enrolled["buyer"], &enrolled["enrolled_keys"]),
            (200, &json!("Globex"), &json!(index + 1))
        );
        tokens.push(token);
    }
    let trust = world.client.get(world.pull("/trust")).bearer_auth(&tokens[0]);
    let (_, trust) = json_of(trust.send().await.unwrap()).await;
    assert_eq!(
        (trust["voucher_signing_keys"].as_array().unwrap().len(), &trust["manufacturer"]),
        (2, &json!("Acme"))
    );

    let ask = json!({ "request_id": "r1", "claims": [
        { "serial": "FL-0001", "model": "Sun" }, { "serial": "FL-0002" }, { "serial": "FL-0003" }, { "serial": "FL-9" }
    ] });
    let (status, answer) = json_of(claims(&tokens[0], ask.clone()).await.unwrap()).await;
    assert_eq!((status, &answer["request_id"]), (200, &json!("r1")));
    let codes: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|item| item["error_code"].clone()).collect();
    assert_eq!(codes, [Value::Null, json!("pending"), json!("not_found"), json!("not_found")]);
    let granted = &answer["results"][0];
    let (_, again) = json_of(claims(&tokens[0], ask.clone()).await.unwrap()).await;
    assert_eq!(again["results"][0], *granted);
    let (_, other) = json_of(claims(&tokens[1], ask).await.unwrap()).await;
    assert_eq!(other["results"][0]["error_code"], "already_claimed");

    let id = granted["voucher_id"].as_str().unwrap();
    let listed = world.client.get(world.pull("?limit=1")).bearer_auth(&tokens[0]).send().await.unwrap();
    assert_eq!(json_of(listed).await.1["vouchers"][0]["status"], "pending");
    let download = world.client.get(world.pull(&format!("/{id}/download"))).bearer_auth(&tokens[0]);
    let download = download.send().await.unwrap();
    assert_eq!(download.headers()["x-fdo-checksum"].to_str().unwrap(), granted["checksum"]);
    assert_eq!(download.headers()["content-type"], "application/x-fdo-voucher");
    let voucher = Voucher::from_bytes(&download.bytes().await.unwrap()).unwrap();
    let voucher = voucher.verify(&VerifyPolicy::default()).unwrap();
    assert_eq!((voucher.owner_key(), voucher.guid()), (keys[0].verifying_key(), credential.guid));
    let status = world.client.get(world.pull("/status/FL-0001")).bearer_auth(&tokens[0]).send().await.unwrap();
    assert_eq!(json_of(status).await.1["status"], "downloaded");
    let missing = world.client.get(world.pull(&format!("/{}/download", "0".repeat(32)))).bearer_auth(&tokens[0]);
    assert_eq!(missing.send().await.unwrap().status(), 404);
    world.running.stop().await;
}

#[tokio::test]
async fn every_listener_keeps_to_its_own() {
    let world = World::start(Admission::Open).await;
    for (listener, path) in
        [("device", "/api/v1/devices"), ("claims", "/api/v1/devices"), ("claims", "/fdo/101/msg/10")]
    {
        let response = world.client.get(world.url(listener, path)).bearer_auth(&world.token).send().await.unwrap();
        assert_eq!(response.status(), 404, "{listener}{path}");
    }
    let bare = world.client.get(world.url("operator", "/api/v1/devices")).send().await.unwrap();
    assert_eq!(
        (bare.status().as_u16(), bare.headers()["content-type"].to_str().unwrap()),
        (401, "application/problem+json")
    );
    let wrong = world.client.get(world.pull("")).bearer_auth("x").send().await.unwrap();
    assert_eq!(json_of(wrong).await.1["error_code"], "unauthenticated");
    let text = world.client.post(world.pull("/auth/hello")).header("content-type", "text/plain").body("x");
    assert_eq!(text.send().await.unwrap().status(), 415);
    let wrong = world.client.post(world.pull("/claims")).bearer_auth("x").json(&json!({})).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let large = world.client.post(world.pull("/auth/hello")).body(vec![0; 300 * 1024]).send().await.unwrap();
    assert_eq!(large.status(), 413);

    let credential = world.initialize("FL-77").await;
    for (accept, start) in
        [("application/x-pem-file", &b"-----BEGIN OWNERSHIP VOUCHER"[..]), ("application/cbor", b"\x85")]
    {
        let url = world.url("operator", &format!("/api/v1/vouchers/{}", credential.guid));
        let request = world.client.get(url).bearer_auth(&world.token).header("accept", accept);
        assert!(request.send().await.unwrap().bytes().await.unwrap().starts_with(start));
    }
    let vouchers =
        world.operator(Method::GET, "/api/v1/vouchers?limit=1", None).await.json::<Value>().await.unwrap();
    assert_eq!(vouchers["items"][0]["serial"], "FL-77");
    let unknown = world.operator(Method::GET, "/api/v1/vouchers/FL-78", None).await;
    assert_eq!(
        (unknown.status().as_u16(), unknown.json::<Value>().await.unwrap()["code"].clone()),
        (404, json!("voucher-unknown"))
    );
    let released = world.post("/api/v1/devices/FL-77/release", json!({})).await;
    assert_eq!((released["state"].as_str(), &released["guid"]), (Some("admitted"), &Value::Null));
    let trail = world.operator(Method::GET, "/api/v1/audit", None).await.json::<Value>().await.unwrap();
    let actions: Vec<_> = trail["items"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert!(
        actions.contains(&json!("device.initialize")) && actions.contains(&json!("serial.release")),
        "{actions:?}"
    );
    world.running.stop().await;
}

#[tokio::test]
async fn a_second_start_keeps_the_keys_and_makes_no_token() {
    let world = World::start(Admission::Open).await;
    let fingerprint = world.running.identity_fingerprint.clone();
    world.running.stop().await;
    let mut config = Config { name: "Acme".into(), ..Config::default() };
    config.listen = Listen::at("127.0.0.1:0");
    config.operators = Listen::at("127.0.0.1:0");
    config.claims.address = "127.0.0.1:0".into();
    let again = app::start(&config, world.folder.path(), Clock::fixed(NOW), Random::system()).await.unwrap();
    assert!(again.operator_token.is_none() && again.new_keys.is_none());
    assert_eq!(again.identity_fingerprint, fingerprint);
    again.kill().await;

    config.listen = Listen::at("0.0.0.0:0");
    let error = app::start(&config, world.folder.path(), Clock::fixed(NOW), Random::system()).await.err().unwrap();
    assert!(error.to_string().contains("rendezvous"), "{error}");
}
