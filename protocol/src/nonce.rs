//! Nonces: 16 random bytes, one type for each that the protocol has, so that none can stand for another.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;

macro_rules! nonce {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh one.
            pub fn random(rng: &mut dyn CryptoRng) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The nonce with these bytes.
            ///
            /// # Errors
            /// [`Error::Malformed`] unless there are 16.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
                bytes.try_into().map(Self).map_err(|_| Error::Malformed("a nonce has 16 bytes"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl Encode for $name {
            fn encode_into(&self, writer: &mut Writer) {
                writer.bytes(&self.0);
            }
        }

        impl Decode for $name {
            fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
                Self::from_slice(reader.bytes()?)
            }
        }
    )*};
}

nonce! {
    /// Made by the rendezvous in 21, signed back by the owner in 22.
    NonceTo0Sign,
    /// Made by the rendezvous in 31, signed back by the device in 32.
    NonceTo1Proof,
    /// Made by the device in 60, signed back by the owner in 61.
    NonceTo2ProveOv,
    /// Made by the owner in 61, signed back by the device in 64, repeated in 70.
    NonceTo2ProveDv,
    /// Made by the device in 64, signed back by the owner in 65, repeated in 71.
    NonceTo2SetupDv,
    /// Made by the caller in KeyAuth's hello, signed by both sides.
    NonceCaller,
    /// Made by the server in KeyAuth's challenge, signed by both sides.
    NonceServer,
}
