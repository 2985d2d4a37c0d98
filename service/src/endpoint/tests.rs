//! The HTTP binding on a real socket: what clients send, and what they compare byte by byte.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Mutex;

use fdo_protocol::messages::ErrorMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::host::{Host, Listener, Running};

/// Answers with the body and token that it got; 30 is refused, 255 is noted.
struct Echo(Arc<Mutex<Vec<Option<String>>>>);

impl Conversation for Echo {
    async fn answer(&self, incoming: Incoming) -> Result<Outgoing, Fault> {
        if incoming.message_type == 30 {
            return Err(Error::NotFound("guid").into());
        }
        let mut body = incoming.body.to_vec();
        body.extend_from_slice(incoming.token.as_deref().unwrap_or("none").as_bytes());
        Ok(Outgoing::new(incoming.message_type + 1, body, Some("tok".into())))
    }

    async fn peer_error(&self, incoming: Incoming) {
        self.0.lock().unwrap().push(incoming.token);
    }
}

const TOKEN: &str = "Authorization: Bearer abc\r\n";

async fn start(limits: LimitSettings) -> (Running, Arc<Mutex<Vec<Option<String>>>>) {
    let told = Arc::default();
    let limits = Limits::new(&limits);
    let echo = Echo(Arc::clone(&told));
    let endpoint = Endpoint::new(echo, Clock::fixed(1_700_000_000), Random::system(), Metrics::new(), limits);
    let listener = Listener::device("device", "127.0.0.1:0", move |cfg| {
        configure(cfg, endpoint.clone());
    })
    .workers(1);
    (Host::new().start(vec![listener]).await.unwrap(), told)
}

async fn exchange(address: SocketAddr, request: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(received[..end].to_vec()).unwrap();
            let lower = head.to_lowercase();
            let length = lower.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let length: usize = length.parse().unwrap();
            if received.len() >= end + 4 + length {
                return (head, received[end + 4..].to_vec());
            }
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&chunk[..read]);
    }
}

