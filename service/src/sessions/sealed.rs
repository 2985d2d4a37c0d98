//! Seals bytes under the service's key: session state into a token, secrets into a database row (AES-256-GCM).

use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64ct::{Base64UrlUnpadded, Encoding};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{Protocol, SessionError};

const NONCE: usize = 12;
const TAG: usize = 16;
/// How long TO0, TO1 and KeyAuth may take between two messages.
const TOKEN_SECONDS: u64 = 60;

/// A 256-bit key to seal with; clones share it. It has no `Debug`.
#[derive(Clone)]
pub struct SealingKey(Arc<Inner>);

struct Inner {
    bytes: [u8; 32],
    cipher: Aes256Gcm,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl SealingKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Inner { cipher: Aes256Gcm::new(&bytes.into()), bytes }))
    }

    /// A key for one purpose; what is sealed under one label does not open under another.
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        // The input is a uniform key of fixed length, so one hash over key and label is a sound derivation.
        let mut hash = Sha256::new();
        hash.update(b"firstlight sealing key\0");
        hash.update(self.0.bytes);
        hash.update(label.as_bytes());
        Self::new(hash.finalize().into())
    }

    /// `nonce | ciphertext | tag`, bound to `aad`.
    pub fn seal(&self, aad: &[u8], plain: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE];
        rng.fill_bytes(&mut nonce);
        let sealed = self
            .0
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad })
            .expect("AES-GCM encrypts anything shorter than 64 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// The reverse of `seal`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().ok_or(SessionError::InvalidToken)?;
        let opened = self.0.cipher.decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad });
        opened.map(Zeroizing::new).map_err(|_| SessionError::InvalidToken)
    }
}

/// Tokens that carry a session's state themselves: no memory is spent on whoever says hello.
#[derive(Clone)]
pub struct SealedTokens(SealingKey);

impl SealedTokens {
    pub fn new(key: &SealingKey) -> Self {
        Self(key.derive("session tokens"))
    }

    /// A token that opens for a minute. Every service with the same key opens it.
    pub fn seal(&self, protocol: Protocol, payload: &[u8], now: u64, rng: &mut dyn CryptoRng) -> String {
        let mut plain = Zeroizing::new(Vec::with_capacity(8 + payload.len()));
        plain.extend_from_slice(&(now + TOKEN_SECONDS).to_be_bytes());
        plain.extend_from_slice(payload);
        Base64UrlUnpadded::encode_string(&self.0.seal(protocol.name().as_bytes(), &plain, rng))
    }

    /// The payload of a token of this protocol that has not expired.
    pub fn open(&self, protocol: Protocol, token: &str, now: u64) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let sealed = Base64UrlUnpadded::decode_vec(token).map_err(|_| SessionError::InvalidToken)?;
        if sealed.len() < NONCE + 8 + TAG {
            return Err(SessionError::InvalidToken);
        }
        let plain = self.0.open(protocol.name().as_bytes(), &sealed)?;
        let (until, payload) = plain.split_first_chunk::<8>().ok_or(SessionError::InvalidToken)?;
        if now >= u64::from_be_bytes(*until) {
            return Err(SessionError::InvalidToken);
        }
        Ok(Zeroizing::new(payload.to_vec()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::random::Random;

    fn tokens() -> (SealedTokens, String) {
        let tokens = SealedTokens::new(&SealingKey::new([7; 32]));
        let token = tokens.seal(Protocol::To1, b"nonce and guid", 1000, &mut Random::seeded(1).rng());
        (tokens, token)
    }

    #[test]
    fn a_token_opens_for_a_minute_and_for_its_protocol_only() {
        let (tokens, token) = tokens();
        assert_eq!(tokens.open(Protocol::To1, &token, 1059).unwrap().as_slice(), b"nonce and guid");
        assert!(tokens.open(Protocol::To1, &token, 1060).is_err());
        assert!(tokens.open(Protocol::To0, &token, 1001).is_err());
        let other = SealedTokens::new(&SealingKey::new([8; 32]));
        assert!(other.open(Protocol::To1, &token, 1001).is_err());
    }

    #[test]
    fn every_changed_character_is_refused() {
        let (tokens, token) = tokens();
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(tokens.open(Protocol::To1, &String::from_utf8(changed).unwrap(), 1001).is_err());
        }
        for bad in ["", "x", "not base64!", &token[..token.len() - 4]] {
            assert!(tokens.open(Protocol::To1, bad, 1001).is_err());
        }
    }
}
