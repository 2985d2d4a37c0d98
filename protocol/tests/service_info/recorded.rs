//! Conversations between devices and owners of others: both sides' turns, every message of the modules, and our
//! owner in the place of the recorded one.

use fdo_protocol::cbor::{decode, encode};
use fdo_protocol::service_info::owner::{
    Command, Conversation, Download, ModuleOutcome, Need, OwnerModule, Provision,
};
use fdo_protocol::service_info::{
    Assembler, DeviceServiceInfo, DeviceTurn, Floor, ModuleMessage, OwnerServiceInfo, OwnerTurn, ServiceInfo,
    ServiceInfoKv, TurnLimits, command, download,
};

const RECORDED: &str = include_str!("recorded.txt");
const NAMES: [&str; 4] = [
    "c-ec384-ecdh384-a256gcm-download",
    "ec256-ecdh256-a128gcm",
    "java-server-c-device-ec256-fdo-command",
    "java-server-go-device-ec256",
];

/// The pairs of 68 and 69 of one conversation.
fn rounds(name: &str) -> Vec<(DeviceServiceInfo, OwnerServiceInfo)> {
    let bodies: Vec<_> = RECORDED
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(|line| hex::decode(&line[3..]).unwrap())
        .collect();
    assert!(!bodies.is_empty() && bodies.len().is_multiple_of(2));
    let round = |pair: &[Vec<u8>]| {
        let (device, owner) = (decode(&pair[0]).unwrap(), decode(&pair[1]).unwrap());
        assert_eq!((encode(&device), encode(&owner)), (pair[0].clone(), pair[1].clone()));
        (device, owner)
    };
    bodies.chunks(2).map(round).collect()
}

#[test]
fn both_sides_keep_to_their_turns() {
    for name in NAMES {
        let mut owner = OwnerTurn::new(TurnLimits::default());
        let mut device = DeviceTurn::new(TurnLimits::default());
        for (ours, theirs) in rounds(name) {
            let floor = |keeps| if keeps { Floor::Keep } else { Floor::Yield };
            assert_eq!(device.send(ours.service_info.clone(), floor(ours.is_more)).unwrap(), ours);
            owner.receive(&ours).unwrap();
            let reply = match theirs.is_done {
                true => owner.finish().unwrap(),
                false => owner.reply(theirs.service_info.clone(), floor(theirs.is_more)).unwrap(),
            };
            // One owner says something in its last message, which a device still hears.
            assert_eq!((reply.is_more, reply.is_done), (theirs.is_more, theirs.is_done), "{name}");
            device.receive(&theirs).unwrap();
        }
        assert!(device.is_done() && owner.is_done(), "{name}");
    }
}

fn comes_back<M: ModuleMessage>(kv: &ServiceInfoKv) {
    if kv.module() == M::MODULE {
        let message = M::decode(kv.message(), &kv.value).unwrap();
        assert_eq!(message.unwrap().to_kv(), *kv);
    }
}

#[test]
fn every_message_of_the_modules_is_known_and_written_alike() {
    for name in NAMES {
        let mut assembler = Assembler::default();
        for (ours, theirs) in rounds(name) {
            for kv in ours.service_info.0 {
                let kv = assembler.accept(kv).unwrap().unwrap();
                comes_back::<download::ToOwner>(&kv);
                comes_back::<command::ToOwner>(&kv);
            }
            for kv in theirs.service_info.0 {
                let kv = assembler.accept(kv).unwrap().unwrap();
                comes_back::<download::ToDevice>(&kv);
                comes_back::<command::ToDevice>(&kv);
            }
        }
    }
}

#[test]
fn our_owner_sends_the_c_client_a_file() {
    let rounds = rounds(NAMES[0]);
    let mut file = Vec::new();
    for kv in rounds.iter().flat_map(|(_, owner)| &owner.service_info.0) {
        if let Some(download::ToDevice::Data(data)) = download::ToDevice::decode(kv.message(), &kv.value).unwrap()
        {
            file.extend_from_slice(&data);
        }
    }
    let module = Download::new("dl.bin".into(), file.len() as u64, [0; 48]);
    let mut owner = Conversation::new(None, vec![OwnerModule::Download(module)], TurnLimits::default());
    let mut done = false;
    for (device, _) in rounds {
        owner.receive(device).unwrap();
        if let Some(Need::ReadFile { offset, length, .. }) = owner.need() {
            let offset = usize::try_from(offset).unwrap();
            owner.answer(Provision::FilePart(file[offset..offset + length].to_vec())).unwrap();
        }
        done = owner.reply().unwrap().is_done;
    }
    assert!(done);
    let outcome = owner.modules().next().and_then(OwnerModule::outcome);
    assert_eq!(outcome, Some(&ModuleOutcome::Done));
}

#[test]
fn our_owner_speaks_the_flavour_of_the_c_client() {
    let rounds = rounds(NAMES[2]);
    let recorded = &rounds[0].1.service_info;
    let value = |list: &ServiceInfo, message: &str| {
        let kv = list.0.iter().find(|kv| kv.message() == message);
        kv.unwrap().value.to_vec()
    };
    let module = Command::new("/bin/echo".into(), vec!["hi".into()], false, true);
    let mut owner = Conversation::new(None, vec![OwnerModule::Command(module)], TurnLimits::default());
    owner.receive(rounds[0].0.clone()).unwrap();
    let ours = owner.reply().unwrap().service_info;
    for message in ["active", "command", "args", "may_fail", "execute"] {
        assert_eq!(value(&ours, message), value(recorded, message), "{message}");
    }
    owner.receive(rounds[1].0.clone()).unwrap();
    assert!(owner.reply().unwrap().is_done);
    assert_eq!(owner.shortfalls().count(), 0);
}
