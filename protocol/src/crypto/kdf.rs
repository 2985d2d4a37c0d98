//! From the secret of the key exchange to the session's keys: SP 800-108 in counter mode with HMAC
//! (FDO 1.1, key derivation).

use hmac::{KeyInit, Mac};
use sha2::{Sha256, Sha384};
use zeroize::Zeroizing;

use crate::crypto::{CipherSuite, EtmForm, Tunnel};
use crate::error::Error;

const LABEL: &[u8] = b"FIDO-KDF\0AutomaticOnboardTunnel";

/// What a key exchange ends with on both sides. It is wiped when dropped and never printed.
pub struct SharedSecret {
    secret: Zeroizing<Vec<u8>>,
    context: Zeroizing<Vec<u8>>,
}

impl SharedSecret {
    /// A secret (ShSe) and what goes beside it into the derivation (ContextRand, empty with ECDH).
    pub fn new(secret: Zeroizing<Vec<u8>>, context: Zeroizing<Vec<u8>>) -> Self {
        Self { secret, context }
    }

    /// Derives the keys of a cipher suite, of one that has several forms in that which is used by default.
    pub fn derive(&self, suite: CipherSuite) -> Tunnel {
        self.derive_in(suite, EtmForm::default())
    }

    /// Derives the keys of a cipher suite. The form counts where the suite has several.
    pub fn derive_in(&self, suite: CipherSuite, form: EtmForm) -> Tunnel {
        let bits = suite.kdf_bits(form);
        // The hash goes with the kind of suite: A256GCM too takes SHA-256.
        let keys = match suite {
            CipherSuite::CoseAes256Cbc | CipherSuite::CoseAes256Ctr => self.material::<hmac::Hmac<Sha384>>(bits),
            _ => self.material::<hmac::Hmac<Sha256>>(bits),
        };
        Tunnel::new(suite, form, keys)
    }

    /// Opens the first message of the peer's, and gives the tunnel for all that follow: whoever encrypts first chooses
    /// the form, and only one of them makes this message authentic.
    ///
    /// # Errors
    /// [`Error::Malformed`] as [`Tunnel::open`].
    pub fn open_first(&self, suite: CipherSuite, message: &[u8]) -> Result<(Tunnel, Vec<u8>), Error> {
        let tunnel = self.derive(suite);
        let failed = match tunnel.open(message) {
            Ok(plaintext) => return Ok((tunnel, plaintext)),
            Err(error) => error,
        };
        let others = EtmForm::ALL.into_iter().filter(|form| tunnel.form().is_some_and(|tried| tried != *form));
        for form in others {
            let tunnel = self.derive_in(suite, form);
            if let Ok(plaintext) = tunnel.open(message) {
                return Ok((tunnel, plaintext));
            }
        }
        Err(failed)
    }

    /// The first `bits` of key material. The number itself goes into every block.
    fn material<M: Mac + KeyInit>(&self, bits: u16) -> Zeroizing<Vec<u8>> {
        let length = usize::from(bits / 8);
        // Room for a whole last block, so that no half-filled buffer is left behind unwiped.
        let mut material = Zeroizing::new(Vec::with_capacity(length + M::output_size()));
        for counter in 1..=u8::MAX {
            if material.len() >= length {
                break;
            }
            let mut mac = <M as KeyInit>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
            for part in [&[counter][..], LABEL, &self.context, &bits.to_be_bytes()] {
                mac.update(part);
            }
            let mut block = mac.finalize().into_bytes();
            material.extend_from_slice(&block);
            zeroize::Zeroize::zeroize(&mut block[..]);
        }
        material.truncate(length);
        material
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn gives_the_material_of_all_vectors() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/misc/kdf-vectors.json");
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in all.as_array().unwrap() {
            let bytes = |field: &str| Zeroizing::new(hex::decode(case[field].as_str().unwrap()).unwrap());
            let secret = SharedSecret::new(bytes("ShSe"), bytes("ContextRand"));
            let bits = u16::try_from(case["L_bits"].as_u64().unwrap()).unwrap();
            let material = match case["prf"].as_str().unwrap() {
                "HMAC-SHA256" => secret.material::<hmac::Hmac<Sha256>>(bits),
                "HMAC-SHA384" => secret.material::<hmac::Hmac<Sha384>>(bits),
                other => unreachable!("{other}"),
            };
            assert_eq!(material, bytes("KeyMaterial"), "{}", case["source"]);
        }
    }
}
