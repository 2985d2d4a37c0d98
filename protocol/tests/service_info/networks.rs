//! Every layout of a network in the field means the same, and a bad one gets its number.

use fdo_protocol::cbor::{ByteString, Encode, Writer};
use fdo_protocol::service_info::ModuleMessage;
use fdo_protocol::service_info::wifi::{
    self, AuthType, EapMethod, Layout, Network, NetworkAdd, Secret, TrustLevel, WifiError,
};

/// A device CA in DER (basicConstraints: CA).
const CA: &str = concat!(
    "308201a53082012ca003020102020101300a06082a8648ce3d040303301b3119301706035504031310566563746f72204465",
    "766963652043413020170d3236313132333139333732315a180f32303536313131353230333732315a301b31193017060355",
    "04031310566563746f72204465766963652043413076301006072a8648ce3d020106052b810400220362000421dddcdb4cc9",
    "e4ab67b6001c085fa044b9e8027d81ae078c9c27e16488a13c8efb28ee66fc09845517e9ec55495a197e955e380216a53a9c",
    "f523bd44f12d35c876463df6a8475409e997cc7d05ac23d4ad2bde4a96b599ac9a1fea9a85bdbe89a3423040300e0603551d",
    "0f0101ff040403020204300f0603551d130101ff040530030101ff301d0603551d0e04160414cfe9d9e3eb664f195dd56d32",
    "bea1444ee185388b300a06082a8648ce3d04030303670030640230515e4daa7b3b3c1ef66a393392e28a787f38eeb1b6ebd5",
    "af10503d446ef0b620485cbc21f67c37fde191abe2866c8d6802302a3b8c4c39bcb94a700fd0d9deba909e5337cce79b3da0",
    "e2394540e86b624f73112888d0a43408890ad1feaac6fdc18e",
);

pub fn ca() -> Vec<u8> {
    hex::decode(CA).unwrap()
}

/// A `network-add` from numbered, encoded values.
fn add(fields: &[(u64, &dyn Encode)]) -> Result<Network, WifiError> {
    let mut map = Writer::default();
    map.map(fields.len());
    for (key, value) in fields {
        map.unsigned(*key);
        value.encode_into(&mut map);
    }
    read(&map.into_bytes())
}

