//! What is sent and what comes back: operations, methods, encodings, sizes.

use fdo_pki::encode_base64;
use reqwest::Method;

use crate::client::{Fleet, PKCS10, asking};
use crate::world::SERIAL;

#[tokio::test]
async fn anybody_may_have_the_ca_certificates_and_the_attributes() {
    let fleet = Fleet::new().await;
    for path in ["cacerts", "ldevid/cacerts"] {
        let answer = fleet.send(None, Method::GET, path, "", "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/pkcs7-mime; smime-type=certs-only");
        assert_eq!(answer.header("content-transfer-encoding"), "base64");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        let mut shown = fdo_pki::pkcs7::decode_certs_only(answer.body.as_bytes()).unwrap();
        let mut expected = fleet.world.app.ca.chain_der();
        shown.sort();
        expected.sort();
        assert_eq!(shown, expected);
    }
    let answer = fleet.send(None, Method::GET, "csrattrs", "", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/csrattrs"));
    let der = fdo_pki::decode_base64(answer.body.as_bytes(), 1000).unwrap();
    fdo_pki::CsrAttributes::parse(&der).unwrap();
    fleet.running.stop().await;
}

#[tokio::test]
async fn base64_with_white_space_pem_and_der_are_read() {
    let fleet = Fleet::new().await;
    let (who, fresh) = (fleet.idevid(), || asking(&fleet.key(), None, SERIAL));
    let broken_up: String = encode_base64(&fresh()).chars().flat_map(|c| [c, '\r', '\n', ' ']).collect();
    let pem = fdo_pki::pem::encode_csr(&fresh()).unwrap();
    for (content_type, body) in
        [(PKCS10, broken_up.into_bytes()), ("Application/PKCS10; charset=x", pem.into_bytes()), (PKCS10, fresh())]
    {
        let answer = fleet.send(Some(&who), Method::POST, "simpleenroll", content_type, body).await;
        answer.certificate();
    }
    fleet.running.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_its_reason() {
    let fleet = Fleet::new().await;
    let who = fleet.idevid();
    let csr = asking(&fleet.key(), None, SERIAL);
    let mut forged = csr.clone();
    *forged.last_mut().unwrap() ^= 1;
    fleet.refused(Some(&who), "simpleenroll", &forged, 400, "signature").await;
    fleet.refused(Some(&who), "simpleenroll", &csr[..80], 400, "not valid DER").await;
    fleet.refused(Some(&who), "simpleenroll", &[&csr[..], &[0]].concat(), 400, "not valid DER").await;
    let before = fleet.world.certificates().await;
    for (content_type, body, status, words) in [
        ("text/plain", encode_base64(&csr), 415, "application/pkcs10"),
        ("", encode_base64(&csr), 415, "application/pkcs10"),
        (PKCS10, "*".repeat(100), 400, "base64"),
        (PKCS10, String::new(), 400, "certification request"),
        (PKCS10, "A".repeat(65 * 1024), 413, "64 KiB"),
        (PKCS10, "A".repeat(60 * 1024), 413, "larger than"),
    ] {
        let answer = fleet.send(Some(&who), Method::POST, "simpleenroll", content_type, body).await;
        fleet.expect(&answer, "simpleenroll", status, words, &before).await;
    }
    // Keys: one that was certified, and the device's own attestation key.
    let seen = fdo_pki::build_renewal(&fleet.ldevid.key, &fleet.ldevid.certificate).unwrap();
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &seen, 409, "make a fresh key").await;
    let own = asking(&fleet.born.key, None, SERIAL);
    fleet.refused(Some(&who), "simpleenroll", &own, 409, "make a fresh key").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn operations_methods_and_labels_that_there_are_not() {
    let fleet = Fleet::new().await;
    for (method, path, status, words) in [
        (Method::GET, "nothing", 404, "no such EST operation"),
        (Method::GET, "factory/cacerts", 404, "no certificate profile `factory`"),
        (Method::GET, "simpleenroll/cacerts", 404, "no certificate profile"),
        (Method::GET, "ldevid/x/cacerts", 404, "There is nothing here"),
        (Method::POST, "cacerts", 405, "Use GET"),
        (Method::GET, "simpleenroll", 405, "Use POST"),
        (Method::POST, "fullcmc", 501, "Full CMC"),
        (Method::POST, "serverkeygen", 501, "not made for devices here"),
    ] {
        let content_type = if method == Method::POST { PKCS10 } else { "" };
        let answer = fleet.send(Some(&fleet.ldevid), method.clone(), path, content_type, "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains(words), "{method} {path}: {}", answer.body);
        if status == 405 {
            assert_eq!(answer.header("allow"), if method == Method::GET { "POST" } else { "GET" });
        }
    }
    assert!(fleet.audit().await.iter().all(|entry| entry.actor != "est"), "nobody did anything");
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_key_is_made_for_a_device_where_that_is_wanted() {
    let fleet = Fleet::with(|config| config.est.server_key_generation = true).await;
    let mut csr = asking(&fleet.key(), None, SERIAL);
    // The signature of the request does not count (RFC 7030, 4.4.1).
    *csr.last_mut().unwrap() ^= 1;
    let answer = fleet.post(Some(&fleet.idevid()), "serverkeygen", &csr).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let boundary = answer.header("content-type").strip_prefix("multipart/mixed; boundary=").unwrap().to_owned();
    let parts: Vec<_> = answer.body.split(&format!("--{boundary}")).collect();
    assert_eq!((parts.len(), parts[0], parts[3].trim()), (4, "", "--"));
    let content = |part: &str, media_type: &str| {
        let (head, body) = part.trim_start().split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Type: {media_type}")), "{head}");
        fdo_pki::decode_base64(body.as_bytes(), 10_000).unwrap()
    };
    let key = fdo_protocol::crypto::SigningKey::from_der(&content(parts[1], "application/pkcs8")).unwrap();
    let certificate = fdo_pki::pkcs7::parse_certs_only(&content(parts[2], "application/pkcs7-mime")).unwrap();
    let certificate = fdo_pki::Certificate::parse(&certificate[0]).unwrap();
    assert_eq!(certificate.spki(), key.verifying_key().spki_der());
    let pair = crate::client::Pair { certificate, key };
    fleet.renew(&pair).await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn libest_gets_lines_and_names_in_title_case() {
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let fleet = Fleet::new().await;
    let address = fleet.running.address("est").unwrap();
    let tls = fdo_http::client_config(&fdo_http::ServerTrust::Any).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    for (agent, columns) in [("libest 1.0", 64), ("curl/7.88.1", usize::MAX)] {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let request = format!(
            "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        for name in ["Content-Type: ", "Content-Length: ", "Content-Transfer-Encoding: base64"] {
            assert!(head.contains(name), "{head}");
        }
        assert!(head.len() < 1024 && body.len() < 16 * 1024);
        let longest = body.lines().map(str::len).max().unwrap();
        assert!(longest <= columns && (columns == 64 || body.lines().count() == 1), "{body}");
    }
    fleet.running.stop().await;
}
