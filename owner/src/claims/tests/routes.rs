//! A manufacturer for tests: real TLS, real KeyAuth, and answers that a test decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes, Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use fdo_protocol::Guid;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::key_auth::{AadPolicy, Challenge, KeyAuthResult, PendingChallenge, session_of};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_service::host::{Host, Listener, Running, tls};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::fixtures::{Maker, NOW};

/// What it answers to a serial.
#[derive(Clone)]
pub(super) struct Item {
    /// The token of the only key that it is given for.
    pub(super) key: Option<&'static str>,
    pub(super) answer: Value,
}

/// What is served under a GUID.
#[derive(Clone)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) checksum: String,
}

pub(super) struct State {
    clock: Clock,
    identity: SigningKey,
    pending: Mutex<HashMap<Vec<u8>, PendingChallenge>>,
    pub(super) items: Mutex<HashMap<String, Item>>,
    pub(super) files: Mutex<HashMap<String, File>>,
    pub(super) signing_key: String,
    pub(super) device_ca: String,
    /// How often claims were asked for.
    pub(super) asked: Mutex<usize>,
}

pub(super) struct Manufacturer {
    pub(super) url: String,
    pub(super) fingerprint: String,
    pub(super) state: Arc<State>,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Manufacturer {
    pub(super) async fn start(maker: &Maker, clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = Random::seeded(99);
        let names = ["127.0.0.1".to_owned()];
        let (config, der) = tls::self_signed_files(folder.path(), &names, NOW, &mut random.rng()).unwrap();
        let pem = std::fs::read_to_string(folder.path().join("tls-key.pem")).unwrap();
        let spki = maker.key.verifying_key().spki_der();
        let ending = pem_rfc7468::LineEnding::LF;
        let state = Arc::new(State {
            clock,
            identity: SigningKey::from_pem(&pem).unwrap(),
            pending: Mutex::default(),
            items: Mutex::default(),
            files: Mutex::default(),
            signing_key: pem_rfc7468::encode_string("PUBLIC KEY", ending, spki).unwrap(),
            device_ca: pem_rfc7468::encode_string("CERTIFICATE", ending, &maker.ca_der).unwrap(),
            asked: Mutex::default(),
        });
        let data = Data::from(state.clone());
        let configure = move |cfg: &mut web::ServiceConfig| {
            let path = |name: &str| format!("/api/v1/pull/vouchers/{name}");
            cfg.app_data(data.clone())
                .route(&path("auth/hello"), web::post().to(hello))
                .route(&path("auth/prove"), web::post().to(prove))
                .route(&path("enrolment"), web::post().to(enrol))
                .route(&path("trust"), web::get().to(trust))
                .route(&path("claims"), web::post().to(claims))
                .route(&path("{guid}/download"), web::get().to(download));
        };
        let listener = Listener::device("claims", "127.0.0.1:0", configure).tls(config).workers(1);
        let running = Host::new().start(vec![listener]).await.unwrap();
        let fingerprint = hex::encode(fdo_pki::Certificate::parse(&der).unwrap().spki_sha256());
        let url = format!("https://{}", running.address("claims").unwrap());
        Self { url, fingerprint, state, running, _folder: folder }
    }

    pub(super) async fn stop(self) {
        self.running.kill().await;
    }

    /// Sells a voucher under a serial, everything right.
    pub(super) fn sell(&self, serial: &str, guid: &Guid, bytes: &[u8]) {
        let checksum = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        let id = hex::encode(guid.as_bytes());
        let answer =
            json!({ "serial": serial, "status": "ok", "voucher_id": id, "checksum": checksum, "model": "M1" });
        self.state.items.lock().unwrap().insert(serial.to_owned(), Item { key: None, answer });
        self.state.files.lock().unwrap().insert(id, File { bytes: bytes.to_vec(), checksum });
    }

    pub(super) fn refuse(&self, serial: &str, code: &str) {
        let answer = json!({ "serial": serial, "status": "error", "error_code": code, "message": code });
        self.state.items.lock().unwrap().insert(serial.to_owned(), Item { key: None, answer });
    }
}

async fn hello(state: Data<State>, body: Bytes) -> HttpResponse {
    let mut rng = Random::system().rng();
    let session = rand_core::Rng::next_u64(&mut rng).to_be_bytes();
    let answered = Challenge::answer(&body, &state.identity, &session, AadPolicy::default(), &mut rng);
    let (challenge, pending) = answered.unwrap();
    state.pending.lock().unwrap().insert(session.to_vec(), pending);
    HttpResponse::Ok().content_type("application/cbor").body(challenge)
}

async fn prove(state: Data<State>, body: Bytes) -> HttpResponse {
    let pending = state.pending.lock().unwrap().remove(&session_of(&body).unwrap()).unwrap();
    let caller = pending.verify(&body, AadPolicy::default()).unwrap();
    let result = KeyAuthResult {
        token: Zeroizing::new(caller.key.key_type().to_string()),
        expires: state.clock.now() + 600,
        fingerprint: caller.fingerprint,
        voucher_count: 0,
    };
    HttpResponse::Ok().content_type("application/cbor").body(fdo_protocol::cbor::encode(&result))
}

async fn enrol(body: Json<Value>) -> HttpResponse {
    if body["code"] == "GOOD" {
        return HttpResponse::Ok().json(json!({ "buyer": "us", "complete": body["complete"] }));
    }
    HttpResponse::Forbidden().json(json!({ "error_code": "code_invalid", "message": "no such code" }))
}

async fn trust(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "manufacturer": "Maker",
        "voucher_signing_keys": [{ "public_key": state.signing_key }],
        "device_cas": [{ "subject": "Devices", "certificate": state.device_ca }],
    }))
}

async fn claims(state: Data<State>, body: Json<Value>, request: HttpRequest) -> HttpResponse {
    *state.asked.lock().unwrap() += 1;
    let token = request.headers().get("authorization").unwrap().to_str().unwrap().replace("Bearer ", "");
    let items = state.items.lock().unwrap().clone();
    let answer = |claim: &Value| {
        let serial = claim["serial"].as_str().unwrap();
        let missing = json!({ "serial": serial, "status": "error", "error_code": "not_found", "message": "no" });
        match items.get(serial) {
            None => missing,
            Some(item) if item.key.is_some_and(|key| key != token) => json!({
                "serial": serial, "status": "error", "error_code": "key_type_mismatch",
                "required_pk_type": if item.key == Some("P-384") { 11 } else { 10 },
            }),
            Some(item) => item.answer.clone(),
        }
    };
    let results: Vec<Value> = body["claims"].as_array().unwrap().iter().map(answer).collect();
    HttpResponse::Ok().json(json!({ "results": results }))
}

async fn download(state: Data<State>, guid: Path<String>) -> HttpResponse {
    let found = state.files.lock().unwrap().get(guid.as_str()).cloned();
    let Some(file) = found else { return HttpResponse::NotFound().json(json!({ "error_code": "not_found" })) };
    HttpResponse::Ok().insert_header(("X-FDO-Checksum", file.checksum)).body(file.bytes)
}
