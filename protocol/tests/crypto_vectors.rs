//! The tunnel of TO2 against fixed messages and against the recorded runs of other implementations
//! (`tests/vectors`). Key exchange and key derivation are tested beside their code, where secrets can be fixed.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::path::PathBuf;

use fdo_protocol::crypto::{CipherSuite, EtmForm, SharedSecret, Tunnel};
use fdo_protocol::messages::to2::{HelloDevice, SetupDevice};
use fdo_protocol::{Error, ErrorCode, cbor};
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use zeroize::Zeroizing;

/// Gives the same bytes again and again, so that a message has the IV of its vector.
struct FixedBytes(Vec<u8>);

impl TryRng for FixedBytes {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
        Ok(())
    }
}

impl TryCryptoRng for FixedBytes {}

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

fn read(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(value[field].as_str().unwrap()).unwrap()
}

fn tunnel(suite: CipherSuite, form: Option<EtmForm>, keys: &[u8]) -> Tunnel {
    let mut writer = cbor::Writer::default();
    writer.array(3).value(&suite).value(&form).bytes(keys);
    cbor::decode(&writer.into_bytes()).unwrap()
}

/// A message with fixed keys and IV.
struct Fixed {
    tunnel: Tunnel,
    iv: Vec<u8>,
    plaintext: Vec<u8>,
    message: Vec<u8>,
}

/// One for each suite, and for each form of those that have several.
fn fixed_messages() -> Vec<Fixed> {
    let read_case = |case: &Value, [keys, plaintext, message]: [&str; 3]| {
        let suite = CipherSuite::from_number(case["id"].as_i64().unwrap()).unwrap();
        assert_eq!(suite.name(), case["suite"]);
        let form = case["form"].as_str().map(|form| form.parse().unwrap());
        Fixed {
            tunnel: tunnel(suite, form, &bytes(case, keys)),
            iv: bytes(case, "iv"),
            plaintext: bytes(case, plaintext),
            message: bytes(case, message),
        }
    };
    let shared = read(vectors().join("misc/encrypt0-vectors.json"));
    let own = read(vectors().join("misc/cipher-vectors.json"));
    let shared = shared.as_array().unwrap().iter();
    let shared = shared.map(|case| read_case(case, ["SEVK", "plaintext_TO2_Done", "COSE_Encrypt0"]));
    let own = own.as_array().unwrap().iter().map(|case| read_case(case, ["keys", "plaintext", "message"]));
    shared.chain(own).collect()
}

#[test]
fn there_is_a_fixed_message_for_each_suite_and_form() {
    let all = fixed_messages();
    for suite in CipherSuite::ALL {
        let forms: Vec<_> =
            all.iter().filter(|fixed| fixed.tunnel.suite() == suite).map(|fixed| fixed.tunnel.form()).collect();
        if suite.is_encrypt_then_mac() {
            assert_eq!(forms, EtmForm::ALL.map(Some), "{suite}");
        } else {
            assert_eq!(forms, [None], "{suite}");
        }
    }
}

#[test]
fn seals_and_opens_the_fixed_messages() {
    for Fixed { tunnel, iv, plaintext, message } in fixed_messages() {
        let sealed = tunnel.seal(&plaintext, &mut FixedBytes(iv)).unwrap();
        assert_eq!(hex::encode(sealed), hex::encode(&message), "{}", tunnel.suite());
        assert_eq!(tunnel.open(&message).unwrap(), plaintext);
    }
}

#[test]
fn a_message_changed_anywhere_is_malformed() {
    for Fixed { tunnel, message, .. } in fixed_messages() {
        for index in 0..message.len() {
            for bit in 0..8 {
                let mut changed = message.clone();
                changed[index] ^= 1 << bit;
                let error = tunnel.open(&changed).unwrap_err();
                let what = format!("{}: byte {index} bit {bit}: {error}", tunnel.suite());
                assert_eq!(error.code(), ErrorCode::MessageBody, "{what}");
            }
            assert_eq!(tunnel.open(&message[..index]).unwrap_err().code(), ErrorCode::MessageBody);
        }
        let trailing = [&message[..], &[0]].concat();
        assert!(matches!(tunnel.open(&trailing), Err(Error::Malformed(_))));
    }
}

/// Each message is refused under every other suite and form, even with keys that fit.
#[test]
fn no_message_opens_as_one_of_another_suite_or_form() {
    let all = fixed_messages();
    for fixed in &all {
        for other in &all {
            let same = (fixed.tunnel.suite(), fixed.tunnel.form()) == (other.tunnel.suite(), other.tunnel.form());
            assert_eq!(other.tunnel.open(&fixed.message).is_ok(), same);
        }
    }
}

#[test]
fn keys_and_form_that_do_not_fit_the_suite_are_not_read() {
    for Fixed { tunnel, .. } in fixed_messages() {
        let (suite, form) = (tunnel.suite(), tunnel.form());
        let length = suite.key_length() + suite.mac_key_length(form.unwrap_or_default());
        let other = if form.is_some() { None } else { Some(EtmForm::Go) };
        for (form, length) in [(form, length - 1), (form, length + 1), (other, length)] {
            let mut writer = cbor::Writer::default();
            writer.array(3).value(&suite).value(&form).bytes(&vec![1; length]);
            assert!(cbor::decode::<Tunnel>(&writer.into_bytes()).is_err(), "{suite}");
        }
    }
}

