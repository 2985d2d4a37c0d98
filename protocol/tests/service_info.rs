//! Service info from both ends: recorded introductions, every layout of a network in the field, and an owner that
//! leads a device through its modules at several message sizes, stored and restored between any two messages.

#![allow(clippy::unwrap_used)]

use fdo_protocol::cbor::{ByteString, Encode, Writer, decode, encode};
use fdo_protocol::service_info::csr::{CsrError, EstBody, FORMAT_PKCS7};
use fdo_protocol::service_info::devmod::Devmod;
use fdo_protocol::service_info::owner::{
    Command, Conversation, Csr, Download, ModuleFailure, ModuleOutcome, Need, OwnerModule, Provision, Wifi,
};
use fdo_protocol::service_info::wifi::{
    AuthType, EapMethod, Layout, Network, NetworkAdd, Secret, TrustLevel, WifiError,
};
use fdo_protocol::service_info::{
    Assembler, DeviceServiceInfo, ModuleMessage, OwnerServiceInfo, ServiceInfo, ServiceInfoKv, TurnLimits,
    command, csr, download, wifi,
};
use fdo_protocol::{Error, ErrorCode};

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

/// Message 68 of the C client, as recorded.
const C_DEVMOD: &str = concat!(
    "82f490826d6465766d6f643a61637469766541f582696465766d6f643a6f7346654c696e7578826b6465766d6f643a617263",
    "684463783836826e6465766d6f643a76657273696f6e4a695562756e74752d3134826d6465766d6f643a646576696365506f",
    "496e74656c2d46444f2d4c696e757882696465766d6f643a736e4f6e66646f2d6c696e75782d31323334826e6465766d6f64",
    "3a7061746873657042612f826a6465766d6f643a73657042613b82696465766d6f643a6e6c42610a826a6465766d6f643a74",
    "6d704160826a6465766d6f643a6469724160826e6465766d6f643a70726f67656e7643627368826a6465766d6f643a62696e",
    "4463783836826d6465766d6f643a6d756475726c416082716465766d6f643a6e756d6d6f64756c65734103826e6465766d6f",
    "643a6d6f64756c657358248500036766646f5f7379736c66646f2e646f776e6c6f61646b66646f2e636f6d6d616e64",
);

fn ca() -> Vec<u8> {
    hex::decode(CA).unwrap()
}

fn says(kvs: Vec<ServiceInfoKv>, is_more: bool) -> DeviceServiceInfo {
    DeviceServiceInfo { is_more, service_info: ServiceInfo(kvs) }
}

fn conversation(size: u16, modules: Vec<OwnerModule>) -> Conversation {
    Conversation::new(Some(size), modules, TurnLimits::default())
}

/// A conversation whose device has said which modules it has, and the owner's answer to that.
fn introduced(size: u16, names: &[&str], modules: Vec<OwnerModule>) -> (Conversation, OwnerServiceInfo) {
    let mut conversation = conversation(size, modules);
    let list: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut item = Writer::default();
    item.array(2 + list.len()).unsigned(0).unsigned(list.len() as u64);
    for name in &list {
        item.text(name);
    }
    let kv = ServiceInfoKv::from_item("devmod:modules".into(), item.into_bytes());
    conversation.receive(says(vec![kv], false)).unwrap();
    let reply = conversation.reply().unwrap();
    (conversation, reply)
}

fn turn(conversation: &mut Conversation, kvs: Vec<ServiceInfoKv>) -> OwnerServiceInfo {
    *conversation = decode(&encode(conversation)).unwrap();
    conversation.receive(says(kvs, false)).unwrap();
    conversation.reply().unwrap()
}

fn keys(message: &OwnerServiceInfo) -> Vec<String> {
    message.service_info.0.iter().map(|kv| kv.key.clone()).collect()
}

fn outcome(conversation: &Conversation) -> Option<ModuleOutcome> {
    conversation.modules().next().unwrap().outcome().copied()
}

