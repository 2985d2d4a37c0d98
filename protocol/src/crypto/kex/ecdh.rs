//! ECDH256 and ECDH384: a share is x, y and a random, each after its length in two bytes; the secret is the shared
//! x coordinate, the device's random and the owner's (FDO 1.1, key exchange).

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::backend::Ephemeral;
use crate::crypto::{Curve, SharedSecret};
use crate::error::Error;

fn random_length(curve: Curve) -> usize {
    match curve {
        Curve::P256 => 16,
        Curve::P384 => 48,
    }
}

/// The owner's scalar, and xA.
pub(super) fn offer(curve: Curve, rng: &mut dyn CryptoRng) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), Error> {
    let key = Ephemeral::generate(curve, rng)?;
    let mut random = Zeroizing::new(vec![0; random_length(curve)]);
    rng.fill_bytes(&mut random);
    // Some devices drop the leading zeros of this random, and with them the secret that we would agree on.
    for _ in 0..32 {
        if random[0] != 0 {
            return Ok((key.scalar()?, share(curve, &key, &random)?));
        }
        rng.fill_bytes(&mut random[..1]);
    }
    Err(Error::Internal("random generator"))
}

/// The owner's end, from its scalar and its own xA.
pub(super) fn finish(curve: Curve, scalar: &[u8], x_a: &[u8], x_b: &[u8]) -> Result<SharedSecret, Error> {
    let own = Share::parse(curve, x_a).map_err(|_| Error::Internal("stored key exchange"))?;
    let peer = Share::parse(curve, x_b)?;
    agree(&Ephemeral::from_scalar(curve, scalar)?, &peer, peer.random, own.random)
}

/// The device's end: xB and the secret.
pub(super) fn answer(curve: Curve, x_a: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, SharedSecret), Error> {
    let mut random = Zeroizing::new(vec![0; random_length(curve)]);
    rng.fill_bytes(&mut random);
    answer_with(curve, x_a, &Ephemeral::generate(curve, rng)?, &random)
}

fn answer_with(
    curve: Curve,
    x_a: &[u8],
    key: &Ephemeral,
    random: &[u8],
) -> Result<(Vec<u8>, SharedSecret), Error> {
    let peer = Share::parse(curve, x_a)?;
    let secret = agree(key, &peer, random, peer.random)?;
    Ok((share(curve, key, random)?, secret))
}

/// The randoms go in as they travelled: a peer that shortened its own also uses it short.
fn agree(key: &Ephemeral, peer: &Share<'_>, device: &[u8], owner: &[u8]) -> Result<SharedSecret, Error> {
    let x = key.agree(&peer.point)?;
    let mut secret = Zeroizing::new(Vec::with_capacity(x.len() + device.len() + owner.len()));
    for part in [&x[..], device, owner] {
        secret.extend_from_slice(part);
    }
    Ok(SharedSecret::new(secret, Zeroizing::default()))
}

/// A share of our own, always in full length.
fn share(curve: Curve, key: &Ephemeral, random: &[u8]) -> Result<Vec<u8>, Error> {
    let point = key.point()?;
    let (x, y) = point[1..].split_at(curve.coordinate_length());
    let mut share = Vec::with_capacity(6 + x.len() + y.len() + random.len());
    for part in [x, y, random] {
        let length = u16::try_from(part.len()).map_err(|_| Error::Internal("key exchange"))?;
        share.extend_from_slice(&length.to_be_bytes());
        share.extend_from_slice(part);
    }
    Ok(share)
}

/// A share as it came. Whether the point is on the curve shows when it is used.
struct Share<'a> {
    point: Vec<u8>,
    random: &'a [u8],
}

impl<'a> Share<'a> {
    fn parse(curve: Curve, bytes: &'a [u8]) -> Result<Self, Error> {
        let length = curve.coordinate_length();
        let (x, rest) = part(bytes, length)?;
        let (y, rest) = part(rest, length)?;
        let (random, rest) = part(rest, random_length(curve))?;
        if !rest.is_empty() {
            return Err(Error::Rejected("a key exchange with trailing bytes"));
        }
        // Many peers drop leading zeros, so a coordinate may be shorter than nominal.
        let mut point = vec![0; 1 + 2 * length];
        point[0] = 4;
        point[1 + length - x.len()..=length].copy_from_slice(x);
        point[1 + 2 * length - y.len()..].copy_from_slice(y);
        Ok(Self { point, random })
    }
}

