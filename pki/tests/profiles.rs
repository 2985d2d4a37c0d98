//! One certificate of each kind of profile, by `openssl verify -x509_strict` and, where `FDO_PKILINT` names the folder of
//! pkilint's programs, by `lint_pkix_cert`.
#![allow(clippy::unwrap_used)]

mod fixtures;

use std::path::Path;
use std::process::Command;

use fdo_pki::{
    Certificate, Error, ExtendedKeyUse, HardwareModule, Issued, KeyUse, LdevidProfile, LdevidSubject,
    StatusPointers, pem,
};
use fdo_protocol::crypto::KeyType;
use fixtures::{NOW, World, guid, serial};

fn run(program: &str, dir: &Path, line: &str) -> Result<String, String> {
    let output = Command::new(program).current_dir(dir).args(line.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("{program} {line}: {text}")) }
}

/// What pkilint finds, save that it takes a URN for no URI: it wants a host in each, which RFC 5280 (4.2.1.6) does not.
fn findings(lint: &Path, dir: &Path, line: &str) -> Vec<String> {
    let output = Command::new(lint).current_dir(dir).args(line.split_whitespace()).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_finding = |line: &&str| line.starts_with(' ') && !line.contains("Invalid URI syntax: \"urn:");
    text.lines().filter(is_finding).map(str::to_owned).collect()
}

fn device() -> LdevidSubject {
    LdevidSubject {
        serial: Some(serial()),
        model: Some("Gateway 3".into()),
        hardware: Some(HardwareModule::new("2.23.133.1.2", b"\x01TPM").unwrap()),
        ..LdevidSubject::new(guid())
    }
}

fn issue(world: &mut World, profile: &LdevidProfile, device: &LdevidSubject) -> Result<Issued, Error> {
    let pointers = |serial: fdo_pki::CertificateSerial| StatusPointers {
        crl: Some(format!("http://pki.example/crl/issuing/{}.crl", serial.shard(256))),
        ocsp: Some("http://pki.example/ocsp".into()),
        issuer: Some("http://pki.example/ca/issuing.cer".into()),
    };
    let csr = world.csr();
    let issuer = world.issuing.issuer.clone();
    profile.prepare_with(&csr, device, &issuer, pointers, NOW, &mut world.rng)?.sign(&world.issuing.key)
}

/// Whether strangers find fault with a leaf, and with the CAs above it.
fn examine(world: &World, leaf: &Issued) -> String {
    let dir = tempfile::tempdir().unwrap();
    let all = [("root", &world.root.issued), ("issuing", &world.issuing.issued), ("leaf", leaf)];
    for (name, issued) in all {
        let text = pem::encode_certificates(&[issued.der()]).unwrap();
        std::fs::write(dir.path().join(format!("{name}.pem")), text).unwrap();
        if let Some(folder) = std::env::var_os("FDO_PKILINT").filter(|folder| !folder.is_empty()) {
            let lint = Path::new(&folder).join("lint_pkix_cert");
            assert_eq!(findings(&lint, dir.path(), &format!("lint -s ERROR {name}.pem")), [""; 0], "{name}");
        }
    }
    let at = NOW + 1;
    let verify = format!("verify -x509_strict -attime {at} -CAfile root.pem -untrusted issuing.pem leaf.pem");
    run("openssl", dir.path(), &verify).unwrap();
    run("openssl", dir.path(), "x509 -in leaf.pem -noout -text -nameopt RFC2253").unwrap()
}

#[test]
fn each_kind_of_profile_passes_strict_checks_and_says_what_it_was_set_to() {
    for key in [KeyType::P256, KeyType::P384] {
        let mut world = World::new(KeyType::P256, key);
        let plain = issue(&mut world, &LdevidProfile::default(), &device()).unwrap();
        let text = examine(&world, &plain);
        let shard = plain.serial().shard(256);
        let crl = format!("URI:http://pki.example/crl/issuing/{shard}.crl");
        for expected in [
            "CRL Distribution Points",
            &crl,
            "OCSP - URI:http://pki.example/ocsp",
            "CA Issuers - URI:http://pki.example/ca/issuing.cer",
            "Subject: serialNumber=FL-0001\n",
            "Authority Key Identifier",
            "Subject Key Identifier",
        ] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    }
}

