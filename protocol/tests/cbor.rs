//! The rules of the one decoder: what is accepted, what is refused and by which rule, byte by byte.
#![allow(clippy::unwrap_used)]

use fdo_protocol::cbor::{self, Encoded, MAX_DEPTH, Reader, Writer};
use fdo_protocol::{Error, ErrorCode};
use proptest::prelude::*;

fn refusal(bytes: &[u8]) -> &'static str {
    match cbor::check(bytes) {
        Err(Error::Malformed(rule)) => rule,
        other => panic!("{}: {other:?}", hex::encode(bytes)),
    }
}

#[test]
fn longer_integers_and_unsorted_maps_are_accepted_and_keep_their_bytes() {
    for text in ["1801", "190001", "1a00000001", "1b0000000000000001", "3900ff", "a20a010102", "a2616201616102"] {
        cbor::check(&hex::decode(text).unwrap()).unwrap();
    }
    let long: Encoded<u64> = Encoded::from_bytes(&hex::decode("1b0000000000000001").unwrap()).unwrap();
    assert_eq!((*long.value(), long.bytes().len()), (1, 9));
}

#[test]
fn each_forbidden_form_is_refused_by_its_rule() {
    for (text, rule) in [
        ("5f4101ff", "indefinite length"),
        ("7f6161ff", "indefinite length"),
        ("9f01ff", "indefinite length"),
        ("bf0102ff", "indefinite length"),
        ("ff", "indefinite length"),
        ("a201020103", "duplicate map key"),
        ("a20102180103", "duplicate map key"),
        ("a2616101616102", "duplicate map key"),
        ("a220012003", "duplicate map key"),
        ("f90000", "floating point number"),
        ("fa00000000", "floating point number"),
        ("fb0000000000000000", "floating point number"),
        ("f7", "unknown simple value"),
        ("e0", "unknown simple value"),
        ("f8ff", "unknown simple value"),
        ("f816", "unknown simple value"),
        ("81f814", "unknown simple value"),
        ("0100", "trailing bytes"),
        ("8000", "trailing bytes"),
        ("61ff", "text is not UTF-8"),
        ("", "truncated"),
        ("18", "truncated"),
        ("4201", "truncated"),
        ("8201", "truncated"),
        ("a101", "truncated"),
        ("d2", "truncated"),
        ("9bffffffffffffffff", "truncated"),
        ("bb7fffffffffffffff", "truncated"),
        ("5bffffffffffffffff", "truncated"),
        ("1c", "truncated"),
    ] {
        assert_eq!(refusal(&hex::decode(text).unwrap()), rule, "{text}");
    }
}

/// Arrays, maps and tags all count; sixteen of them are fine and seventeen are not.
#[test]
fn nesting_ends_at_sixteen() {
    for opening in [&[0x81][..], &[0xa1, 0x00], &[0xd2]] {
        let nested = |depth: usize| [opening.repeat(depth), vec![0x00]].concat();
        cbor::check(&nested(MAX_DEPTH)).unwrap();
        assert_eq!(refusal(&nested(MAX_DEPTH + 1)), "nested too deeply");
        // Far beyond: refused by the same rule, without using up the stack.
        assert_eq!(refusal(&nested(60_000)), "nested too deeply");
    }
    assert_eq!(MAX_DEPTH, 16);
}

#[test]
fn every_refusal_is_a_message_body_error() {
    let error = cbor::decode::<u64>(&[0x9f, 0xff]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::MessageBody);
}

proptest! {
    /// Whatever comes: no panic, and what is accepted is read as one item, to its last byte.
    #[test]
    fn any_bytes_are_refused_or_read_whole(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if cbor::check(&bytes).is_ok() {
            let mut reader = Reader::new(&bytes).unwrap();
            prop_assert_eq!(reader.raw().unwrap(), &bytes[..]);
            prop_assert!(reader.raw().is_err());
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        number in any::<u64>(), signed in any::<i64>(), bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in ".{0,40}", flag in any::<bool>(),
    ) {
        let mut writer = Writer::default();
        writer.array(6).unsigned(number).integer(signed).bytes(&bytes).text(&text).bool(flag).null();
        let written = writer.into_bytes();
        let mut reader = Reader::new(&written).unwrap();
        reader.array(6).unwrap();
        prop_assert_eq!(reader.unsigned().unwrap(), number);
        prop_assert_eq!(reader.integer().unwrap(), signed);
        prop_assert_eq!(reader.bytes().unwrap(), &bytes[..]);
        prop_assert_eq!(reader.text().unwrap(), text);
        prop_assert_eq!(reader.bool().unwrap(), flag);
        prop_assert!(reader.null());
        for length in 0..written.len() {
            prop_assert!(cbor::check(&written[..length]).is_err());
        }
    }
}