fn part(bytes: &[u8], nominal: usize) -> Result<(&[u8], &[u8]), Error> {
    let cut_short = Error::Rejected("a key exchange that is cut short");
    let (length, rest) = bytes.split_first_chunk().ok_or(cut_short.clone())?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > nominal {
        return Err(Error::Rejected("a key exchange with a part that is too long"));
    }
    rest.split_at_checked(length).ok_or(cut_short)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor;
    use crate::crypto::{CipherSuite, KexSuite, KeyType, OwnerKeyExchange, SigningKey};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use serde_json::Value;

    fn vectors(name: &str) -> Value {
        let path = format!("{}/../tests/vectors/misc/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// ECDH does not ask for the owner's own key.
    fn key() -> SigningKey {
        SigningKey::generate(KeyType::P256, &mut ChaCha20Rng::seed_from_u64(9)).unwrap()
    }

    fn bytes(case: &Value, field: &str) -> Vec<u8> {
        hex::decode(case[field].as_str().unwrap()).unwrap()
    }

    fn sevk(secret: &SharedSecret, suite: CipherSuite) -> Vec<u8> {
        // It comes last.
        let encoded = cbor::encode(&secret.derive(suite));
        encoded[encoded.len() - suite.key_length()..].to_vec()
    }

    const CURVES: [Curve; 2] = [Curve::P256, Curve::P384];

    /// Runs both sides with the secrets of a recorded case and gives the two session keys.
    fn run(curve: Curve, case: &Value, x_a: &[u8], x_b: &[u8]) -> [Vec<u8>; 2] {
        let cipher = CipherSuite::for_key(curve.into());
        let owner = Ephemeral::from_scalar(curve, &bytes(case, "owner_private")).unwrap();
        let device = Ephemeral::from_scalar(curve, &bytes(case, "device_private")).unwrap();
        let own_x_a = share(curve, &owner, &bytes(case, "owner_random")).unwrap();
        let at_owner = finish(curve, &owner.scalar().unwrap(), &own_x_a, x_b).unwrap();
        let (own_x_b, at_device) = answer_with(curve, x_a, &device, &bytes(case, "device_random")).unwrap();
        assert_eq!(own_x_b, x_b);
        [sevk(&at_owner, cipher), sevk(&at_device, cipher)]
    }

    #[test]
    fn gives_the_recorded_shares_and_keys() {
        let all = vectors("kex-vectors.json");
        for curve in CURVES {
            let case = &all[KexSuite::for_key(curve.into()).name()];
            let [at_owner, at_device] = run(curve, case, &bytes(case, "xA"), &bytes(case, "xB"));
            assert_eq!(at_owner, bytes(case, "SEVK"));
            assert_eq!(at_device, bytes(case, "SEVK"));
        }
    }

    #[test]
    fn leading_zeros_are_kept_where_sent_and_restored_where_dropped() {
        let all = vectors("kex-edge-vectors.json");
        let elliptic = |case: &Value| {
            CURVES
                .into_iter()
                .find(|curve| KexSuite::for_key((*curve).into()).name() == case["kex"].as_str().unwrap())
        };
        let cases = || all.as_array().unwrap().iter().filter_map(|case| Some((elliptic(case)?, case)));
        assert_eq!(cases().count(), 4);
        for (curve, case) in cases() {
            for x_a in ["xA_padded", "xA_minimal"] {
                let [at_owner, at_device] = run(curve, case, &bytes(case, x_a), &bytes(case, "xB_padded"));
                assert_eq!(at_owner, bytes(case, "SEVK_padded"), "{}", case["case"]);
                assert_eq!(at_device, bytes(case, "SEVK_padded"), "{}", case["case"]);
            }
        }
    }

    #[test]
    fn a_shortened_device_random_stays_short_in_the_secret() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let owner = OwnerKeyExchange::generate(KexSuite::Ecdh256, &mut rng).unwrap();
        let device = Ephemeral::generate(Curve::P256, &mut rng).unwrap();
        let (x_b, secret) = answer_with(Curve::P256, owner.public(), &device, &[9; 15]).unwrap();
        assert_eq!(x_b.len(), 85);
        let at_owner = owner.finish(&x_b, &key()).unwrap();
        let cipher = CipherSuite::A128Gcm;
        assert_eq!(sevk(&at_owner, cipher), sevk(&secret, cipher));
    }

    #[test]
    fn refuses_what_is_no_share() {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let owner = OwnerKeyExchange::generate(KexSuite::Ecdh256, &mut rng).unwrap();
        let good = OwnerKeyExchange::generate(KexSuite::Ecdh256, &mut rng).unwrap();
        let good = good.public();
        assert!(owner.finish(good, &key()).is_ok());
        assert_ne!(owner.public()[70], 0, "the owner's random begins with a non-zero byte");

        let mut bad = vec![Vec::new(), vec![0], [good, &[0]].concat()];
        bad.extend((1..good.len()).map(|length| good[..length].to_vec()));
        let mut off_curve = good.to_vec();
        off_curve[40] ^= 1;
        bad.push(off_curve);
        let mut long = good.to_vec();
        long[1] = 33;
        long.insert(2, 0);
        bad.push(long);
        bad.push([&[0, 32][..], &[0; 32], &[0, 32], &[0; 32], &[0, 16], &[1; 16]].concat());
        bad.push(vec![0; 6]);
        for share in bad {
            assert!(matches!(owner.finish(&share, &key()), Err(Error::Rejected(_))), "{share:?}");
            let answer = answer(Curve::P256, &share, &mut rng);
            assert!(matches!(answer, Err(Error::Rejected(_))), "{share:?}");
        }
    }
}
