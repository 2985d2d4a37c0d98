//! The suites that authenticate what they encrypt: AES-GCM and AES-CCM, with a tag of 16 bytes behind the ciphertext.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::{U7, U12, U13, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use ccm::Ccm;

use crate::crypto::CipherSuite;
use crate::error::Error;

type Aes192Gcm = AesGcm<Aes192, U12>;

/// Length of the tag in bytes.
const TAG_LENGTH: usize = 16;

/// Ciphertext and tag.
pub(super) fn encrypt(
    suite: CipherSuite,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let encrypt = match suite {
        CipherSuite::A128Gcm => encrypt_with::<Aes128Gcm>,
        CipherSuite::A192Gcm => encrypt_with::<Aes192Gcm>,
        CipherSuite::A256Gcm => encrypt_with::<Aes256Gcm>,
        CipherSuite::AesCcm16_128_128 => encrypt_with::<Ccm<Aes128, U16, U13>>,
        CipherSuite::AesCcm16_128_256 => encrypt_with::<Ccm<Aes256, U16, U13>>,
        CipherSuite::AesCcm64_128_128 => encrypt_with::<Ccm<Aes128, U16, U7>>,
        CipherSuite::AesCcm64_128_256 => encrypt_with::<Ccm<Aes256, U16, U7>>,
        CipherSuite::CoseAes128Cbc
        | CipherSuite::CoseAes128Ctr
        | CipherSuite::CoseAes256Cbc
        | CipherSuite::CoseAes256Ctr => return Err(Error::Internal("cipher suite")),
    };
    encrypt(key, iv, aad, plaintext).ok_or(Error::Internal("encryption failed"))
}

/// The plaintext; it is not looked at before the tag has been checked.
pub(super) fn decrypt(
    suite: CipherSuite,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, Error> {
    let decrypt = match suite {
        CipherSuite::A128Gcm => decrypt_with::<Aes128Gcm>,
        CipherSuite::A192Gcm => decrypt_with::<Aes192Gcm>,
        CipherSuite::A256Gcm => decrypt_with::<Aes256Gcm>,
        CipherSuite::AesCcm16_128_128 => decrypt_with::<Ccm<Aes128, U16, U13>>,
        CipherSuite::AesCcm16_128_256 => decrypt_with::<Ccm<Aes256, U16, U13>>,
        CipherSuite::AesCcm64_128_128 => decrypt_with::<Ccm<Aes128, U16, U7>>,
        CipherSuite::AesCcm64_128_256 => decrypt_with::<Ccm<Aes256, U16, U7>>,
        CipherSuite::CoseAes128Cbc
        | CipherSuite::CoseAes128Ctr
        | CipherSuite::CoseAes256Cbc
        | CipherSuite::CoseAes256Ctr => return Err(Error::Internal("cipher suite")),
    };
    decrypt(key, iv, aad, ciphertext).ok_or(super::UNREADABLE)
}

fn encrypt_with<C: AeadInOut + KeyInit>(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = Vec::with_capacity(plaintext.len() + TAG_LENGTH);
    buffer.extend_from_slice(plaintext);
    C::new_from_slice(key).ok()?.encrypt_in_place(iv.try_into().ok()?, aad, &mut buffer).ok()?;
    Some(buffer)
}

fn decrypt_with<C: AeadInOut + KeyInit>(key: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = ciphertext.to_vec();
    C::new_from_slice(key).ok()?.decrypt_in_place(iv.try_into().ok()?, aad, &mut buffer).ok()?;
    Some(buffer)
}