fn read(item: &[u8]) -> Result<Network, WifiError> {
    match wifi::ToDevice::decode("network-add", item).unwrap() {
        Some(wifi::ToDevice::NetworkAdd(add)) => add.network(),
        _ => unreachable!(),
    }
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

#[test]
fn every_layout_of_a_network_means_the_same() {
    let (version, id, ssid) = (&"1.0".to_owned(), &"corp".to_owned(), &"Corp".to_owned());
    let (pass, full) = (&bytes("pass phrase"), &1_u8);
    for (number, auth) in [(1_u8, AuthType::Wpa2Psk), (2, AuthType::Wpa3Psk)] {
        let expected = Network::with_password("corp", b"Corp", auth, b"pass phrase");
        for trust in [7, 5, 6] {
            let network = add(&[(0, version), (1, id), (2, ssid), (3, &number), (4, pass), (trust, full)]);
            assert_eq!(network.as_ref(), Ok(&expected), "auth {number}, trust in {trust}");
        }
    }
    let anchors = &vec![ByteString(ca())];
    let mut expected = Network::with_password("corp", b"Corp", AuthType::Enterprise, b"");
    expected.password = None;
    expected.eap_method = Some(EapMethod::Tls);
    expected.ca_certificates = vec![ca()];
    let base: [(u64, &dyn Encode); 4] = [(0, version), (1, id), (2, ssid), (3, &3_u8)];
    let with = |rest: &[(u64, &dyn Encode)]| add(&[&base, rest].concat());
    let tls = &0_u8;
    assert_eq!(with(&[(5, tls), (6, anchors), (7, full)]).as_ref(), Ok(&expected));
    assert_eq!(with(&[(4, tls), (5, anchors), (6, full)]).as_ref(), Ok(&expected));
    assert_eq!(with(&[(5, anchors), (6, full)]).as_ref(), Ok(&expected));
    expected.eap_method = Some(EapMethod::Peap);
    expected.eap_username = Some("user".into());
    expected.eap_password = Some(Secret::new(b"secret"));
    let (peap, user, secret) = (&1_u8, &"user".to_owned(), &bytes("secret"));
    let schema = with(&[(5, peap), (6, anchors), (7, full), (10, user), (11, secret)]);
    assert_eq!(schema.as_ref(), Ok(&expected));
    let moved = with(&[(4, peap), (5, anchors), (6, full), (9, user), (10, secret)]);
    assert_eq!(moved.as_ref(), Ok(&expected));
    // Passwords as text.
    let text = with(&[(4, peap), (5, anchors), (6, full), (9, user), (10, &"secret".to_owned())]);
    assert_eq!(text.as_ref(), Ok(&expected));
    for layout in [Layout::Go, Layout::Schema] {
        assert_eq!(NetworkAdd::new(&expected, layout).network().as_ref(), Ok(&expected));
    }
}

#[test]
fn a_password_network_is_written_as_go_reads_it() {
    let network = Network::with_password("corp", b"Corp", AuthType::Wpa2Psk, b"12345678");
    let kv = wifi::ToDevice::NetworkAdd(NetworkAdd::new(&network, Layout::Go)).to_kv();
    assert_eq!(
        hex::encode(&*kv.value),
        "a60063312e300164636f72700264436f727003010448313233343536373806 01".replace(' ', "")
    );
}

#[test]
fn a_bad_network_gets_its_number() {
    let (id, ssid, pass) = (&"corp".to_owned(), &"Corp".to_owned(), &bytes("pass phrase"));
    let anchors = &vec![ByteString(ca())];
    let not_ca = &vec![ByteString(vec![0x30, 0])];
    let psk: [(u64, &dyn Encode); 4] = [(1, id), (2, ssid), (3, &1_u8), (4, pass)];
    let eap: [(u64, &dyn Encode); 3] = [(1, id), (2, ssid), (3, &3_u8)];
    let refused =
        |base: &[(u64, &dyn Encode)], rest: &[(u64, &dyn Encode)]| add(&[base, rest].concat()).unwrap_err();
    assert_eq!(refused(&psk[..3], &[]), WifiError::InvalidNetwork);
    assert_eq!(refused(&psk[1..], &[]), WifiError::BadFormat);
    assert_eq!(refused(&psk, &[(0, &"2.0".to_owned())]), WifiError::BadFormat);
    assert_eq!(refused(&psk, &[(5, &0_u8), (6, &1_u8)]), WifiError::InvalidNetwork);
    assert_eq!(refused(&psk, &[(7, &2_u8)]), WifiError::InvalidNetwork);
    assert_eq!(refused(&psk, &[(7, &true)]), WifiError::BadFormat);
    assert_eq!(refused(&psk[..2], &[(3, &4_u8)]), WifiError::UnsupportedAuth);
    assert_eq!(refused(&eap, &[(4, &0_u8), (5, &0_u8), (6, anchors)]), WifiError::InvalidNetwork);
    assert_eq!(refused(&eap, &[(5, &9_u8), (6, anchors)]), WifiError::UnsupportedAuth);
    assert_eq!(refused(&eap, &[(5, &0_u8), (6, not_ca)]), WifiError::InvalidNetwork);
    assert_eq!(refused(&eap, &[(5, &0_u8)]), WifiError::InvalidNetwork);
    assert_eq!(refused(&eap, &[(5, &1_u8), (6, anchors)]), WifiError::InvalidNetwork);
    assert_eq!(read(&[0x80]).unwrap_err(), WifiError::BadFormat);
    // Absent trust is the lowest, unknown keys of any kind are ignored.
    let trust = add(&[&psk[..], &[(99, &true)]].concat()).unwrap().trust;
    assert_eq!(trust, TrustLevel::OnboardOnly);
    let mut odd = Writer::default();
    odd.map(5).unsigned(1).text("guest").unsigned(2).bytes(&[0xff]).unsigned(3).unsigned(0);
    odd.text("note").bool(true).integer(-1).bool(true);
    assert_eq!(read(&odd.into_bytes()).unwrap().ssid, [0xff]);
}
