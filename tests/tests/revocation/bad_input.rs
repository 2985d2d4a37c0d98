//! What does not fit gets a clear answer in the protocol's own form, and nothing changes.

use serde_json::{Value, json};

use crate::site::Site;

const MALFORMED: [u8; 5] = [0x30, 3, 0x0a, 1, 1];
const UNAUTHORIZED: [u8; 5] = [0x30, 3, 0x0a, 1, 6];

/// SEQUENCE around parts.
fn sequence(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..128 => der.push(u8::try_from(length).unwrap()),
        _ => {
            der.push(0x83);
            der.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
            // The shortest form only.
            while der[1] > 0x81 && der[2] == 0 {
                der[1] -= 1;
                der.remove(2);
            }
        }
    }
    der.extend(content);
    der
}

/// A request that asks for the same certificate so many times.
fn many(one: &[u8], count: usize) -> Vec<u8> {
    // SEQUENCE { SEQUENCE { SEQUENCE OF single } }, each shorter than 128 bytes in the original.
    let single = one[6..].to_vec();
    let list = sequence(0x30, &vec![single; count]);
    sequence(0x30, &[sequence(0x30, &[list])])
}

#[tokio::test(flavor = "multi_thread")]
async fn ocsp_refuses_in_its_own_form() {
    let site = Site::new().await;
    let good = site.question("-no_nonce");
    assert_eq!(many(&good, 1), good, "the request is rebuilt as it was");
    let answer = async |request: Vec<u8>| {
        let response = site.ask(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/ocsp-response");
        response.bytes().await.unwrap().to_vec()
    };
    assert_eq!(answer(many(&good, 16)).await[4..7], [0x0a, 1, 0], "sixteen are answered");
    assert_eq!(answer(many(&good, 17)).await, MALFORMED);
    assert_eq!(answer(Vec::new()).await, MALFORMED);
    assert_eq!(answer(b"hello".to_vec()).await, MALFORMED);
    assert_eq!(answer([&good[..], &[0]].concat()).await, MALFORMED);
    assert_eq!(answer(good[..good.len() - 1].to_vec()).await, MALFORMED);

    // Another CA: a bit of the hash of its key.
    let mut foreign = good.clone();
    let at = foreign.len() - 18 - 3;
    foreign[at] ^= 1;
    assert_eq!(answer(foreign).await, UNAUTHORIZED);

    for path in ["/ocsp/", "/ocsp/%%%", "/ocsp/AAAA", "/ocsp/MA", "/ocsp/M%C3%A9"] {
        let response = site.get(path).await;
        assert_eq!((path, response.status().as_u16()), (path, 200));
        assert_eq!(response.bytes().await.unwrap().as_ref(), MALFORMED, "{path}");
    }

    // A thousand certificates do not fit into the 8 KiB that are read.
    assert_eq!(site.ask(many(&good, 1_000)).await.status(), 413);
    assert_eq!(site.ask(vec![0x30; 8_193]).await.status(), 413);
    let other = site.http.post(format!("{}/ocsp", site.url)).header("content-type", "application/json").body(good);
    assert_eq!(other.send().await.unwrap().status(), 415);
    assert_eq!(site.get("/ocsp").await.status(), 405);
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let site = Site::new().await;
    for path in [
        "/crl/issuing/256.crl",
        "/crl/issuing/-1.crl",
        "/crl/issuing/007.crl",
        "/crl/issuing/x.crl",
        "/crl/nobody/1.crl",
        "/crl/nobody.crl",
        "/crl/..%2f..%2fetc/1.crl",
        "/ca/nobody.cer",
        "/crl",
        "/api/v1/certificates",
        "/",
    ] {
        assert_eq!((path, site.get(path).await.status().as_u16()), (path, 404));
    }
    // The root's key is not here, so nothing is signed with it.
    assert_eq!(site.get(&format!("/crl/{}/1.crl", "root")).await.status(), 404);
    assert_eq!(site.get("/ca/root.cer").await.status(), 200);
    let deleted = site.http.delete(format!("{}{}", site.url, site.shard_path())).send().await.unwrap();
    assert_eq!(deleted.status(), 405);
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_what_does_not_fit() {
    let site = Site::new().await;
    let api = &site.world.owner_api;
    let path = |deed: &str| format!("/api/v1/certificates/{}/{deed}", site.serial);
    let refused = async |path: String, body: Value, code: &str| {
        let error = api.post::<_, Value>(&path, &body).await.unwrap_err().to_string();
        assert!(error.contains(code), "{path} {body}: {error}");
    };
    refused(path("revoke"), json!({ "reason": "stolen" }), "reason").await;
    refused(path("revoke"), json!({ "reason": "removeFromCRL" }), "reason").await;
    refused(path("revoke"), json!({ "because": "1" }), "body").await;
    refused(path("unrevoke"), json!({}), "certificate-not-held").await;
    refused("/api/v1/certificates/4242/revoke".into(), json!({}), "certificate-unknown").await;
    refused("/api/v1/devices/SN-2/revoke".into(), json!({}), "device-unknown").await;
    refused("/api/v1/devices/SN-1/unrevoke".into(), json!({}), "certificate-not-held").await;
    refused("/api/v1/devices/SN-1/recommission".into(), json!({}), "device-in-service").await;
    let before: Value = api.get(&path("")[..path("").len() - 1]).await.unwrap();
    assert_eq!(before["state"], "issued", "{before}");

    site.revoke("1").await;
    refused(path("revoke"), json!({ "reason": "superseded" }), "certificate-revoked").await;
    let after: Value = api.get(&path("")[..path("").len() - 1]).await.unwrap();
    assert_eq!((after["state"].as_str(), after["reason"].as_str()), (Some("revoked"), Some("keyCompromise")));
    site.world.stop().await;
}
