//! Service info from both ends: recorded introductions, the layouts of a network, and an owner that leads a device through
//! its modules at several message sizes, stored and restored between any two messages.

#![allow(clippy::unwrap_used)]

mod networks;
mod payloads;
mod recorded;
mod uploads;

use fdo_protocol::cbor::{Writer, decode, encode};
use fdo_protocol::service_info::csr::{CsrError, EstBody, FORMAT_PKCS7};
use fdo_protocol::service_info::devmod::Devmod;
use fdo_protocol::service_info::owner::{
    Command, Conversation, Csr, Download, ModuleFailure, ModuleOutcome, Need, OwnerModule, Provision, Wifi,
};
use fdo_protocol::service_info::wifi::{AuthType, Layout, Network, WifiError};
use fdo_protocol::service_info::{
    Assembler, DeviceServiceInfo, ModuleMessage, OwnerServiceInfo, ServiceInfo, ServiceInfoKv, TurnLimits,
    command, csr, download, wifi,
};
use fdo_protocol::{Error, ErrorCode};

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

fn wifi_module(count: usize) -> OwnerModule {
    let networks: Vec<_> = (0..count)
        .map(|number| Network::with_password(&format!("net-{number}"), b"Corp", AuthType::Wpa2Psk, b"pass phrase"))
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
        conversation.answer(Provision::Certificate(networks::ca())).unwrap();
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
        assert!(matches!(&got[1], csr::ToDevice::SimpleEnrollRes(body) if *body.der().unwrap() == networks::ca()));
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
fn a_command_that_runs_too_long_is_told_to_end_then_ended_then_given_up() {
    let module = || Command::new("sleep".into(), vec!["1000".into()], false, false).with_limit(Some(60));
    let at = |conversation: &mut Conversation, now: u64, said: Vec<ServiceInfoKv>| {
        conversation.receive(says(said, false)).unwrap();
        conversation.tick(now);
        // As between two requests.
        *conversation = decode(&encode(&*conversation)).unwrap();
        let reply = conversation.reply().unwrap();
        let signals = reply.service_info.0.iter().map(|kv| (kv.message().to_owned(), hex::encode(&*kv.value)));
        (signals.collect::<Vec<_>>(), reply.is_done)
    };
    let told = |signal: &str| (vec![("sig".to_owned(), signal.to_owned())], false);
    let nothing = (Vec::new(), false);
    let (mut conversation, _) = introduced(1300, &["fdo.command"], vec![OwnerModule::Command(module())]);
    for (now, expected) in
        [(100, &nothing), (159, &nothing), (160, &told("0f")), (169, &nothing), (170, &told("09"))]
    {
        assert_eq!(&at(&mut conversation, now, Vec::new()), expected, "{now}");
    }
    assert_eq!(at(&mut conversation, 180, Vec::new()), (Vec::new(), true));
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::CommandOverdue)));

    // One that obeys has an exit code, one without a limit all the time of the world.
    let (mut conversation, _) = introduced(1300, &["fdo.command"], vec![OwnerModule::Command(module())]);
    at(&mut conversation, 100, Vec::new());
    assert_eq!(at(&mut conversation, 160, Vec::new()), told("0f"));
    assert!(at(&mut conversation, 161, vec![command::ToOwner::ExitCode(143).to_kv()]).1);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::ExitCode(143))));
    let free = OwnerModule::Command(module().with_limit(None));
    let (mut conversation, _) = introduced(1300, &["fdo.command"], vec![free]);
    at(&mut conversation, 100, Vec::new());
    assert_eq!(at(&mut conversation, 1_000_000, Vec::new()), nothing);
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
