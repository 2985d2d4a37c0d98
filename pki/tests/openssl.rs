//! What OpenSSL's command line tool says about what we make, and what we say about what it makes.
#![allow(clippy::unwrap_used)]

mod fixtures;

use std::path::Path;
use std::process::Command;

use fdo_pki::{
    Certificate, ChainPolicy, Csr, DeviceChain, Error, HardwareModule, IdevidProfile, IdevidSubject,
    LdevidProfile, LdevidSubject, Lifetime, ServerName, TrustedCas, build_csr, make_tls_server, pem, pkcs7,
};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fixtures::{NOW, World, guid, key, rng, serial};

/// Runs `openssl` in `dir`; standard output, or what it complained about.
fn openssl(dir: &Path, line: &str) -> Result<String, String> {
    let output = Command::new("openssl").current_dir(dir).args(line.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text + &complaint) } else { Err(format!("{line}: {text}{complaint}")) }
}

fn write_pem(dir: &Path, name: &str, der: &[u8]) {
    std::fs::write(dir.join(name), pem::encode_certificates(&[der]).unwrap()).unwrap();
}

#[test]
fn an_ldevid_chain_passes_strict_verification_as_a_tls_client() {
    for (ca, device) in
        [(KeyType::P256, KeyType::P256), (KeyType::P384, KeyType::P384), (KeyType::P384, KeyType::P256)]
    {
        let mut world = World::new(ca, device);
        let dir = tempfile::tempdir().unwrap();
        let ldevid = world.ldevid(&LdevidProfile::default());
        write_pem(dir.path(), "root.pem", world.root.issued.der());
        write_pem(dir.path(), "issuing.pem", world.issuing.issued.der());
        write_pem(dir.path(), "leaf.pem", ldevid.der());
        let verify = format!("verify -x509_strict -attime {} -CAfile root.pem -untrusted issuing.pem", NOW + 60);
        openssl(dir.path(), &format!("{verify} -purpose sslclient leaf.pem")).unwrap();
        let server = openssl(dir.path(), &format!("{verify} -purpose sslserver leaf.pem"));
        assert!(server.is_err(), "a client's certificate passed as a server's");
        let text = openssl(dir.path(), "x509 -in leaf.pem -noout -text -certopt ext_parse").unwrap();
        for expected in ["serialNumber = FL-0001", "URI:urn:uuid:01234567-89ab", "CA:FALSE", "TLS Web Client"] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    }
}

#[test]
fn an_idevid_has_no_end_and_names_its_hardware() {
    let mut world = World::p256();
    let dir = tempfile::tempdir().unwrap();
    let profile = IdevidProfile { organization: Some("Example".into()), model: Some("Gateway 3".into()) };
    let hardware = HardwareModule::new("2.23.133.1.2", b"\x01TPM").unwrap();
    let record = IdevidSubject { serial: serial(), common_name: Some("gw".into()), hardware: Some(hardware) };
    let idevid = world.idevid(&profile, &record);
    write_pem(dir.path(), "ca.pem", world.device_ca.issued.der());
    write_pem(dir.path(), "leaf.pem", idevid.der());
    let text = openssl(dir.path(), "x509 -in leaf.pem -noout -text").unwrap();
    for expected in [
        "Not After : Dec 31 23:59:59 9999 GMT",
        "Subject: O = Example, OU = Gateway 3, CN = gw, serialNumber = FL-0001",
        "othername: 1.3.6.1.5.5.7.8.4",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    assert!(!text.contains("Subject Key Identifier") && !text.contains("Basic Constraints"), "{text}");
    let parsed = openssl(dir.path(), "asn1parse -in leaf.pem -i").unwrap();
    assert!(parsed.contains("PRINTABLESTRING   :FL-0001"), "{parsed}");
    openssl(dir.path(), &format!("verify -attime {} -CAfile ca.pem leaf.pem", NOW + 60)).unwrap();
}

#[test]
fn our_requests_verify_with_openssl() {
    for key_type in [KeyType::P256, KeyType::P384] {
        let dir = tempfile::tempdir().unwrap();
        let der = build_csr(&key(key_type), Some("device"), &serial()).unwrap();
        std::fs::write(dir.path().join("csr.pem"), pem::encode_csr(&der).unwrap()).unwrap();
        let text = openssl(dir.path(), "req -in csr.pem -noout -verify -subject").unwrap();
        assert!(text.contains("verify OK") && text.contains("serialNumber = FL-0001"), "{text}");
    }
}

#[test]
fn requests_made_by_openssl_are_accepted_in_every_encoding() {
    let dir = tempfile::tempdir().unwrap();
    for curve in ["prime256v1", "secp384r1"] {
        for digest in ["sha256", "sha384"] {
            let new = format!(
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -{digest} -keyout k -out c"
            );
            openssl(dir.path(), &format!("{new} -subj /CN=dev/serialNumber=X -addext subjectAltName=DNS:a"))
                .unwrap();
            openssl(dir.path(), "req -in c -outform DER -out d").unwrap();
            let text = std::fs::read(dir.path().join("c")).unwrap();
            let der = std::fs::read(dir.path().join("d")).unwrap();
            let base64 = fdo_pki::encode_base64(&der);
            let wrapped = base64.as_bytes().chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..]);
            for body in [&text, &der, &wrapped] {
                let csr = Csr::from_any(body).unwrap().verify().unwrap();
                assert_eq!(csr.der(), der);
                assert_eq!(csr.requested_subject(), "CN=dev, serialNumber=X");
            }
        }
    }
}

