//! Every signature and HMAC of the recorded conversations holds, by the keys and secrets that were recorded with them.

use fdo_protocol::cbor::decode;
use fdo_protocol::cose::VerifiedEat;

use fdo_protocol::messages::di::{SetCredentials, SetHmac};
use fdo_protocol::messages::to2::{
    CUPH_NONCE, CUPH_OWNER_PUB_KEY, DeviceServiceInfoReady, EUPH_NONCE, HelloDevice, ProveDevice, ProveOvHdr,
    ProveOvHdrPayload, SetupDevice, SetupDevicePayload,
};
use fdo_protocol::nonce::{NonceTo2ProveDv, NonceTo2SetupDv};
use fdo_protocol::{Hmac, PublicKey};

use crate::{Transcript, transcripts, tunnel};

fn of_type(run: &[(u8, Vec<u8>)], number: u8) -> Option<&[u8]> {
    run.iter().find(|(known, _)| *known == number).map(|(_, body)| &body[..])
}

/// 61 by the key it carries, which is the voucher's last, over the nonce and the bytes of 60; 64 by the device's key over
/// the owner's nonce; 65 by the key that it names, over the device's nonce.
#[test]
fn each_to2_is_proven_by_both_sides() {
    let (mut proven, mut set_up) = (0, 0);
    for transcript in transcripts() {
        let sold = transcript.sold();
        for run in transcript.to2_runs() {
            let hello: HelloDevice = decode(&run[0].1).unwrap();
            let ProveOvHdr(by_owner) = decode(of_type(&run, 61).unwrap()).unwrap();
            let key: PublicKey = decode(&by_owner.unprotected(CUPH_OWNER_PUB_KEY).unwrap()).unwrap();
            assert_eq!(key.verifying_key().unwrap(), *sold.owner_key(), "{}", transcript.name);
            by_owner.verify(sold.owner_key(), &[]).unwrap();
            let payload: ProveOvHdrPayload = decode(by_owner.unverified_payload()).unwrap();
            assert_eq!(payload.nonce, hello.nonce);
            assert!(payload.hello_device_hash.matches(&[&run[0].1]));

            let ProveDevice(by_device) = decode(of_type(&run, 64).unwrap()).unwrap();
            let nonce: NonceTo2ProveDv = decode(&by_owner.unprotected(CUPH_NONCE).unwrap()).unwrap();
            VerifiedEat::verify(&by_device, sold.device_key(), nonce.as_bytes(), &hello.guid).unwrap();
            proven += 1;

            let Some(body) = of_type(&run, 65) else { continue };
            let SetupDevice(setup) = decode(&tunnel::open(&transcript, body)).unwrap();
            let payload: SetupDevicePayload = decode(setup.unverified_payload()).unwrap();
            setup.verify(&payload.owner2_key.verifying_key().unwrap(), &[]).unwrap();
            let nonce: NonceTo2SetupDv = decode(&by_device.unprotected(EUPH_NONCE).unwrap()).unwrap();
            assert_eq!(payload.nonce, nonce);
            set_up += 1;
        }
    }
    assert!(proven >= 20 && set_up >= 19, "{proven} proofs, {set_up} set-ups");
}

/// 12 over the header of 11, and 66 over the header of the voucher that TO2 left, under the device's recorded secret.
#[test]
fn the_devices_hmacs_are_over_the_headers() {
    let (mut born, mut renewed) = (0, 0);
    for transcript in transcripts() {
        let Some(secret) = transcript.secret("device_hmac_secret") else { continue };
        let SetCredentials { ov_header } = decode(&transcript.message(11)).unwrap();
        let SetHmac { hmac } = decode(&transcript.message(12)).unwrap();
        assert_eq!(
            Hmac::of(hmac.hmac_type(), &secret, &[ov_header.bytes()]).unwrap(),
            hmac,
            "{}",
            transcript.name
        );
        born += 1;

        let ready: DeviceServiceInfoReady = decode(&tunnel::open(&transcript, &transcript.message(66))).unwrap();
        assert_eq!(ready.replacement_hmac.is_none(), transcript.is_reuse(), "{}", transcript.name);
        if let Some(hmac) = ready.replacement_hmac {
            let voucher = transcript.voucher("voucher_after_to2").unwrap();
            let ours = Hmac::of(hmac.hmac_type(), &secret, &[voucher.header().bytes()]).unwrap();
            assert_eq!(ours, hmac, "{}", transcript.name);
            renewed += 1;
        }
    }
    assert!(born >= 6 && renewed >= 5, "{born} births, {renewed} replacements");
}

/// Without this the two above could pass because nothing is recorded.
#[test]
fn a_changed_nonce_or_header_is_seen() {
    let transcript = Transcript::load("transcripts-go-fdo/ec256-ecdh256-a128gcm.json");
    let ProveDevice(proof) = decode(&transcript.message(64)).unwrap();
    let sold = transcript.sold();
    assert!(VerifiedEat::verify(&proof, sold.device_key(), &[0; 16], &sold.guid()).is_err());
    assert!(proof.verify(sold.owner_key(), &[]).is_err());
    let SetHmac { hmac } = decode(&transcript.message(12)).unwrap();
    assert!(Hmac::of(hmac.hmac_type(), &[0; 32], &[sold.header().bytes()]).unwrap() != hmac);
}
