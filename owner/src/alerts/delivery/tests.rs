//! Messages arrive, signed, at least once and under one id, whatever fails on the way.

use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use fdo_service::host::{Host, Listener, Running};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use zeroize::Zeroizing;

use super::*;
use crate::alerts::targets::{Encryption, NewTarget};
use crate::alerts::{Filter, list, run};
use crate::fixtures::{NOW, Owner};
use crate::inventory::certificates::{self, Found, Source};

const SECRET: &str = "a secret of some length";

/// What a webhook got: the message's id, the signature, the body.
type Got = (String, String, String);

#[derive(Default)]
struct Inbox {
    got: Mutex<Vec<Got>>,
    refuse: Mutex<bool>,
}

struct Receiver {
    url: String,
    inbox: Arc<Inbox>,
    running: Running,
}

impl Receiver {
    async fn start() -> Self {
        let inbox = Arc::new(Inbox::default());
        let data = Data::from(inbox.clone());
        let configure = move |cfg: &mut web::ServiceConfig| {
            cfg.app_data(data.clone()).route("/hook", web::post().to(take));
        };
        let listener = Listener::device("hook", "127.0.0.1:0", configure).workers(1);
        let running = Host::new().start(vec![listener]).await.unwrap();
        let url = format!("http://{}/hook", running.address("hook").unwrap());
        Self { url, inbox, running }
    }

    fn got(&self) -> Vec<Got> {
        self.inbox.got.lock().unwrap().clone()
    }

    fn refuse(&self, refuse: bool) {
        *self.inbox.refuse.lock().unwrap() = refuse;
    }
}

async fn take(inbox: Data<Inbox>, request: HttpRequest, body: Bytes) -> HttpResponse {
    if *inbox.refuse.lock().unwrap() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let signature =
        request.headers().get(fdo_service::webhook::SIGNATURE_HEADER).unwrap().to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let message: Message = serde_json::from_str(&body).unwrap();
    let got = (message.id, signature, body);
    inbox.got.lock().unwrap().push(got);
    HttpResponse::Accepted().finish()
}

async fn webhook_target(app: &App, name: &str, url: &str, least_severity: Severity) -> Target {
    let new = NewTarget {
        name: name.to_owned(),
        address: Address::Webhook { url: url.to_owned() },
        secret: Some(Zeroizing::new(SECRET.to_owned())),
        least_severity,
        enabled: true,
    };
    targets::add(app, "tester", new).await.unwrap().0
}

/// A certificate that has twenty days, and its alert.
async fn alert(owner: &Owner) -> Alert {
    let key = owner.app.keys.all()[0].key.verifying_key();
    let mut found = Found::key(Source::Upload, key, "=gate\r\nBcc: all", NOW);
    found.listed.not_after = NOW + 20 * 86_400;
    found.listed.attention = Some(0);
    certificates::record(&owner.app.db, &[found]).await.unwrap();
    run(&owner.app).await.unwrap();
    list(&owner.app.db, &Filter::default(), None, 10).await.unwrap().remove(0)
}

#[actix_web::test]
async fn a_message_is_signed_and_says_what_it_is_about() {
    for owner in Owner::on_all().await {
        let receiver = Receiver::start().await;
        webhook_target(&owner.app, "hook", &receiver.url, Severity::Warning).await;
        webhook_target(&owner.app, "for worse", &receiver.url, Severity::Critical).await;
        let alert = alert(&owner).await;
        run_due(&owner.app).await.unwrap();
        let got = receiver.got();
        assert_eq!(got.len(), 1, "{}", owner.database.name());
        let (id, signature, body) = &got[0];
        assert_eq!(*signature, fdo_service::webhook::signature(SECRET.as_bytes(), body.as_bytes(), NOW));
        let message: Message = serde_json::from_str(body).unwrap();
        assert_eq!((&message.id, message.event), (id, Event::Opened));
        assert_eq!((message.alert.id, message.alert.title), (alert.id, alert.title));
        run_due(&owner.app).await.unwrap();
        assert_eq!((receiver.got().len(), queued(&owner.app.db).await.unwrap()), (1, 0));
        receiver.running.kill().await;
    }
}

#[actix_web::test]
async fn what_fails_is_tried_again_under_the_same_id() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let receiver = Receiver::start().await;
        let target = webhook_target(&owner.app, "hook", &receiver.url, Severity::Warning).await;
        alert(&owner).await;
        receiver.refuse(true);
        let mut waited = 0;
        for attempt in 0..4_u32 {
            run_due(&owner.app).await.unwrap();
            run_due(&owner.app).await.unwrap();
            let seen = targets::find(&owner.app.db, &target.id).await.unwrap().unwrap();
            assert!(seen.last_error.unwrap().contains("503"), "{name}");
            // A quarter more than the pause at the most.
            let pause = (FIRST_PAUSE << attempt) * 5 / 4 + 1;
            owner.clock.advance(pause);
            waited += pause;
        }
        assert!(receiver.got().is_empty() && waited > 60, "{name}");
        receiver.refuse(false);
        run_due(&owner.app).await.unwrap();
        let got = receiver.got();
        let time = format!("t={},", owner.clock.now());
        assert!(got.len() == 1 && got[0].1.starts_with(&time), "{name}: the time is that of the attempt");
        let seen = targets::find(&owner.app.db, &target.id).await.unwrap().unwrap();
        assert_eq!((seen.last_error, seen.last_sent), (None, Some(owner.clock.now())), "{name}");
        receiver.running.kill().await;
    }
}

