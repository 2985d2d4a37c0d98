//! Networks in every layout, and networks that want to write more than themselves. What was written is read back by a
//! reader of the format; whether the programs themselves accept it is not tested here.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use fdo_protocol::cbor::{Encode, RawItem, encode};

use super::*;

/// A map of already encoded values.
fn map(pairs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.map(pairs.len());
    for (key, value) in pairs {
        writer.unsigned(*key).value(&RawItem(value.clone()));
    }
    writer.into_bytes()
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    encode(&fdo_protocol::cbor::ByteString(bytes.to_vec()))
}

fn e<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    encode(value)
}

fn common(auth: u64) -> Vec<(u64, Vec<u8>)> {
    vec![(0, e("1.0")), (1, e("corp")), (2, e("net")), (3, e(&auth))]
}

fn with(auth: u64, more: &[(u64, Vec<u8>)]) -> Vec<u8> {
    map(&[common(auth), more.to_vec()].concat())
}

fn authority() -> Vec<u8> {
    use fdo_pki::{CaSubject, Lifetime, make_device_ca};
    use fdo_protocol::crypto::{KeyType, SigningKey};
    let mut rng = crate::Random::seeded(1).rng();
    let key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
    let subject = CaSubject { common_name: "Radius".into(), organization: None };
    make_device_ca(&subject, &key, Lifetime::years(1), 1_795_478_400, &mut rng).unwrap().der().to_vec()
}

fn cas(der: &[u8]) -> Vec<u8> {
    e(&vec![fdo_protocol::cbor::ByteString(der.to_vec())])
}

#[test]
fn every_layout_of_every_kind_means_the_same() {
    let pass = || blob(b"correct horse");
    for auth in [1, 2] {
        for item in [
            with(auth, &[(4, pass()), (7, e(&1_u64))]),
            with(auth, &[(4, pass()), (5, e(&1_u64))]),
            with(auth, &[(4, pass()), (6, e(&1_u64))]),
            with(auth, &[(4, e("correct horse")), (6, e(&1_u64)), (200, e("extension"))]),
        ] {
            let network = Network::decode(&item).map_err(|refusal| refusal.error).unwrap();
            let (Security::Wpa2Passphrase(secret) | Security::Sae(secret)) = &network.security else { panic!() };
            assert_eq!((secret.as_str(), network.keep), ("correct horse", true));
        }
    }
    let ca = authority();
    let one = || e(&1_u64);
    for item in [
        with(3, &[(5, e(&1_u64)), (6, cas(&ca)), (7, one()), (10, e("user")), (11, blob(b"pw"))]),
        with(3, &[(4, e(&1_u64)), (5, cas(&ca)), (6, one()), (9, e("user")), (10, blob(b"pw"))]),
    ] {
        let network = Network::decode(&item).map_err(|refusal| refusal.error).unwrap();
        let Security::Enterprise(enterprise) = &network.security else { panic!() };
        assert_eq!((enterprise.method, network.keep), (EapMethod::Peap, true));
        assert_eq!(enterprise.username.as_deref(), Some("user"));
        assert_eq!(enterprise.password.as_ref().unwrap().as_str(), "pw");
    }
    // A peer that drops the method means TLS; a network without a trust level is for onboarding only.
    let network = Network::decode(&with(3, &[(5, cas(&ca))])).map_err(|refusal| refusal.error).unwrap();
    assert!(matches!(&network.security, Security::Enterprise(e) if e.method == EapMethod::Tls));
    assert!(!network.keep);
    let roaming = vec![(8, hex::decode("a100f5").unwrap()), (4, pass())];
    assert!(Network::decode(&with(1, &roaming)).map_err(|refusal| refusal.error).unwrap().fast_roaming);
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_number() {
    let code = |item: &[u8]| Network::decode(item).err().map(|refusal| refusal.error.number());
    let ssid = |ssid: Vec<u8>| map(&[(1, e("a")), (2, blob(&ssid)), (3, e(&0_u64))]);
    let password = |auth, password: &[u8]| with(auth, &[(4, blob(password))]);
    let ca = authority();
    for (expected, item) in [
        (1000, vec![0x80]),
        (1000, map(&[(1, e("a")), (2, e("b"))])),
        (1000, map(&[(0, e("2.0")), (1, e("a")), (2, e("b")), (3, e(&0_u64))])),
        (1000, with(1, &[(4, vec![0xf5])])),
        (1001, map(&[(1, e("a")), (2, e("b")), (3, e(&9_u64))])),
        (1001, with(0, &[(9, vec![0xa0])])),
        (1003, ssid(vec![])),
        (1003, ssid(vec![1; 33])),
        (1003, with(1, &[])),
        (1003, password(1, b"short")),
        (1003, password(1, &[b'x'; 65])),
        (1003, password(1, b"eight\nchars")),
        (1003, password(1, "p\u{e4}ssword".as_bytes())),
        (1003, password(2, b"")),
        (1003, password(2, b"a\rb")),
        (1003, password(2, &[0xff, 0xfe])),
        (1003, password(0, b"correct horse")),
        (1003, with(3, &[])),
        (1003, with(3, &[(5, cas(b"no certificate"))])),
        (1003, with(3, &[(4, e(&0_u64)), (5, e(&1_u64)), (6, cas(&ca))])),
        (1003, with(3, &[(5, cas(&ca)), (6, cas(b"x"))])),
        (1003, with(3, &[(4, e(&1_u64)), (5, cas(&ca)), (9, e("user"))])),
        (1003, with(1, &[(4, blob(b"correct horse")), (6, e(&1_u64)), (7, e(&0_u64))])),
        (1003, with(1, &[(4, blob(b"correct horse")), (6, e(&2_u64))])),
        (1003, map(&[(1, e("a\nb")), (2, e("b")), (3, e(&0_u64))])),
    ] {
        assert_eq!(code(&item), Some(expected), "{}", hex::encode(&item));
    }
    assert_eq!(code(&password(1, &[b'a'; 64])), None);
}

/// Sections of a keyfile with their settings, escapes undone: a line that is neither is an error.
fn keyfile(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').unwrap().to_owned();
            assert!(sections.insert(section.clone(), BTreeMap::new()).is_none(), "{section} twice");
            continue;
        }
        let (key, raw) = line.split_once('=').unwrap();
        let mut value = String::new();
        let mut characters = raw.trim_start().chars();
        while let Some(character) = characters.next() {
            value.push(match character {
                '\\' => match characters.next().unwrap() {
                    's' => ' ',
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' => '\\',
                    other => panic!("unknown escape {other}"),
                },
                other => other,
            });
        }
        assert!(sections.get_mut(&section).unwrap().insert(key.to_owned(), value).is_none(), "{key} twice");
    }
    sections
}

