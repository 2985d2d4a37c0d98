//! `begin`: what the value is before any of it is sent.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256, Sha384};

use super::fields;
use crate::cbor::{ByteString, Decode, Encode, RawItem, Reader, Writer, decode, encode};
use crate::error::Error;
use crate::service_info::bounded_text;

/// The longest URL, in bytes.
const MAX_URL: usize = 2048;
/// How many fields of a module's own are read.
const MAX_OWN_FIELDS: usize = 32;

/// How the value is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// `sha256`
    Sha256,
    /// `sha384`
    Sha384,
}

impl HashAlgorithm {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        }
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384].into_iter().find(|known| known.name() == name)
    }
}

/// The hash of a whole value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHash {
    algorithm: HashAlgorithm,
    digest: Vec<u8>,
}

impl ContentHash {
    /// SHA-256; the one that every peer knows.
    pub fn sha256(digest: [u8; 32]) -> Self {
        Self { algorithm: HashAlgorithm::Sha256, digest: digest.to_vec() }
    }

    /// SHA-384.
    pub fn sha384(digest: [u8; 48]) -> Self {
        Self { algorithm: HashAlgorithm::Sha384, digest: digest.to_vec() }
    }

    /// SHA-256 of a value that is at hand.
    pub fn of(value: &[u8]) -> Self {
        Self::sha256(Sha256::digest(value).into())
    }

    /// Whether `value` has this hash.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self.algorithm {
            HashAlgorithm::Sha256 => Sha256::digest(value).as_slice() == self.digest,
            HashAlgorithm::Sha384 => Sha384::digest(value).as_slice() == self.digest,
        }
    }

    /// Which one it is.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

impl Encode for ContentHash {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2).text(self.algorithm.name()).bytes(&self.digest);
    }
}

impl Decode for ContentHash {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        let algorithm = HashAlgorithm::from_name(reader.text()?).ok_or(Error::Malformed("a stored hash"))?;
        Ok(Self { algorithm, digest: reader.bytes()?.to_vec() })
    }
}

/// `-begin`. Integers and texts of unknown meaning are kept out; negative keys belong to the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Begin {
    /// 0: the length in bytes.
    pub total_size: Option<u64>,
    /// 1: the name of the hash that `end` carries.
    pub hash_algorithm: Option<String>,
    /// 2: a map for people and modules, as it came.
    pub metadata: Option<RawItem>,
    /// 3: nothing is sent before the receiver has accepted.
    pub require_ack: bool,
    /// 4: how long it may take to use the value, in seconds; a guess.
    pub estimated_duration: Option<u64>,
    /// 5: 0 the value follows, 1 it is behind the URL, 2 a description of it is.
    pub delivery_mode: u64,
    /// 6: where it is to be fetched.
    pub url: Option<String>,
    /// 8: the hash that it must have.
    pub expected_hash: Option<Vec<u8>>,
    /// The module's own fields, each as it came.
    pub own: BTreeMap<i64, RawItem>,
}

impl Begin {
    /// A field of the module's own.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is of another type.
    pub fn own<T: Decode>(&self, key: i64) -> Result<Option<T>, Error> {
        self.own.get(&key).map(|item| decode(&item.0)).transpose()
    }

    /// With a field of the module's own.
    #[must_use]
    pub fn with_own<T: Encode + ?Sized>(mut self, key: i64, value: &T) -> Self {
        self.own.insert(key, RawItem(encode(value)));
        self
    }
}

impl Encode for Begin {
    fn encode_into(&self, writer: &mut Writer) {
        let known = [
            self.total_size.map(|size| (0, encode(&size))),
            self.hash_algorithm.as_ref().map(|name| (1, encode(name))),
            self.metadata.as_ref().map(|metadata| (2, encode(metadata))),
            self.require_ack.then(|| (3, encode(&true))),
            self.estimated_duration.map(|seconds| (4, encode(&seconds))),
            (self.delivery_mode != 0).then(|| (5, encode(&self.delivery_mode))),
            self.url.as_ref().map(|url| (6, encode(url))),
            self.expected_hash.as_ref().map(|hash| (8, encode(&ByteString(hash.clone())))),
        ];
        let mut items: Vec<(i64, Vec<u8>)> = known.into_iter().flatten().collect();
        // Deterministic order: -1, -2, .. behind the others.
        for (key, value) in self.own.iter().rev() {
            items.push((*key, value.0.clone()));
        }
        writer.map(items.len());
        for (key, item) in items {
            writer.integer(key).raw(&item);
        }
    }
}

impl Decode for Begin {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut begin = Self::default();
        for (key, value) in fields(reader)? {
            match key {
                0 => begin.total_size = Some(decode(value)?),
                1 => begin.hash_algorithm = Some(bounded_text(value, 64)?),
                2 => {
                    Reader::new(value)?.map_length()?;
                    begin.metadata = Some(RawItem(value.to_vec()));
                }
                3 => begin.require_ack = decode(value)?,
                4 => begin.estimated_duration = Some(decode(value)?),
                5 => begin.delivery_mode = decode(value)?,
                6 => begin.url = Some(bounded_text(value, MAX_URL)?),
                8 => begin.expected_hash = Some(decode::<ByteString>(value)?.0),
                _ if key < 0 => {
                    if begin.own.len() >= MAX_OWN_FIELDS {
                        return Err(Error::Malformed("too many fields"));
                    }
                    begin.own.insert(key, RawItem(value.to_vec()));
                }
                _ => {}
            }
        }
        Ok(begin)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_comes_back_and_unknown_fields_are_dropped() {
        let begin = Begin {
            total_size: Some(0),
            hash_algorithm: Some("sha256".into()),
            metadata: Some(RawItem(vec![0xa0])),
            require_ack: true,
            estimated_duration: Some(300),
            delivery_mode: 1,
            url: Some("https://example.net/x".into()),
            expected_hash: Some(vec![1; 32]),
            own: BTreeMap::new(),
        }
        .with_own(-1, "text/plain")
        .with_own(-2, "name");
        assert_eq!(decode::<Begin>(&encode(&begin)).unwrap(), begin);
        assert_eq!(begin.own::<String>(-1).unwrap().as_deref(), Some("text/plain"));
        assert!(begin.own::<u64>(-1).is_err());
        // Long integers, keys that nobody knows, all else absent.
        let bare: Begin = decode(&hex::decode("a31b000000000000000018ff187f01616101").unwrap()).unwrap();
        assert_eq!(bare, Begin { total_size: Some(255), ..Begin::default() });
    }

    #[test]
    fn fields_of_a_wrong_type_are_malformed() {
        for broken in ["80", "a10020", "a10161", "a10280", "a10300", "a10461", "a105f5", "a10600", "a10800"] {
            assert!(decode::<Begin>(&hex::decode(broken).unwrap()).is_err(), "{broken}");
        }
        let mut many = Begin::default();
        for key in 1..=40 {
            many = many.with_own(-key, &1_u8);
        }
        assert!(decode::<Begin>(&encode(&many)).is_err());
    }

    #[test]
    fn hashes_match_what_they_are_of() {
        let hash = ContentHash::of(b"value");
        assert!(hash.matches(b"value") && !hash.matches(b"valuf"));
        assert_eq!(decode::<ContentHash>(&encode(&hash)).unwrap(), hash);
        let long = ContentHash::sha384(Sha384::digest(b"value").into());
        assert!(long.matches(b"value"));
        assert_eq!((long.algorithm().name(), long.digest().len()), ("sha384", 48));
    }
}