#[actix_web::test]
async fn a_message_that_nobody_takes_is_given_up_after_three_days() {
    for owner in Owner::on_all().await {
        webhook_target(&owner.app, "hook", "http://127.0.0.1:9/", Severity::Warning).await;
        alert(&owner).await;
        for _ in 0..2 {
            run_due(&owner.app).await.unwrap();
            assert_eq!(queued(&owner.app.db).await.unwrap(), 1, "{}", owner.database.name());
            owner.clock.advance(2 * 86_400);
        }
        run_due(&owner.app).await.unwrap();
        assert_eq!(queued(&owner.app.db).await.unwrap(), 0, "{}", owner.database.name());
    }
}

#[actix_web::test]
async fn a_kill_between_commit_and_sending_loses_nothing_and_repeats_under_the_same_id() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let receiver = Receiver::start().await;
        webhook_target(&owner.app, "hook", &receiver.url, Severity::Warning).await;
        alert(&owner).await;
        // Killed after the message was taken for sending, before it was sent: nobody has it.
        let now = owner.clock.now();
        let transaction = database::begin(&owner.app.db).await.unwrap();
        let taken = store::take_due(&transaction, now, now + WORKING_SECONDS, BATCH).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(taken.len(), 1, "{name}");
        run_due(&owner.app).await.unwrap();
        assert!(receiver.got().is_empty(), "{name}: somebody else has it");
        // Killed after it was sent, before that was written down.
        let target = targets::find(&owner.app.db, "hook").await.unwrap().unwrap();
        send(&owner.app, &target, &taken[0].body).await.unwrap();
        owner.clock.advance(WORKING_SECONDS);
        for _ in 0..3 {
            run_due(&owner.app).await.unwrap();
            owner.clock.advance(WORKING_SECONDS);
        }
        let got = receiver.got();
        assert_eq!(got.len(), 2, "{name}: once more and no oftener");
        assert_eq!((&got[0].0, &got[0].2), (&got[1].0, &got[1].2), "{name}: the same message");
        receiver.running.kill().await;
    }
}

#[actix_web::test]
async fn a_webhook_in_the_clear_beyond_the_own_network_is_refused_and_so_is_a_private_one() {
    let owner = Owner::on_all().await.swap_remove(0);
    for (url, why) in [
        ("http://8.8.8.8/hook", "https://"),
        ("http://10.0.0.1/hook", "outbound_allow"),
        ("http://169.254.169.254/latest", "outbound_allow"),
    ] {
        let target = webhook_target(&owner.app, url, url, Severity::Warning).await;
        let error = test(&owner.app, &target).await.unwrap_err().to_string();
        assert!(error.contains(why), "{url}: {error}");
    }
}

/// Takes one mail as a server does, and gives its envelope and its text.
async fn mail_server() -> (String, tokio::task::JoinHandle<(Vec<String>, String)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let (mut envelope, mut text) = (Vec::new(), String::new());
        write.write_all(b"220 test\r\n").await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let answer: &[u8] = match verb.as_str() {
                "EHLO" | "HELO" => b"250 test\r\n",
                "MAIL" | "RCPT" => {
                    envelope.push(line.clone());
                    b"250 ok\r\n"
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.unwrap();
                    while let Some(line) = lines.next_line().await.unwrap() {
                        if line == "." {
                            break;
                        }
                        text.push_str(&line);
                        text.push('\n');
                    }
                    b"250 taken\r\n"
                }
                "QUIT" => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            write.write_all(answer).await.unwrap();
            if verb == "QUIT" {
                break;
            }
        }
        (envelope, text)
    });
    (address, task)
}

#[tokio::test]
async fn a_mail_has_its_message_id_and_no_header_that_a_device_chose() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let (server, mail) = mail_server().await;
        let address = Address::Email {
            server,
            encryption: Encryption::None,
            username: None,
            from: "Firstlight <owner@example.com>".to_owned(),
            to: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
        };
        let new = NewTarget {
            name: "mail".to_owned(),
            address,
            secret: None,
            least_severity: Severity::Warning,
            enabled: true,
        };
        targets::add(&owner.app, "tester", new).await.unwrap();
        alert(&owner).await;
        run_due(&owner.app).await.unwrap();
        let target = targets::find(&owner.app.db, "mail").await.unwrap().unwrap();
        assert_eq!((target.last_error, target.last_sent), (None, Some(NOW)), "{name}");
        let (envelope, text) =
            tokio::time::timeout(std::time::Duration::from_secs(20), mail).await.unwrap().unwrap();
        assert_eq!(envelope.len(), 3, "{name}: {envelope:?}");
        assert!(envelope[1].contains("a@example.com") && envelope[2].contains("b@example.com"), "{name}");
        let (head, body) = text.split_once("\n\n").unwrap();
        assert!(head.contains("Subject: [Firstlight warning] "), "{name}: {head}");
        assert!(head.contains("Message-ID: <") && head.contains("@firstlight>"), "{name}: {head}");
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{name}: {head}");
        assert!(body.contains("expires in 20 days") && body.contains("certificate-expires"), "{name}: {body}");
    }
}