fn written(format: WifiFormat, items: &[Vec<u8>], has_ldevid: bool) -> WifiOutcome {
    let settings = WifiSettings { format, ..WifiSettings::default() };
    let mut wifi = Wifi::new(&settings).unwrap();
    let mut answers = Answers::new(Wifi::NAME);
    for item in items {
        wifi.receive("network-add", item, &mut answers).unwrap();
    }
    assert!(answers.refused().is_empty(), "{:?}", answers.refused());
    wifi.finish(&WifiContext { serial: "SN", state: "/state", has_ldevid })
}

fn content(file: &NamedFile) -> &str {
    std::str::from_utf8(&file.content).unwrap()
}

const PASSWORDS: [&str; 6] =
    ["with \"quotes\"", "back\\slash\\s", "#hash;semi=x", "  two blanks  ", "}\\nnetwork={", "[connection]x"];

#[test]
fn no_value_gets_out_of_a_keyfile() {
    let ssids: [&[u8]; 5] = [b"a\"b\\c=d", b"line\nbreak", &[0xff; 32], b"1;2", b" x "];
    for ssid in ssids {
        for (auth, password) in [1, 2].into_iter().flat_map(|auth| PASSWORDS.map(|password| (auth, password))) {
            let item = map(&[
                (1, e("../../etc/x")),
                (2, blob(ssid)),
                (3, e::<u64>(&auth)),
                (4, blob(password.as_bytes())),
                (6, e(&1_u64)),
            ]);
            let outcome = written(WifiFormat::NetworkManager, &[item], false);
            let files = outcome.files.unwrap();
            assert!(files[0].name.starts_with("fdo-") && !files[0].name.contains('/'), "{}", files[0].name);
            let sections = keyfile(content(&files[0]));
            let names: Vec<_> = sections.keys().map(String::as_str).collect();
            assert_eq!(names, ["connection", "ipv4", "ipv6", "wifi", "wifi-security"]);
            assert_eq!(sections["wifi-security"]["psk"], password);
            let read: Vec<u8> =
                sections["wifi"]["ssid"].split_terminator(';').map(|byte| byte.parse().unwrap()).collect();
            assert_eq!(read, ssid);
        }
    }
}

