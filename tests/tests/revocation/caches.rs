//! What caches between are told (RFC 5019, 6; RFC 9111).

use reqwest::header::HeaderMap;

use crate::site::Site;

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}")).to_str().unwrap()
}

fn max_age(headers: &HeaderMap) -> u64 {
    let control = header(headers, "cache-control");
    let age = control.split(',').find_map(|part| part.trim().strip_prefix("max-age="));
    age.unwrap_or_else(|| panic!("{control}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_kept_by_its_tag_until_it_changes() {
    let site = Site::new().await;
    for path in [site.shard_path(), "/crl/issuing.crl".to_owned()] {
        let first = site.get(&path).await;
        assert_eq!(
            (first.status().as_u16(), header(first.headers(), "content-type")),
            (200, "application/pkix-crl")
        );
        assert!((1..=300).contains(&max_age(first.headers())), "{:?}", first.headers());
        let tag = header(first.headers(), "etag").to_owned();
        let again = |path: String| {
            site.http.get(format!("{}{path}", site.url)).header("if-none-match", tag.as_str()).send()
        };
        let same = again(path.clone()).await.unwrap();
        assert_eq!(same.status(), 304);
        assert_eq!(header(same.headers(), "etag"), tag);
        let pem = again(format!("{path}?format=pem")).await.unwrap();
        assert_eq!(pem.status(), 200, "PEM is another thing with another tag");
        assert!(pem.text().await.unwrap().starts_with("-----BEGIN X509 CRL-----"));
        let head = site.http.head(format!("{}{path}", site.url)).send().await.unwrap();
        assert_eq!((head.status().as_u16(), header(head.headers(), "etag")), (200, tag.as_str()));
    }
    let before = header(site.get(&site.shard_path()).await.headers(), "etag").to_owned();
    site.revoke("superseded").await;
    site.sign_lists().await;
    assert_ne!(header(site.get(&site.shard_path()).await.headers(), "etag"), before);
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_where_it_is_for_everybody() {
    let site = Site::new().await;
    let plain = format!("/ocsp/{}", fdo_pki::encode_base64(&site.question("-no_nonce")));
    let answer = site.get(&plain).await;
    let headers = answer.headers().clone();
    assert_eq!((answer.status().as_u16(), header(&headers, "content-type")), (200, "application/ocsp-response"));
    assert!((1..=300).contains(&max_age(&headers)), "{headers:?}");
    for name in ["last-modified", "expires", "date"] {
        header(&headers, name);
    }
    let control = header(&headers, "cache-control");
    assert!(["public", "no-transform", "must-revalidate"].iter().all(|word| control.contains(word)), "{control}");
    let tag = header(&headers, "etag").to_owned();
    let same = site.http.get(format!("{}{plain}", site.url)).header("if-none-match", tag.as_str());
    assert_eq!(same.send().await.unwrap().status(), 304);

    let signed_for_one = site.ask(site.question("")).await;
    assert_eq!(header(signed_for_one.headers(), "cache-control"), "no-store");
    let failure = site.ask(vec![0x30, 0]).await;
    assert_eq!(header(failure.headers(), "cache-control"), "no-store");

    site.revoke("certificateHold").await;
    let after = site.http.get(format!("{}{plain}", site.url)).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(after.status(), 200, "it is another answer now");
    site.world.stop().await;
}
