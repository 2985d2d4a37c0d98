//! Files go out in order, with their hash, and only when the owner has agreed.
#![allow(clippy::unwrap_used)]

use std::fs;

use fdo_protocol::cbor::{self, ByteString, encode};

use super::*;

fn asked(module: &mut Upload, pairs: &[(&str, Vec<u8>)]) -> Answers {
    let mut answers = Answers::new(Upload::NAME);
    for (message, item) in pairs {
        module.receive(message, item, &mut answers).unwrap();
    }
    answers
}

fn names(answers: &Answers) -> Vec<String> {
    answers.pairs().iter().map(|kv| kv.message().to_owned()).collect()
}

#[test]
fn the_owner_has_its_turn_before_the_first_piece_and_may_stop_it() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("f"), [7; 3000]).unwrap();
    let mut module = Upload::new(base.path(), 1300);
    let ask = [("active", vec![0xf5]), ("need-sha", vec![0xf5]), ("name", encode("f"))];
    let answers = asked(&mut module, &ask);
    assert_eq!(names(&answers), ["active", "length"]);
    assert_eq!(cbor::decode::<u64>(&answers.pairs()[1].value).unwrap(), 3000);
    let mut first = Answers::new(Upload::NAME);
    assert!(!module.has_more());
    module.supply(&mut first).unwrap();
    assert!(first.pairs().is_empty() && module.has_more());
    let mut second = Answers::new(Upload::NAME);
    module.supply(&mut second).unwrap();
    assert_eq!(names(&second), ["data"]);
    assert_eq!(cbor::decode::<ByteString>(&second.pairs()[0].value).unwrap().len(), 1014);
    assert_eq!(module.transfer().unwrap().to_string(), "fdo.upload f: 1014 bytes of 3000 bytes");
    let answers = asked(&mut module, &[("active", vec![0xf4])]);
    assert!(!module.has_more() && answers.refused()[0].contains("does not take it"));
}

#[test]
fn a_file_that_shrinks_on_the_way_ends_the_conversation() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("f"), [7; 3000]).unwrap();
    let mut module = Upload::new(base.path(), 1300);
    asked(&mut module, &[("name", encode("f"))]);
    fs::write(base.path().join("f"), [7; 500]).unwrap();
    module.supply(&mut Answers::new(Upload::NAME)).unwrap();
    let end = module.supply(&mut Answers::new(Upload::NAME));
    assert!(matches!(end, Err(Error::Internal(_))));
}

#[test]
fn what_is_ill_formed_or_unknown_is_refused_or_ignored() {
    let base = tempfile::tempdir().unwrap();
    let mut module = Upload::new(base.path(), 1300);
    let mut answers = Answers::new(Upload::NAME);
    for (message, item) in
        [("name", encode(&"n".repeat(1025))), ("name", vec![0xf6]), ("need-sha", vec![1]), ("active", encode("x"))]
    {
        assert!(matches!(module.receive(message, &item, &mut answers), Err(Error::Malformed(_))), "{message}");
    }
    module.receive("data", &[0x40], &mut answers).unwrap();
    assert!(answers.pairs().is_empty() && !module.has_more());
}
