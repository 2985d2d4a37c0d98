//! CBOR as FDO uses it (RFC 8949): the one bounded decode, arrays of an exact length, and values that keep their
//! received bytes. Built on the header codec of `ciborium-ll`.
//!
//! Accepted: integers longer than needed, unsorted maps. Refused: indefinite lengths, duplicate map keys, floats,
//! trailing bytes, nesting beyond [`MAX_DEPTH`].

mod wire;

use std::collections::BTreeSet;

use ciborium_ll::{Decoder, Encoder, Header};

use crate::error::Error;
pub use wire::{ByteString, Encoded, RawItem, Wrapped};

/// Nesting of arrays, maps and tags beyond which an item is refused.
pub const MAX_DEPTH: usize = 16;

/// A type that writes itself as one CBOR item.
pub trait Encode {
    /// Appends the item.
    fn encode_into(&self, writer: &mut Writer);
}

/// A type that reads itself from one CBOR item.
pub trait Decode: Sized {
    /// Reads the item at the reader's position.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the item has another shape.
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error>;
}

/// Decodes exactly one item, after checking the whole of `bytes` against the rules of this module.
///
/// # Errors
/// [`Error::Malformed`] for anything that is not exactly one well-formed item of the type's shape.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, Error> {
    check(bytes)?;
    let mut reader = Reader { rest: bytes };
    let value = T::decode_from(&mut reader)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(Error::Malformed("trailing bytes")) }
}

/// Encodes one value in deterministic form.
pub fn encode<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut writer = Writer::default();
    value.encode_into(&mut writer);
    writer.into_bytes()
}

/// Checks that `bytes` is exactly one well-formed item within the limits.
///
/// # Errors
/// [`Error::Malformed`] naming the rule that was broken.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut reader = Reader { rest: bytes };
    skip(&mut reader, MAX_DEPTH)?;
    if reader.rest.is_empty() { Ok(()) } else { Err(Error::Malformed("trailing bytes")) }
}

fn skip(reader: &mut Reader<'_>, depth: usize) -> Result<(), Error> {
    let inner = || depth.checked_sub(1).ok_or(Error::Malformed("nested too deeply"));
    match reader.header()? {
        Header::Positive(_) | Header::Negative(_) | Header::Simple(20..=22) => Ok(()),
        Header::Bytes(Some(length)) => reader.take(length).map(|_| ()),
        Header::Text(Some(length)) => reader.utf8(length).map(|_| ()),
        Header::Array(Some(length)) => {
            let inner = inner()?;
            reader.plausible(length)?;
            (0..length).try_for_each(|_| skip(reader, inner))
        }
        Header::Map(Some(length)) => {
            let inner = inner()?;
            reader.plausible(length)?;
            let mut keys = BTreeSet::new();
            for _ in 0..length {
                let start = reader.rest;
                let key = MapKey::read(reader, inner, start)?;
                if !keys.insert(key) {
                    return Err(Error::Malformed("duplicate map key"));
                }
                skip(reader, inner)?;
            }
            Ok(())
        }
        Header::Tag(_) => skip(reader, inner()?),
        Header::Bytes(None) | Header::Text(None) | Header::Array(None) | Header::Map(None) | Header::Break => {
            Err(Error::Malformed("indefinite length"))
        }
        Header::Float(_) => Err(Error::Malformed("floating point number")),
        Header::Simple(_) => Err(Error::Malformed("unknown simple value")),
    }
}

/// A map key by meaning: the same integer in two lengths is the same key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum MapKey<'a> {
    Positive(u64),
    Negative(u64),
    Text(&'a [u8]),
    Other(&'a [u8]),
}

impl<'a> MapKey<'a> {
    fn read(reader: &mut Reader<'a>, depth: usize, start: &'a [u8]) -> Result<Self, Error> {
        let mut ahead = Reader { rest: start };
        let header = ahead.header()?;
        skip(reader, depth)?;
        Ok(match header {
            Header::Positive(n) => Self::Positive(n),
            Header::Negative(n) => Self::Negative(n),
            Header::Text(Some(length)) => Self::Text(ahead.take(length)?),
            _ => Self::Other(&start[..start.len() - reader.rest.len()]),
        })
    }
}

/// What kind of item comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An integer of either sign.
    Integer,
    /// A byte string.
    Bytes,
    /// A text string.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// A tagged item.
    Tag,
    /// True or false.
    Bool,
    /// Null.
    Null,
    /// Anything that FDO does not use.
    Other,
}

