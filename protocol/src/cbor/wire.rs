//! How Rust's own types, and values that must keep their received bytes, stand in CBOR.

use std::fmt;
use std::ops::Deref;

use super::{Decode, Encode, Reader, Writer, decode, encode};
use crate::error::Error;

/// A value together with the exact bytes that it was received as, or is sent as.
///
/// Hashes, HMACs and signatures are always over these bytes, never over a fresh encoding.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded<T> {
    value: T,
    bytes: Vec<u8>,
}

impl<T: Encode> Encoded<T> {
    /// Encodes a value of our own.
    pub fn new(value: T) -> Self {
        let bytes = encode(&value);
        Self { value, bytes }
    }
}

impl<T: Decode> Encoded<T> {
    /// Decodes one item and keeps its bytes.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self { value: decode(bytes)?, bytes: bytes.to_vec() })
    }
}

impl<T> Encoded<T> {
    /// The exact bytes of the item.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The decoded value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Gives up the bytes.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Encoded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Encoded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Encode for Encoded<T> {
    fn encode_into(&self, writer: &mut Writer) {
        writer.raw(&self.bytes);
    }
}

impl<T: Decode> Decode for Encoded<T> {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_bytes(reader.raw()?)
    }
}

/// `bstr .cbor T`: an item wrapped in a byte string. The bytes kept are the content, without the head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrapped<T>(pub Encoded<T>);

impl<T: Encode> Wrapped<T> {
    /// Wraps a value of our own.
    pub fn new(value: T) -> Self {
        Self(Encoded::new(value))
    }
}

impl<T> Deref for Wrapped<T> {
    type Target = Encoded<T>;
    fn deref(&self) -> &Encoded<T> {
        &self.0
    }
}

impl<T> Encode for Wrapped<T> {
    fn encode_into(&self, writer: &mut Writer) {
        writer.bytes(self.0.bytes());
    }
}

impl<T: Decode> Decode for Wrapped<T> {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Encoded::from_bytes(reader.bytes()?).map(Self)
    }
}

/// A byte string.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ByteString(pub Vec<u8>);

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Deref for ByteString {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Encode for ByteString {
    fn encode_into(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Decode for ByteString {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self(reader.bytes()?.to_vec()))
    }
}

/// Any one item, kept as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawItem(pub Vec<u8>);

impl Encode for RawItem {
    fn encode_into(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl Decode for RawItem {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self(reader.raw()?.to_vec()))
    }
}

impl Encode for bool {
    fn encode_into(&self, writer: &mut Writer) {
        writer.bool(*self);
    }
}

impl Decode for bool {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.bool()
    }
}

macro_rules! unsigned {
    ($($ty:ty),*) => {$(
        impl Encode for $ty {
            fn encode_into(&self, writer: &mut Writer) {
                writer.unsigned(u64::from(*self));
            }
        }
        impl Decode for $ty {
            fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
                <$ty>::try_from(reader.unsigned()?).map_err(|_| Error::Malformed("integer out of range"))
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64);

impl Encode for i64 {
    fn encode_into(&self, writer: &mut Writer) {
        writer.integer(*self);
    }
}

impl Decode for i64 {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.integer()
    }
}

impl Encode for str {
    fn encode_into(&self, writer: &mut Writer) {
        writer.text(self);
    }
}

impl Encode for String {
    fn encode_into(&self, writer: &mut Writer) {
        writer.text(self);
    }
}

impl Decode for String {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.text().map(str::to_owned)
    }
}

/// `T / null`.
impl<T: Encode> Encode for Option<T> {
    fn encode_into(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.encode_into(writer),
            None => {
                writer.null();
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.null() { Ok(None) } else { T::decode_from(reader).map(Some) }
    }
}

/// `[ * T ]`.
impl<T: Encode> Encode for Vec<T> {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(self.len());
        for value in self {
            value.encode_into(writer);
        }
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = reader.array_length()?;
        (0..length).map(|_| T::decode_from(reader)).collect()
    }
}

/// Implements [`Encode`] and [`Decode`] for a struct as an array of exactly its fields, in this order.
#[macro_export]
macro_rules! cbor_array {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::cbor::Encode for $name {
            fn encode_into(&self, writer: &mut $crate::cbor::Writer) {
                writer.array(0 $(+ { let _ = stringify!($field); 1 })*);
                $(writer.value(&self.$field);)*
            }
        }
        impl $crate::cbor::Decode for $name {
            fn decode_from(reader: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::Error> {
                reader.array(0 $(+ { let _ = stringify!($field); 1 })*)?;
                Ok(Self { $($field: $crate::cbor::Decode::decode_from(reader)?),* })
            }
        }
    };
}
