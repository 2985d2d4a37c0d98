//! The key exchange of TO2 (FDO 1.1, key exchange): xA of the owner in 61, xB of the device in 64, and the secret
//! that both end with.

mod dh;
mod ecdh;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::{KexSuite, KeyType, SharedSecret};
use crate::error::Error;
use dh::Group;

/// How a suite agrees on a secret.
enum Mechanism {
    Ecdh(KeyType),
    Dh(Group),
}

fn mechanism(suite: KexSuite) -> Mechanism {
    match suite {
        KexSuite::Ecdh256 => Mechanism::Ecdh(KeyType::P256),
        KexSuite::Ecdh384 => Mechanism::Ecdh(KeyType::P384),
        KexSuite::Dhkexid14 => Mechanism::Dh(Group::Fourteen),
        KexSuite::Dhkexid15 => Mechanism::Dh(Group::Fifteen),
    }
}

/// The owner's side, from 61 until 64 comes. Encoded it holds the secret, so whoever stores it must seal it.
pub struct OwnerKeyExchange {
    suite: KexSuite,
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl OwnerKeyExchange {
    /// Draws a secret of its own for one session.
    ///
    /// # Errors
    /// [`Error::Internal`] when there is no randomness.
    pub fn generate(suite: KexSuite, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let (secret, public) = match mechanism(suite) {
            Mechanism::Ecdh(curve) => ecdh::offer(curve, rng)?,
            Mechanism::Dh(group) => dh::offer(group, rng)?,
        };
        Ok(Self { suite, secret, public })
    }

    /// Which suite it is of.
    pub fn suite(&self) -> KexSuite {
        self.suite
    }

    /// xAKeyExchange, as it is sent in 61.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Takes the device's xBKeyExchange of 64.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is not a share of this suite.
    pub fn finish(&self, x_b: &[u8]) -> Result<SharedSecret, Error> {
        match mechanism(self.suite) {
            Mechanism::Ecdh(curve) => ecdh::finish(curve, &self.secret, &self.public, x_b),
            Mechanism::Dh(group) => dh::finish(group, &self.secret, x_b),
        }
    }
}

impl Encode for OwnerKeyExchange {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(3).value(&self.suite).bytes(&self.secret).bytes(&self.public);
    }
}

impl Decode for OwnerKeyExchange {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            suite: KexSuite::decode_from(reader)?,
            secret: Zeroizing::new(reader.bytes()?.to_vec()),
            public: reader.bytes()?.to_vec(),
        })
    }
}

/// The device's side, which is done in one step: its secret is gone when xB is.
pub struct KeyExchangeReply;

impl KeyExchangeReply {
    /// Answers the owner's xAKeyExchange of 61 with the xBKeyExchange of 64, and gives the shared secret.
    ///
    /// # Errors
    /// [`Error::Rejected`] when xA is not a share of this suite, [`Error::Internal`] when there is no randomness.
    pub fn answer(suite: KexSuite, x_a: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, SharedSecret), Error> {
        match mechanism(suite) {
            Mechanism::Ecdh(curve) => ecdh::answer(curve, x_a, rng),
            Mechanism::Dh(group) => dh::answer(group, x_a, rng),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor;
    use crate::crypto::CipherSuite;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn both_sides_end_with_one_secret() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for suite in KexSuite::ALL {
            let owner = OwnerKeyExchange::generate(suite, &mut rng).unwrap();
            let (x_b, device) = KeyExchangeReply::answer(suite, owner.public(), &mut rng).unwrap();
            let stored: OwnerKeyExchange = cbor::decode(&cbor::encode(&owner)).unwrap();
            let tunnel = stored.finish(&x_b).unwrap().derive(CipherSuite::A256Gcm);
            let message = device.derive(CipherSuite::A256Gcm).seal(b"\x80", &mut rng).unwrap();
            assert_eq!(tunnel.open(&message).unwrap(), b"\x80");
        }
    }

    #[test]
    fn a_share_of_another_suite_is_rejected() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let all = KexSuite::ALL.map(|suite| OwnerKeyExchange::generate(suite, &mut rng).unwrap());
        for one in &all {
            for other in all.iter().filter(|other| other.suite() != one.suite()) {
                assert!(matches!(one.finish(other.public()), Err(Error::Rejected(_))));
            }
        }
    }
}