/// A position in bytes that [`check`] has passed; every read is still bounded by what is left.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`, after checking them.
    ///
    /// # Errors
    /// [`Error::Malformed`] when `bytes` is not exactly one well-formed item.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        check(bytes)?;
        Ok(Self { rest: bytes })
    }

    fn header(&mut self) -> Result<Header, Error> {
        let mut decoder = Decoder::from(self.rest);
        let header = decoder.pull().map_err(|_| Error::Malformed("truncated"))?;
        let consumed = decoder.offset();
        // RFC 8949, 3.3: these have one form, of one byte; others read the second byte as a value of its own.
        if consumed > 1 && matches!(header, Header::Simple(_)) {
            return Err(Error::Malformed("unknown simple value"));
        }
        self.rest = self.rest.get(consumed..).ok_or(Error::Malformed("truncated"))?;
        Ok(header)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Malformed("truncated"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn utf8(&mut self, length: usize) -> Result<&'a str, Error> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::Malformed("text is not UTF-8"))
    }

    /// Each element takes a byte at least, so a longer count is a lie that must not cost a loop.
    fn plausible(&self, length: usize) -> Result<(), Error> {
        if length > self.rest.len() { Err(Error::Malformed("truncated")) } else { Ok(()) }
    }

    /// The kind of the next item, without reading it.
    pub fn kind(&self) -> Kind {
        match self.clone().header() {
            Ok(Header::Positive(_) | Header::Negative(_)) => Kind::Integer,
            Ok(Header::Bytes(_)) => Kind::Bytes,
            Ok(Header::Text(_)) => Kind::Text,
            Ok(Header::Array(_)) => Kind::Array,
            Ok(Header::Map(_)) => Kind::Map,
            Ok(Header::Tag(_)) => Kind::Tag,
            Ok(Header::Simple(20 | 21)) => Kind::Bool,
            Ok(Header::Simple(22)) => Kind::Null,
            _ => Kind::Other,
        }
    }

    /// Reads the head of an array of exactly `length` elements.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type or another length.
    pub fn array(&mut self, length: usize) -> Result<(), Error> {
        if self.array_length()? == length { Ok(()) } else { Err(Error::Malformed("wrong number of elements")) }
    }

    /// Reads the head of an array and gives its length in elements.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type.
    pub fn array_length(&mut self) -> Result<usize, Error> {
        match self.header()? {
            Header::Array(Some(length)) => self.plausible(length).map(|()| length),
            _ => Err(Error::Malformed("not an array")),
        }
    }

    /// Reads the head of a map and gives its length in pairs.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type.
    pub fn map_length(&mut self) -> Result<usize, Error> {
        match self.header()? {
            Header::Map(Some(length)) => self.plausible(length).map(|()| length),
            _ => Err(Error::Malformed("not a map")),
        }
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type.
    pub fn unsigned(&mut self) -> Result<u64, Error> {
        match self.header()? {
            Header::Positive(n) => Ok(n),
            _ => Err(Error::Malformed("not an unsigned integer")),
        }
    }

    /// Reads an integer of either sign.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type or a value beyond 64 bits.
    pub fn integer(&mut self) -> Result<i64, Error> {
        let wide = match self.header()? {
            Header::Positive(n) => i128::from(n),
            Header::Negative(n) => -1 - i128::from(n),
            _ => return Err(Error::Malformed("not an integer")),
        };
        i64::try_from(wide).map_err(|_| Error::Malformed("integer out of range"))
    }

    /// Reads a byte string.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type.
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        match self.header()? {
            Header::Bytes(Some(length)) => self.take(length),
            _ => Err(Error::Malformed("not a byte string")),
        }
    }

    /// Reads a text string.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        match self.header()? {
            Header::Text(Some(length)) => self.utf8(length),
            _ => Err(Error::Malformed("not a text string")),
        }
    }

    /// Reads true or false.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type.
    pub fn bool(&mut self) -> Result<bool, Error> {
        match self.header()? {
            Header::Simple(20) => Ok(false),
            Header::Simple(21) => Ok(true),
            _ => Err(Error::Malformed("not a boolean")),
        }
    }

    /// Reads the number of a tag; the tagged item follows.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an untagged item.
    pub fn tag(&mut self) -> Result<u64, Error> {
        match self.header()? {
            Header::Tag(number) => Ok(number),
            _ => Err(Error::Malformed("not a tag")),
        }
    }

    /// Reads null if it comes next, and says whether it did.
    pub fn null(&mut self) -> bool {
        let is_null = self.kind() == Kind::Null;
        if is_null {
            self.rest = &self.rest[1..];
        }
        is_null
    }

    /// Reads the exact bytes of the next item, whatever it is.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is cut short.
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let start = self.rest;
        skip(self, MAX_DEPTH)?;
        Ok(&start[..start.len() - self.rest.len()])
    }
}

/// Collects encoded items; integers and lengths are written in their shortest form.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn push(&mut self, header: Header) {
        // Writing into a Vec cannot fail: its error type has no value.
        let _ = Encoder::from(&mut self.out).push(header);
    }

    /// Begins an array of `length` elements.
    pub fn array(&mut self, length: usize) -> &mut Self {
        self.push(Header::Array(Some(length)));
        self
    }

    /// Begins a map of `length` pairs.
    pub fn map(&mut self, length: usize) -> &mut Self {
        self.push(Header::Map(Some(length)));
        self
    }

    /// Writes an unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.push(Header::Positive(value));
        self
    }

    /// Writes an integer of either sign.
    pub fn integer(&mut self, value: i64) -> &mut Self {
        self.push(match u64::try_from(value) {
            Ok(value) => Header::Positive(value),
            Err(_) => Header::Negative(!value as u64),
        });
        self
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.push(Header::Bytes(Some(value.len())));
        self.out.extend_from_slice(value);
        self
    }

    /// Writes a text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.push(Header::Text(Some(value.len())));
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    /// Writes true or false.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.push(Header::Simple(if value { 21 } else { 20 }));
        self
    }

    /// Writes null.
    pub fn null(&mut self) -> &mut Self {
        self.push(Header::Simple(22));
        self
    }

    /// Writes a tag; the tagged item must follow.
    pub fn tag(&mut self, number: u64) -> &mut Self {
        self.push(Header::Tag(number));
        self
    }

    /// Writes an item that is already encoded.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        self.out.extend_from_slice(item);
        self
    }

    /// The bytes written so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes any value.
    pub fn value<T: Encode + ?Sized>(&mut self, value: &T) -> &mut Self {
        value.encode_into(self);
        self
    }
}
