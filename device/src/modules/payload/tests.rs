//! What a hostile or confused owner may do with payloads: nothing.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use fdo_protocol::cbor::RawItem;
use fdo_protocol::service_info::chunking::{Begin, ContentHash};
use fdo_protocol::service_info::payload::Beginning;

use super::*;

fn module(directory: &Path, program: &[&str]) -> Payload {
    let limits =
        Limits { directory: directory.to_path_buf(), time_limit: Duration::from_secs(20), output_limit: 1000 };
    let settings = PayloadSettings {
        types: vec!["text/plain".into()],
        limit: 100,
        program: program.iter().map(|&word| word.to_owned()).collect(),
        limits,
        log: false,
    };
    Payload::new(settings, 1300, OwnerSignature::default())
}

fn begin(mime_type: &str, name: Option<&str>, begin: Begin) -> ToDevice {
    let name = name.map(str::to_owned);
    ToDevice::Begin(Beginning::Bare(Box::new(Announcement {
        mime_type: mime_type.into(),
        name,
        version: None,
        begin,
    })))
}

fn plain(begin: Begin) -> ToDevice {
    self::begin("text/plain", Some("f"), begin)
}

fn data(index: u64, piece: &[u8]) -> ToDevice {
    ToDevice::Data(index, piece.to_vec().into())
}

async fn tell(module: &mut Payload, messages: Vec<ToDevice>) -> (Vec<ToOwner>, Vec<String>) {
    let mut answers = Answers::new(Payload::NAME);
    for message in messages {
        let kv = message.to_kv();
        module.receive(kv.message(), &kv.value, &mut answers).unwrap();
    }
    while module.is_busy() {
        module.settle(Duration::from_secs(60), &mut answers).await;
    }
    let said = answers.pairs().iter().map(|kv| ToOwner::decode(kv.message(), &kv.value).unwrap().unwrap());
    (said.collect(), answers.refused().to_vec())
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_by_its_number_and_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let sized = |size| Begin { total_size: Some(size), ..Begin::default() };
    let end = |hash: Option<Vec<u8>>| ToDevice::End(End { hash, ..End::default() });
    let cases = [
        (vec![begin("text/html", None, Begin::default())], 1),
        (vec![plain(sized(101))], 7),
        (vec![plain(Begin { hash_algorithm: Some("md5".into()), ..Begin::default() })], 5),
        (vec![plain(Begin { delivery_mode: 1, url: Some("https://x/y".into()), ..Begin::default() })], 14),
        (vec![plain(Begin { delivery_mode: 7, ..Begin::default() })], 14),
        (vec![ToDevice::Begin(Beginning::Signed(RawItem(vec![0xd2, 0x80])))], 15),
        (vec![begin("text/plain", Some("../f"), Begin::default())], 7),
        (vec![begin("text/plain", Some("/etc/f"), Begin::default())], 7),
        (vec![begin("text/plain", Some("-f"), Begin::default())], 7),
        (vec![plain(sized(3)), data(1, b"abc")], 6),
        (vec![plain(sized(3)), data(0, b"abcd")], 6),
        (vec![plain(Begin::default()), data(0, &[0; 60]), data(1, &[0; 60])], 6),
        (vec![plain(sized(3)), data(0, b"ab"), end(None)], 6),
        (vec![plain(sized(0)), ToDevice::End(End { status: 1, ..End::default() })], 6),
        (vec![plain(sized(1)), data(0, b"x"), end(Some(ContentHash::of(b"y").digest().to_vec()))], 11),
        (vec![plain(sized(1)), data(0, b"x"), end(Some(vec![1; 20]))], 6),
    ];
    for (messages, number) in cases {
        let mut module = module(base.path(), &[]);
        let count = messages.len();
        let (said, refused) = tell(&mut module, messages).await;
        assert!(
            matches!(said.last(), Some(ToOwner::Error(error, Some(_))) if error.number() == number),
            "{number} {count}"
        );
        assert_eq!((said.len(), refused.len()), (1, 1), "{number} {count}");
        // What follows a refusal is dropped.
        assert!(tell(&mut module, vec![data(0, b"x"), end(None)]).await.0.is_empty());
        assert!(module.written().is_empty());
    }
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn consent_is_given_or_refused_before_anything_is_sent() {
    let base = tempfile::tempdir().unwrap();
    let asking = |size| Begin { total_size: Some(size), require_ack: true, ..Begin::default() };
    for (message, reason) in [
        (begin("text/html", None, asking(1)), Some(1)),
        (plain(asking(101)), Some(2)),
        (begin("text/plain", Some(".."), asking(1)), Some(4)),
        (plain(asking(1)), None),
        (begin("Text/Plain; charset=utf-8", None, asking(0)), None),
    ] {
        let mut module = module(base.path(), &[]);
        let (said, _) = tell(&mut module, vec![message]).await;
        assert!(
            matches!(&said[..], [ToOwner::Ack(ack)] if ack.reason == reason && ack.accepted == reason.is_none())
        );
    }
}

#[tokio::test]
async fn a_repeated_piece_counts_once_and_a_hash_of_either_kind_holds() {
    let base = tempfile::tempdir().unwrap();
    for hash in [ContentHash::of(b"abcd"), ContentHash::sha384(Sha384::digest(b"abcd").into())] {
        let mut module = module(base.path(), &[]);
        let hash = Some(hash.digest().to_vec());
        let messages = vec![
            plain(Begin::default()),
            data(0, b"ab"),
            data(0, b"ab"),
            data(1, b"cd"),
            ToDevice::End(End { hash, ..End::default() }),
        ];
        let (said, _) = tell(&mut module, messages).await;
        assert!(matches!(&said[..], [ToOwner::Result(outcome)] if outcome.status == 0));
        assert_eq!(fs::read(base.path().join("f")).unwrap(), b"abcd");
    }
}

#[tokio::test]
async fn a_program_has_its_time_and_there_is_one_at_a_time() {
    let base = tempfile::tempdir().unwrap();
    let messages = || vec![plain(Begin::default()), ToDevice::End(End::default())];
    let mut module = module(base.path(), &["sh", "-c", "sleep 50"]);
    module.settings.limits.time_limit = Duration::from_millis(50);
    let (said, refused) = tell(&mut module, messages()).await;
    assert!(matches!(&said[..], [ToOwner::Error(PayloadError::UnableToApply, Some(_))]), "{refused:?}");
    let mut answers = Answers::new(Payload::NAME);
    let mut slow = self::module(base.path(), &["sh", "-c", "sleep 50"]);
    for message in messages() {
        let kv = message.to_kv();
        slow.receive(kv.message(), &kv.value, &mut answers).unwrap();
    }
    let kv = plain(Begin::default()).to_kv();
    assert!(matches!(slow.receive(kv.message(), &kv.value, &mut answers), Err(Error::Rejected(_))));
    drop((slow, module));
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
}

#[test]
fn what_is_ill_formed_ends_the_conversation() {
    let base = tempfile::tempdir().unwrap();
    let mut module = module(base.path(), &[]);
    let mut answers = Answers::new(Payload::NAME);
    for (message, item) in [
        ("payload-begin", "a0"),
        ("payload-begin", "80"),
        ("payload-data-0", "6161"),
        ("payload-data-00", "4161"),
        ("payload-end", "f6"),
        ("active", "6161"),
    ] {
        let taken = module.receive(message, &hex::decode(item).unwrap(), &mut answers);
        assert!(matches!(taken, Err(Error::Malformed(_))), "{message}");
    }
    module.receive("payload-later", &[0xf6], &mut answers).unwrap();
    assert!(answers.pairs().is_empty());
}