#[test]
fn rsa_keys_have_idevids_and_where_the_profile_allows_ldevids() {
    for bits in [2048, 3072] {
        let dir = tempfile::tempdir().unwrap();
        openssl(dir.path(), &format!("genrsa -out k {bits}")).unwrap();
        for digest in ["sha256", "sha384", "sha512"] {
            let new = format!("req -new -key k -{digest} -subj /CN=dev -outform DER -out d");
            openssl(dir.path(), &new).unwrap();
            Csr::parse(&std::fs::read(dir.path().join("d")).unwrap()).unwrap().verify().unwrap();
        }
        let mut world = World::p256();
        world.device = SigningKey::from_pem(&std::fs::read_to_string(dir.path().join("k")).unwrap()).unwrap();
        let der = build_csr(&world.device, Some("device"), &serial()).unwrap();
        std::fs::write(dir.path().join("csr.pem"), pem::encode_csr(&der).unwrap()).unwrap();
        let text = openssl(dir.path(), "req -in csr.pem -noout -verify").unwrap();
        assert!(text.contains("verify OK"), "{text}");
        let mut forged = der.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(Csr::parse(&forged).unwrap().verify(), Err(Error::BadSignature { .. })));

        let idevid = world.plain_idevid();
        write_pem(dir.path(), "ca.pem", world.device_ca.issued.der());
        write_pem(dir.path(), "leaf.pem", idevid.der());
        openssl(dir.path(), &format!("verify -attime {} -CAfile ca.pem leaf.pem", NOW + 60)).unwrap();
        let text = openssl(dir.path(), "x509 -in leaf.pem -noout -text").unwrap();
        assert!(text.contains(&format!("Public-Key: ({bits} bit)")), "{text}");
        let mut trusted = TrustedCas::new();
        trusted.pin_certificate(Certificate::parse(world.device_ca.issued.der()).unwrap());
        let chain = [idevid.der().to_vec(), world.device_ca.issued.der().to_vec()];
        let chain = DeviceChain::parse(&chain).unwrap();
        assert_eq!(chain.leaf_key(), world.device.verifying_key());
        chain.verify(&trusted, &ChainPolicy::default()).unwrap();

        let device = LdevidSubject { serial: Some(serial()), ..LdevidSubject::new(guid()) };
        let csr = world.csr();
        let refused = LdevidProfile::default().prepare(&csr, &device, &world.issuing.issuer, NOW, &mut world.rng);
        assert!(matches!(refused, Err(Error::UnsupportedKey { .. })));
        world.ldevid(&LdevidProfile { key_types: KeyType::ISSUED.to_vec(), ..LdevidProfile::default() });
    }
}

#[test]
fn a_device_chain_under_an_rsa_ca_holds() {
    let dir = tempfile::tempdir().unwrap();
    for bits in [2048, 4096] {
        let ca = format!("req -x509 -newkey rsa:{bits} -nodes -keyout cak -out ca.pem -subj /CN=ca -days 9000");
        openssl(dir.path(), &ca).unwrap();
        openssl(dir.path(), "req -new -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=dev").unwrap();
        openssl(dir.path(), "x509 -req -in c -CA ca.pem -CAkey cak -set_serial 7 -days 9000 -out leaf.pem")
            .unwrap();
        let read = |name: &str| {
            pem::decode_certificates(&std::fs::read_to_string(dir.path().join(name)).unwrap()).unwrap().remove(0)
        };
        let (ca, leaf) = (read("ca.pem"), read("leaf.pem"));
        let mut trusted = TrustedCas::new();
        trusted.pin_certificate(Certificate::parse(&ca).unwrap());
        let chain = DeviceChain::parse(&[leaf.clone(), ca.clone()]).unwrap();
        assert_eq!(chain.leaf_key().key_type(), KeyType::Rsa2048);
        chain.verify(&trusted, &ChainPolicy::default()).unwrap();
        let mut forged = leaf;
        *forged.last_mut().unwrap() ^= 1;
        let forged = DeviceChain::parse(&[forged, ca]).unwrap();
        assert!(forged.verify(&trusted, &ChainPolicy::default()).is_err());
    }
}

#[test]
fn weak_and_unlisted_keys_are_refused_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |make: &str| {
        openssl(dir.path(), &format!("{make} -nodes -subj /CN=dev -keyout k -outform DER -out d")).unwrap();
        match Csr::parse(&std::fs::read(dir.path().join("d")).unwrap()) {
            Err(Error::UnsupportedKey { reason }) => reason,
            other => panic!("{make}: {other:?}"),
        }
    };
    assert!(refused("req -new -newkey rsa:1024").contains("less than 2048"));
    assert!(refused("req -new -newkey rsa:2056").contains("3072"));
    assert!(refused("req -new -newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3").contains("exponent"));
    assert!(refused("req -new -newkey ec -pkeyopt ec_paramgen_curve:secp256k1").contains("curve"));
    assert!(refused("req -new -newkey ec -pkeyopt ec_paramgen_curve:secp521r1").contains("curve"));
    assert!(refused("req -new -newkey ed25519").contains("Ed25519"));
}