#[test]
fn names_come_from_the_record_and_the_binding_is_always_there() {
    let mut world = World::p256();
    let profile = LdevidProfile {
        organization: Some("Acme".into()),
        subject: vec![
            ("O".parse().unwrap(), "{organization}".parse().unwrap()),
            ("OU".parse().unwrap(), "{model}".parse().unwrap()),
            ("CN".parse().unwrap(), "gw-{serial}".parse().unwrap()),
        ],
        names: vec!["dns:{serial}.plant.example".parse().unwrap(), "uri:urn:acme:{model}".parse().unwrap()],
        key_uses: vec![KeyUse::DigitalSignature, KeyUse::KeyEncipherment, KeyUse::KeyAgreement],
        extended_key_uses: vec![ExtendedKeyUse::ServerAuth, "1.3.6.1.4.1.32473.7".parse().unwrap()],
        hardware_module: true,
        ..LdevidProfile::default()
    };
    let leaf = issue(&mut world, &profile, &device()).unwrap();
    let text = examine(&world, &leaf);
    for expected in [
        "serialNumber=FL-0001,CN=gw-FL-0001,OU=Gateway 3,O=Acme",
        "URI:urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
        "DNS:FL-0001.plant.example",
        "URI:urn:acme:Gateway%203",
        "Digital Signature, Key Agreement\n",
        "1.3.6.1.4.1.32473.7",
        "othername: 1.3.6.1.5.5.7.8.4",
    ] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    let read = Certificate::parse(leaf.der()).unwrap();
    assert_eq!(read.hardware_module(), device().hardware);
    // What is not known is left out; the serial number and the GUID are not.
    let unknown = LdevidSubject { serial: Some(serial()), ..LdevidSubject::new(guid()) };
    let leaf = issue(&mut world, &profile, &unknown).unwrap();
    let text = examine(&world, &leaf);
    assert!(text.contains("serialNumber=FL-0001,CN=gw-FL-0001,O=Acme"), "{text}");
    assert!(!text.contains("urn:acme") && text.contains("urn:uuid:"), "{text}");
}

#[test]
fn a_short_life_needs_no_list() {
    let mut world = World::p256();
    let profile =
        LdevidProfile { validity_seconds: 6, backdate_seconds: 0, no_rev_avail: true, ..LdevidProfile::default() };
    let leaf = issue(&mut world, &profile, &device()).unwrap();
    assert_eq!((leaf.not_before(), leaf.not_after()), (NOW, NOW + 6));
    let text = examine(&world, &leaf);
    assert!(text.contains("2.5.29.56") || text.contains("No Revocation Available"), "{text}");
    assert!(!text.contains("CRL Distribution") && !text.contains("OCSP"), "{text}");
}

#[test]
fn a_key_or_a_name_that_does_not_fit_is_refused() {
    let mut world = World::p256();
    let other_keys = LdevidProfile { key_types: vec![KeyType::P384], ..LdevidProfile::default() };
    assert!(matches!(issue(&mut world, &other_keys, &device()), Err(Error::UnsupportedKey { .. })));
    let no_name = LdevidProfile { names: vec!["dns:{model}".parse().unwrap()], ..LdevidProfile::default() };
    assert!(matches!(issue(&mut world, &no_name, &device()), Err(Error::InvalidField { .. })));
    let no_signature = LdevidProfile { key_uses: vec![KeyUse::KeyAgreement], ..LdevidProfile::default() };
    assert!(no_signature.check().is_err());
}