fn post(message_type: u32, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /fdo/101/msg/{message_type} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_reply_has_the_headers_that_strict_clients_compare() {
    let (running, _) = start(LimitSettings::default()).await;
    let (head, body) = exchange(running.addresses[0], &post(62, "Authorization: Bearer abc\r\n", "body")).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in
        ["Content-Type: application/cbor", "Message-Type: 63", "Authorization: Bearer tok", "Content-Length: 7"]
    {
        assert!(head.lines().any(|candidate| candidate == line), "{line} in {head}");
    }
    assert!(head.len() < 1000);
    assert_eq!(body, b"bodyabc");
    running.stop().await;
}

#[tokio::test]
async fn odd_requests_of_real_clients_are_understood() {
    let (running, _) = start(LimitSettings::default()).await;
    let address = running.addresses[0];
    let seen = async |message_type: u32, headers: &str| {
        String::from_utf8(exchange(address, &post(message_type, headers, "")).await.1).unwrap()
    };
    assert_eq!(seen(62, "authorization: abc\r\n").await, "abc");
    assert_eq!(seen(62, "AUTHORIZATION: bearer  abc\r\n").await, "abc");
    assert_eq!(seen(62, "Authorization:\r\n").await, "none");
    assert_eq!(seen(62, "Authorization: Bearer \r\n").await, "none");
    assert_eq!(seen(60, "Authorization: Bearer stale\r\n").await, "none");
    assert_eq!(seen(60, "Authorization: \r\nMessage-Type: 60\r\n").await, "none");
    let odd = "Content-type:application/cbor\r\n_connection: keep-alive\r\nhttp: //host:8043/fdo/101/msg/62\r\n";
    assert_eq!(seen(62, odd).await, "none");
    let chunked = b"POST /fdo/101/msg/60 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(exchange(address, chunked).await.1, b"abcdenone");
    running.stop().await;
}

#[tokio::test]
async fn a_fault_is_500_with_message_255() {
    let (running, _) = start(LimitSettings::default()).await;
    let (head, body) = exchange(running.addresses[0], &post(30, "", "x")).await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    assert!(
        head.contains("\r\nMessage-Type: 255") && head.contains("\r\nContent-Type: application/cbor"),
        "{head}"
    );
    let error: ErrorMessage = fdo_protocol::cbor::decode(&body).unwrap();
    assert_eq!((error.code, error.previous, error.timestamp), (6, 30, Some(1_700_000_000)));
    assert!(error.correlation.is_some_and(|id| u32::try_from(id).is_ok()));
    running.stop().await;
}

#[tokio::test]
async fn a_received_255_is_told_and_answered_empty() {
    let (running, told) = start(LimitSettings::default()).await;
    let (head, body) = exchange(running.addresses[0], &post(255, "Authorization: Bearer abc\r\n", "x")).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{head}");
    assert_eq!(*told.lock().unwrap(), [Some("abc".to_owned())]);
    running.stop().await;
}

#[tokio::test]
async fn wrong_methods_and_paths_are_refused() {
    let (running, _) = start(LimitSettings::default()).await;
    let address = running.addresses[0];
    let (head, _) = exchange(address, b"GET /fdo/101/msg/60 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    for path in [256, 1000] {
        assert!(exchange(address, &post(path, "", "")).await.0.starts_with("HTTP/1.1 404 "));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_closes_the_connection() {
    let (running, _) = start(LimitSettings::default()).await;
    let address = running.addresses[0];
    let fits = "x".repeat(64 * 1024);
    assert!(exchange(address, &post(62, TOKEN, &fits)).await.0.starts_with("HTTP/1.1 200 "));
    let (head, body) = exchange(address, &post(62, TOKEN, &format!("{fits}x"))).await;
    assert!(head.starts_with("HTTP/1.1 500 ") && head.to_lowercase().contains("connection: close"), "{head}");
    assert_eq!(fdo_protocol::cbor::decode::<ErrorMessage>(&body).unwrap().code, 100);
    let voucher = "x".repeat(256 * 1024);
    assert!(exchange(address, &post(22, TOKEN, &voucher)).await.0.starts_with("HTTP/1.1 200 "));
    assert!(exchange(address, &post(22, TOKEN, &format!("{voucher}x"))).await.0.starts_with("HTTP/1.1 500 "));
    running.stop().await;
}

/// A flood of later messages without a token costs no memory: their bodies are not read, and the connection ends.
#[tokio::test]
async fn a_later_message_without_its_token_is_not_read() {
    let (running, told) = start(LimitSettings::default()).await;
    let address = running.addresses[0];
    for headers in ["", "Authorization:\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The body is announced and never sent: whoever waits for it would not answer.
        let head = format!("POST /fdo/101/msg/62 HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 60000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (head, body) = read(&mut stream).await;
        assert!(head.to_lowercase().contains("connection: close"), "{head}");
        assert_eq!(body, b"none");
    }
    let (head, _) = exchange(address, &post(255, "", "x")).await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.to_lowercase().contains("connection: close"),
        "{head}"
    );
    assert_eq!(*told.lock().unwrap(), [None]);
    running.stop().await;
}

#[tokio::test]
async fn hellos_and_sealed_tokens_are_limited_and_other_messages_are_not() {
    let settings = LimitSettings { source_per_second: 1, source_burst: 1, ..LimitSettings::default() };
    let (running, _) = start(settings).await;
    let address = running.addresses[0];
    assert!(exchange(address, &post(60, "", "")).await.0.starts_with("HTTP/1.1 200 "));
    for limited in [10, 20, 22, 30, 32, 60] {
        let (head, body) = exchange(address, &post(limited, "Authorization: Bearer abc\r\n", "")).await;
        assert!(head.starts_with("HTTP/1.1 500 "), "{limited}: {head}");
        assert_eq!(fdo_protocol::cbor::decode::<ErrorMessage>(&body).unwrap().code, 500, "{limited}");
    }
    assert!(exchange(address, &post(62, "", "")).await.0.starts_with("HTTP/1.1 200 "));
    running.stop().await;
}
