//! Conversations that other implementations had with each other, replayed against our state machines: what their
//! devices and owners sent is fed to ours. Origins: `tests/vectors/README.md`.
#![allow(clippy::unwrap_used)]

mod proofs;
mod roles;
mod tunnel;

use std::path::PathBuf;

use fdo_protocol::cbor::{Decode, Encode, RawItem, Writer, decode, encode};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{CipherSuite, EtmForm, VerifyingKey};
use fdo_protocol::messages::di::{AppStart, DiDone, SetCredentials, SetHmac};
use fdo_protocol::messages::to0::{AcceptOwner, HelloAck, OwnerSign, To0Hello};
use fdo_protocol::messages::to1::{HelloRv, HelloRvAck, ProveToRv, RvRedirect};
use fdo_protocol::messages::to2::{
    GetOvNextEntry, HelloDevice, OvNextEntry, ProveDevice, ProveOvHdr, ProveOvHdrPayload,
};
use fdo_protocol::messages::{ErrorMessage, MessageType, PROTOCOL_VERSION};
use fdo_protocol::service_info::{OwnerServiceInfo, ServiceInfo};
use fdo_protocol::to2::owner::{AfterServiceInfo, ExpectReady};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy, Voucher};
use fdo_protocol::{di, to0, to1, to2};
use serde_json::Value;

const TRANSCRIPTS: [&str; 21] = [
    SHORT_SIGNATURE,
    "transcripts-c-client/c-ec256-ecdh256-a128gcm.json",
    "transcripts-c-client/c-ec384-ecdh384-a256gcm-download.json",
    "transcripts-c-client/c-ec384-ecdh384-a256gcm-reuse.json",
    "transcripts-go-fdo/ec256-ecdh256-a128gcm-cosekey.json",
    "transcripts-go-fdo/ec256-ecdh256-a128gcm.json",
    "transcripts-go-fdo/ec256-ecdh256-coseaes128ctr-go-etm.json",
    "transcripts-go-fdo/ec384-ecdh384-a256gcm-reuse.json",
    "transcripts-go-fdo/ec384-ecdh384-a256gcm.json",
    "transcripts-go-fdo/ec384-ecdh384-coseaes256cbc-go-etm.json",
    "transcripts-go-fdo/rsa2048-asymkex2048-a128gcm.json",
    "transcripts-go-fdo/rsa2048-dhkexid14-a128gcm.json",
    "transcripts-go-fdo/rsapkcs3072-asymkex3072-a256gcm.json",
    "transcripts-go-fdo/rsapkcs3072-dhkexid15-a256gcm.json",
    "transcripts-java-server/java-server-c-device-ec256-aesccm32.json",
    "transcripts-java-server/java-server-c-device-ec256-fdo-command.json",
    "transcripts-java-server/java-server-c-device-ec256.json",
    "transcripts-java-server/java-server-c-device-ec384-reuse.json",
    "transcripts-java-server/java-server-go-device-ec256-x5chain.json",
    "transcripts-java-server/java-server-go-device-ec256.json",
    "transcripts-java-server/java-server-go-device-ec384.json",
];

/// Its device drops a leading zero of a signature in the third of its four TO2s; none of them ends.
const SHORT_SIGNATURE: &str = "misc/c-device-short-ecdsa-signature.json";

struct Transcript {
    name: String,
    json: Value,
}

impl Transcript {
    fn load(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), json: serde_json::from_str(&text).unwrap() }
    }

    fn messages(&self) -> Vec<(u8, Vec<u8>)> {
        let messages = self.json["messages"].as_array().unwrap();
        let read = |message: &Value| {
            let number = u8::try_from(message["type"].as_u64().unwrap()).unwrap();
            (number, hex::decode(message["body"].as_str().unwrap()).unwrap())
        };
        messages.iter().map(read).collect()
    }

    /// The first message of a type.
    fn message(&self, number: u8) -> Vec<u8> {
        self.messages().into_iter().find(|(known, _)| *known == number).unwrap().1
    }

    fn all(&self, number: u8) -> Vec<Vec<u8>> {
        self.messages().into_iter().filter(|(known, _)| *known == number).map(|(_, body)| body).collect()
    }

    /// The messages of each TO2, from 60 on.
    fn to2_runs(&self) -> Vec<Vec<(u8, Vec<u8>)>> {
        let mut runs: Vec<Vec<(u8, Vec<u8>)>> = Vec::new();
        for message in self.messages() {
            if message.0 == 60 {
                runs.push(Vec::new());
            }
            if let (60..=71, Some(run)) = (message.0, runs.last_mut()) {
                run.push(message);
            }
        }
        runs
    }

    /// One of the parties' secrets, where it was recorded.
    fn secret(&self, name: &str) -> Option<Vec<u8>> {
        Some(hex::decode(self.json["secrets"][name].as_str()?).unwrap())
    }

    fn voucher(&self, name: &str) -> Option<Voucher> {
        let bytes = hex::decode(self.json[name].as_str()?).unwrap();
        Some(Voucher::from_bytes(&bytes).unwrap())
    }

    /// The voucher as it was sold last.
    fn sold(&self) -> VerifiedVoucher {
        let voucher = self.voucher("voucher_2_entries").or_else(|| self.voucher("voucher_1_entry")).unwrap();
        voucher.verify(&VerifyPolicy::default()).unwrap()
    }

    /// Whether a TO2 came to its end.
    fn is_whole(&self) -> bool {
        self.messages().iter().any(|(number, _)| *number == 71)
    }

    /// SEVK, or SEK and SVK.
    fn session_keys(&self) -> Vec<u8> {
        let session = &self.json["kdf"][0];
        let key = |field: &str| hex::decode(session[field].as_str().unwrap_or_default()).unwrap();
        [key("SEK_or_SEVK"), key("SVK")].concat()
    }

    fn is_reuse(&self) -> bool {
        self.json["credential_reuse"].as_bool().unwrap()
    }
}