#[test]
fn only_the_exact_form_is_opened() {
    let Fixed { tunnel, message, .. } = fixed_messages().remove(0);
    let iv = &message[9..21];
    let ciphertext = &message[23..];
    let build = |protected: &[u8], unprotected: &[u8], ciphertext: Option<&[u8]>| {
        let mut writer = cbor::Writer::default();
        writer.tag(16).array(3).bytes(protected).raw(unprotected);
        match ciphertext {
            Some(bytes) => writer.bytes(bytes),
            None => writer.null(),
        };
        writer.into_bytes()
    };
    let with_iv = |iv: &[u8]| [&[0xa1, 5, 0x40 + u8::try_from(iv.len()).unwrap()], iv].concat();
    let good = with_iv(iv);
    assert!(tunnel.open(&build(&[0xa1, 1, 1], &good, Some(ciphertext))).is_ok());

    for (what, wrong) in [
        ("untagged", message[1..].to_vec()),
        ("another tag", [&[0xd1], &message[1..]].concat()),
        ("another suite", build(&[0xa1, 1, 3], &good, Some(ciphertext))),
        ("no suite", build(&[], &good, Some(ciphertext))),
        ("no IV", build(&[0xa1, 1, 1], &[0xa0], Some(ciphertext))),
        ("a short IV", build(&[0xa1, 1, 1], &with_iv(&iv[1..]), Some(ciphertext))),
        ("a long IV", build(&[0xa1, 1, 1], &with_iv(&[iv, &[0]].concat()), Some(ciphertext))),
        ("no ciphertext", build(&[0xa1, 1, 1], &good, None)),
        ("no room for a tag", build(&[0xa1, 1, 1], &good, Some(&ciphertext[..15]))),
        ("empty", Vec::new()),
    ] {
        assert!(matches!(tunnel.open(&wrong), Err(Error::Malformed(_))), "{what}");
    }
}

#[test]
fn opens_what_other_implementations_sent() {
    let mut opened = 0;
    for directory in ["transcripts-go-fdo", "transcripts-c-client", "transcripts-java-server"] {
        for entry in std::fs::read_dir(vectors().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                opened += open_transcript(path);
            }
        }
    }
    assert!(opened >= 300, "{opened} messages opened");
}

/// Opens the encrypted messages of a run, which may hold several sessions.
fn open_transcript(path: PathBuf) -> usize {
    let name = path.display().to_string();
    let run = read(path);
    let of_type = |range: std::ops::RangeInclusive<u64>| {
        let messages = run["messages"].as_array().unwrap().iter();
        messages.filter(move |message| range.contains(&message["type"].as_u64().unwrap()))
    };
    let hello: HelloDevice = cbor::decode(&bytes(of_type(60..=60).next().unwrap(), "body")).unwrap();
    let suite = CipherSuite::from_number(hello.cipher_suite).unwrap();
    let tunnels: Vec<Tunnel> = run["kdf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| {
            let secret = Zeroizing::new(bytes(session, "ShSe"));
            let derived = SharedSecret::new(secret, Zeroizing::new(bytes(session, "ContextRand"))).derive(suite);
            let keys =
                [bytes(session, "SEK_or_SEVK"), hex::decode(session["SVK"].as_str().unwrap_or("")).unwrap()];
            assert_eq!(
                cbor::encode(&derived),
                cbor::encode(&tunnel(suite, derived.form(), &keys.concat())),
                "{name}"
            );
            derived
        })
        .collect();
    let mut opened = 0;
    for message in of_type(65..=71) {
        let body = bytes(message, "body");
        let (tunnel, plaintext) = tunnels
            .iter()
            .find_map(|tunnel| Some((tunnel, tunnel.open(&body).ok()?)))
            .unwrap_or_else(|| panic!("{name}: message {}", message["type"]));
        cbor::check(&plaintext).unwrap();
        let mark = [5, 0x40 + u8::try_from(suite.iv_length()).unwrap()];
        let start = 2 + body.windows(2).position(|pair| pair == mark).unwrap();
        let iv = FixedBytes(body[start..start + suite.iv_length()].to_vec());
        let again = tunnel.seal(&plaintext, &mut { iv }).unwrap();
        assert_eq!(hex::encode(again), hex::encode(body), "{name}");
        opened += 1;
    }
    opened
}

#[test]
fn opens_and_recognises_the_messages_of_pri_fidoiot() {
    let recorded = read(vectors().join("misc/java-etm-message65.json"));
    for name in ["COSEAES128CTR", "COSEAES128CBC"] {
        let case = &recorded[name];
        let suite: CipherSuite = name.parse().unwrap();
        assert_eq!(case["suite"], suite.number());
        let kdf = &case["kdf"];
        let secret = Zeroizing::new(bytes(kdf, "ShSe"));
        let secret = SharedSecret::new(secret, Zeroizing::default());
        let keys = [bytes(kdf, "SEK_or_SEVK"), bytes(kdf, "SVK")].concat();
        let expected = tunnel(suite, Some(EtmForm::Java), &keys);
        let message = bytes(case, "message_65");

        let (found, plaintext) = secret.open_first(suite, &message).unwrap();
        assert_eq!(cbor::encode(&found), cbor::encode(&expected));
        assert_eq!(expected.open(&message).unwrap(), plaintext);
        let SetupDevice(_) = cbor::decode(&plaintext).unwrap();
        let start = 3 + message.windows(3).position(|bytes| bytes == [0xa1, 5, 0x50]).unwrap();
        let again = expected.seal(&plaintext, &mut FixedBytes(message[start..start + 16].to_vec())).unwrap();
        assert_eq!(hex::encode(again), hex::encode(message));
    }
}
