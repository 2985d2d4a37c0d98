//! Requests whose holder is known and that are refused all the same: keys, channel names, extensions that are passed over.

use std::process::Command;

use fdo_owner::config::ChallengePassword;

use crate::client::Fleet;

/// A request as OpenSSL makes it, of a key made with these arguments and with this configuration.
fn openssl(key: &[&str], config: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(path("config"), config).unwrap();
    run(&[&["genpkey", "-out", &path("key")], key].concat());
    run(&[
        "req",
        "-new",
        "-config",
        &path("config"),
        "-key",
        &path("key"),
        "-outform",
        "DER",
        "-out",
        &path("csr"),
    ]);
    std::fs::read(path("csr")).unwrap()
}

const PLAIN: &str = "[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nserialNumber=SN-0001\n";
const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[tokio::test]
async fn keys_that_are_weak_or_of_another_kind() {
    let fleet = Fleet::new().await;
    let who = fleet.idevid();
    for (key, words) in [
        (&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..], "key refused"),
        (&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..], "no keys of this type"),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"][..], "curve is not allowed"),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"][..], "curve is not allowed"),
        (&["-algorithm", "ED25519"][..], "Ed25519"),
    ] {
        fleet.refused(Some(&who), "simpleenroll", &openssl(key, PLAIN), 400, words).await;
    }
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_challenge_password_is_refused_ignored_or_the_channels_name() {
    let with = |password: &str| {
        let config = format!("{PLAIN}[req]\nattributes=attributes\n[attributes]\nchallengePassword={password}\n");
        openssl(&P256, &config)
    };
    let fleet = Fleet::new().await;
    fleet.refused(Some(&fleet.idevid()), "simpleenroll", &with("secret"), 400, "challengePassword").await;
    fleet.running.stop().await;
    let fleet = Fleet::with(|config| config.est.challenge_password = ChallengePassword::Ignore).await;
    assert_eq!(fleet.post(Some(&fleet.idevid()), "simpleenroll", &with("secret")).await.status, 200);
    fleet.running.stop().await;
    let fleet = Fleet::with(|config| config.est.challenge_password = ChallengePassword::TlsExporter).await;
    fleet.refused(Some(&fleet.idevid()), "simpleenroll", &with("secret"), 400, "tls-exporter").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn extensions_are_the_profiles_to_decide_and_what_was_asked_is_written_down() {
    let fleet = Fleet::new().await;
    let config = format!(
        "{PLAIN}[req]\nreq_extensions=more\n[more]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n\
         extendedKeyUsage=codeSigning\nsubjectAltName=DNS:bank.example\n"
    );
    let answer = fleet.post(Some(&fleet.idevid()), "simpleenroll", &openssl(&P256, &config)).await;
    let certificate = answer.certificate();
    assert!(!certificate.is_ca());
    assert_eq!(certificate.uris(), [format!("urn:uuid:{}", fleet.born.guid())]);
    assert!(!String::from_utf8_lossy(certificate.der()).contains("bank.example"));
    let entries = fleet.audit().await;
    let said = entries.iter().max_by_key(|entry| entry.sequence).unwrap();
    assert!(said.detail.contains("basicConstraints, keyUsage, extendedKeyUsage"), "{}", said.detail);
    fleet.running.stop().await;
}