fn transcripts() -> impl Iterator<Item = Transcript> {
    // The portable backend refuses RSA.
    let names = TRANSCRIPTS.iter().filter(|name| cfg!(feature = "aws-lc") || !name.contains("/rsa"));
    names.map(|name| Transcript::load(name))
}

/// Decodes and encodes again; the bytes must be the same.
fn same<T: Decode + Encode>(body: &[u8]) -> T {
    let message: T = decode(body).unwrap();
    assert_eq!(encode(&message), body);
    message
}

#[test]
fn every_plain_message_encodes_to_the_same_bytes() {
    for transcript in transcripts() {
        for (number, body) in transcript.messages() {
            match MessageType::from_number(number).unwrap() {
                MessageType::AppStart => drop(same::<AppStart>(&body)),
                MessageType::SetCredentials => drop(same::<SetCredentials>(&body)),
                MessageType::SetHmac => drop(same::<SetHmac>(&body)),
                MessageType::DiDone => drop(same::<DiDone>(&body)),
                MessageType::To0Hello => drop(same::<To0Hello>(&body)),
                MessageType::HelloAck => drop(same::<HelloAck>(&body)),
                MessageType::OwnerSign => drop(same::<OwnerSign>(&body)),
                MessageType::AcceptOwner => drop(same::<AcceptOwner>(&body)),
                MessageType::HelloRv => drop(same::<HelloRv>(&body)),
                MessageType::HelloRvAck => drop(same::<HelloRvAck>(&body)),
                MessageType::ProveToRv => drop(same::<ProveToRv>(&body)),
                MessageType::RvRedirect => drop(same::<RvRedirect>(&body)),
                MessageType::HelloDevice => drop(same::<HelloDevice>(&body)),
                MessageType::ProveOvHdr => {
                    let message = same::<ProveOvHdr>(&body);
                    drop(same::<ProveOvHdrPayload>(message.0.unverified_payload()));
                }
                MessageType::GetOvNextEntry => drop(same::<GetOvNextEntry>(&body)),
                MessageType::OvNextEntry => drop(same::<OvNextEntry>(&body)),
                MessageType::ProveDevice => drop(same::<ProveDevice>(&body)),
                MessageType::Error => drop(decode::<ErrorMessage>(&body).unwrap()),
                _ => assert!(number > 64, "{}: {number}", transcript.name),
            }
        }
    }
}

/// 10 is read, and 12 completes the very voucher that the other manufacturer made.
#[test]
fn di_makes_the_recorded_voucher() {
    for transcript in transcripts() {
        let info = di::manufacturer::app_start(&transcript.message(10)).unwrap();
        fdo_pki::Csr::parse(&info.csr).unwrap().verify().unwrap();

        let expected = transcript.voucher("voucher_0_entries").unwrap();
        let SetCredentials { ov_header } = decode(&transcript.message(11)).unwrap();
        let mut state = Writer::default();
        state.array(2).value(&ov_header).value(&expected.certificates().unwrap().to_vec());
        let state: di::manufacturer::ExpectSetHmac = decode(&state.into_bytes()).unwrap();
        let (voucher, done) = state.set_hmac(&transcript.message(12)).unwrap();
        assert_eq!(voucher.bytes(), expected.bytes(), "{}", transcript.name);
        assert_eq!(done.body, transcript.message(13));
        voucher.verify(&VerifyPolicy::default()).unwrap();
    }
}

