//! What travelled encrypted: opened with the recorded secrets, decoded, and encoded again to the same bytes.

use fdo_protocol::cbor::{Decode, Encode, decode};
use fdo_protocol::crypto::{CipherSuite, SharedSecret, Tunnel};
use fdo_protocol::messages::MessageType;
use fdo_protocol::messages::to2::{
    DeviceServiceInfoReady, Done, Done2, HelloDevice, OwnerServiceInfoReady, SetupDevice, SetupDevicePayload,
};
use fdo_protocol::service_info::{DeviceServiceInfo, OwnerServiceInfo};
use zeroize::Zeroizing;

use crate::{Transcript, same, transcripts};

/// The tunnels of a recording; each of its sessions has one.
fn tunnels(transcript: &Transcript) -> Vec<Tunnel> {
    let hello: HelloDevice = decode(&transcript.message(60)).unwrap();
    let suite = CipherSuite::from_number(hello.cipher_suite).unwrap();
    let sessions = transcript.json["kdf"].as_array().unwrap();
    let secret = |session: &serde_json::Value, field: &str| {
        Zeroizing::new(hex::decode(session[field].as_str().unwrap()).unwrap())
    };
    sessions
        .iter()
        .map(|session| SharedSecret::new(secret(session, "ShSe"), secret(session, "ContextRand")).derive(suite))
        .collect()
}

/// Opens a message of the recording by whichever session it belongs to.
pub fn open(transcript: &Transcript, body: &[u8]) -> Vec<u8> {
    let opened = tunnels(transcript).iter().find_map(|tunnel| tunnel.open(body).ok());
    opened.unwrap_or_else(|| panic!("{}: no session opens a message", transcript.name))
}

fn again<T: Decode + Encode>(plaintext: &[u8]) {
    drop(same::<T>(plaintext));
}

#[test]
fn every_encrypted_message_encodes_to_the_same_bytes() {
    let mut seen = 0;
    for transcript in transcripts() {
        for (number, body) in transcript.to2_runs().concat() {
            if number < 65 {
                continue;
            }
            let plaintext = open(&transcript, &body);
            match MessageType::from_number(number).unwrap() {
                MessageType::SetupDevice => {
                    let SetupDevice(setup) = same(&plaintext);
                    again::<SetupDevicePayload>(setup.unverified_payload());
                }
                MessageType::DeviceServiceInfoReady => again::<DeviceServiceInfoReady>(&plaintext),
                MessageType::OwnerServiceInfoReady => again::<OwnerServiceInfoReady>(&plaintext),
                MessageType::DeviceServiceInfo => again::<DeviceServiceInfo>(&plaintext),
                MessageType::OwnerServiceInfo => again::<OwnerServiceInfo>(&plaintext),
                MessageType::Done => again::<Done>(&plaintext),
                MessageType::Done2 => again::<Done2>(&plaintext),
                other => panic!("{}: {other:?} in the tunnel", transcript.name),
            }
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen} messages were opened");
}
