//! Files are fetched within their limits, from where the configuration allows, whole or not at all.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use fdo_protocol::cbor::{self, encode};
use sha2::{Digest as _, Sha384};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each path with what `answer` makes of it, and remembers what was asked for.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(answer: fn(&str) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = stream.write_all(&answer(&path)).await;
                heard.lock().unwrap().push(path);
            }
        });
        Self { port, asked, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn answers(path: &str) -> Vec<u8> {
    match path {
        "/file.bin" | "/dir/file.bin" => ok(b"content"),
        "/empty" => ok(b""),
        "/moved" => redirect("dir/file.bin"),
        "/circle" => redirect("/circle"),
        "/secure" => redirect("https://127.0.0.1/x"),
        "/local-file" => redirect("file:///etc/passwd"),
        "/metadata" => redirect("http://169.254.169.254/latest"),
        "/nowhere" => b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/large" => ok(&[0; 101]),
        "/endless" => [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &[0; 5000]].concat(),
        "/cut" => b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort".to_vec(),
        "/silent" => b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n".to_vec(),
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}

fn settings(directory: &Path, allow: &[&str]) -> WgetSettings {
    let allow: Vec<String> = allow.iter().map(|&entry| entry.to_owned()).collect();
    WgetSettings {
        directory: directory.to_path_buf(),
        limit: 100,
        time_limit: Duration::from_secs(20),
        guard: Guard::new(&allow).unwrap(),
        authority: None,
        unverified: false,
    }
}

async fn fetch(
    settings: WgetSettings,
    name: Option<&str>,
    sha384: Option<[u8; 48]>,
    url: &str,
) -> (Wget, Answers) {
    let mut module = Wget::new(settings);
    let mut answers = Answers::new(Wget::NAME);
    let digest = sha384.map(ToDevice::Sha384);
    let name = name.map(|name| ToDevice::Name(name.to_owned()));
    for message in [digest, name, Some(ToDevice::Url(url.to_owned()))].into_iter().flatten() {
        let kv = message.to_kv();
        module.receive(kv.message(), &kv.value, &mut answers).unwrap();
    }
    while module.is_busy() {
        module.settle(Duration::from_secs(60), &mut answers).await;
    }
    (module, answers)
}

fn told(answers: &Answers) -> ToOwner {
    let kv = answers.pairs().last().unwrap();
    ToOwner::decode(kv.message(), &kv.value).unwrap().unwrap()
}

fn hash(content: &[u8]) -> Option<[u8; 48]> {
    Some(Sha384::digest(content).into())
}

#[tokio::test]
async fn a_file_is_fetched_to_its_name_or_the_urls_last_part() {
    let server = Server::start(answers).await;
    let base = tempfile::tempdir().unwrap();
    for (name, path, file) in [
        (Some("a/b"), "/file.bin", "a/b"),
        (None, "/file.bin?x=1", "file.bin"),
        (Some("moved"), "/moved", "moved"),
    ] {
        let url = server.url(path);
        let url = if path.contains('?') { url.replace("?x=1", "") } else { url };
        let (module, answers) = fetch(settings(base.path(), &["loopback"]), name, hash(b"content"), &url).await;
        assert_eq!(told(&answers), ToOwner::Done(Some(7)), "{path}");
        assert_eq!(std::fs::read(base.path().join(file)).unwrap(), b"content");
        assert_eq!(module.written(), [file]);
    }
    let (_, answers) =
        fetch(settings(base.path(), &["127.0.0.0/8"]), None, hash(b""), &server.url("/empty")).await;
    assert_eq!(told(&answers), ToOwner::Done(Some(0)));
    let unverified = WgetSettings { unverified: true, ..settings(base.path(), &["loopback"]) };
    let (_, answers) = fetch(unverified, None, None, &server.url("/file.bin")).await;
    assert_eq!(told(&answers), ToOwner::Done(Some(7)));
}

#[tokio::test]
async fn what_breaks_a_rule_leaves_no_file() {
    let server = Server::start(answers).await;
    let base = tempfile::tempdir().unwrap();
    let anything = Some([0; 48]);
    for (name, sha384, url, why) in [
        (None, anything, server.url("/file.bin"), "SHA-384"),
        (None, None, server.url("/file.bin"), "http without"),
        (None, anything, server.url("/large"), "larger than 100"),
        (None, anything, server.url("/endless"), "larger than 100"),
        (None, anything, server.url("/cut"), ""),
        (None, anything, server.url("/silent"), ""),
        (None, anything, server.url("/missing"), "404"),
        (None, anything, server.url("/circle"), "redirects"),
        (None, anything, server.url("/secure"), "another scheme"),
        (None, anything, server.url("/local-file"), "only http"),
        (None, anything, server.url("/metadata"), "169.254.169.254"),
        (None, anything, server.url("/nowhere"), "nowhere"),
        (None, anything, server.url("/"), "names no file"),
        (Some("../x"), anything, server.url("/file.bin"), "outside"),
        (Some("/etc/x"), anything, server.url("/file.bin"), "outside"),
        (Some(".fdo-x"), anything, server.url("/file.bin"), "reserved"),
        (None, anything, "file:///etc/passwd".to_owned(), "only http"),
        (None, anything, "ftp://127.0.0.1/x".to_owned(), "only http"),
        (None, anything, "http://user:pass@127.0.0.1/x".to_owned(), "password"),
        (None, anything, "nonsense".to_owned(), "not a URL"),
        (None, anything, "http://10.1.2.3/x".to_owned(), "10.1.2.3"),
    ] {
        let (module, answers) = fetch(settings(base.path(), &["loopback"]), name, sha384, &url).await;
        let ToOwner::Error(error) = told(&answers) else { panic!("{url}") };
        assert!(error.contains(why), "{url}: {error}");
        assert!(module.written().is_empty() && answers.refused().len() == 1);
    }
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn inner_addresses_are_not_called_unless_allowed() {
    let server = Server::start(answers).await;
    let base = tempfile::tempdir().unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"] {
        let url = format!("http://{host}:{}/file.bin", server.port);
        let (_, answers) = fetch(settings(base.path(), &[]), None, hash(b"content"), &url).await;
        assert!(matches!(told(&answers), ToOwner::Error(_)), "{host}");
    }
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn time_is_limited_and_one_file_is_fetched_at_a_time() {
    // It accepts and says nothing.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
    let base = tempfile::tempdir().unwrap();
    let mut module =
        Wget::new(WgetSettings { time_limit: Duration::from_millis(50), ..settings(base.path(), &["loopback"]) });
    let mut answers = Answers::new(Wget::NAME);
    let pairs = [ToDevice::Sha384([0; 48]), ToDevice::Url(url.clone())].map(|message| message.to_kv());
    for kv in &pairs {
        module.receive(kv.message(), &kv.value, &mut answers).unwrap();
    }
    assert!(matches!(module.receive("url", &encode(&url), &mut answers), Err(Error::Rejected(_))));
    while module.is_busy() {
        module.settle(Duration::from_secs(60), &mut answers).await;
    }
    assert!(matches!(told(&answers), ToOwner::Error(why) if why.contains("seconds")));
    // An owner that changes its mind ends it.
    let mut module = Wget::new(settings(base.path(), &["loopback"]));
    for kv in &pairs {
        module.receive(kv.message(), &kv.value, &mut answers).unwrap();
    }
    module.receive("active", &[0xf4], &mut answers).unwrap();
    assert!(!module.is_busy());
}

#[tokio::test]
async fn all_files_together_are_limited() {
    let server = Server::start(answers).await;
    let base = tempfile::tempdir().unwrap();
    let mut module =
        Wget::new(WgetSettings { limit: 7, unverified: true, ..settings(base.path(), &["loopback"]) });
    let mut last = Vec::new();
    for _ in 0..5 {
        let mut answers = Answers::new(Wget::NAME);
        let kv = ToDevice::Url(server.url("/file.bin")).to_kv();
        module.receive(kv.message(), &kv.value, &mut answers).unwrap();
        while module.is_busy() {
            module.settle(Duration::from_secs(60), &mut answers).await;
        }
        last.push(matches!(told(&answers), ToOwner::Done(_)));
    }
    assert_eq!(last, [true, true, true, true, false]);
    module.asked = MAX_FILES;
    let kv = ToDevice::Url(server.url("/file.bin")).to_kv();
    let refused = module.receive(kv.message(), &kv.value, &mut Answers::new(Wget::NAME));
    assert!(matches!(refused, Err(Error::Rejected(_))));
}

#[test]
fn what_is_ill_formed_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let mut module = Wget::new(settings(base.path(), &[]));
    let mut answers = Answers::new(Wget::NAME);
    for (message, item) in [
        ("url", encode(&"u".repeat(2049))),
        ("url", vec![0xf6]),
        ("name", encode(&"n".repeat(1025))),
        ("sha-384", encode(&cbor::ByteString(vec![0; 20]))),
        ("active", vec![1]),
    ] {
        assert!(matches!(module.receive(message, &item, &mut answers), Err(Error::Malformed(_))), "{message}");
    }
    module.receive("later", &[0xf6], &mut answers).unwrap();
    assert!(answers.pairs().is_empty());
}

/// A server with this certificate that answers one request after the other, until the test ends.
fn secure_server(certificate: Vec<u8>, key: &[u8]) -> u16 {
    use std::io::{Read as _, Write as _};
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.to_vec());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key.into())
        .unwrap();
    let (config, listener) = (Arc::new(config), std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(&ok(b"content")).and_then(|()| stream.flush());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    port
}

#[tokio::test]
async fn https_needs_a_server_that_the_configured_ca_vouches_for() {
    use fdo_pki::{Lifetime, ServerName, make_tls_server};
    use fdo_protocol::crypto::{KeyType, SigningKey};
    use rand_core::SeedableRng as _;
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let now = crate::Clock::system().now();
    let mut server = |name: &str| {
        let key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        let names = [ServerName::Dns(name.to_owned())];
        let issued = make_tls_server(name, &names, &key, Lifetime::years(1), now, &mut rng).unwrap();
        (issued.der().to_vec(), key.to_pkcs8_der().unwrap())
    };
    let (certificate, key) = server("localhost");
    let (other, _) = server("localhost");
    let port = secure_server(certificate.clone(), &key);
    let base = tempfile::tempdir().unwrap();
    let url = format!("https://localhost:{port}/f");
    let trusting = |authority: Option<&Vec<u8>>| WgetSettings {
        authority: authority.cloned(),
        ..settings(base.path(), &["loopback"])
    };
    for authority in [Some(&other), None] {
        let (_, answers) = fetch(trusting(authority), None, hash(b"content"), &url).await;
        assert!(matches!(told(&answers), ToOwner::Error(_)));
    }
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    // TLS vouches for it: no hash is needed.
    let (_, answers) = fetch(trusting(Some(&certificate)), None, None, &url).await;
    assert_eq!(told(&answers), ToOwner::Done(Some(7)));
}
