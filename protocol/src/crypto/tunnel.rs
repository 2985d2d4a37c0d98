//! The encrypted tunnel of TO2 from 65 on: the same keys for both directions, a fresh IV for each message
//! (FDO 1.1, cipher suites and message encryption).

mod aead;
mod etm;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::cose::{encrypt0, mac0};
use crate::crypto::{CipherSuite, EtmForm};
use crate::error::Error;

/// What is said of a message that is not authentic, and nothing more.
const UNREADABLE: Error = Error::Malformed("a message that does not decrypt");

/// The keys of a session with their suite. They are wiped when dropped and never printed; encoded it holds the keys, so
/// whoever stores it must seal it.
pub struct Tunnel {
    suite: CipherSuite,
    /// Of a suite that encrypts and then authenticates.
    form: Option<EtmForm>,
    /// SEVK, or SEK and SVK.
    keys: Zeroizing<Vec<u8>>,
}

impl Tunnel {
    /// `keys` has the length that suite and form ask for.
    pub(super) fn new(suite: CipherSuite, form: EtmForm, keys: Zeroizing<Vec<u8>>) -> Self {
        Self { suite, form: suite.is_encrypt_then_mac().then_some(form), keys }
    }

    /// The suite that was negotiated.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// The form of its messages, where the suite has several.
    pub fn form(&self) -> Option<EtmForm> {
        self.form
    }

    fn split(&self) -> (&[u8], &[u8]) {
        self.keys.split_at(self.suite.key_length())
    }

    /// Encrypts the body of a message to a tagged COSE_Encrypt0, or to a tagged COSE_Mac0 around one.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encrypted.
    pub fn seal(&self, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
        let (suite, (key, mac_key)) = (self.suite, self.split());
        let mut iv = vec![0; suite.iv_length()];
        match self.form {
            None => {
                rng.fill_bytes(&mut iv);
                encrypt0::seal(suite, &iv, |iv, aad| aead::encrypt(suite, key, iv, aad, plaintext))
            }
            Some(form) => {
                rng.fill_bytes(&mut iv[..etm::random_length(suite, form)]);
                let ciphertext = etm::encrypt(suite, key, &iv, plaintext)?;
                mac0::seal(suite, form, &iv, ciphertext, |input| etm::authenticate(suite, mac_key, input))
            }
        }
    }

    /// Decrypts a message; what is in it is not looked at before it has been found authentic.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless it is of this suite and form, and under these keys.
    pub fn open(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let (suite, (key, mac_key)) = (self.suite, self.split());
        let Some(form) = self.form else {
            return encrypt0::open(suite, message, |iv, ciphertext, aad| {
                aead::decrypt(suite, key, iv, aad, ciphertext)
            });
        };
        mac0::open(
            suite,
            form,
            message,
            |input, mac| etm::verify(suite, mac_key, input, mac),
            |iv, ciphertext| etm::decrypt(suite, key, iv, ciphertext),
        )
    }
}

impl Encode for Tunnel {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(3).value(&self.suite).value(&self.form).bytes(&self.keys);
    }
}

impl Decode for Tunnel {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        let suite = CipherSuite::decode_from(reader)?;
        let form: Option<EtmForm> = Option::decode_from(reader)?;
        if form.is_some() != suite.is_encrypt_then_mac() {
            return Err(Error::Malformed("a form that does not fit its suite"));
        }
        let keys = reader.bytes()?;
        let form = form.unwrap_or_default();
        if keys.len() == suite.key_length() + suite.mac_key_length(form) {
            Ok(Self::new(suite, form, Zeroizing::new(keys.to_vec())))
        } else {
            Err(Error::Malformed("session keys of the wrong length"))
        }
    }
}