/// The owner's registration and the device's proof hold; the device is answered with the recorded bytes.
#[test]
fn to0_and_to1_are_accepted() {
    for transcript in transcripts() {
        let HelloAck { nonce } = decode(&transcript.message(21)).unwrap();
        let mut state = Writer::default();
        state.array(1).value(&nonce);
        let state: to0::rendezvous::ExpectOwnerSign = decode(&state.into_bytes()).unwrap();
        let request = state.owner_sign(&transcript.message(22), &VerifyPolicy::default()).unwrap();
        let sold = transcript.sold();
        assert_eq!(request.voucher.bytes(), sold.bytes(), "{}", transcript.name);

        let hello: HelloRv = to1::rendezvous::hello_rv(&transcript.all(30).pop().unwrap()).unwrap();
        assert_eq!(hello.guid, sold.guid());
        let ack: HelloRvAck = decode(&transcript.message(31)).unwrap();
        let mut state = Writer::default();
        state.array(3).value(&hello.guid).value(&ack.nonce).bool(false);
        let state: to1::rendezvous::ExpectProveToRv = decode(&state.into_bytes()).unwrap();
        let proof = state.prove_to_rv(&transcript.message(32)).unwrap();
        let proof = proof.verify(request.voucher.device_key()).unwrap();
        let redirect = to1::rendezvous::rv_redirect(&proof, request.to1d.bytes());
        assert_eq!(redirect.body, transcript.message(33), "{}", transcript.name);
    }
}

/// From 66 on, with the recorded session key: the replacement is the recorded voucher, and every 68 decrypts.
#[test]
fn to2_ends_in_the_recorded_voucher() {
    let mut rng: rand_chacha::ChaCha20Rng = rand_core::SeedableRng::seed_from_u64(5);
    for transcript in transcripts().filter(Transcript::is_whole) {
        let sold = transcript.sold();
        let hello: HelloDevice = decode(&transcript.message(60)).unwrap();
        let state: ExpectReady = decode(&expect_ready(&transcript, &sold, &hello)).unwrap();
        let (_, mut state, _) = state.ready(&transcript.message(66), &mut rng).unwrap();
        let messages = transcript.all(68);
        let mut finished = None;
        for (index, body) in messages.iter().enumerate() {
            let info = state.device_service_info(body).unwrap();
            if index == 0 {
                assert_eq!(info.service_info.0[0].key, "devmod:active", "{}", transcript.name);
            }
            let is_done = index + 1 == messages.len();
            let answer = OwnerServiceInfo { is_more: false, is_done, service_info: ServiceInfo::empty() };
            match state.owner_service_info(&answer, &mut rng).unwrap().1 {
                AfterServiceInfo::Continue(next) => state = next,
                AfterServiceInfo::Finish(done) => {
                    finished = Some(done);
                    break;
                }
            }
        }
        let (completed, _) = finished.unwrap().done(&transcript.message(70), &mut rng).unwrap();
        assert_eq!(completed.replacement.is_none(), transcript.is_reuse(), "{}", transcript.name);
        if let Some(replacement) = completed.replacement {
            let renewed = sold.replace(replacement.ov_header, replacement.hmac).unwrap();
            let expected = transcript.voucher("voucher_after_to2").unwrap();
            assert_eq!(renewed.bytes(), expected.bytes(), "{}", transcript.name);
        }
    }
}

/// The stored state of an owner that just sent the recorded 65.
fn expect_ready(transcript: &Transcript, sold: &VerifiedVoucher, hello: &HelloDevice) -> Vec<u8> {
    let ProveOvHdr(prove_ov_hdr) = decode(&transcript.message(61)).unwrap();
    let nonce_prove_dv = RawItem(prove_ov_hdr.unprotected(256).unwrap());
    let ProveDevice(prove_device) = decode(&transcript.message(64)).unwrap();
    let nonce_setup_dv = RawItem(prove_device.unprotected(-259).unwrap());

    let mut next_guid = sold.guid();
    let mut replacement = None;
    if let Some(renewed) = transcript.voucher("voucher_after_to2") {
        next_guid = renewed.guid();
        replacement = Some(renewed.header().clone());
    }
    let mut state = Writer::default();
    state.array(3).array(6).value(&sold.guid()).value(&next_guid).value(&nonce_prove_dv).value(&nonce_setup_dv);
    let suite = CipherSuite::from_number(hello.cipher_suite).unwrap();
    let form = suite.is_encrypt_then_mac().then_some(EtmForm::Go);
    state.array(3).value(&suite).value(&form).bytes(&transcript.session_keys());
    state.bytes(&[]).value(&replacement).null();
    state.into_bytes()
}

/// The C client drops a leading zero of r or s now and then; its proof is accepted all the same.
#[test]
fn a_signature_that_lost_a_zero_is_accepted() {
    let transcript = Transcript::load(SHORT_SIGNATURE);
    let voucher = transcript.voucher("voucher_1_entry").unwrap().verify(&VerifyPolicy::default()).unwrap();
    let device: &VerifyingKey = voucher.device_key();
    let proofs = transcript.all(64);
    let short = proofs.iter().find(|body| body.len() == 226).unwrap();
    let longest = proofs.iter().map(Vec::len).max().unwrap();
    assert_eq!(longest, short.len() + 1);
    for body in &proofs {
        Sign1::from_bytes(body).unwrap().verify(device, &[]).unwrap();
    }
}

#[test]
fn the_messages_are_of_version_1_1() {
    assert_eq!(PROTOCOL_VERSION, 101);
    assert!(to2::owner::hello_device(&[0x80]).is_err());
}
