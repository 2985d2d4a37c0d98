//! CRLs and OCSP answers as OpenSSL's command line tool reads them, and requests as it writes them.
#![allow(clippy::unwrap_used)]

mod fixtures;

use std::path::Path;
use std::process::Command;

use fdo_pki::crl::{CrlProfile, RevokedEntry};
use fdo_pki::ocsp::{self, Failure, IssuerId, Request, ResponderId, ResponderProfile, Single, Status};
use fdo_pki::{Certificate, Issued, LdevidProfile, Reason, pem};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fixtures::{NOW, World};

const POINT: &str = "http://127.0.0.1:8046/crl/issuing/7.crl";

fn openssl(dir: &Path, line: &str) -> Result<String, String> {
    let output = Command::new("openssl").current_dir(dir).args(line.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("{line}: {text}")) }
}

fn write_pem(dir: &Path, name: &str, ders: &[&[u8]]) {
    std::fs::write(dir.join(name), pem::encode_certificates(ders).unwrap()).unwrap();
}

/// A chain and a leaf on disk.
fn chain(world: &mut World, dir: &Path) -> Issued {
    let leaf = world.ldevid(&LdevidProfile::default());
    write_pem(dir, "leaf.pem", &[leaf.der()]);
    write_pem(dir, "issuing.pem", &[world.issuing.issued.der()]);
    write_pem(dir, "root.pem", &[world.root.issued.der()]);
    write_pem(dir, "cas.pem", &[world.root.issued.der(), world.issuing.issued.der()]);
    leaf
}

fn crl(world: &World, number: u64, entries: &[RevokedEntry], point: Option<&str>) -> Vec<u8> {
    let profile = CrlProfile { number, this_update: NOW, next_update: NOW + 86_400, distribution_point: point };
    profile.prepare(&world.issuing.issuer, entries).unwrap().sign(&world.issuing.key).unwrap()
}

#[test]
fn openssl_reads_lists_and_refuses_what_stands_in_them() {
    for ca in [KeyType::P256, KeyType::P384] {
        let (mut world, dir) = (World::new(ca, KeyType::P256), tempfile::tempdir().unwrap());
        let leaf = chain(&mut world, dir.path());
        let verify = format!("verify -crl_check -attime {} -CAfile cas.pem -CRLfile list.pem leaf.pem", NOW + 60);
        let write = |list: &[u8]| {
            std::fs::write(dir.path().join("list.crl"), list).unwrap();
            openssl(dir.path(), "crl -inform DER -in list.crl -out list.pem").unwrap();
            let checked = openssl(dir.path(), "crl -in list.pem -CAfile cas.pem -noout -text").unwrap();
            assert!(checked.contains("verify OK"), "{checked}");
            checked
        };
        let empty = write(&crl(&world, 1, &[], None));
        assert!(empty.contains("No Revoked Certificates") && empty.contains("Version 2"), "{empty}");
        openssl(dir.path(), &verify).unwrap();

        let other = RevokedEntry::new(&[0x80, 1], NOW, Reason::Unspecified).unwrap();
        write(&crl(&world, 2, std::slice::from_ref(&other), None));
        openssl(dir.path(), &verify).unwrap();

        let entry = RevokedEntry::new(leaf.serial().as_bytes(), NOW, Reason::KeyCompromise).unwrap();
        let full = write(&crl(&world, 258, &[other, entry.clone()], None));
        for expected in ["Key Compromise", "CRL Number", "258", "Authority Key Identifier"] {
            assert!(full.contains(expected), "{expected} is missing in {full}");
        }
        assert!(!full.contains("Issuing Distribution Point"), "{full}");
        let refused = openssl(dir.path(), &verify).unwrap_err();
        assert!(refused.contains("certificate revoked"), "{refused}");

        let shard = write(&crl(&world, 3, &[entry], Some(POINT)));
        for expected in ["Issuing Distribution Point: critical", POINT, "Only User Certificates"] {
            assert!(shard.contains(expected), "{expected} is missing in {shard}");
        }
    }
}

#[test]
fn a_list_is_signed_by_its_issuer_only_and_ends_after_it_began() {
    let world = World::p256();
    let profile = CrlProfile { number: 1, this_update: NOW, next_update: NOW + 1, distribution_point: None };
    let list = profile.prepare(&world.issuing.issuer, &[]).unwrap();
    assert!(list.sign(&world.root.key).is_err());
    let backwards = CrlProfile { next_update: NOW, ..profile };
    assert!(backwards.prepare(&world.issuing.issuer, &[]).is_err());
}