#[test]
fn certs_only_messages_are_exchanged_with_openssl() {
    let world = World::p256();
    let dir = tempfile::tempdir().unwrap();
    let certificates = [world.root.issued.der(), world.issuing.issued.der()];
    std::fs::write(dir.path().join("p7"), pkcs7::build_certs_only(&certificates).unwrap()).unwrap();
    let text = openssl(dir.path(), "pkcs7 -inform DER -in p7 -print_certs -noout").unwrap();
    assert!(text.contains("Owner Root") && text.contains("Owner Issuing"), "{text}");

    write_pem(dir.path(), "a.pem", certificates[0]);
    write_pem(dir.path(), "b.pem", certificates[1]);
    openssl(dir.path(), "crl2pkcs7 -nocrl -certfile a.pem -certfile b.pem -outform DER -out theirs").unwrap();
    let mut read = pkcs7::parse_certs_only(&std::fs::read(dir.path().join("theirs")).unwrap()).unwrap();
    let mut expected = certificates.map(<[u8]>::to_vec).to_vec();
    read.sort();
    expected.sort();
    assert_eq!(read, expected);
}

#[test]
fn a_listeners_certificate_is_valid_for_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let signer: SigningKey = key(KeyType::P256);
    let names = [ServerName::Dns("maker.example".into()), ServerName::Ip("127.0.0.1".parse().unwrap())];
    let issued = make_tls_server("claims", &names, &signer, Lifetime::years(10), NOW, &mut rng()).unwrap();
    write_pem(dir.path(), "tls.pem", issued.der());
    let verify = format!("verify -x509_strict -attime {} -CAfile tls.pem -purpose sslserver", NOW + 60);
    openssl(dir.path(), &format!("{verify} -verify_hostname maker.example tls.pem")).unwrap();
    openssl(dir.path(), &format!("{verify} -verify_ip 127.0.0.1 tls.pem")).unwrap();
    assert!(openssl(dir.path(), &format!("{verify} -verify_hostname other.example tls.pem")).is_err());
}

#[test]
fn a_foreign_device_certificate_without_extensions_cannot_sign_another_device() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| openssl(dir.path(), line).unwrap();
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("{new} -x509 -subj /CN=CA -keyout ca.key -out ca.pem"));
    for (name, signer) in [("device", "ca"), ("fake", "device")] {
        run(&format!("{new} -new -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        run(&format!(
            "x509 -req -in {name}.csr -CA {signer}.pem -CAkey {signer}.key -set_serial 1 -out {name}.pem"
        ));
    }
    let der = |name: &str| {
        let text = std::fs::read_to_string(dir.path().join(format!("{name}.pem"))).unwrap();
        pem::decode_certificates(&text).unwrap().remove(0)
    };
    let mut trusted = TrustedCas::new();
    trusted.pin_certificate(Certificate::parse(&der("ca")).unwrap());
    let verify = |names: &[&str]| {
        let chain: Vec<_> = names.iter().map(|name| der(name)).collect();
        DeviceChain::parse(&chain).unwrap().verify(&trusted, &ChainPolicy::default())
    };
    verify(&["device", "ca"]).unwrap();
    verify(&["device"]).unwrap();
    for chain in [&["fake", "device", "ca"][..], &["fake", "device"]] {
        assert!(matches!(verify(chain), Err(Error::WrongUse { index: 1, .. })), "{chain:?}");
    }
}

#[test]
fn key_usages_are_kept_in_a_chain() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| openssl(dir.path(), line).unwrap();
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let outcome = |ca_usage: &str, leaf_usage: &str| {
        run(&format!("{new} -x509 -subj /CN=CA -keyout ca.key -out ca.pem -addext keyUsage={ca_usage}"));
        run(&format!("{new} -new -subj /CN=device -keyout d.key -out d.csr -addext keyUsage={leaf_usage}"));
        run("x509 -req -in d.csr -CA ca.pem -CAkey ca.key -set_serial 1 -copy_extensions copyall -out d.pem");
        let text = ["d.pem", "ca.pem"].map(|name| std::fs::read_to_string(dir.path().join(name)).unwrap());
        let chain = pem::decode_certificates(&text.concat()).unwrap();
        let mut trusted = TrustedCas::new();
        trusted.pin_certificate(Certificate::parse(&chain[1]).unwrap());
        DeviceChain::parse(&chain).unwrap().verify(&trusted, &ChainPolicy::default())
    };
    outcome("keyCertSign", "digitalSignature").unwrap();
    assert!(matches!(outcome("keyCertSign", "keyAgreement"), Err(Error::WrongUse { index: 0, .. })));
    assert!(matches!(outcome("digitalSignature", "digitalSignature"), Err(Error::WrongUse { index: 1, .. })));
}