#[test]
fn the_recorded_introduction_of_the_c_client_is_read() {
    let bytes = hex::decode(C_DEVMOD).unwrap();
    assert_eq!(bytes.len(), 347);
    let message: DeviceServiceInfo = decode(&bytes).unwrap();
    assert_eq!(encode(&message), bytes);
    let mut conversation = conversation(1300, Vec::new());
    conversation.receive(message).unwrap();
    let devmod = conversation.devmod();
    assert!(devmod.missing().is_empty());
    assert_eq!(devmod.serial.as_deref(), Some("fdo-linux-1234"));
    assert_eq!(devmod.modules, ["fdo_sys", "fdo.download", "fdo.command"]);
    assert_eq!(hex::encode(encode(&conversation.reply().unwrap())), "83f4f580");
}

#[test]
fn an_introduction_of_one_key_a_message_ends_with_an_empty_one() {
    let whole: DeviceServiceInfo = decode(&hex::decode(C_DEVMOD).unwrap()).unwrap();
    let mut conversation = conversation(1300, vec![OwnerModule::Csr(Csr::new())]);
    for kv in whole.service_info.0 {
        conversation.receive(says(vec![kv], true)).unwrap();
        assert!(!conversation.is_introduced());
        let reply = conversation.reply().unwrap();
        assert_eq!(hex::encode(encode(&reply)), "83f4f480");
        conversation = decode(&encode(&conversation)).unwrap();
    }
    let reply = turn(&mut conversation, Vec::new());
    assert!(conversation.is_introduced() && reply.is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::NotOffered));
    // After IsDone: a last word is heard, a new beginning is not.
    let last = ServiceInfoKv::new("fdo.csr", "active", &false);
    conversation.receive(says(vec![last], false)).unwrap();
    assert_eq!(hex::encode(encode(&conversation.reply().unwrap())), "83f4f580");
    let error = conversation.receive(says(Vec::new(), true)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidMessage);
}

#[test]
fn a_device_without_modules_is_refused() {
    let mut conversation = conversation(1300, Vec::new());
    let error = conversation.receive(says(Vec::new(), false)).unwrap_err();
    assert!(matches!(error, Error::Rejected(_)));
}

#[test]
fn what_a_device_sends_ill_formed_ends_the_conversation() {
    for (key, item) in [
        ("devmod:os", "01"),
        ("devmod:modules", "8100"),
        ("devmod:os", "9f"),
        ("fdo.wifi:error", "6161"),
        ("fdo.wifi:active", "00"),
    ] {
        let (mut conversation, _) = introduced(1300, &["fdo.wifi"], vec![wifi_module(1)]);
        let kv = ServiceInfoKv::from_item(key.into(), hex::decode(item).unwrap());
        let error = conversation.receive(says(vec![kv], false)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MessageBody, "{key}");
    }
}

/// A `network-add` from numbered, encoded values.
fn add(fields: &[(u64, &dyn Encode)]) -> Result<Network, WifiError> {
    let mut map = Writer::default();
    map.map(fields.len());
    for (key, value) in fields {
        map.unsigned(*key);
        value.encode_into(&mut map);
    }
    read(map.into_bytes())
}

