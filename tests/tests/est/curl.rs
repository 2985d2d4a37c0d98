//! curl and OpenSSL: each operation, each TLS version, resumption, and answers that a person can read.

use fdo_tests::pki_tools::{Tool, find};

use crate::fleet::{Fleet, SERIAL};

/// Runs a line of shell in the fleet's folder, with `$url` and `$est` set.
fn shell(tool: &Tool, fleet: &Fleet, line: &str) -> String {
    let (went_well, said) = try_shell(tool, fleet, line);
    assert!(went_well, "{said}");
    said
}

fn try_shell(tool: &Tool, fleet: &Fleet, line: &str) -> (bool, String) {
    let line = format!("set -e; url={}; est=$url/.well-known/est; {line}", fleet.url);
    tool.run_with(fleet.folder(), &["-c", &line])
}

const REQUEST: &str = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $name.key; \
     openssl req -new -key $name.key -subj \"$subject\" -outform DER -out $name.der; \
     openssl base64 -in $name.der -out $name.b64;";
const POST: &str = "curl -sS --cacert root.pem -H 'Content-Type: application/pkcs10' --data-binary @$name.b64";
const READ: &str = "| openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out $name.pem";

#[tokio::test(flavor = "multi_thread")]
async fn curl_enrols_renews_and_is_told_why_not() {
    let (Some(_), Some(_), Some(sh)) = (find("curl"), find("openssl"), find("sh")) else { return };
    let fleet = Fleet::new().await;
    let sh = |line: &str| shell(&sh, &fleet, line);

    // EST-11: without a trust anchor; the certificates are compared out of band, then TLS is trusted.
    sh("curl -sSk $est/cacerts | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out cacerts.pem");
    sh("openssl verify -CAfile root.pem -untrusted cacerts.pem ldevid.pem");
    let attributes = sh(
        "curl -sS --cacert root.pem $est/ldevid/csrattrs | openssl base64 -d -A | openssl asn1parse -inform DER",
    );
    assert!(attributes.contains("prime256v1"), "{attributes}");

    let by_idevid = "--cert idevid.pem --key idevid.key --tlsv1.3";
    sh(&format!(
        "name=one; subject=/serialNumber={SERIAL}; {REQUEST} {POST} {by_idevid} $est/simpleenroll {READ}"
    ));
    assert_eq!(fleet.certificate("one.pem").subject_serial_number(), Some(SERIAL));
    sh("openssl verify -x509_strict -purpose sslclient -CAfile root.pem -untrusted cacerts.pem one.pem");
    let row = fleet.issued("one.pem").await;
    assert_eq!((&row["state"], &row["origin"]), (&"issued".into(), &"est".into()), "{row}");

    let subject = "subject=$(openssl x509 -in one.pem -noout -subject -nameopt compat | sed 's/^subject=//')";
    let by_ldevid = "--cert one.pem --key one.key --tls-max 1.2";
    sh(&format!("name=two; {subject}; {REQUEST} {POST} {by_ldevid} $est/simplereenroll {READ}"));
    assert_eq!(fleet.certificate("two.pem").subject(), fleet.certificate("one.pem").subject());
    assert_eq!(fleet.issued("two.pem").await["replaces"], fleet.certificate("one.pem").serial());
    assert_eq!(fleet.said().await["action"], "certificate.renew");

    // Another request of the same key, nobody, and somebody else.
    let status = "-w '%{http_code} %{content_type}'";
    let refused = |more: &str| sh(&format!("name=two; {POST} {status} {more}"));
    let said = refused("--cert ldevid.pem --key ldevid.key -A 'libest 1.0' $est/simpleenroll");
    assert!(said.contains("200 application/pkcs7-mime"), "the same request again: {said}");
    assert!(said.lines().filter(|line| line.len() == 64).count() > 3, "lines of 64 columns: {said}");
    let said = refused("$est/simplereenroll");
    assert!(said.contains("needs a TLS client certificate") && said.contains("401 text/plain"), "{said}");
    sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem -days 1 \
        -subj /serialNumber=SN-1 2>/dev/null",
    );
    let said = refused("--cert own.pem --key own.key $est/simplereenroll");
    assert!(said.contains("neither one that this owner issued") && said.contains("403"), "{said}");
    fleet.block().await;
    let said = refused("--cert two.pem --key two.key $est/simplereenroll");
    assert!(said.contains("The device is blocked here.") && said.contains("403"), "{said}");
    let entry = fleet.said().await;
    assert_eq!((&entry["outcome"], &entry["detail"]), (&"refused".into(), &"The device is blocked here.".into()));
    fleet.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_still_knows_its_client() {
    let (Some(_), Some(sh)) = (find("openssl"), find("sh")) else { return };
    let fleet = Fleet::new().await;
    let ask = |version: &str, session: &str| {
        let line = format!(
            "printf 'POST /.well-known/est/simplereenroll HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: \
             application/pkcs10\\r\\nContent-Length: 1\\r\\nConnection: close\\r\\n\\r\\nx' | openssl s_client -ign_eof \
             -connect ${{url#https://}} -CAfile root.pem -verify_return_error -cert ldevid.pem -key ldevid.key {version} \
             {session} 2>/dev/null"
        );
        shell(&sh, &fleet, &line)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let first = ask(version, "-sess_out session.pem");
        assert!(first.contains("New, TLS"), "{first}");
        assert!(first.contains("The certification request is refused"), "the client is known: {first}");
        let again = ask(version, "-sess_in session.pem");
        assert!(again.contains("Reused, TLS"), "{again}");
        assert!(again.contains("The certification request is refused"), "the client is known: {again}");
    }
    fleet.world.stop().await;
}
