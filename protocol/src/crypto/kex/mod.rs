//! The key exchange of TO2 (FDO 1.1, key exchange): xA of the owner in 61, xB of the device in 64, and the secret
//! that both end with.

mod asym;
mod dh;
mod ecdh;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::crypto::{Curve, KexSuite, OwnerKey, SharedSecret, VerifyingKey};
use crate::error::Error;
use dh::Group;

/// How a suite agrees on a secret.
enum Mechanism {
    Ecdh(Curve),
    Dh(Group),
    Asymkex {
        /// Bytes of each side's random.
        random_length: usize,
    },
}

fn mechanism(suite: KexSuite) -> Mechanism {
    match suite {
        KexSuite::Ecdh256 => Mechanism::Ecdh(Curve::P256),
        KexSuite::Ecdh384 => Mechanism::Ecdh(Curve::P384),
        KexSuite::Dhkexid14 => Mechanism::Dh(Group::Fourteen),
        KexSuite::Dhkexid15 => Mechanism::Dh(Group::Fifteen),
        KexSuite::Asymkex2048 => Mechanism::Asymkex { random_length: 32 },
        KexSuite::Asymkex3072 => Mechanism::Asymkex { random_length: 96 },
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
            // The owner's key is the secret; it is asked for when xB is there.
            Mechanism::Asymkex { random_length } => (Zeroizing::default(), asym::offer(random_length, rng)),
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

    /// Takes the device's xBKeyExchange of 64. `key` is the owner's, to which the device encrypts with ASYMKEX.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is not a share of this suite, [`Error::Unsupported`] for a key that only signs.
    pub fn finish(&self, x_b: &[u8], key: &dyn OwnerKey) -> Result<SharedSecret, Error> {
        match mechanism(self.suite) {
            Mechanism::Ecdh(curve) => ecdh::finish(curve, &self.secret, &self.public, x_b),
            Mechanism::Dh(group) => dh::finish(group, &self.secret, x_b),
            Mechanism::Asymkex { random_length } => asym::finish(random_length, &self.public, x_b, key),
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
    /// Answers the owner's xAKeyExchange of 61 with the xBKeyExchange of 64, and gives the shared secret. `owner` is
    /// the owner's key, to which the device encrypts with ASYMKEX.
    ///
    /// # Errors
    /// [`Error::Rejected`] when xA is not a share of this suite, [`Error::Internal`] when there is no randomness.
    pub fn answer(
        suite: KexSuite,
        x_a: &[u8],
        owner: &VerifyingKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, SharedSecret), Error> {
        if !suite.fits(owner.key_type()) {
            return Err(Error::Rejected("the key exchange does not fit the owner's key"));
        }
        match mechanism(suite) {
            Mechanism::Ecdh(curve) => ecdh::answer(curve, x_a, rng),
            Mechanism::Dh(group) => dh::answer(group, x_a, rng),
            Mechanism::Asymkex { random_length } => asym::answer(random_length, x_a, owner, rng),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor;
    use crate::crypto::{CipherSuite, KeyType, SigningKey, recorded_keys};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn key(suite: KexSuite) -> SigningKey {
        recorded_keys::key(KeyType::ISSUED.into_iter().find(|key_type| suite.fits(*key_type)).unwrap())
    }

    fn suites() -> impl Iterator<Item = KexSuite> {
        // With the portable backend there are no RSA keys, which three of them are for.
        KexSuite::ALL
            .into_iter()
            .filter(|suite| cfg!(feature = "aws-lc") || matches!(mechanism(*suite), Mechanism::Ecdh(_)))
    }

    #[test]
    fn both_sides_end_with_one_secret() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for suite in suites() {
            let key = key(suite);
            let owner = OwnerKeyExchange::generate(suite, &mut rng).unwrap();
            let (x_b, device) =
                KeyExchangeReply::answer(suite, owner.public(), key.verifying_key(), &mut rng).unwrap();
            let stored: OwnerKeyExchange = cbor::decode(&cbor::encode(&owner)).unwrap();
            let tunnel = stored.finish(&x_b, &key).unwrap().derive(CipherSuite::A256Gcm);
            let message = device.derive(CipherSuite::A256Gcm).seal(b"\x80", &mut rng).unwrap();
            assert_eq!(tunnel.open(&message).unwrap(), b"\x80");
        }
    }

    #[test]
    fn a_share_of_another_suite_is_rejected() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let all: Vec<_> =
            suites().map(|suite| (key(suite), OwnerKeyExchange::generate(suite, &mut rng).unwrap())).collect();
        for (key, owner) in &all {
            let public = key.verifying_key();
            for (_, other) in all.iter().filter(|(_, other)| other.suite != owner.suite) {
                assert!(matches!(owner.finish(other.public(), key), Err(Error::Rejected(_))), "{:?}", owner.suite);
                let answer = KeyExchangeReply::answer(owner.suite, other.public(), public, &mut rng);
                assert!(matches!(answer, Err(Error::Rejected(_))), "{:?}", owner.suite);
                let answer = KeyExchangeReply::answer(other.suite, other.public(), public, &mut rng);
                assert_eq!(answer.is_ok(), other.suite.fits(public.key_type()), "{:?}", other.suite);
            }
        }
    }
}