fn read(item: Vec<u8>) -> Result<Network, WifiError> {
    match wifi::ToDevice::decode("network-add", &item).unwrap() {
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
    assert_eq!(read(vec![0x80]).unwrap_err(), WifiError::BadFormat);
    // Absent trust is the lowest, unknown keys of any kind are ignored.
    let trust = add(&[&psk[..], &[(99, &true)]].concat()).unwrap().trust;
    assert_eq!(trust, TrustLevel::OnboardOnly);
    let mut odd = Writer::default();
    odd.map(5).unsigned(1).text("guest").unsigned(2).bytes(&[0xff]).unsigned(3).unsigned(0);
    odd.text("note").bool(true).integer(-1).bool(true);
    assert_eq!(read(odd.into_bytes()).unwrap().ssid, [0xff]);
}

fn wifi_module(count: usize) -> OwnerModule {
    let networks: Vec<_> = (0..count)
        .map(|number| {
            Network::with_password(&format!("net-{number}"), b"Corp", AuthType::Wpa2Psk, b"pass phrase")
        })
        .collect();
    OwnerModule::Wifi(Wifi::new(&networks, Layout::Go))
}

#[test]
fn networks_go_out_at_once_and_no_answer_is_needed() {
    let (mut conversation, first) = introduced(1300, &["fdo.wifi"], vec![wifi_module(2)]);
    assert_eq!(keys(&first), ["fdo.wifi:active", "fdo.wifi:network-add", "fdo.wifi:network-add"]);
    assert!(!first.is_more && !first.is_done);
    assert!(turn(&mut conversation, Vec::new()).is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done));
}

#[test]
fn an_error_and_an_inactive_module_are_recorded() {
    for (message, expected) in [
        (
            wifi::ToOwner::Error(WifiError::InvalidNetwork),
            ModuleOutcome::Failed(ModuleFailure::Wifi(WifiError::InvalidNetwork)),
        ),
        (wifi::ToOwner::Active(false), ModuleOutcome::NotOffered),
    ] {
        let (mut conversation, _) = introduced(1300, &["fdo.wifi"], vec![wifi_module(1)]);
        assert!(turn(&mut conversation, vec![message.to_kv()]).is_done);
        assert_eq!(outcome(&conversation), Some(expected));
        assert_eq!(conversation.shortfalls().count(), 1);
    }
}

#[test]
fn many_networks_keep_the_floor_until_all_are_said() {
    let (mut conversation, mut reply) = introduced(256, &["fdo.wifi"], vec![wifi_module(20)]);
    let mut assembler = Assembler::default();
    let mut networks = 0;
    loop {
        assert!(encode(&reply).len() <= 256);
        for kv in &reply.service_info.0 {
            let whole = assembler.accept(kv.clone()).unwrap();
            networks += usize::from(whole.is_some_and(|kv| kv.message() == "network-add"));
        }
        if !reply.is_more {
            break;
        }
        reply = turn(&mut conversation, Vec::new());
    }
    assert_eq!(networks, 20);
    assert!(turn(&mut conversation, Vec::new()).is_done);
}

#[test]
fn an_enrolment_runs_at_every_message_size() {
    for size in [256, 1300, 16384, 65535] {
        let (mut conversation, first) =
            introduced(size, &["fdo.wifi", "fdo.csr"], vec![wifi_module(1), OwnerModule::Csr(Csr::new())]);
        // Networks need no answer, so the next module begins beside them.
        assert_eq!(keys(&first).last().map(String::as_str), Some("fdo.csr:active"));
        let asks = vec![
            csr::ToOwner::Active(true).to_kv(),
            csr::ToOwner::CaCertsReq(FORMAT_PKCS7).to_kv(),
            csr::ToOwner::SimpleEnrollReq(EstBody::from_der(b"0request")).to_kv(),
        ];
        conversation.receive(says(asks, false)).unwrap();
        assert_eq!(conversation.need(), Some(Need::CaCertificates { single: false }));
        assert!(conversation.answer(Provision::FilePart(Vec::new())).is_err());
        let (mut conversation, _) =
            introduced(size, &["fdo.wifi", "fdo.csr"], vec![wifi_module(1), OwnerModule::Csr(Csr::new())]);
        let asks = vec![
            csr::ToOwner::CaCertsReq(FORMAT_PKCS7).to_kv(),
            csr::ToOwner::SimpleEnrollReq(EstBody::from_der(b"0request")).to_kv(),
        ];
        conversation.receive(says(asks, false)).unwrap();
        conversation = decode(&encode(&conversation)).unwrap();
        conversation.answer(Provision::CaCertificates(vec![0x30; 3000])).unwrap();
        assert_eq!(conversation.need(), Some(Need::Issue { csr: b"0request".to_vec(), renewal: false }));
        conversation.answer(Provision::Certificate(ca())).unwrap();
        assert_eq!(conversation.need(), None);
        let mut reply = conversation.reply().unwrap();
        let mut assembler = Assembler::default();
        let mut got = Vec::new();
        while !reply.is_done {
            assert!(encode(&reply).len() <= usize::from(size));
            for kv in reply.service_info.0 {
                let whole = assembler.accept(kv).unwrap();
                got.extend(whole.and_then(|kv| csr::ToDevice::decode(kv.message(), &kv.value).unwrap()));
            }
            reply = turn(&mut conversation, Vec::new());
        }
        assert!(matches!(&got[0], csr::ToDevice::CaCertsRes(body) if body.der().unwrap().len() == 3000));
        assert!(matches!(&got[1], csr::ToDevice::SimpleEnrollRes(body) if *body.der().unwrap() == ca()));
        assert_eq!((got.len(), conversation.shortfalls().count()), (2, 0));
    }
}

