//! Files from and for a device beside `fdo.download` with a known length: `fdo.upload`, `fdo.wget`, downloads as a
//! stream; and the token of an interoperability event.

use sha2::{Digest as _, Sha384};

use fdo_protocol::cbor::{ByteString, decode, encode};
use fdo_protocol::service_info::conformance::{self, Token};
use fdo_protocol::service_info::csr::CsrError;
use fdo_protocol::service_info::owner::{
    Conformance, Conversation, Download, ModuleFailure, ModuleOutcome, Need, OwnerModule, Progress, Provision,
    Upload, Wget,
};
use fdo_protocol::service_info::upload::ToOwner;
use fdo_protocol::service_info::{ModuleMessage, OwnerServiceInfo, ServiceInfoKv, TurnLimits, download, wget};
use fdo_protocol::{Error, ErrorCode};

use super::{introduced, keys, outcome, says, turn};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

fn upload(limit: u64, need_sha: bool) -> Conversation {
    let module = OwnerModule::Upload(Upload::new("log/a".into(), limit, need_sha));
    let (conversation, first) = introduced(1300, &["fdo.upload"], vec![module]);
    assert_eq!(keys(&first), ["fdo.upload:active", "fdo.upload:need-sha", "fdo.upload:name"]);
    assert!(!first.is_more && !first.is_done);
    conversation
}

/// Takes what the device says and stores it as a service would, at its place.
fn hear(
    conversation: &mut Conversation,
    messages: &[ToOwner],
    more: bool,
    file: &mut Vec<u8>,
) -> OwnerServiceInfo {
    *conversation = decode(&encode(conversation)).unwrap();
    let kvs = messages.iter().map(ModuleMessage::to_kv).collect();
    conversation.receive(says(kvs, more)).unwrap();
    while let Some(need) = conversation.need() {
        let answer = match need {
            Need::StoreUpload { name, offset, data } => {
                assert_eq!((name.as_str(), conversation.asking()), ("log/a", Some(0)));
                file.truncate(usize::try_from(offset).unwrap());
                file.extend(data);
                Provision::Stored
            }
            Need::FinishUpload { length, sha384, .. } => {
                let same = sha384.is_none_or(|digest| digest.as_slice() == Sha384::digest(&file).as_slice());
                if same && length == file.len() as u64 { Provision::Stored } else { Provision::Mismatch }
            }
            other => panic!("{other:?}"),
        };
        conversation.answer(answer).unwrap();
    }
    conversation.reply().unwrap()
}

fn whole(file: &[u8]) -> Vec<ToOwner> {
    let mut messages = vec![ToOwner::Active(true), ToOwner::Length(file.len() as u64)];
    messages.extend(file.chunks(1014).map(|piece| ToOwner::Data(piece.to_vec().into())));
    messages.push(ToOwner::Sha384(Sha384::digest(file).into()));
    messages
}

#[test]
fn a_file_is_stored_part_by_part_and_checked_at_the_end() {
    for length in [1, 1014, 1015, 100_000] {
        let mut conversation = upload(100_000, true);
        let (sent, mut file) = (content(length), Vec::new());
        for message in whole(&sent) {
            let reply = hear(&mut conversation, &[message], true, &mut file);
            assert!(reply.service_info.is_empty() && !reply.is_more && !reply.is_done);
        }
        let progress = Progress { done: length as u64, total: Some(length as u64) };
        assert_eq!(conversation.modules().next().unwrap().progress(), Some(progress));
        assert!(hear(&mut conversation, &[], false, &mut file).is_done);
        assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done));
        assert!(file == sent);
    }
}

#[test]
fn an_empty_file_arrives_in_each_of_its_forms() {
    let empty = || ToOwner::Data(Vec::new().into());
    let hash = || ToOwner::Sha384(Sha384::digest(b"").into());
    for (need_sha, messages) in [
        (true, vec![ToOwner::Length(0), empty(), hash()]),
        (true, vec![ToOwner::Length(0), hash()]),
        (false, vec![ToOwner::Length(0), empty()]),
        (false, vec![ToOwner::Length(0)]),
        (false, vec![empty()]),
    ] {
        let (mut conversation, mut file) = (upload(10, need_sha), b"old".to_vec());
        file.clear();
        hear(&mut conversation, &messages, false, &mut file);
        hear(&mut conversation, &[], false, &mut file);
        hear(&mut conversation, &[], false, &mut file);
        assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done), "{need_sha} {}", messages.len());
    }
}

#[test]
fn a_file_without_length_ends_with_its_hash_or_an_empty_piece() {
    let data = |bytes: &[u8]| ToOwner::Data(bytes.to_vec().into());
    for messages in [
        vec![data(b"abc"), data(b"")],
        vec![data(b"abc"), ToOwner::Sha384(Sha384::digest(b"abc").into())],
        vec![data(b"abc"), ToOwner::Length(3), data(b"")],
    ] {
        let (mut conversation, mut file) = (upload(10, false), Vec::new());
        hear(&mut conversation, &messages, false, &mut file);
        assert_eq!((outcome(&conversation), file.as_slice()), (Some(ModuleOutcome::Done), b"abc".as_slice()));
    }
}

