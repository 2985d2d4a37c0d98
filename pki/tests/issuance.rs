//! Requests in, certificates out: what profiles decide, and what a request cannot make them do.
#![allow(clippy::unwrap_used)]

mod fixtures;

use fdo_pki::{
    Certificate, Csr, DeviceSerial, Error, ExtendedKeyUse, IdevidProfile, Issuer, LdevidProfile, LdevidSubject,
    Lifetime, ServerName, build_csr, make_tls_server, pkcs7,
};
use fdo_protocol::crypto::KeyType;
use fixtures::{GUID, NOW, World, guid, key, record, rng, serial};

const DAY: u64 = 86_400;

#[test]
fn an_ldevid_names_the_device_of_the_voucher_and_not_the_request() {
    let mut world = World::p256();
    let der = build_csr(&world.device, Some("admin"), &DeviceSerial::parse("OTHER").unwrap()).unwrap();
    let csr = Csr::parse(&der).unwrap().verify().unwrap();
    let profile = LdevidProfile { organization: Some("Owner".into()), ..LdevidProfile::default() };
    let device = LdevidSubject { serial: Some(serial()), ..LdevidSubject::new(guid()) };
    let tbs = profile.prepare(&csr, &device, &world.issuing.issuer, NOW, &mut world.rng).unwrap();
    let (stored_serial, stored) = (tbs.serial(), tbs.der().to_vec());
    let issued = tbs.sign(&world.issuing.key).unwrap();
    assert_eq!(issued.serial(), stored_serial);
    assert!(issued.der().windows(stored.len()).any(|window| window == stored));

    let certificate = issued.certificate().unwrap();
    assert_eq!(certificate.subject(), "O=Owner, serialNumber=FL-0001");
    assert_eq!(certificate.issuer(), "O=Example, CN=Owner Issuing");
    assert_eq!(certificate.uris(), [format!("urn:uuid:{GUID}")]);
    assert_eq!(certificate.serial(), issued.serial().to_string());
    assert_eq!(certificate.spki_sha256(), csr.spki_sha256());
    assert_eq!((certificate.not_before(), certificate.not_after()), (NOW - 300, NOW + 90 * DAY));
    assert_eq!((issued.not_before(), issued.not_after()), (certificate.not_before(), certificate.not_after()));
    assert!(!certificate.is_ca());
    certificate.verify_signed_by(&world.issuing.issued.certificate().unwrap()).unwrap();
    assert!(certificate.verify_signed_by(&world.root.issued.certificate().unwrap()).is_err());
    certificate.check_validity("LDevID", NOW + 90 * DAY).unwrap();
    assert!(certificate.check_validity("LDevID", NOW + 90 * DAY + 1).is_err());
}

#[test]
fn without_a_serial_the_guid_takes_its_place() {
    let mut world = World::p256();
    let csr = world.csr();
    let device = LdevidSubject::new(guid());
    let tbs = LdevidProfile::default().prepare(&csr, &device, &world.issuing.issuer, NOW, &mut world.rng);
    assert_eq!(tbs.unwrap().subject(), format!("serialNumber={GUID}"));
}

#[test]
fn an_ldevid_never_outlives_its_issuer() {
    let mut world = World::p256();
    let csr = world.csr();
    let device = LdevidSubject::new(guid());
    let end = world.issuing.issuer.not_after();
    let profile = LdevidProfile::default();
    let late = profile.prepare(&csr, &device, &world.issuing.issuer, end - DAY, &mut world.rng).unwrap();
    assert_eq!(late.not_after(), end);
    let after = profile.prepare(&csr, &device, &world.issuing.issuer, end, &mut world.rng);
    assert!(matches!(after, Err(Error::NotValidNow { .. })));
    assert!(end <= world.root.issuer.not_after());
}

#[test]
fn profiles_are_checked() {
    let mut world = World::p256();
    let csr = world.csr();
    let device = LdevidSubject::new(guid());
    for (validity_seconds, organization) in [(0, None), (400 * DAY, None), (DAY, Some("x".repeat(65)))] {
        let profile = LdevidProfile { validity_seconds, organization, ..LdevidProfile::default() };
        let refused = profile.prepare(&csr, &device, &world.issuing.issuer, NOW, &mut world.rng);
        assert!(matches!(refused, Err(Error::InvalidField { .. })));
    }
    let both = vec![ExtendedKeyUse::ClientAuth, ExtendedKeyUse::ServerAuth];
    let profile = LdevidProfile { extended_key_uses: both, ..LdevidProfile::default() };
    world.ldevid(&profile);
    assert!(fdo_pki::HardwareModule::new("not an oid", b"1").is_err());
    assert!(fdo_pki::HardwareModule::new("1.2.3", b"").is_err());
}

#[test]
fn only_the_issuers_key_signs() {
    let mut world = World::p256();
    let csr = world.csr();
    let tbs =
        IdevidProfile::default().prepare(&csr, &record(), &world.device_ca.issuer, NOW, &mut world.rng).unwrap();
    assert!(matches!(tbs.clone().sign(&world.root.key), Err(Error::Signer(_))));
    tbs.sign(&world.device_ca.key).unwrap();
}

#[test]
fn an_expired_device_ca_issues_nothing() {
    let mut world = World::p256();
    let name = fdo_pki::CaSubject { common_name: "Old".into(), organization: None };
    let old = fdo_pki::make_device_ca(&name, &world.root.key, Lifetime::years(1), NOW, &mut world.rng).unwrap();
    let issuer = Issuer::new(&old.certificate().unwrap()).unwrap();
    let late = NOW + 2 * 366 * DAY;
    let csr = world.csr();
    let refused = IdevidProfile::default().prepare(&csr, &record(), &issuer, late, &mut world.rng);
    assert!(matches!(refused, Err(Error::NotValidNow { .. })));
}