#[test]
fn bad_requests_get_an_error_and_a_second_chance() {
    let (mut conversation, _) = introduced(1300, &["fdo.csr"], vec![OwnerModule::Csr(Csr::new())]);
    let bad = csr::ToOwner::SimpleEnrollReq(EstBody::from_text("no base64!".into()));
    let reply = turn(&mut conversation, vec![bad.to_kv(), csr::ToOwner::CaCertsReq(1).to_kv()]);
    let errors: Vec<_> = reply.service_info.0.iter().map(|kv| kv.value.to_vec()).collect();
    assert_eq!(errors, [vec![1], vec![5]]);
    let asks = csr::ToOwner::SimpleEnrollReq(EstBody::from_der(b"0")).to_kv();
    conversation.receive(says(vec![asks], false)).unwrap();
    conversation.answer(Provision::Refused(CsrError::Unauthorized)).unwrap();
    assert_eq!(keys(&conversation.reply().unwrap()), ["fdo.csr:error"]);
    assert!(turn(&mut conversation, Vec::new()).is_done);
    let refused = ModuleOutcome::Failed(ModuleFailure::Enrolment(CsrError::Unauthorized));
    assert_eq!(outcome(&conversation), Some(refused));
}

#[test]
fn a_device_that_never_asks_does_not_hold_the_owner() {
    let (mut conversation, _) = introduced(1300, &["fdo.csr"], vec![OwnerModule::Csr(Csr::new())]);
    let rounds = (0..100).find(|_| turn(&mut conversation, Vec::new()).is_done);
    assert!(rounds.is_some());
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::NotAsked)));
}

#[test]
fn a_device_that_asks_without_end_is_refused() {
    let (mut conversation, _) = introduced(1300, &["fdo.csr"], vec![OwnerModule::Csr(Csr::new())]);
    for ask in [csr::ToOwner::CsrAttrsReq, csr::ToOwner::CaCertsReq(7)] {
        let flood = vec![ask.to_kv(); 100];
        let mut copy: Conversation = decode(&encode(&conversation)).unwrap();
        assert!(matches!(copy.receive(says(flood, false)), Err(Error::Rejected(_))));
    }
    let asks = csr::ToOwner::CsrAttrsReq.to_kv();
    conversation.receive(says(vec![asks], false)).unwrap();
    assert_eq!(conversation.need(), Some(Need::CsrAttributes));
}

