//! The tunnel of TO2 against fixed messages and against the recorded runs of other implementations
//! (`tests/vectors`). Key exchange and key derivation are tested beside their code, where secrets can be fixed.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::path::PathBuf;

use fdo_protocol::crypto::{CipherSuite, SharedSecret, Tunnel};
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
        bytes.copy_from_slice(&self.0);
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

fn tunnel(suite: CipherSuite, key: &[u8]) -> Tunnel {
    let mut writer = cbor::Writer::default();
    writer.array(2).integer(suite.number()).bytes(key);
    cbor::decode(&writer.into_bytes()).unwrap()
}

/// The vectors of the suites that are offered.
fn encrypt0_vectors() -> Vec<(CipherSuite, Value)> {
    let all = read(vectors().join("misc/encrypt0-vectors.json"));
    let offered: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|case| {
            let suite = CipherSuite::from_number(case["id"].as_i64().unwrap()).ok()?;
            Some((suite, case.clone()))
        })
        .collect();
    assert_eq!(offered.len(), CipherSuite::ALL.len());
    offered
}

#[test]
fn seals_and_opens_the_fixed_messages() {
    for (suite, case) in encrypt0_vectors() {
        let tunnel = tunnel(suite, &bytes(&case, "SEVK"));
        let message = bytes(&case, "COSE_Encrypt0");
        let plaintext = bytes(&case, "plaintext_TO2_Done");
        let sealed = tunnel.seal(&plaintext, &mut FixedBytes(bytes(&case, "iv"))).unwrap();
        assert_eq!(hex::encode(sealed), hex::encode(&message));
        assert_eq!(tunnel.open(&message).unwrap(), plaintext);
    }
}

#[test]
fn a_message_changed_anywhere_is_malformed() {
    for (suite, case) in encrypt0_vectors() {
        let tunnel = tunnel(suite, &bytes(&case, "SEVK"));
        let message = bytes(&case, "COSE_Encrypt0");
        for index in 0..message.len() {
            for bit in 0..8 {
                let mut changed = message.clone();
                changed[index] ^= 1 << bit;
                let error = tunnel.open(&changed).unwrap_err();
                assert_eq!(error.code(), ErrorCode::MessageBody, "byte {index} bit {bit}: {error}");
            }
            assert_eq!(tunnel.open(&message[..index]).unwrap_err().code(), ErrorCode::MessageBody);
        }
        let trailing = [&message[..], &[0]].concat();
        assert!(matches!(tunnel.open(&trailing), Err(Error::Malformed(_))));
    }
}

#[test]
fn only_the_exact_form_is_opened() {
    let (suite, case) = encrypt0_vectors().remove(0);
    let tunnel = tunnel(suite, &bytes(&case, "SEVK"));
    let message = bytes(&case, "COSE_Encrypt0");
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
    assert!(opened >= 100, "{opened} messages opened");
}

/// Opens the encrypted messages of a run of an offered suite; a run may hold several sessions.
fn open_transcript(path: PathBuf) -> usize {
    let name = path.display().to_string();
    let run = read(path);
    let tunnels: Vec<Tunnel> = run["kdf"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|session| {
            let key = bytes(session, "SEK_or_SEVK");
            let suite = CipherSuite::ALL.into_iter().find(|suite| suite.key_length() == key.len())?;
            let secret = Zeroizing::new(bytes(session, "ShSe"));
            let context = Zeroizing::new(bytes(session, "ContextRand"));
            let derived = SharedSecret::new(secret, context).derive(suite);
            // Runs of suites that are not offered derive other key material.
            (cbor::encode(&derived) == cbor::encode(&tunnel(suite, &key))).then_some(derived)
        })
        .collect();
    let mut opened = 0;
    for message in run["messages"].as_array().unwrap() {
        let body = bytes(message, "body");
        let suite_of_body = body.get(2..6).unwrap_or_default();
        let offered = matches!(suite_of_body, [0x43, 0xa1, 1, 1 | 3]);
        if !(65..=71).contains(&message["type"].as_u64().unwrap()) || !offered {
            continue;
        }
        let plaintexts: Vec<_> = tunnels.iter().filter_map(|tunnel| tunnel.open(&body).ok()).collect();
        assert!(!plaintexts.is_empty(), "{name}: message {}", message["type"]);
        cbor::check(&plaintexts[0]).unwrap();
        opened += 1;
    }
    opened
}