#[test]
fn only_a_ca_becomes_an_issuer() {
    let mut world = World::p256();
    let leaf = world.plain_idevid().certificate().unwrap();
    assert!(matches!(Issuer::new(&leaf), Err(Error::WrongUse { .. })));
}

#[test]
fn a_request_with_a_bad_signature_is_told_from_a_malformed_one() {
    let der = build_csr(&key(KeyType::P256), None, &serial()).unwrap();
    let mut changed = der.clone();
    let position = der.windows(7).position(|window| window == b"FL-0001").unwrap();
    changed[position] = b'X';
    assert!(matches!(Csr::parse(&changed).unwrap().verify(), Err(Error::BadSignature { .. })));
    assert!(matches!(Csr::parse(&der[1..]), Err(Error::Malformed { .. })));
    assert!(matches!(Csr::parse(&[&der[..], &[0]].concat()), Err(Error::Malformed { .. })));
    assert!(matches!(Csr::from_any(b"no base64!"), Err(Error::Malformed { .. })));
    assert!(matches!(Csr::from_any(b""), Err(Error::Malformed { .. })));
    assert!(matches!(Csr::from_any(&vec![b'A'; 60_000]), Err(Error::TooLarge { .. })));
    assert!(matches!(Csr::parse(&vec![0x30; 20_000]), Err(Error::TooLarge { .. })));
    // Version 1 (the INTEGER right after the two SEQUENCE headers).
    let mut version = der.clone();
    let position = der.windows(3).position(|window| window == [2, 1, 0]).unwrap();
    version[position + 2] = 1;
    assert!(matches!(Csr::parse(&version), Err(Error::Malformed { .. })));
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let der = build_csr(&key(KeyType::P256), None, &serial()).unwrap();
    let start = der.windows(3).position(|window| window == [0x42, 0x00, 0x04]).unwrap();
    let mut changed = der.clone();
    changed[start + 40] ^= 1;
    assert!(matches!(Csr::parse(&changed), Err(Error::UnsupportedKey { .. })));
}

#[test]
fn certs_only_messages_read_back_in_base64() {
    let world = World::p256();
    let [root, issuing] = [&world.root, &world.issuing].map(|ca| ca.issued.der().to_vec());
    let text = pkcs7::encode_certs_only(&[&root, &issuing, &root]).unwrap();
    assert!(!text.contains(char::is_whitespace));
    let spread = text.as_bytes().chunks(76).collect::<Vec<_>>().join(&b"\r\n"[..]);
    let mut read = pkcs7::decode_certs_only(&spread).unwrap();
    read.sort();
    let mut expected = vec![root, issuing];
    expected.sort();
    assert_eq!(read, expected);
    // Neither CRLs nor signers: the message ends with the empty set of signers.
    assert!(fdo_pki::decode_base64(text.as_bytes(), 1 << 16).unwrap().ends_with(&[0x31, 0]));
}

#[test]
fn bad_certs_only_messages_are_refused() {
    let world = World::p256();
    let good = pkcs7::build_certs_only(&[world.root.issued.der()]).unwrap();
    for end in 0..good.len() {
        assert!(pkcs7::parse_certs_only(&good[..end]).is_err());
    }
    let mut bytes = good.clone();
    for index in 0..good.len() {
        bytes[index] ^= 0x20;
        let _ = pkcs7::parse_certs_only(&bytes);
        bytes[index] ^= 0x20;
    }
    assert!(pkcs7::parse_certs_only(&pkcs7::build_certs_only::<Vec<u8>>(&[]).unwrap()).is_err());
    assert!(pkcs7::parse_certs_only(world.root.issued.der()).is_err());
    assert!(pkcs7::build_certs_only(&[b"no certificate"]).is_err());
}

#[test]
fn server_names_are_checked() {
    let signer = key(KeyType::P256);
    for names in [vec![], vec![ServerName::Dns(String::new())], vec![ServerName::Dns("a b".into())]] {
        let made = make_tls_server("claims", &names, &signer, Lifetime::years(1), NOW, &mut rng());
        assert!(matches!(made, Err(Error::InvalidField { .. })));
    }
}

#[test]
fn an_issuing_ca_must_not_share_the_roots_name() {
    let mut world = World::p256();
    let name = fdo_pki::CaSubject { common_name: "Owner Root".into(), organization: Some("Example".into()) };
    let public = world.device.verifying_key().clone();
    let made =
        fdo_pki::make_issuing_ca(&name, &public, &world.root.issuer, Lifetime::years(1), NOW, &mut world.rng);
    assert!(matches!(made, Err(Error::InvalidField { .. })));
}

#[test]
fn a_certificate_names_its_facts() {
    let world = World::new(KeyType::P384, KeyType::P256);
    let root = Certificate::parse(world.root.issued.der()).unwrap();
    assert!(root.is_ca());
    assert_eq!(root.subject(), "O=Example, CN=Owner Root");
    assert_eq!(root.common_name(), Some("Owner Root"));
    assert_eq!(root.not_after(), NOW + 20 * 31_557_600);
    assert_eq!(root.public_key().unwrap().key_type(), KeyType::P384);
    assert_eq!(root.spki(), world.root.key.verifying_key().spki_der());
    root.verify_signed_by(&root).unwrap();
}
