//! The suites that encrypt and then authenticate: AES-CBC or AES-CTR, and an HMAC under a key of its own. The HMAC is
//! checked, in constant time, before anything is decrypted, so that nobody learns how a forged ciphertext was padded.

use aes::{Aes128, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384};

use crate::crypto::{CipherSuite, EtmForm};
use crate::error::Error;

/// How many bytes of a fresh IV are random. In counter mode the specification leaves the last four to the counter of
/// blocks; go-fdo does not.
pub(super) fn random_length(suite: CipherSuite, form: EtmForm) -> usize {
    match (suite, form) {
        (CipherSuite::CoseAes128Ctr | CipherSuite::CoseAes256Ctr, EtmForm::Java | EtmForm::Specification) => 12,
        _ => suite.iv_length(),
    }
}

/// The ciphertext alone.
pub(super) fn encrypt(suite: CipherSuite, key: &[u8], iv: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let encrypted = match suite {
        CipherSuite::CoseAes128Cbc => chain::<cbc::Encryptor<Aes128>>(key, iv, plaintext),
        CipherSuite::CoseAes256Cbc => chain::<cbc::Encryptor<Aes256>>(key, iv, plaintext),
        CipherSuite::CoseAes128Ctr => stream::<Ctr128BE<Aes128>>(key, iv, plaintext),
        CipherSuite::CoseAes256Ctr => stream::<Ctr128BE<Aes256>>(key, iv, plaintext),
        _ => None,
    };
    encrypted.ok_or(Error::Internal("encryption failed"))
}

/// The plaintext of a ciphertext that was found authentic.
pub(super) fn decrypt(suite: CipherSuite, key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, Error> {
    let decrypted = match suite {
        CipherSuite::CoseAes128Cbc => unchain::<cbc::Decryptor<Aes128>>(key, iv, ciphertext),
        CipherSuite::CoseAes256Cbc => unchain::<cbc::Decryptor<Aes256>>(key, iv, ciphertext),
        CipherSuite::CoseAes128Ctr => stream::<Ctr128BE<Aes128>>(key, iv, ciphertext),
        CipherSuite::CoseAes256Ctr => stream::<Ctr128BE<Aes256>>(key, iv, ciphertext),
        _ => None,
    };
    decrypted.ok_or(super::UNREADABLE)
}

fn chain<C: BlockModeEncrypt + KeyIvInit>(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    Some(C::new_from_slices(key, iv).ok()?.encrypt_padded_vec::<Pkcs7>(plaintext))
}

fn unchain<C: BlockModeDecrypt + KeyIvInit>(key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    C::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(ciphertext).ok()
}

fn stream<C: StreamCipher + KeyIvInit>(key: &[u8], iv: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = input.to_vec();
    C::new_from_slices(key, iv).ok()?.try_apply_keystream(&mut buffer).ok()?;
    Some(buffer)
}

/// The MAC over `input`.
pub(super) fn authenticate(suite: CipherSuite, key: &[u8], input: &[u8]) -> Result<Vec<u8>, Error> {
    let mac = match suite {
        CipherSuite::CoseAes128Cbc | CipherSuite::CoseAes128Ctr => authenticate_with::<Hmac<Sha256>>(key, input),
        CipherSuite::CoseAes256Cbc | CipherSuite::CoseAes256Ctr => authenticate_with::<Hmac<Sha384>>(key, input),
        _ => None,
    };
    mac.ok_or(Error::Internal("authentication failed"))
}

/// Checks a MAC over `input`, in constant time.
pub(super) fn verify(suite: CipherSuite, key: &[u8], input: &[u8], mac: &[u8]) -> Result<(), Error> {
    let verified = match suite {
        CipherSuite::CoseAes128Cbc | CipherSuite::CoseAes128Ctr => verify_with::<Hmac<Sha256>>(key, input, mac),
        CipherSuite::CoseAes256Cbc | CipherSuite::CoseAes256Ctr => verify_with::<Hmac<Sha384>>(key, input, mac),
        _ => None,
    };
    verified.ok_or(super::UNREADABLE)
}

fn authenticate_with<M: Mac + KeyInit>(key: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let mac = <M as KeyInit>::new_from_slice(key).ok()?.chain_update(input);
    Some(mac.finalize().into_bytes().to_vec())
}

fn verify_with<M: Mac + KeyInit>(key: &[u8], input: &[u8], mac: &[u8]) -> Option<()> {
    <M as KeyInit>::new_from_slice(key).ok()?.chain_update(input).verify_slice(mac).ok()
}
