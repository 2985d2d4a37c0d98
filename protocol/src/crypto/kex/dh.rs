//! DHKEXid14 and DHKEXid15: Diffie-Hellman in the groups 14 and 15 of RFC 3526 with generator 2. A share is a number
//! in big-endian order, the secret is the common number in the modulus' length (FDO 1.1, key exchange).
//!
//! Exponentiation is constant-time in the exponent; what is compared in variable time is public.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Encoding, Odd, U2048, U3072, Uint};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::SharedSecret;
use crate::error::Error;

/// 2^2048 - 2^1984 - 1 + 2^64 * (floor(2^1918 pi) + 124476)
const PRIME_14: &str = concat!(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74",
    "020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437",
    "4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed",
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05",
    "98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb",
    "9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b",
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718",
    "3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff",
);

/// 2^3072 - 2^3008 - 1 + 2^64 * (floor(2^2942 pi) + 1690314)
const PRIME_15: &str = concat!(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74",
    "020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437",
    "4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed",
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05",
    "98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb",
    "9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b",
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718",
    "3995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33",
    "a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7",
    "abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864",
    "d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2",
    "08e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff",
);

static MODULUS_14: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> =
    LazyLock::new(|| FixedMontyParams::new_vartime(Odd::<U2048>::from_be_hex(PRIME_14)));
static MODULUS_15: LazyLock<FixedMontyParams<{ U3072::LIMBS }>> =
    LazyLock::new(|| FixedMontyParams::new_vartime(Odd::<U3072>::from_be_hex(PRIME_15)));

/// The honest peer's share is shorter by so many bytes once in 2^128 sessions. What is shorter still is a number whose
/// logarithm anybody sees.
const SHORTER_BY: usize = 16;

/// A group of RFC 3526, by its number there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Group {
    Fourteen,
    Fifteen,
}

impl Group {
    /// Length of the modulus in bytes.
    fn length(self) -> usize {
        match self {
            Self::Fourteen => 256,
            Self::Fifteen => 384,
        }
    }

    /// Length of a secret exponent in bytes.
    fn exponent_length(self) -> usize {
        match self {
            Self::Fourteen => 32,
            Self::Fifteen => 96,
        }
    }

    /// `base` to the power of `exponent`, in the length of the modulus.
    fn raise(self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        // A longer number would not fit, and the length of the exponent is public.
        if base.len() > self.length() || exponent.len() != self.exponent_length() {
            return Err(Error::Internal("key exchange"));
        }
        Ok(match self {
            Self::Fourteen => raise(&MODULUS_14, base, exponent),
            Self::Fifteen => raise(&MODULUS_15, base, exponent),
        })
    }

    /// Whether a number lies between 1 and p - 1, both excluded: neither 0 nor of order 1 or 2, and reduced.
    fn contains(self, share: &[u8]) -> bool {
        match self {
            Self::Fourteen => contains(&MODULUS_14, share),
            Self::Fifteen => contains(&MODULUS_15, share),
        }
    }
}

fn number<const LIMBS: usize>(bytes: &[u8]) -> Uint<LIMBS> {
    let mut padded = Zeroizing::new(vec![0; Uint::<LIMBS>::BITS as usize / 8]);
    let start = padded.len() - bytes.len();
    padded[start..].copy_from_slice(bytes);
    Uint::from_be_slice(&padded)
}

fn raise<const LIMBS: usize>(
    params: &FixedMontyParams<LIMBS>,
    base: &[u8],
    exponent: &[u8],
) -> Zeroizing<Vec<u8>> {
    // What is known to be 0 above the exponent is left out: how long it is, is no secret.
    let bits = u32::try_from(8 * exponent.len()).unwrap_or(Uint::<LIMBS>::BITS);
    let exponent = Zeroizing::new(number::<LIMBS>(exponent));
    let power = Zeroizing::new(FixedMontyForm::new(&number(base), params).pow_bounded_exp(&exponent, bits));
    let power = Zeroizing::new(power.retrieve());
    let mut bytes = Encoding::to_be_bytes(&*power);
    let power = Zeroizing::new(bytes.as_ref().to_vec());
    bytes.as_mut().zeroize();
    power
}

fn contains<const LIMBS: usize>(params: &FixedMontyParams<LIMBS>, share: &[u8]) -> bool {
    let share = number::<LIMBS>(share);
    let last = params.modulus().get().wrapping_sub(&Uint::ONE);
    Uint::ONE < share && share < last
}

/// The owner's exponent, and xA.
pub(super) fn offer(group: Group, rng: &mut dyn CryptoRng) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), Error> {
    let mut exponent = Zeroizing::new(vec![0; group.exponent_length()]);
    rng.fill_bytes(&mut exponent);
    let share = share(group, &exponent)?;
    Ok((exponent, share))
}

/// The owner's end, from its exponent.
pub(super) fn finish(group: Group, exponent: &[u8], x_b: &[u8]) -> Result<SharedSecret, Error> {
    let secret = group.raise(parse(group, x_b)?, exponent)?;
    Ok(SharedSecret::new(secret, Zeroizing::default()))
}

/// The device's end: xB and the secret.
pub(super) fn answer(group: Group, x_a: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, SharedSecret), Error> {
    // Before the costly part.
    parse(group, x_a)?;
    let (exponent, x_b) = offer(group, rng)?;
    Ok((x_b, finish(group, &exponent, x_a)?))
}

/// A share of our own, always in full length.
fn share(group: Group, exponent: &[u8]) -> Result<Vec<u8>, Error> {
    let share = group.raise(&[2], exponent)?;
    // Only an exponent of (almost) zeros leads out of the range.
    if group.contains(&share) { Ok(share.to_vec()) } else { Err(Error::Internal("random generator")) }
}

/// The significant bytes of a share as it came, in its range. Some peers write a zero in front, which tells them that
/// the number is positive; some leave out leading zeros.
fn parse(group: Group, share: &[u8]) -> Result<&[u8], Error> {
    if share.len() > group.length() + 1 {
        return Err(Error::Rejected("a key exchange that is longer than its modulus"));
    }
    let zeros = share.iter().take_while(|byte| **byte == 0).count();
    let share = &share[zeros..];
    if share.len() > group.length() {
        return Err(Error::Rejected("a key exchange that is longer than its modulus"));
    }
    if share.len() + SHORTER_BY < group.length() {
        return Err(Error::Rejected("a key exchange that is too short for its modulus"));
    }
    if group.contains(share) { Ok(share) } else { Err(Error::Rejected("a key exchange out of its range")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
