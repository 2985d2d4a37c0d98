//! Admission, where EST asks for it: rules, and a webhook that fails closed.

use std::sync::{Arc, Mutex};

use fdo_owner::admission::{self, Criteria, Effect, Rule};
use fdo_owner::config::Otherwise;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::client::{Fleet, asking};
use crate::device::{Manner, onboard};
use crate::world::SERIAL;

fn rule(id: &str, effect: Effect, deed: Option<admission::Deed>, criteria: Criteria) -> Rule {
    Rule { id: id.into(), position: 0, effect, deed, criteria, created: 1 }
}

#[tokio::test]
async fn a_rule_keeps_a_device_from_enrolling_and_another_lets_it_in() {
    let fleet = Fleet::new().await;
    let (app, csr) = (&fleet.world.app, asking(&fleet.key(), None, SERIAL));
    let prefix = || Criteria { serial_prefix: Some("SN-".into()), ..Criteria::default() };
    let deny = rule("old-stock", Effect::Deny, Some(admission::Deed::Enrol), prefix());
    admission::insert(&app.db, deny).await.unwrap();
    app.admission.forget();
    fleet.refused(Some(&fleet.idevid()), "simpleenroll", &csr, 403, "not admitted: rule old-stock").await;
    let first = Rule { position: 1, ..rule("but-these", Effect::Allow, None, prefix()) };
    admission::insert(&app.db, first).await.unwrap();
    app.admission.forget();
    assert_eq!(fleet.post(Some(&fleet.idevid()), "simpleenroll", &csr).await.status, 200);
    fleet.running.stop().await;
}

#[tokio::test]
async fn to2_ends_when_a_device_that_has_proven_itself_is_not_admitted() {
    let fleet = Fleet::new().await;
    let (world, app) = (&fleet.world, &fleet.world.app);
    // The conversation of this world has a cache of its own, which the clock makes old.
    admission::insert(&app.db, rule("none", Effect::Deny, Some(admission::Deed::Onboard), Criteria::default()))
        .await
        .unwrap();
    world.clock.advance(1);
    app.admission.forget();
    let born = world.device().await;
    onboard(world, &born, &Manner::new(world)).await.err().expect("it is refused");
    let known = world.known(&born.guid()).await;
    assert!(known.reason.as_deref().unwrap().contains("not admitted: rule none"), "{:?}", known.reason);
    assert!(world.runs(&born.guid()).await[0].certificate.is_none());
    fleet.running.stop().await;
}

#[tokio::test]
async fn the_default_may_be_to_refuse() {
    let fleet = Fleet::new().await;
    assert_eq!(fleet.world.app.settings.admission.default, Otherwise::Allow);
    fleet.running.stop().await;
    let mut config = crate::world::config();
    config.admission.default = Otherwise::Deny;
    let world = crate::world::World::with(config).await;
    let born = world.device().await;
    onboard(&world, &born, &Manner::new(&world)).await.err().expect("it is refused");
    assert!(world.known(&born.guid()).await.reason.unwrap().contains("not admitted: default"));
}

/// A webhook that gives these answers one after the other and keeps what it was asked.
async fn webhook(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/admission", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            loop {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.to_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                if body.len() >= length.parse::<usize>().unwrap() {
                    kept.lock().unwrap().push(text);
                    break;
                }
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
        }
    });
    (url, asked)
}

const YES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"allow\": true}";
const NO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\nConnection: close\r\n\r\n{\"allow\": false, \"reason\": \"not paid for\"}";
const SICK: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const VAGUE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

#[tokio::test]
async fn the_webhook_has_the_last_word_and_silence_is_no() {
    // The first answer is for the onboarding that makes the fleet.
    let (url, asked) = webhook(vec![YES, YES, NO, SICK, VAGUE]).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fdo_service::secret_file::write(&secret, b"shared").unwrap();
    let fleet = Fleet::with(move |config| {
        config.admission.webhook = Some(url);
        config.admission.webhook_secret = Some(secret);
    })
    .await;
    let (who, csr) = (fleet.idevid(), asking(&fleet.key(), None, SERIAL));
    assert_eq!(fleet.post(Some(&who), "simpleenroll", &csr).await.status, 200);
    fleet.refused(Some(&who), "simpleenroll", &csr, 403, "not admitted: webhook: not paid for").await;
    for _ in 0..3 {
        // Sick, vague, and then gone.
        let answer = fleet.post(Some(&who), "simpleenroll", &asking(&fleet.key(), None, SERIAL)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "60"), "{}", answer.body);
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 5);
    let (head, body) = asked[1].split_once("\r\n\r\n").unwrap();
    let signature = fdo_service::webhook::signature(b"shared", body.as_bytes(), fleet.world.clock.now());
    assert!(head.to_lowercase().contains(&format!("firstlight-signature: {signature}")), "{head}");
    let question: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&question["deed"], &question["device"]["serial"]), (&json!("enrol"), &json!(SERIAL)));
    assert_eq!(question["device"]["guid"], fleet.born.guid().to_string());
    assert_eq!(question["device"]["maker_key"].as_str().unwrap().len(), 64);
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_device_that_has_proven_nothing_makes_no_call() {
    let (url, asked) = webhook(vec![YES, YES]).await;
    let fleet = Fleet::with(move |config| config.admission.webhook = Some(url)).await;
    let calls = asked.lock().unwrap().len();
    let csr = asking(&fleet.key(), None, SERIAL);
    fleet.refused(None, "simpleenroll", &csr, 401, "client certificate").await;
    let born = fleet.world.device().await;
    crate::device::Talk::before(&fleet.world, &born, &Manner::new(&fleet.world), 64).await;
    assert_eq!(asked.lock().unwrap().len(), calls);
    fleet.running.stop().await;
}
