//! OpenSSL, GnuTLS, strongSwan, curl and pkilint on what the owner publishes, before and after a revocation.

use fdo_tests::pki_tools;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn openssl_asks_by_ocsp() {
    let Some(openssl) = pki_tools::find("openssl") else { return };
    let site = Site::new().await;
    let ask = |more: &str| {
        let line =
            format!("ocsp -issuer issuing.pem {more} -cert leaf.pem -url {}/ocsp -CAfile root.pem", site.url);
        let said = openssl.run(site.folder(), &format!("{line} -verify_other issuing.pem"));
        assert!(said.contains("Response verify OK"), "{said}");
        // It would warn of a nonce that does not come back.
        assert!(!said.contains("WARNING"), "{said}");
        said
    };
    let ways = ["", "-sha256", "-no_nonce", "-sha256 -no_nonce"];
    for way in ways {
        assert!(ask(way).contains("leaf.pem: good"), "{way}");
    }
    site.revoke("keyCompromise").await;
    for way in ways {
        let said = ask(way);
        assert!(said.contains("leaf.pem: revoked") && said.contains("Reason: keyCompromise"), "{said}");
    }
    let unknown = format!(
        "ocsp -issuer issuing.pem -serial 0x4242 -url {}/ocsp -CAfile root.pem -verify_other issuing.pem",
        site.url
    );
    let said = openssl.run(site.folder(), &unknown);
    assert!(said.contains("0x4242: unknown"), "{said}");
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_asks_by_get_and_openssl_reads_the_answer() {
    let (Some(openssl), Some(curl)) = (pki_tools::find("openssl"), pki_tools::find("curl")) else { return };
    let site = Site::new().await;
    site.revoke("certificateHold").await;
    let plain = fdo_pki::encode_base64(&site.question("-no_nonce"));
    let escaped = plain.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for text in [&plain, &escaped, &format!("/{plain}")] {
        curl.run(
            site.folder(),
            &format!("--fail --silent --show-error --path-as-is -o answer.der {}/ocsp/{text}", site.url),
        );
        let read = "ocsp -issuer issuing.pem -cert leaf.pem -respin answer.der -no_nonce -CAfile cas.pem";
        let said = openssl.run(site.folder(), read);
        assert!(said.contains("Response verify OK") && said.contains("certificateHold"), "{said}");
    }
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gnutls_asks_by_ocsp() {
    let Some(ocsptool) = pki_tools::find("ocsptool") else { return };
    let site = Site::new().await;
    let ask = |more: &str| {
        let files = "--load-issuer issuing.pem --load-cert leaf.pem --load-trust cas.pem";
        ocsptool.try_run(site.folder(), &format!("--ask={}/ocsp {files} {more}", site.url))
    };
    for more in ["", "--no-nonce"] {
        let (went_well, said) = ask(more);
        assert!(went_well && said.contains("Success") && said.contains("Certificate Status: good"), "{said}");
    }
    site.revoke("cessationOfOperation").await;
    for more in ["", "--no-nonce"] {
        let (_, said) = ask(more);
        assert!(said.contains("Certificate Status: revoked") && said.contains("Success"), "{said}");
    }
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pkilint_has_nothing_to_object() {
    let tools = ["lint_crl", "lint_ocsp_response", "lint_pkix_cert"].map(pki_tools::find);
    let [Some(lint_crl), Some(lint_answer), Some(lint_certificate)] = tools else { return };
    let Some(openssl) = pki_tools::find("openssl") else { return };
    let site = Site::new().await;
    for (reason, moment) in [(None, "empty"), (Some("keyCompromise"), "with an entry")] {
        if let Some(reason) = reason {
            site.revoke(reason).await;
            site.sign_lists().await;
        }
        for path in [site.shard_path(), "/crl/issuing.crl".to_owned()] {
            site.download(&path, "list.crl").await;
            let said = lint_crl.run(site.folder(), "lint -t CRL -p PKIX -s WARNING list.crl");
            assert!(!said.contains("(ERROR)") && !said.contains("(FATAL)"), "{moment}: {said}");
        }
        for more in ["-no_nonce", ""] {
            let answer = site.ask(site.question(more)).await.bytes().await.unwrap();
            std::fs::write(site.folder().join("answer.der"), answer).unwrap();
            let said = lint_answer.run(site.folder(), "lint -s WARNING answer.der");
            assert!(!said.contains("(ERROR)") && !said.contains("(FATAL)"), "{moment}: {said}");
        }
    }
    let text = openssl.run(site.folder(), "ocsp -respin answer.der -noverify -resp_text");
    let at = text.find("-----BEGIN CERTIFICATE-----").expect("the responder's certificate comes with the answer");
    std::fs::write(site.folder().join("responder.pem"), &text[at..]).unwrap();
    let said = lint_certificate.run(site.folder(), "lint -s WARNING responder.pem");
    assert!(!said.contains("(ERROR)") && !said.contains("(FATAL)"), "{said}");
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_against_the_list_that_the_certificate_names() {
    let Some(openssl) = pki_tools::find("openssl") else { return };
    let site = Site::new().await;
    let text = openssl.run(site.folder(), "x509 -in leaf.pem -noout -text");
    let path = site.shard_path();
    assert!(text.contains(&format!("URI:{}{path}", site.url)), "{text}");
    assert!(text.contains(&format!("OCSP - URI:{}/ocsp", site.url)), "{text}");
    let fetch = async |path: &str| {
        site.download(path, "list.crl").await;
        openssl.run(site.folder(), "crl -inform DER -in list.crl -out list.pem");
        let said = openssl.run(site.folder(), "crl -in list.pem -CAfile cas.pem -noout -text");
        assert!(said.contains("verify OK"), "{said}");
    };
    let verify = "verify -x509_strict -crl_check -CAfile cas.pem -CRLfile list.pem leaf.pem";
    fetch(&path).await;
    openssl.run(site.folder(), verify);
    // That of another shard says nothing about this certificate.
    fetch(&format!("/crl/issuing/{}.crl", (site.shard + 1) % 256)).await;
    let said = openssl.refuses(site.folder(), verify);
    assert!(said.contains("different CRL scope"), "{said}");
    site.revoke("superseded").await;
    site.sign_lists().await;
    for path in [path.as_str(), "/crl/issuing.crl"] {
        fetch(path).await;
        let said = openssl.refuses(site.folder(), verify);
        assert!(said.contains("certificate revoked"), "{said}");
    }
    site.download("/ca/issuing.cer", "issuing.cer").await;
    openssl.run(site.folder(), "x509 -inform DER -in issuing.cer -noout -subject");
    site.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_follows_what_the_certificate_names() {
    let Some(pki) = pki_tools::find("pki") else { return };
    let site = Site::new().await;
    let verify = || {
        let line = "--verify --in leaf.pem --cacert root.pem --cacert issuing.pem --online";
        pki.try_run(site.folder(), line)
    };
    let (went_well, said) = verify();
    assert!(went_well && said.contains("certificate status is good"), "{said}");
    site.revoke("keyCompromise").await;
    site.sign_lists().await;
    let (went_well, said) = verify();
    assert!(!went_well && said.contains("revoked"), "{said}");
    site.world.stop().await;
}