#[test]
fn times_are_utc_until_2049_and_general_afterwards() {
    let world = World::p256();
    let list = |this_update| {
        let profile =
            CrlProfile { number: 1, this_update, next_update: this_update + 2, distribution_point: None };
        profile.prepare(&world.issuing.issuer, &[]).unwrap().der().to_vec()
    };
    let has = |der: Vec<u8>, text: &[u8]| der.windows(text.len()).any(|window| window == text);
    assert!(has(list(NOW), b"\x17\x0d261124000000Z"));
    assert!(has(list(2_524_607_999), b"\x17\x0d491231235959Z\x18\x0f20500101000001Z"));
}

struct Responder {
    key: SigningKey,
    certificate: Certificate,
    id: ResponderId,
}

fn responder(world: &mut World) -> Responder {
    let key = SigningKey::generate(KeyType::P256, &mut world.rng).unwrap();
    let profile = ResponderProfile {
        common_name: "Owner OCSP responder".into(),
        organization: None,
        validity_seconds: 86_400,
        backdate_seconds: 300,
    };
    let tbs = profile.prepare(key.verifying_key(), &world.issuing.issuer, NOW, &mut world.rng).unwrap();
    let certificate = tbs.sign(&world.issuing.key).unwrap().certificate().unwrap();
    Responder { key, id: ResponderId::new(&certificate).unwrap(), certificate }
}

#[test]
fn openssl_believes_the_delegated_responder() {
    let (mut world, dir) = (World::p256(), tempfile::tempdir().unwrap());
    let leaf = chain(&mut world, dir.path());
    let responder = responder(&mut world);
    write_pem(dir.path(), "responder.pem", &[responder.certificate.der()]);
    let text = openssl(dir.path(), "x509 -in responder.pem -noout -text").unwrap();
    for expected in ["OCSP Signing", "OCSP No Check", "Digital Signature", "CA:FALSE"] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    let issuer = IssuerId::new(&world.issuing.issuer).unwrap();
    let foreign = IssuerId::new(&world.root.issuer).unwrap();
    for (hash, nonce) in [("-sha1", ""), ("-sha256", ""), ("-sha1", "-no_nonce"), ("-sha256", "-no_nonce")] {
        let ask = format!("ocsp -issuer issuing.pem {hash} -cert leaf.pem {nonce} -reqout ask.der");
        openssl(dir.path(), &ask).unwrap();
        let asked = Request::parse(&std::fs::read(dir.path().join("ask.der")).unwrap()).unwrap();
        assert_eq!(asked.nonce.is_none(), nonce == "-no_nonce");
        assert_eq!(asked.ids[0].serial(), leaf.serial().as_bytes());
        assert!(issuer.issued(&asked.ids[0]) && !foreign.issued(&asked.ids[0]));
        for (status, expected) in [
            (Status::Good, "leaf.pem: good"),
            (Status::Unknown, "leaf.pem: unknown"),
            (Status::Revoked { at: NOW, reason: Reason::KeyCompromise }, "Reason: keyCompromise"),
            (Status::Revoked { at: NOW, reason: Reason::Unspecified }, "leaf.pem: revoked"),
        ] {
            let single = Single { id: asked.ids[0].der(), status, this_update: NOW, next_update: NOW + 3_600 };
            let answer = ocsp::answer(&responder.id, NOW, &[single], asked.nonce.as_deref()).unwrap();
            std::fs::write(dir.path().join("answer.der"), answer.sign(&responder.key).unwrap()).unwrap();
            let read = format!(
                "ocsp -issuer issuing.pem {hash} -cert leaf.pem -reqin ask.der -respin answer.der -CAfile cas.pem \
                 -attime {} -validity_period 999999999",
                NOW + 60
            );
            let read = if nonce.is_empty() { read.replace("-reqin ask.der", "-no_nonce") } else { read };
            let said = openssl(dir.path(), &read).unwrap();
            assert!(said.contains("Response verify OK") && said.contains(expected), "{said}");
        }
    }
}

#[test]
fn an_answer_is_signed_by_its_responder_only() {
    let mut world = World::p256();
    let responder = responder(&mut world);
    let answer = ocsp::answer(&responder.id, NOW, &[], None).unwrap();
    assert!(answer.sign(&world.issuing.key).is_err());
}

