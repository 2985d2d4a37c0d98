//! ASYMKEX2048 and ASYMKEX3072: the owner sends a random in clear, the device one that is encrypted to the owner's
//! RSA key (FDO 1.1, key exchange). There is no forward secrecy in it; it is for devices too small for the others.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::backend::NOT_DECRYPTED;
use crate::crypto::{OwnerKey, SharedSecret, VerifyingKey};
use crate::error::Error;

/// xA.
pub(super) fn offer(length: usize, rng: &mut dyn CryptoRng) -> Vec<u8> {
    let mut random = vec![0; length];
    rng.fill_bytes(&mut random);
    random
}

/// The owner's end. Whatever is wrong inside xB is told in one way, lest the owner decrypt for others.
pub(super) fn finish(length: usize, x_a: &[u8], x_b: &[u8], key: &dyn OwnerKey) -> Result<SharedSecret, Error> {
    let modulus = key.verifying_key().key_type().modulus_bits().unwrap_or_default() / 8;
    if x_b.len() != modulus {
        return Err(Error::Rejected("a key exchange that is not as long as the owner's key"));
    }
    let device = key.decrypt_oaep(x_b)?;
    if device.len() != length {
        return Err(Error::Rejected(NOT_DECRYPTED));
    }
    Ok(SharedSecret::new(device, Zeroizing::new(x_a.to_vec())))
}

/// The device's end: xB and the secret.
pub(super) fn answer(
    length: usize,
    x_a: &[u8],
    owner: &VerifyingKey,
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, SharedSecret), Error> {
    if x_a.len() != length {
        return Err(Error::Rejected("a key exchange with a random of the wrong length"));
    }
    let mut random = Zeroizing::new(vec![0; length]);
    rng.fill_bytes(&mut random);
    let x_b = owner.encrypt_oaep(&random)?;
    Ok((x_b, SharedSecret::new(random, Zeroizing::new(x_a.to_vec()))))
}

#[cfg(all(test, feature = "aws-lc"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::{KexSuite, KeyExchangeReply, KeyType, OwnerKeyExchange, recorded_keys};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn what_does_not_decrypt_is_refused_in_one_way() {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let key = recorded_keys::key(KeyType::Rsa2048);
        let owner = OwnerKeyExchange::generate(KexSuite::Asymkex2048, &mut rng).unwrap();
        let public = key.verifying_key();
        let (good, _) = KeyExchangeReply::answer(owner.suite(), owner.public(), public, &mut rng).unwrap();
        owner.finish(&good, &key).unwrap();

        let mut tampered = good.clone();
        tampered[100] ^= 1;
        let short = public.encrypt_oaep(&[7; 31]).unwrap();
        let long = public.encrypt_oaep(&[7; 96]).unwrap();
        for x_b in [tampered, short, long, vec![0; 256], vec![0xff; 256]] {
            let refused = owner.finish(&x_b, &key).err();
            assert_eq!(refused, Some(Error::Rejected(NOT_DECRYPTED)));
        }
        for x_b in [&good[..255], &[&good[..], &[0]].concat(), &[]] {
            assert!(matches!(owner.finish(x_b, &key), Err(Error::Rejected(_))));
        }
        for x_a in [&owner.public()[1..], &[0; 96], &[]] {
            let answer = KeyExchangeReply::answer(KexSuite::Asymkex2048, x_a, public, &mut rng);
            assert!(matches!(answer, Err(Error::Rejected(_))));
        }
    }
}