#[test]
fn what_does_not_hold_fails_the_upload_and_not_the_device() {
    let data = |bytes: &[u8]| ToOwner::Data(bytes.to_vec().into());
    let hash = |bytes: &[u8]| ToOwner::Sha384(Sha384::digest(bytes).into());
    for (messages, expected) in [
        (vec![ToOwner::Length(11)], ModuleFailure::UploadTooLarge),
        (vec![data(b"12345678901")], ModuleFailure::UploadTooLarge),
        (vec![ToOwner::Length(2), data(b"abc")], ModuleFailure::UploadMismatch),
        (vec![data(b"abc"), ToOwner::Length(2)], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Length(2), ToOwner::Length(3)], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Length(3), data(b"ab"), hash(b"ab")], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Length(3), data(b"abc"), hash(b"abd")], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Length(3), data(b"abc"), hash(b"abc"), data(b"d")], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Length(3), data(b"abc"), hash(b"abc"), hash(b"abd")], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Length(3), data(b"abc"), hash(b"abc"), ToOwner::Length(4)], ModuleFailure::UploadMismatch),
        (vec![ToOwner::Active(false)], ModuleFailure::UploadDeclined),
    ] {
        let (mut conversation, mut file) = (upload(10, true), Vec::new());
        let reply = hear(&mut conversation, &messages, false, &mut file);
        assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(expected)));
        // The device is told, so that it stops; then the owner goes on.
        assert_eq!(keys(&reply), ["fdo.upload:active"]);
        assert_eq!(*reply.service_info.0[0].value, [0xf4]);
        let reply = hear(&mut conversation, &[data(b"more"), hash(b"x")], false, &mut file);
        assert!(reply.is_done);
    }
}

#[test]
fn a_device_that_sends_no_hash_is_waited_for_but_not_for_ever() {
    let (mut conversation, mut file) = (upload(10, true), Vec::new());
    hear(&mut conversation, &[ToOwner::Length(2), ToOwner::Data(b"ab".to_vec().into())], false, &mut file);
    for _ in 0..100 {
        assert!(!hear(&mut conversation, &[], false, &mut file).is_done);
    }
    let late = [ToOwner::Sha384(Sha384::digest(b"ab").into())];
    let mut kept: Conversation = decode(&encode(&conversation)).unwrap();
    assert!(hear(&mut kept, &late, false, &mut file).is_done);
    assert_eq!(outcome(&kept), Some(ModuleOutcome::Done));
    (0..2000).find(|_| hear(&mut conversation, &[], false, &mut file).is_done).unwrap();
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::UploadIncomplete)));
}

#[test]
fn a_file_that_cannot_be_stored_fails() {
    let mut conversation = upload(10, false);
    let kvs = vec![ToOwner::Length(1).to_kv(), ToOwner::Data(vec![1].into()).to_kv()];
    conversation.receive(says(kvs, false)).unwrap();
    assert!(conversation.answer(Provision::FilePart(Vec::new())).is_err());
    conversation.answer(Provision::Refused(CsrError::NotSupported)).unwrap();
    assert_eq!(conversation.need(), None);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::UploadNotStored)));
}

#[test]
fn a_large_file_may_come_and_an_endless_one_ends_the_conversation() {
    let piece = || vec![ToOwner::Data(vec![0; 60_000].into()); 1];
    let (mut conversation, mut file) = (upload(40 << 20, false), Vec::new());
    hear(&mut conversation, &[ToOwner::Length(40 << 20)], true, &mut file);
    for _ in 0..690 {
        hear(&mut conversation, &piece(), true, &mut file);
    }
    assert_eq!(outcome(&conversation), None);
    let (mut conversation, mut file) = (upload(10, false), Vec::new());
    let kvs = || piece().iter().map(ModuleMessage::to_kv).collect::<Vec<_>>();
    let end = (0..400).find_map(|_| conversation.receive(says(kvs(), true)).err());
    assert!(matches!(end, Some(Error::Rejected(_))));
    assert!(hear(&mut upload(10, false), &piece(), true, &mut file).service_info.is_empty());
    assert!(file.is_empty());
}

#[test]
fn what_a_device_sends_ill_formed_ends_the_conversation() {
    for (module, key, item) in [
        ("fdo.upload", "length", encode("3")),
        ("fdo.upload", "data", encode(&3_u8)),
        ("fdo.upload", "sha-384", encode(&ByteString(vec![0; 32]))),
        ("fdo.upload", "active", vec![0xf6]),
        ("fdo.wget", "done", encode("3")),
        ("fdo.wget", "error", vec![0xf6]),
        ("fido_alliance", "active", encode("yes")),
    ] {
        let modules = vec![
            OwnerModule::Conformance(Conformance::new(Token::new("t".into()).unwrap())),
            OwnerModule::Wget(Wget::new("https://a/b".into(), None, None, None)),
        ];
        let (mut conversation, _) = match module {
            "fdo.upload" => (
                upload(10, true),
                OwnerServiceInfo { is_more: false, is_done: false, service_info: <_>::default() },
            ),
            _ => introduced(1300, &["fdo.wget", "fido_alliance"], modules),
        };
        if module == "fdo.wget" {
            turn(&mut conversation, Vec::new());
        }
        let kv = ServiceInfoKv::from_item(format!("{module}:{key}"), item);
        let error = conversation.receive(says(vec![kv], false)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MessageBody, "{module}:{key}");
    }
}

