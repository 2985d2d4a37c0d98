//! `fdo.payload` from the owner's side: with and without consent, at every message size, refused, and logged.

use fdo_protocol::ErrorCode;
use fdo_protocol::cbor::{decode, encode};
use fdo_protocol::service_info::chunking::{Ack, Begin, ContentHash, End, Outcome, Receiver};
use fdo_protocol::service_info::csr::CsrError;
use fdo_protocol::service_info::owner::{
    Conversation, ModuleFailure, ModuleOutcome, Need, OwnerModule, Payload, PayloadOptions, Provision,
};
use fdo_protocol::service_info::payload::{Beginning, PayloadError, ToDevice, ToOwner};
use fdo_protocol::service_info::{ModuleMessage, OwnerServiceInfo, ServiceInfoKv};

use super::{introduced, keys, outcome, says, turn};

fn options(content: &[u8], require_ack: bool) -> PayloadOptions {
    PayloadOptions {
        source: "setup.sh".into(),
        mime_type: "application/x-sh".into(),
        name: Some("setup".into()),
        version: Some("3".into()),
        length: content.len() as u64,
        hash: ContentHash::of(content),
        estimated_duration: Some(10),
        require_ack,
    }
}

fn begun(size: u16, content: &[u8], require_ack: bool) -> (Conversation, OwnerServiceInfo) {
    let module = OwnerModule::Payload(Box::new(Payload::new(options(content, require_ack))));
    introduced(size, &["fdo.payload"], vec![module])
}

/// One turn, in which the content is read where it is asked for.
fn step(conversation: &mut Conversation, said: &[ToOwner], content: &[u8]) -> OwnerServiceInfo {
    *conversation = decode(&encode(conversation)).unwrap();
    conversation.receive(says(said.iter().map(ModuleMessage::to_kv).collect(), false)).unwrap();
    while let Some(need) = conversation.need() {
        let Need::ReadFile { name, offset, length } = need else { panic!("{need:?}") };
        assert_eq!(name, "setup.sh");
        let offset = usize::try_from(offset).unwrap();
        conversation.answer(Provision::FilePart(content[offset..offset + length].to_vec())).unwrap();
    }
    conversation.reply().unwrap()
}

fn result(status: u64) -> ToOwner {
    ToOwner::Result(Outcome { status, message: Some("as told".into()) })
}

#[test]
fn a_payload_arrives_whole_at_every_message_size_with_and_without_consent() {
    for size in [256, 1300, 16384, 65535] {
        for (length, require_ack) in
            [(0, true), (0, false), (1, true), (1014, false), (50_000, true), (50_000, false)]
        {
            let content: Vec<u8> = (0..length).map(|number: u32| number.to_be_bytes()[2]).collect();
            let (mut conversation, mut reply) = begun(size, &content, require_ack);
            let (mut receiver, mut got, mut end) = (None, Vec::new(), None);
            for round in 0.. {
                assert!(encode(&reply).len() <= usize::from(size) && round < 1000);
                let mut said = Vec::new();
                for kv in reply.service_info.0 {
                    match ToDevice::decode(kv.message(), &kv.value).unwrap().unwrap() {
                        ToDevice::Begin(Beginning::Bare(announcement)) => {
                            assert_eq!(announcement.mime_type, "application/x-sh");
                            assert_eq!(announcement.begin.require_ack, require_ack);
                            receiver = Some(Receiver::begin(&announcement.begin, 1 << 20).unwrap());
                            said.extend(require_ack.then_some(ToOwner::Ack(Ack::ACCEPTED)));
                        }
                        ToDevice::Data(index, piece) => {
                            assert!(receiver.as_mut().unwrap().data(index, &piece).unwrap());
                            got.extend_from_slice(&piece);
                        }
                        ToDevice::End(told) => end = Some(receiver.as_ref().unwrap().end(&told).unwrap().unwrap()),
                        ToDevice::Active(true) => said.push(ToOwner::Active(true)),
                        _ => panic!("{}", kv.key),
                    }
                }
                if end.is_some() {
                    break;
                }
                if reply.is_more {
                    said.clear();
                }
                reply = step(&mut conversation, &said, &content);
            }
            assert!(got == content && end.unwrap().matches(&got));
            assert!(step(&mut conversation, &[result(0)], &content).is_done);
            assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done));
            assert_eq!(conversation.modules().next().unwrap().remark(), Some("as told"));
        }
    }
}

#[test]
fn nothing_is_sent_before_the_device_consents() {
    let (mut conversation, first) = begun(1300, b"content", true);
    assert_eq!(keys(&first), ["fdo.payload:active", "fdo.payload:payload-begin"]);
    for _ in 0..20 {
        assert!(step(&mut conversation, &[], b"content").service_info.is_empty());
    }
    let mut kept: Conversation = decode(&encode(&conversation)).unwrap();
    assert_eq!(keys(&step(&mut kept, &[ToOwner::Ack(Ack::ACCEPTED)], b"content")).len(), 2);
    (0..2000).find(|_| step(&mut conversation, &[], b"content").is_done).unwrap();
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::PayloadUnanswered)));
}