#[test]
fn no_value_gets_out_of_a_wpa_supplicant_configuration() {
    for password in PASSWORDS {
        let item = |id: &str, auth: u64| {
            map(&[(1, e(id)), (2, blob(b"n\"\nx")), (3, e(&auth)), (4, blob(password.as_bytes())), (6, e(&1_u64))])
        };
        let outcome = written(WifiFormat::WpaSupplicant, &[item("one", 1), item("two", 2)], false);
        let files = outcome.files.unwrap();
        assert_eq!((files.len(), files[0].name.as_str()), (1, "fdo-wpa_supplicant.conf"));
        let lines: Vec<&str> = content(&files[0]).lines().collect();
        assert_eq!(lines.iter().filter(|line| **line == "network={").count(), 2);
        assert_eq!(lines.iter().filter(|line| **line == "}").count(), 2);
        assert_eq!(lines.iter().filter(|line| **line == " ssid=6e220a78").count(), 2);
        // The last quotation mark of the line ends a pass phrase; there is no escape.
        let psk = lines.iter().find_map(|line| line.strip_prefix(" psk=\"")).unwrap();
        assert_eq!(psk.strip_suffix('"').unwrap(), password);
        assert!(lines.contains(&format!(" sae_password={}", hex::encode(password)).as_str()));
    }
}

#[test]
fn networks_for_onboarding_only_are_dropped_and_enterprise_needs_an_ldevid() {
    let ca = authority();
    let items = [
        with(1, &[(4, blob(b"correct horse")), (6, e(&0_u64))]),
        map(&[(1, e("ent")), (2, e("x")), (3, e(&3_u64)), (4, e(&0_u64)), (5, cas(&ca)), (6, e(&1_u64))]),
    ];
    let without = written(WifiFormat::NetworkManager, &items, false);
    assert!(without.files.unwrap().is_empty() && without.refused.len() == 1);
    let with_ldevid = written(WifiFormat::NetworkManager, &items, true);
    let files = with_ldevid.files.unwrap();
    assert_eq!((files.len(), with_ldevid.kept.as_slice()), (1, ["ent".to_owned()].as_slice()));
    let sections = keyfile(content(&files[0]));
    assert_eq!(sections["802-1x"]["private-key"], "/state/ldevid/ldevid-key.pem");
    assert_eq!(sections["802-1x"]["ca-cert"], "/state/wifi-ca/fdo-ent.pem");
    assert_eq!(with_ldevid.authorities[0].name, "fdo-ent.pem");
}

#[test]
fn an_owner_hears_of_an_error_only_when_nothing_is_usable() {
    let mut wifi = Wifi::new(&WifiSettings::default()).unwrap();
    let mut answers = Answers::new(Wifi::NAME);
    wifi.receive("network-add", &with(1, &[(4, blob(b"short"))]), &mut answers).unwrap();
    wifi.turn_ends(&mut answers);
    wifi.turn_ends(&mut answers);
    let said: Vec<_> = answers.pairs().iter().map(|kv| (kv.message(), kv.value.to_vec())).collect();
    assert_eq!(said, [("error", e(&1003_u64))]);
    let mut wifi = Wifi::new(&WifiSettings::default()).unwrap();
    let mut answers = Answers::new(Wifi::NAME);
    wifi.receive("network-add", &with(1, &[(4, blob(b"short"))]), &mut answers).unwrap();
    wifi.receive("network-add", &with(0, &[(6, e(&1_u64))]), &mut answers).unwrap();
    wifi.receive("network-add", &with(0, &[(6, e(&1_u64))]), &mut answers).unwrap();
    wifi.turn_ends(&mut answers);
    assert!(answers.pairs().is_empty() && answers.refused().len() == 2);
    assert!(Wifi::new(&WifiSettings { format: WifiFormat::None, ..WifiSettings::default() }).is_none());
}
