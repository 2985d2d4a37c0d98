//! One-time enrolment codes: 128 random bits in Crockford's base32, in groups; only their hash is stored.

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BITS: u32 = 128;
/// 26 characters hold 130 bits; the last character's two lowest are zero.
const LENGTH: usize = 26;

/// A fresh code as it is printed.
pub fn fresh(rng: &mut dyn CryptoRng) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0_u8; 16]);
    rng.fill_bytes(&mut *bytes);
    let value = Zeroizing::new(u128::from_be_bytes(*bytes));
    let mut code = Zeroizing::new(String::with_capacity(LENGTH + 4));
    for place in 0..LENGTH {
        if matches!(place, 5 | 10 | 15 | 20) {
            code.push('-');
        }
        let taken = BITS.saturating_sub(5 * u32::try_from(place).unwrap_or(BITS));
        let digit = if taken >= 5 { *value >> (taken - 5) } else { *value << (5 - taken) };
        code.push(char::from(ALPHABET[usize::from((digit & 31) as u8)]));
    }
    code
}

/// What is stored of a code, and looked up by; `None` for a text that cannot be one.
pub fn hash(code: &str) -> Option<[u8; 32]> {
    let mut plain = Zeroizing::new(String::with_capacity(LENGTH));
    for c in code.chars() {
        let c = match c.to_ascii_uppercase() {
            '-' | ' ' | '\t' => continue,
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        if !c.is_ascii() || !ALPHABET.iter().any(|known| char::from(*known) == c) || plain.len() == LENGTH {
            return None;
        }
        plain.push(c);
    }
    (plain.len() == LENGTH).then(|| Sha256::digest(plain.as_bytes()).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_service::host::random::Random;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = fresh(&mut Random::seeded(1).rng());
        assert_eq!(code.len(), 30);
        let typed = code.replace('-', " ").to_lowercase().replace('0', "o").replace('1', "l");
        assert_eq!(hash(&code).unwrap(), hash(&typed).unwrap());
        assert_ne!(hash(&code), hash(&fresh(&mut Random::seeded(2).rng())));
        for wrong in ["", "short", &code[1..], &format!("{}0", *code), &code.replace('-', "u")] {
            assert!(hash(wrong).is_none(), "{wrong}");
        }
    }
}
