//! No secret leaves its place: the whole story at the most talkative log level, then a search for each secret in the logs,
//! in all that the operator APIs answer, and in the databases.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::cli::ApiClient;
use fdo_tests::world::{World, onboard};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A secret by its name, in each form that it could be written in.
struct Secret {
    name: String,
    forms: Vec<Vec<u8>>,
}

fn text(name: &str, text: &str) -> Secret {
    Secret { name: name.to_owned(), forms: vec![text.trim().as_bytes().to_vec()] }
}

fn bytes(name: &str, bytes: &[u8]) -> Secret {
    let hexadecimal = hex::encode(bytes);
    let decimals = bytes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let forms = vec![
        bytes.to_vec(),
        Base64::encode_string(bytes).trim_end_matches('=').as_bytes().to_vec(),
        Base64UrlUnpadded::encode_string(bytes).into_bytes(),
        hexadecimal.to_uppercase().into_bytes(),
        hexadecimal.into_bytes(),
        decimals.join(",").into_bytes(),
        decimals.join(", ").into_bytes(),
    ];
    Secret { name: name.to_owned(), forms }
}

/// A private key: its file as a whole, and the scalar in it.
fn key(name: &str, pem: &str) -> Vec<Secret> {
    let der = SigningKey::from_pem(pem).unwrap().to_pkcs8_der().unwrap();
    let length = if der.len() < 160 { 32 } else { 48 };
    // Both lengths stand behind the same head of a SEC1 key: OCTET STRING, 32 or 48 bytes.
    let at = der.windows(2).position(|two| two == [4, length]).unwrap() + 2;
    vec![bytes(name, &der), bytes(&format!("the scalar of {name}"), &der[at..at + usize::from(length)])]
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// Bytes as characters, one each: the standard library searches text fast.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn assert_none_in(place: &str, content: &[u8], secrets: &[Secret]) {
    let content = latin(content);
    for secret in secrets {
        for form in &secret.forms {
            assert!(!content.contains(&latin(form)), "{} stands in {place}", secret.name);
        }
    }
}

/// All secrets in the files of the three services and of the device.
fn of_files(world: &World) -> Vec<Secret> {
    let mut found = Vec::new();
    let mut all = Vec::new();
    files(world.directory.path(), &mut all);
    for path in all {
        let Ok(content) = std::fs::read(&path) else { continue };
        let name = path.strip_prefix(world.directory.path()).unwrap().display().to_string();
        let as_text = String::from_utf8_lossy(&content).into_owned();
        let file_name = path.file_name().unwrap().to_str().unwrap();
        if as_text.contains("PRIVATE KEY") {
            found.extend(key(&name, &as_text));
        } else if file_name == "operator-token" {
            found.push(text(&name, &as_text));
        } else if file_name.starts_with("sealing") || file_name.contains("root-key") {
            found.push(bytes(&name, &content));
        }
    }
    found
}

/// Everything that the operator API of a service tells, without the answers that are made to tell a secret once.
async fn told(api: &ApiClient, paths: &[&str]) -> String {
    let mut told = String::new();
    for path in paths {
        let answer: Value = api.get(&format!("/api/v1/{path}")).await.unwrap_or_default();
        told.push_str(&answer.to_string());
        for item in answer["items"].as_array().into_iter().flatten() {
            for name in ["guid", "serial", "id", "name"] {
                let Some(name) = item[name].as_str() else { continue };
                if let Ok(one) = api.get::<Value>(&format!("/api/v1/{path}/{name}")).await {
                    told.push_str(&one.to_string());
                }
            }
        }
    }
    told
}

#[tokio::test]
async fn no_secret_is_logged_told_or_stored_in_plain() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
    subscriber.with_writer(move || writer.clone()).init();

    let world = World::new().await;
    let buyer: Value = world.manufacturer_api.post("/api/v1/buyers", &json!({ "name": "Owner" })).await.unwrap();
    let code = buyer["code"].as_str().unwrap().to_owned();
    let enrolment = json!({ "url": world.claims_url, "fingerprint": world.identity_fingerprint, "code": code });
    let _: Value = world.owner_api.post("/api/v1/manufacturers", &enrolment).await.unwrap();
    let network = json!({ "id": "shop", "ssid": "Shop floor", "auth": "wpa2-psk", "password": PASSWORD });
    let _: Value = world.owner_api.post("/api/v1/networks", &network).await.unwrap();
    let made = json!({ "name": "script", "role": "operator" });
    let made: Value = world.owner_api.post("/api/v1/tokens", &made).await.unwrap();
    let agent = world.sold_device("SN-1", KeyType::P256).await;
    let first = agent.store.credential().unwrap();
    onboard(&agent).await.unwrap();

    let mut secrets = of_files(&world);
    secrets.push(text("the Wi-Fi password", PASSWORD));
    secrets.push(text("the enrolment code", &code));
    secrets.push(text("the enrolment code", &code.replace('-', "")));
    secrets.push(text("a made operator token", made["secret"].as_str().unwrap()));
    secrets.push(bytes("the first HMAC secret", &first.hmac_secret));
    secrets.push(bytes("the present HMAC secret", &agent.store.credential().unwrap().hmac_secret));
    assert!(secrets.len() > 15, "the search knows what it looks for");

    let owner =
        ["devices", "vouchers", "networks", "trust", "manufacturers", "claims", "keys", "ca", "certificates"];
    let mut answers = told(&world.owner_api, &owner).await;
    answers += &told(&world.owner_api, &["onboardings", "registrations", "tokens", "audit"]).await;
    let maker = ["devices", "vouchers", "buyers", "allocations", "claims", "identity", "trust", "tokens", "audit"];
    answers += &told(&world.manufacturer_api, &maker).await;
    answers += &told(&world.rendezvous_api, &["registrations", "tokens", "audit"]).await;
    assert!(answers.contains("Shop floor") && answers.contains("SN-1"), "{answers}");
    assert_none_in("an answer of an operator API", answers.as_bytes(), &secrets);

    let folder = world.directory.path().to_owned();
    let mut databases = Vec::new();
    for name in ["manufacturer", "rendezvous", "owner"] {
        files(&folder.join(name), &mut databases);
    }
    databases.retain(|path| path.file_name().unwrap().to_str().unwrap().contains(".db"));
    assert!(databases.len() >= 3, "{databases:?}");
    for path in databases {
        assert_none_in(&path.display().to_string(), &std::fs::read(&path).unwrap(), &secrets);
    }

    let logged = log.0.lock().unwrap().clone();
    let logged_text = String::from_utf8_lossy(&logged);
    assert!(logged_text.contains("\"TRACE\"") && logged_text.contains("SN-1"), "the log is talkative");
    assert_none_in("the log", &logged, &secrets);
    world.stop().await;
}
