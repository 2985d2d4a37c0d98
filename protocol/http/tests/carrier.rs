//! The client against servers of every temper: what peers in the field answer, and what a hostile one may.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fdo_http::{BaseUrl, Client, Conversation, Error, Retry, Settings};
use fdo_protocol::cbor;
use fdo_protocol::messages::{ErrorMessage, MessageType, Outbound};
use fdo_protocol::{Error as Fault, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers each connection with the next of these texts (empty: closes it), and keeps what it was sent.
struct Server {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn with(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                kept.lock().unwrap().push(request);
                stream.write_all(&answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { address, received }
    }

    fn conversation(&self, settings: &Settings) -> Conversation {
        let base: BaseUrl = format!("http://{}/base", self.address).parse().unwrap();
        Client::new(settings).unwrap().conversation(&base)
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

/// Head and body; every body of these tests is one byte long.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if read == 0 || text.split_once("\r\n\r\n").is_some_and(|(_, body)| !body.is_empty()) {
            return text;
        }
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok(message_type: u8, token: &str) -> Vec<u8> {
    let headers =
        format!("Content-Type: application/cbor\r\nMessage-Type: {message_type}\r\nAuthorization: {token}\r\n");
    answer("200 OK", &headers, b"\x80")
}

fn hello() -> Outbound {
    Outbound { message_type: MessageType::HelloRv, body: vec![0x80] }
}

fn once() -> Settings {
    Settings { retry: Retry::NEVER, ..Settings::default() }
}

async fn outcome(answer: Vec<u8>) -> Result<Vec<u8>, Error> {
    let server = Server::with(vec![answer]).await;
    server.conversation(&once()).exchange(&hello()).await.map(|body| body.to_vec())
}

#[tokio::test]
async fn the_newest_token_is_repeated_exactly_as_it_came() {
    let server = Server::with(vec![ok(31, "0123ABC"), ok(33, "Bearer second"), ok(31, "x")]).await;
    let mut run = server.conversation(&once());
    assert_eq!(&run.exchange(&hello()).await.unwrap()[..], b"\x80");
    let prove = Outbound { message_type: MessageType::ProveToRv, body: vec![0x80] };
    run.exchange(&prove).await.unwrap();
    run.exchange(&hello()).await.unwrap();
    let received = server.received();
    assert!(received[0].starts_with("POST /base/fdo/101/msg/30 HTTP/1.1\r\n"), "{}", received[0]);
    assert!(received[0].contains("Content-Type: application/cbor\r\n"), "{}", received[0]);
    assert!(received[0].contains("Message-Type: 30\r\n") && received[0].contains("Content-Length: 1\r\n"));
    assert!(!received[0].contains("Authorization"));
    assert!(received[1].contains("Authorization: 0123ABC\r\n"), "{}", received[1]);
    assert!(!received[2].contains("Authorization"), "a first message opens a new session");
}

#[tokio::test]
async fn message_255_is_the_peers_error_whatever_its_status() {
    let body = cbor::encode(&ErrorMessage::new(ErrorCode::NotFound, 30, 7, 8));
    let typed = "Content-Type: application/cbor\r\nMessage-Type: 255\r\n";
    for (status, headers) in
        [("200 OK", typed), ("500 Internal Server Error", typed), ("500 X", ""), ("404 X", "")]
    {
        let error = outcome(answer(status, headers, &body)).await.unwrap_err();
        assert_eq!(error.peer().unwrap().code, 6, "{status}");
        assert!(!error.is_network());
    }
    let garbage = outcome(answer("200 OK", typed, b"garbage")).await.unwrap_err();
    assert!(matches!(garbage.protocol(), Some(Fault::Malformed(_))), "{garbage}");
}

#[tokio::test]
async fn other_statuses_are_errors_of_http() {
    for status in ["401 X", "404 X", "500 X", "503 X"] {
        let error = outcome(answer(status, "Message-Type: 31\r\n", b"<html>")).await.unwrap_err();
        assert!(matches!(error, Error::Http { request: 30, status: 401..=503 }), "{error}");
    }
    let redirect = answer("302 Found", "Location: http://127.0.0.1:1/\r\n", b"");
    assert!(matches!(outcome(redirect).await.unwrap_err(), Error::Http { status: 302, .. }));
}

#[tokio::test]
async fn an_answer_must_say_what_it_is() {
    let cbor = "Content-Type: application/cbor\r\nAuthorization: a\r\n";
    for headers in [cbor.to_owned(), format!("{cbor}Message-Type: 33\r\n"), format!("{cbor}Message-Type: x\r\n")] {
        let error = outcome(answer("200 OK", &headers, b"\x80")).await.unwrap_err();
        assert!(matches!(error.protocol(), Some(Fault::Rejected(_))), "{error}");
    }
    let html = "Content-Type: text/html\r\nMessage-Type: 31\r\nAuthorization: a\r\n";
    assert!(matches!(
        outcome(answer("200 OK", html, b"\x80")).await.unwrap_err().protocol(),
        Some(Fault::Malformed(_))
    ));
    let untyped = "Message-Type: 31\r\nAuthorization: a\r\n";
    assert!(outcome(answer("200 OK", untyped, b"\x80")).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_opens_no_session_is_refused() {
    for token in ["", "Authorization:\r\n"] {
        let headers = format!("Content-Type: application/cbor\r\nMessage-Type: 31\r\n{token}");
        let error = outcome(answer("200 OK", &headers, b"\x80")).await.unwrap_err();
        assert!(matches!(error.protocol(), Some(Fault::Rejected(_))), "{error}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_tried_again_with_the_same_bytes() {
    let server = Server::with(vec![vec![], vec![], ok(31, "a")]).await;
    let retry = Retry { attempts: 3, pause: Duration::from_millis(1) };
    server.conversation(&Settings { retry, ..Settings::default() }).exchange(&hello()).await.unwrap();
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| *request == received[0]));
}

#[tokio::test]
async fn attempts_are_bounded_and_end_in_a_network_error() {
    let server = Server::with(vec![vec![], vec![], ok(31, "a")]).await;
    let retry = Retry { attempts: 2, pause: Duration::from_millis(1) };
    let settings = Settings { retry, ..Settings::default() };
    let error = server.conversation(&settings).exchange(&hello()).await.unwrap_err();
    assert!(error.is_network() && error.to_string().contains("cannot be reached"), "{error}");
    assert_eq!(server.received().len(), 2);
    assert!(outcome(vec![]).await.unwrap_err().is_network());
}

#[tokio::test]
async fn a_long_answer_and_a_slow_one_are_given_up() {
    let long = answer("200 OK", "Message-Type: 31\r\nAuthorization: a\r\n", &[0; 5000]);
    let server = Server::with(vec![long]).await;
    let settings = Settings { body_limit: 4096, ..once() };
    let error = server.conversation(&settings).exchange(&hello()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 4096, .. }), "{error}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: BaseUrl = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let settings = Settings { total_timeout: Duration::from_millis(200), ..Settings::default() };
    let error = Client::new(&settings).unwrap().conversation(&base).exchange(&hello()).await.unwrap_err();
    assert!(matches!(error, Error::Network { timeout: true, .. }), "{error}");
}

#[tokio::test]
async fn a_name_is_reached_only_at_the_addresses_that_were_given() {
    let server = Server::with(vec![ok(31, "a")]).await;
    let base: BaseUrl = format!("http://Nowhere.Invalid:{}", server.address.port()).parse().unwrap();
    let client = Client::new(&once()).unwrap().resolved(&base, &[server.address]).unwrap();
    client.conversation(&base).exchange(&hello()).await.unwrap();
    assert!(server.received()[0].to_lowercase().contains("host: nowhere.invalid"));
}

#[tokio::test]
async fn an_error_is_posted_with_the_sessions_token_and_nothing_depends_on_it() {
    let server = Server::with(vec![ok(31, "a"), answer("200 OK", "", b"")]).await;
    let mut run = server.conversation(&once());
    run.exchange(&hello()).await.unwrap();
    let error = ErrorMessage::new(ErrorCode::InvalidMessage, 31, 7, 8);
    run.send_error(&error).await;
    let received = server.received();
    assert!(received[1].starts_with("POST /base/fdo/101/msg/255 "), "{}", received[1]);
    assert!(received[1].contains("Authorization: a\r\n"));
    run.send_error(&error).await;
}