#[test]
fn a_file_arrives_at_every_message_size() {
    for size in [256, 1300, 65535] {
        let file: Vec<u8> = (0..10_000_u32).map(|number| number.to_be_bytes()[3]).collect();
        let module = Download::new("etc/agent.conf".into(), file.len() as u64, [9; 48]);
        let (mut conversation, mut reply) =
            introduced(size, &["fdo.download"], vec![OwnerModule::Download(module)]);
        let mut got = Vec::new();
        let mut header = Vec::new();
        while got.len() < file.len() {
            assert!(encode(&reply).len() <= usize::from(size) && !reply.is_done);
            for kv in reply.service_info.0 {
                match download::ToDevice::decode(kv.message(), &kv.value).unwrap().unwrap() {
                    download::ToDevice::Data(data) => {
                        assert!(data.len() <= download::MAX_DATA);
                        got.extend_from_slice(&data);
                    }
                    _ => header.push(kv.message().to_owned()),
                }
            }
            conversation.receive(says(Vec::new(), false)).unwrap();
            if let Some(Need::ReadFile { offset, length, .. }) = conversation.need() {
                let offset = usize::try_from(offset).unwrap();
                let part = file[offset..offset + length].to_vec();
                conversation.answer(Provision::FilePart(part)).unwrap();
            }
            reply = conversation.reply().unwrap();
        }
        assert_eq!(header, ["active", "name", "length", "sha-384"]);
        assert_eq!(got, file);
        let done = download::ToOwner::Done(Some(10_000)).to_kv();
        assert!(turn(&mut conversation, vec![done]).is_done);
        assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done));
    }
}

#[test]
fn a_file_that_cannot_be_written_or_read_fails() {
    let module = || vec![OwnerModule::Download(Download::new("f".into(), 5, [0; 48]))];
    let (mut conversation, _) = introduced(1300, &["fdo.download"], module());
    assert!(turn(&mut conversation, vec![download::ToOwner::Done(None).to_kv()]).is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::Download)));
    let (mut conversation, _) = introduced(1300, &["fdo.download"], module());
    conversation.receive(says(Vec::new(), false)).unwrap();
    conversation.answer(Provision::FilePart(vec![1])).unwrap();
    assert!(conversation.reply().unwrap().is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::FileUnreadable)));
}

#[test]
fn a_command_waits_for_its_exit_code_in_the_flavour_of_the_device() {
    for (others, args, execute) in [("devmod", "4481626869", "f6"), ("fdo_sys", "81626869", "81626869")] {
        let module = Command::new("echo".into(), vec!["hi".into()], false, true);
        let (mut conversation, first) =
            introduced(1300, &[others, "fdo.command"], vec![OwnerModule::Command(module), wifi_module(1)]);
        let value = |key: &str| {
            let kv = first.service_info.0.iter().find(|kv| kv.message() == key);
            hex::encode(&*kv.unwrap().value)
        };
        assert_eq!((value("args").as_str(), value("execute").as_str()), (args, execute));
        // Nothing else begins before the exit code.
        assert!(turn(&mut conversation, Vec::new()).service_info.is_empty());
        let output = command::ToOwner::Stdout(b"hi\n".to_vec().into()).to_kv();
        assert!(!turn(&mut conversation, vec![output]).is_done);
        let exit = command::ToOwner::ExitCode(3).to_kv();
        assert!(turn(&mut conversation, vec![exit]).is_done);
        let Some(OwnerModule::Command(command)) = conversation.modules().next() else { unreachable!() };
        assert_eq!(command.stdout(), b"hi\n");
        assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::ExitCode(3))));
    }
}

#[test]
fn a_command_too_large_for_the_device_is_not_begun() {
    let module = Command::new("echo".into(), vec!["x".repeat(300)], true, false);
    let (conversation, first) = introduced(256, &["fdo.command"], vec![OwnerModule::Command(module)]);
    assert!(first.is_done && first.service_info.is_empty());
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::TooLarge)));
}

#[test]
fn stored_and_shown_values_hold_no_secret_in_their_debug_form() {
    let (_, first) = introduced(1300, &["fdo.wifi"], vec![wifi_module(1)]);
    assert!(!format!("{first:?} {:?}", wifi_module(1)).contains("pass phrase"));
    assert!(Devmod::default().missing().contains(&"modules"));
}
