//! Our owner answers recorded devices from 60 to 64, and our device recorded owners from 60 to 63, with the secrets and
//! nonces that were recorded. Beyond that the key exchange's own secrets are needed, which no recording has.

use std::convert::Infallible;

use fdo_protocol::cbor::decode;
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{CipherSuite, EtmForm, KexSuite, SigningKey};
use fdo_protocol::messages::to2::{CUPH_NONCE, HelloDevice, ProveOvHdr, ProveOvHdrPayload};
use fdo_protocol::nonce::NonceTo2ProveDv;
use fdo_protocol::to2::device::{AfterEntry, DeviceSettings};
use fdo_protocol::to2::owner::OwnerSettings;
use fdo_protocol::{DeviceCredential, FileSecrets, Hash, to2};
use rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::transcripts;

/// Draws the recorded nonce, and for anything longer the nonce again and again.
struct Recorded([u8; 16]);

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(1)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(1)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, drawn)| *byte = *drawn);
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

/// 61 says what the recorded owner said, 63 is the same to the byte, and 64 is accepted.
#[test]
fn our_owner_serves_the_recorded_devices() {
    let mut served = 0;
    for transcript in transcripts() {
        let sold = transcript.sold();
        let key = SigningKey::from_der(&transcript.secret("owner_key_pkcs8").unwrap()).unwrap();
        for run in transcript.to2_runs() {
            let mut bodies = run.iter().filter(|(number, _)| *number <= 64).map(|(_, body)| &body[..]);
            let hello = to2::owner::hello_device(bodies.next().unwrap()).unwrap();
            let ProveOvHdr(theirs) = decode(bodies.next().unwrap()).unwrap();
            let nonce: NonceTo2ProveDv = decode(&theirs.unprotected(CUPH_NONCE).unwrap()).unwrap();
            let rng = &mut Recorded(*nonce.as_bytes());
            let settings = OwnerSettings { encrypt_then_mac: Some(EtmForm::Go), ..OwnerSettings::default() };
            let (reply, mut state) = to2::owner::begin(&hello, &sold, &key, &settings, rng).unwrap();
            let ProveOvHdr(ours) = decode(&reply.body).unwrap();
            assert_eq!(ours.unprotected(CUPH_NONCE), theirs.unprotected(CUPH_NONCE));
            let payload = |proof: &Sign1| decode::<ProveOvHdrPayload>(proof.unverified_payload()).unwrap();
            let (ours, theirs) = (payload(&ours), payload(&theirs));
            assert_eq!(ours.ov_header, theirs.ov_header, "{}", transcript.name);
            assert_eq!((ours.num_ov_entries, &ours.nonce), (theirs.num_ov_entries, &theirs.nonce));
            assert_eq!((&ours.hmac, &ours.e_b_sig_info), (&theirs.hmac, &theirs.e_b_sig_info));

            while let Some(body) = bodies.next() {
                // The last one is 64.
                let Some(entry) = bodies.next() else {
                    let guid = sold.guid();
                    let rv_info = &sold.header().rv_info;
                    let (setup, _) = state.prove_device(body, &key, rv_info, guid, rng).unwrap();
                    assert_eq!(setup.message_type.number(), 65);
                    served += 1;
                    break;
                };
                let (reply, next) = state.get_ov_next_entry(body).unwrap();
                assert_eq!(reply.body, entry, "{}", transcript.name);
                state = next;
            }
        }
    }
    assert!(served >= 20, "{served} devices");
}

/// 60 and each 62 are the same to the byte, and 61 and each 63 are accepted, up to our own 64.
#[test]
fn our_device_follows_the_recorded_owners() {
    let mut followed = 0;
    for transcript in transcripts() {
        let Some(hmac_secret) = transcript.secret("device_hmac_secret").map(Zeroizing::new) else { continue };
        let key = SigningKey::from_der(&transcript.secret("device_key_pkcs8").unwrap()).unwrap();
        let sold = transcript.sold();
        let header = sold.header();
        let credential = DeviceCredential {
            active: true,
            hmac_secret: hmac_secret.clone(),
            device_info: header.device_info.clone(),
            guid: sold.guid(),
            rv_info: header.rv_info.clone(),
            public_key_hash: Hash::of(sold.hash_type(), &[header.manufacturer_key.encoded()]),
        };
        let secrets = FileSecrets::new(key, hmac_secret);
        let run = &transcript.to2_runs()[0];
        let said: HelloDevice = decode(&run[0].1).unwrap();
        let settings = DeviceSettings {
            kex_suite: KexSuite::from_name(&said.kex_suite_name).unwrap(),
            cipher_suite: CipherSuite::from_number(said.cipher_suite).unwrap(),
            max_message_size: said.max_device_message_size,
            max_service_info_size: None,
            allow_reuse: true,
        };
        let to1d = Sign1::from_bytes(&transcript.message(33)).unwrap();
        let rng = &mut Recorded(*said.nonce.as_bytes());
        let (hello, device) = to2::device::begin(credential, Some(to1d), &secrets, settings, rng);
        assert_eq!(hello.body, run[0].1, "{}", transcript.name);
        let (mut request, mut device) = device.prove_ov_hdr(&run[1].1, &secrets).unwrap();
        for pair in run[2..].chunks(2) {
            assert_eq!(request.body, pair[0].1, "{}", transcript.name);
            match device.ov_next_entry(&pair[1].1, &secrets, rng).unwrap() {
                AfterEntry::Next(next, waiting) => (request, device) = (next, waiting),
                AfterEntry::Prove(proof, _) => {
                    assert_eq!(proof.message_type.number(), run[2 * sold.entries().len() + 2].0);
                    followed += 1;
                    break;
                }
            }
        }
    }
    assert!(followed >= 6, "{followed} owners");
}
