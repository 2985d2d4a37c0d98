//! The service is killed in the middle of DI and started again on the same data: the device's next try succeeds.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use fdo_manufacturer::app::{self, Running};
use fdo_manufacturer::config::{Admission, Config};
use fdo_pki::DeviceSerial;
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::di::device::{self, ExpectDone};
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::{FileSecrets, Guid, PublicKeyEncoding};
use fdo_service::host::clock::Clock;
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroizing;

const NOW: u64 = 1_800_000_000;
const SERIAL: &str = "FL-0001";

async fn start(folder: &Path) -> Running {
    let mut config =
        Config { name: "Acme".into(), admission: Admission::Open, workers: Some(1), ..Config::default() };
    config.listen = Listen::at("127.0.0.1:0");
    config.operators = Listen::at("127.0.0.1:0");
    config.claims.address = "127.0.0.1:0".into();
    app::start(&config, folder, Clock::fixed(NOW), Random::system()).await.unwrap()
}

async fn operator(running: &Running, token: &str, path: &str) -> Value {
    let url = format!("{}/api/v1/{path}", running.url("operator").unwrap());
    reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap()
}

async fn message(
    running: &Running,
    number: u8,
    body: &[u8],
    token: Option<&str>,
) -> (String, Option<String>, Vec<u8>) {
    let url = format!("{}/fdo/101/msg/{number}", running.url("device").unwrap());
    let mut request =
        reqwest::Client::new().post(url).header("content-type", "application/cbor").body(body.to_vec());
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (kind, token) = (header("message-type").unwrap(), header("authorization"));
    (kind, token, response.bytes().await.unwrap().to_vec())
}

/// 10 and 11; gives 12.
async fn begin(running: &Running, key: &SigningKey) -> Option<(Vec<u8>, String, ExpectDone)> {
    let csr = fdo_pki::build_csr(key, None, &DeviceSerial::parse(SERIAL).unwrap()).unwrap();
    let (request, waiting) = device::begin(DeviceMfgInfo {
        key_type: KeyType::P256.into(),
        key_encoding: PublicKeyEncoding::X509,
        serial_number: SERIAL.into(),
        device_info: "Lamp".into(),
        csr: ByteString(csr),
    });
    let (kind, token, body) = message(running, 10, &request.body, None).await;
    if kind != "11" {
        return None;
    }
    let secret = Zeroizing::new(vec![1; 32]);
    let secrets = FileSecrets::new(key.clone(), secret.clone());
    let (request, waiting) = waiting.set_credentials(&body, &secrets, secret).unwrap();
    Some((request.body, token.unwrap(), waiting))
}

async fn finish(running: &Running, (request, token, waiting): (Vec<u8>, String, ExpectDone)) -> Guid {
    let (kind, _, body) = message(running, 12, &request, Some(&token)).await;
    assert_eq!(kind, "13");
    waiting.done(&body).unwrap().guid
}

fn key() -> SigningKey {
    SigningKey::generate(KeyType::P256, &mut Random::system().rng()).unwrap()
}

#[tokio::test]
async fn a_kill_before_13_arrives_strands_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let token = running.operator_token.as_ref().unwrap().to_string();
    assert_eq!(running.claims_url, format!("https://{}", running.address("claims").unwrap()));
    assert_eq!(operator(&running, &token, "identity").await["claims_url"], running.claims_url);
    let key = key();
    let (body, session, _) = begin(&running, &key).await.unwrap();

    // 12 goes out, its reply is never read, and the service dies as soon as the voucher is there.
    let mut wire = tokio::net::TcpStream::connect(running.address("device").unwrap()).await.unwrap();
    let head = format!(
        "POST /fdo/101/msg/12 HTTP/1.1\r\nhost: x\r\ncontent-type: application/cbor\r\nauthorization: {session}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    wire.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut lost = Value::Null;
    for _ in 0..500 {
        lost = operator(&running, &token, "devices/FL-0001").await["guid"].clone();
        if lost.is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.kill().await;
    drop(wire);
    assert!(lost.is_string());

    let running = start(folder.path()).await;
    assert!(begin(&running, &self::key()).await.is_none(), "another key must stay refused");
    let guid = finish(&running, begin(&running, &key).await.unwrap()).await;
    let vouchers = operator(&running, &token, "vouchers").await;
    let states: Vec<_> =
        vouchers["items"].as_array().unwrap().iter().map(|item| (&item["guid"], &item["state"])).collect();
    assert_eq!(states.len(), 2);
    let guid = Value::from(guid.to_string());
    for (which, state) in states {
        assert_eq!(state, if *which == guid { "active" } else { "blocked" });
        assert!(*which == guid || *which == lost);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_restart_between_11_and_12_is_not_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let token = running.operator_token.as_ref().unwrap().to_string();
    let key = key();
    let begun = begin(&running, &key).await.unwrap();
    let (body, session) = (begun.0.clone(), begun.1.clone());
    running.kill().await;

    let running = start(folder.path()).await;
    let guid = finish(&running, begun).await;
    running.kill().await;

    // 13 was lost, say: the same 12 gets it from a service that never saw it.
    let running = start(folder.path()).await;
    assert_eq!(message(&running, 12, &body, Some(&session)).await.0, "13");
    let device = operator(&running, &token, "devices/FL-0001").await;
    assert_eq!(device["guid"], guid.to_string());
    assert_eq!(operator(&running, &token, "vouchers").await["items"].as_array().unwrap().len(), 1);
    running.stop().await;
}
