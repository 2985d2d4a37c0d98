//! The encrypted tunnel of TO2 from 65 on: one key for both directions, a fresh random IV for each message
//! (FDO 1.1, cipher suites and message encryption).

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::cose::encrypt0;
use crate::crypto::CipherSuite;
use crate::error::Error;

/// A session key with its suite. It is wiped when dropped and never printed; encoded it holds the key, so whoever
/// stores it must seal it.
pub struct Tunnel {
    suite: CipherSuite,
    key: Zeroizing<Vec<u8>>,
}

impl Tunnel {
    pub(super) fn new(suite: CipherSuite, key: Zeroizing<Vec<u8>>) -> Self {
        Self { suite, key }
    }

    /// The suite that was negotiated.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Encrypts the body of a message to a tagged COSE_Encrypt0.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encrypted.
    pub fn seal(&self, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
        let mut iv = vec![0; self.suite.iv_length()];
        rng.fill_bytes(&mut iv);
        encrypt0::seal(self.suite, &iv, |iv, aad| {
            let mut buffer = Vec::with_capacity(plaintext.len() + TAG_LENGTH);
            buffer.extend_from_slice(plaintext);
            let sealed = match self.suite {
                CipherSuite::A128Gcm => encrypt(&self.aes128_gcm()?, iv, aad, &mut buffer),
                CipherSuite::A256Gcm => encrypt(&self.aes256_gcm()?, iv, aad, &mut buffer),
            };
            sealed.map(|()| buffer).ok_or(Error::Internal("encryption failed"))
        })
    }

    /// Decrypts a message; what is in it is not looked at before its tag has been checked.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless it is a COSE_Encrypt0 of this suite and under this key.
    pub fn open(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        encrypt0::open(self.suite, message, |iv, ciphertext, aad| {
            let mut buffer = ciphertext.to_vec();
            let opened = match self.suite {
                CipherSuite::A128Gcm => decrypt(&self.aes128_gcm()?, iv, aad, &mut buffer),
                CipherSuite::A256Gcm => decrypt(&self.aes256_gcm()?, iv, aad, &mut buffer),
            };
            opened.map(|()| buffer).ok_or(Error::Malformed("a message that does not decrypt"))
        })
    }

    fn aes128_gcm(&self) -> Result<Aes128Gcm, Error> {
        Aes128Gcm::new_from_slice(&self.key).map_err(|_| Error::Internal("session key"))
    }

    fn aes256_gcm(&self) -> Result<Aes256Gcm, Error> {
        Aes256Gcm::new_from_slice(&self.key).map_err(|_| Error::Internal("session key"))
    }
}

const TAG_LENGTH: usize = 16;

fn encrypt<C: AeadInOut>(cipher: &C, iv: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Option<()> {
    let iv = iv.try_into().ok()?;
    cipher.encrypt_in_place(iv, aad, buffer).ok()
}

fn decrypt<C: AeadInOut>(cipher: &C, iv: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Option<()> {
    let iv = iv.try_into().ok()?;
    cipher.decrypt_in_place(iv, aad, buffer).ok()
}

impl Encode for Tunnel {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2).value(&self.suite).bytes(&self.key);
    }
}

impl Decode for Tunnel {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        let suite = CipherSuite::decode_from(reader)?;
        let key = reader.bytes()?;
        if key.len() == suite.key_length() {
            Ok(Self::new(suite, Zeroizing::new(key.to_vec())))
        } else {
            Err(Error::Malformed("a session key of the wrong length"))
        }
    }
}
