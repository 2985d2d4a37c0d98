//! The key exchange of TO2 (FDO 1.1, key exchange): xA of the owner in 61, xB of the device in 64, and the secret
//! that both end with.

mod ecdh;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::{KexSuite, SharedSecret};
use crate::error::Error;

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
        let (secret, public) = match suite {
            KexSuite::Ecdh256 | KexSuite::Ecdh384 => ecdh::offer(ecdh::curve(suite), rng)?,
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
        match self.suite {
            KexSuite::Ecdh256 | KexSuite::Ecdh384 => {
                ecdh::finish(ecdh::curve(self.suite), &self.secret, &self.public, x_b)
            }
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
        match suite {
            KexSuite::Ecdh256 | KexSuite::Ecdh384 => ecdh::answer(ecdh::curve(suite), x_a, rng),
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
    fn a_share_of_the_other_curve_is_rejected() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let small = OwnerKeyExchange::generate(KexSuite::Ecdh256, &mut rng).unwrap();
        let great = OwnerKeyExchange::generate(KexSuite::Ecdh384, &mut rng).unwrap();
        assert!(matches!(small.finish(great.public()), Err(Error::Rejected(_))));
        assert!(matches!(great.finish(small.public()), Err(Error::Rejected(_))));
    }
}