/// A request for `count` certificates, with extensions in front of the end.
fn request(dir: &Path, count: usize, version: Option<u8>, extensions: &str) -> Vec<u8> {
    let mut text = "asn1=SEQUENCE:request\n[request]\nbody=SEQUENCE:body\n[body]\n".to_owned();
    if let Some(version) = version {
        text += &format!("version=EXPLICIT:0,INTEGER:{version}\n");
    }
    text += "list=SEQUENCE:list\n";
    if !extensions.is_empty() {
        text += "extensions=EXPLICIT:2,SEQUENCE:extensions\n";
        text += extensions;
    }
    text += "[list]\n";
    (0..count).for_each(|number| text += &format!("single{number}=SEQUENCE:single\n"));
    text += "[single]\nid=SEQUENCE:id\n[id]\nhash=SEQUENCE:hash\nname=FORMAT:HEX,OCTETSTRING:00\n\
             key=FORMAT:HEX,OCTETSTRING:00\nserial=INTEGER:5\n[hash]\noid=OID:SHA1\n";
    std::fs::write(dir.join("asn1.cnf"), text).unwrap();
    openssl(dir, "asn1parse -genconf asn1.cnf -noout -out made.der").unwrap();
    std::fs::read(dir.join("made.der")).unwrap()
}

fn nonces(values: &[&str]) -> String {
    let mut text = "[extensions]\n".to_owned();
    values.iter().enumerate().for_each(|(index, _)| text += &format!("n{index}=SEQUENCE:nonce{index}\n"));
    for (index, value) in values.iter().enumerate() {
        text += &format!("[nonce{index}]\noid=OID:1.3.6.1.5.5.7.48.1.2\nvalue=FORMAT:HEX,OCTETSTRING:{value}\n");
    }
    text
}

#[test]
fn requests_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let good = request(dir, 1, None, "");
    assert_eq!(Request::parse(&good).unwrap().ids[0].serial(), [5]);
    assert_eq!(Request::parse(&request(dir, 16, None, "")).unwrap().ids.len(), 16);
    for (what, der) in [
        ("no certificate", request(dir, 0, None, "")),
        ("17 certificates", request(dir, 17, None, "")),
        ("version 2", request(dir, 1, Some(1), "")),
        ("an empty nonce", request(dir, 1, None, &nonces(&["0400"]))),
        ("a nonce of 129 octets", request(dir, 1, None, &nonces(&[&format!("048181{}", "aa".repeat(129))]))),
        ("a nonce that is no octet string", request(dir, 1, None, &nonces(&["020101"]))),
        ("two nonces", request(dir, 1, None, &nonces(&["0401aa", "0401bb"]))),
        ("a trailing byte", [&good[..], &[0]].concat()),
        ("nothing", Vec::new()),
    ] {
        assert!(Request::parse(&der).is_err(), "{what}");
    }
    for length in 0..good.len() {
        assert!(Request::parse(&good[..length]).is_err(), "{length}");
    }
    assert!(matches!(Request::parse(&[0x30; 8193]), Err(fdo_pki::Error::TooLarge { .. })));
    for (octets, value) in [(1, "0401aa".to_owned()), (128, format!("048180{}", "aa".repeat(128)))] {
        let asked = Request::parse(&request(dir, 1, None, &nonces(&[&value]))).unwrap();
        assert_eq!(asked.nonce.unwrap().len(), octets);
    }
    let critical = "[extensions]\nx=SEQUENCE:x\n[x]\noid=OID:1.2.3.4\ncritical=BOOLEAN:true\nvalue=FORMAT:HEX,OCTETSTRING:00\n";
    assert!(Request::parse(&request(dir, 1, None, critical)).is_err());
    let plain = critical.replace("critical=BOOLEAN:true\n", "");
    assert!(Request::parse(&request(dir, 1, None, &plain)).is_ok());
}

#[test]
fn failures_are_what_openssl_takes_them_for() {
    let (mut world, dir) = (World::p256(), tempfile::tempdir().unwrap());
    chain(&mut world, dir.path());
    for (failure, name) in [
        (Failure::MalformedRequest, "malformedrequest (1)"),
        (Failure::InternalError, "internalerror (2)"),
        (Failure::TryLater, "trylater (3)"),
        (Failure::Unauthorized, "unauthorized (6)"),
    ] {
        std::fs::write(dir.path().join("failure.der"), failure.der()).unwrap();
        let said = openssl(dir.path(), "ocsp -respin failure.der -issuer issuing.pem -cert leaf.pem").unwrap_err();
        assert!(said.contains(name), "{said}");
    }
}