#[test]
fn a_device_that_fetches_says_how_it_went() {
    let module =
        |length| OwnerModule::Wget(Wget::new("https://a/b".into(), Some("b".into()), Some([1; 48]), length));
    for (length, answer, expected) in [
        (None, wget::ToOwner::Done(Some(7)), ModuleOutcome::Done),
        (Some(7), wget::ToOwner::Done(Some(7)), ModuleOutcome::Done),
        (Some(8), wget::ToOwner::Done(Some(7)), ModuleOutcome::Failed(ModuleFailure::Wget)),
        (None, wget::ToOwner::Done(None), ModuleOutcome::Failed(ModuleFailure::Wget)),
        (None, wget::ToOwner::Error("404".into()), ModuleOutcome::Failed(ModuleFailure::Wget)),
        (None, wget::ToOwner::Active(false), ModuleOutcome::NotOffered),
    ] {
        let (mut conversation, first) = introduced(1300, &["fdo.wget"], vec![module(length)]);
        assert_eq!(keys(&first), ["fdo.wget:active", "fdo.wget:sha-384", "fdo.wget:name", "fdo.wget:url"]);
        // It takes its time.
        for _ in 0..50 {
            assert!(!turn(&mut conversation, Vec::new()).is_done);
        }
        let told = matches!(answer, wget::ToOwner::Error(_)).then_some("404");
        assert!(turn(&mut conversation, vec![answer.to_kv()]).is_done);
        assert_eq!(outcome(&conversation), Some(expected));
        assert_eq!(conversation.modules().next().unwrap().remark(), told);
    }
    let long = OwnerModule::Wget(Wget::new(format!("https://a/{}", "b".repeat(300)), None, None, None));
    let (mut conversation, first) = introduced(256, &["fdo.wget"], vec![long]);
    assert!(first.is_done || turn(&mut conversation, Vec::new()).is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Failed(ModuleFailure::TooLarge)));
}

#[test]
fn a_file_of_unknown_length_ends_with_an_empty_piece() {
    for length in [0, 1, 1014, 5000] {
        let file = content(length);
        let module = OwnerModule::Download(Download::stream("f".into(), None));
        let (mut conversation, mut reply) = introduced(1300, &["fdo.download"], vec![module]);
        let (mut got, mut ended) = (Vec::new(), false);
        for _ in 0..100 {
            for kv in reply.service_info.0.drain(..) {
                match download::ToDevice::decode(kv.message(), &kv.value).unwrap().unwrap() {
                    download::ToDevice::Data(data) => {
                        assert!(!ended);
                        ended = data.is_empty();
                        got.extend_from_slice(&data);
                    }
                    download::ToDevice::Length(_) => panic!("a length"),
                    _ => {}
                }
            }
            if ended {
                break;
            }
            conversation = decode(&encode(&conversation)).unwrap();
            conversation.receive(says(Vec::new(), false)).unwrap();
            if let Some(Need::ReadFile { offset, length, .. }) = conversation.need() {
                let rest = &file[usize::try_from(offset).unwrap()..];
                conversation.answer(Provision::FilePart(rest[..length.min(rest.len())].to_vec())).unwrap();
            }
            reply = conversation.reply().unwrap();
        }
        assert!(ended && got == file);
        let progress = Progress { done: length as u64, total: None };
        assert_eq!(conversation.modules().next().unwrap().progress(), Some(progress));
        let done = download::ToOwner::Done(Some(length as u64)).to_kv();
        assert!(turn(&mut conversation, vec![done]).is_done);
        assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done));
    }
}

#[test]
fn a_token_is_given_and_nothing_is_awaited() {
    let module = OwnerModule::Conformance(Conformance::new(Token::new("secret".into()).unwrap()));
    let (mut conversation, first) = introduced(1300, &["fido_alliance"], vec![module]);
    assert_eq!(keys(&first), ["fido_alliance:active", "fido_alliance:dev_conformance"]);
    assert!(matches!(
        conformance::ToDevice::decode("dev_conformance", &first.service_info.0[1].value),
        Ok(Some(conformance::ToDevice::DevConformance(token))) if token.expose() == "secret"
    ));
    assert!(turn(&mut conversation, Vec::new()).is_done);
    assert_eq!(outcome(&conversation), Some(ModuleOutcome::Done));
    let limits = TurnLimits::default();
    let module = OwnerModule::Conformance(Conformance::new(Token::new("secret".into()).unwrap()));
    assert!(!format!("{:?}", Conversation::new(None, vec![module], limits).modules().next()).contains("secret"));
}