#[test]
fn refusals_and_failures_are_told_apart() {
    let failed = |failure| ModuleOutcome::Failed(failure);
    for (said, expected) in [
        (ToOwner::Ack(Ack::refused(1, "no scripts")), failed(ModuleFailure::PayloadRefused(1))),
        (
            ToOwner::Ack(Ack { accepted: false, reason: None, message: None }),
            failed(ModuleFailure::PayloadRefused(0)),
        ),
        (ToOwner::Ack(Ack::refused(5, "there")), ModuleOutcome::Done),
        (
            ToOwner::Error(PayloadError::UnknownMimeType, None),
            failed(ModuleFailure::Payload(PayloadError::UnknownMimeType)),
        ),
        (ToOwner::Active(false), ModuleOutcome::NotOffered),
        // Nothing can have come of it before it was sent.
        (result(0), failed(ModuleFailure::Payload(PayloadError::UnableToApply))),
    ] {
        let (mut conversation, _) = begun(1300, b"content", true);
        assert!(step(&mut conversation, &[said], b"content").is_done);
        assert_eq!(outcome(&conversation), Some(expected));
    }
    for (status, expected, restart) in [
        (1, ModuleOutcome::Done, false),
        (3, ModuleOutcome::Done, true),
        (2, failed(ModuleFailure::Payload(PayloadError::UnableToApply)), false),
        (9, failed(ModuleFailure::Payload(PayloadError::UnableToApply)), false),
    ] {
        let (mut conversation, _) = begun(1300, b"content", false);
        assert_eq!(keys(&step(&mut conversation, &[], b"content")).len(), 2);
        assert!(step(&mut conversation, &[result(status)], b"content").is_done);
        assert_eq!(outcome(&conversation), Some(expected));
        let module = conversation.modules().next().unwrap();
        assert!(matches!(module, OwnerModule::Payload(payload) if payload.wants_restart() == restart));
    }
}

#[test]
fn a_content_that_cannot_be_read_is_given_up() {
    let (mut conversation, _) = begun(1300, b"content", false);
    conversation.receive(says(Vec::new(), false)).unwrap();
    conversation.answer(Provision::Refused(CsrError::BadRequest)).unwrap();
    let reply = conversation.reply().unwrap();
    let end: End = decode(&reply.service_info.0[0].value).unwrap();
    assert_eq!((keys(&reply).as_slice(), end.status), (["fdo.payload:payload-end".to_owned()].as_slice(), 1));
    assert!(turn(&mut conversation, Vec::new()).is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::FileUnreadable)));
}

#[test]
fn a_log_is_kept_up_to_its_limit() {
    let (mut conversation, _) = begun(1300, b"content", false);
    step(&mut conversation, &[], b"content");
    let begin = Begin { require_ack: true, ..Begin::default() };
    let reply = step(&mut conversation, &[ToOwner::LogBegin(begin.clone())], b"content");
    assert_eq!(keys(&reply), ["fdo.payload:payload-log-ack"]);
    assert_eq!(decode::<Ack>(&reply.service_info.0[0].value).unwrap(), Ack::ACCEPTED);
    for index in 0..100 {
        step(&mut conversation, &[ToOwner::LogData(index, vec![b'x'; 1014].into())], b"content");
    }
    let reply = step(&mut conversation, &[ToOwner::LogEnd(End::default()), ToOwner::LogBegin(begin)], b"content");
    assert!(!decode::<Ack>(&reply.service_info.0[0].value).unwrap().accepted);
    step(&mut conversation, &[ToOwner::LogData(0, b"second".to_vec().into()), result(0)], b"content");
    let module = conversation.modules().next().unwrap();
    assert!(matches!(module, OwnerModule::Payload(payload) if payload.log() == [b'x'; 64 * 1024]));
    assert_eq!(module.outcome(), Some(&ModuleOutcome::Done));
}

#[test]
fn what_a_device_sends_ill_formed_ends_the_conversation() {
    for (message, item) in [
        ("payload-ack", "f5"),
        ("payload-result", "80"),
        ("error", "6161"),
        ("payload-log-data-00", "4100"),
        ("payload-log-data-0", "00"),
        ("payload-log-begin", "80"),
    ] {
        let (mut conversation, _) = begun(1300, b"content", true);
        let kv = ServiceInfoKv::from_item(format!("fdo.payload:{message}"), hex::decode(item).unwrap());
        let error = conversation.receive(says(vec![kv], false)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MessageBody, "{message}");
    }
    // Pieces of a log that was not begun are dropped; out of order they end it.
    let (mut conversation, _) = begun(1300, b"content", true);
    step(
        &mut conversation,
        &[ToOwner::LogData(4, b"x".to_vec().into()), ToOwner::LogBegin(Begin::default())],
        b"",
    );
    let kv = ToOwner::LogData(4, b"x".to_vec().into()).to_kv();
    assert_eq!(conversation.receive(says(vec![kv], false)).unwrap_err().code(), ErrorCode::InvalidMessage);
}
