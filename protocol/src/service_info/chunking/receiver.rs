//! The receiver's side: pieces in order, none too many. It keeps no content, so its size does not grow.

use sha2::{Digest as _, Sha256};

use super::{Begin, ContentHash, End, HashAlgorithm};
use crate::cbor::ByteString;
use crate::cbor_array;
use crate::error::Error;

/// Why a value cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It is, or becomes, longer than it may be.
    #[error("longer than it may be")]
    TooLarge,
    /// A piece that is not the next one.
    #[error("a piece out of order")]
    OutOfOrder,
    /// It ended before its length was reached.
    #[error("shorter than announced")]
    Short,
    /// The sender gave up.
    #[error("its sender gave up")]
    Abandoned,
    /// A hash that this side cannot compute, or of a wrong length.
    #[error("hashed in an unknown way")]
    UnknownHash,
    /// `begin` and `end` name different hashes.
    #[error("announced with one hash and ended with another")]
    Hash,
}

/// One value on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The most bytes that may come.
    limit: u64,
    total: Option<u64>,
    algorithm: Option<String>,
    expected: Option<ByteString>,
    received: u64,
    next: u64,
    /// The hash of the latest piece: a sender may repeat it.
    latest: ByteString,
}
cbor_array!(Receiver { limit, total, algorithm, expected, received, next, latest });

impl Receiver {
    /// Takes a `begin`, for at most `limit` bytes.
    ///
    /// # Errors
    /// [`ChunkError::TooLarge`], [`ChunkError::UnknownHash`].
    pub fn begin(begin: &Begin, limit: u64) -> Result<Self, ChunkError> {
        if begin.total_size.is_some_and(|size| size > limit) {
            return Err(ChunkError::TooLarge);
        }
        let known = |name: &String| HashAlgorithm::from_name(name).is_some();
        if begin.hash_algorithm.as_ref().is_some_and(|name| !known(name)) {
            return Err(ChunkError::UnknownHash);
        }
        Ok(Self {
            limit: begin.total_size.unwrap_or(limit),
            total: begin.total_size,
            algorithm: begin.hash_algorithm.clone(),
            expected: begin.expected_hash.clone().map(ByteString),
            received: 0,
            next: 0,
            latest: ByteString::default(),
        })
    }

    /// The bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes a piece; false when it is the latest one again, which is to be dropped.
    ///
    /// # Errors
    /// [`ChunkError::TooLarge`], [`ChunkError::OutOfOrder`].
    pub fn data(&mut self, index: u64, piece: &[u8]) -> Result<bool, ChunkError> {
        let hash = Sha256::digest(piece);
        if self.next > 0 && index == self.next - 1 && *self.latest == *hash {
            return Ok(false);
        }
        if index != self.next {
            return Err(ChunkError::OutOfOrder);
        }
        let received = self.received.saturating_add(piece.len() as u64);
        if received > self.limit {
            return Err(ChunkError::TooLarge);
        }
        self.received = received;
        self.next = self.next.checked_add(1).ok_or(ChunkError::TooLarge)?;
        self.latest = ByteString(hash.to_vec());
        Ok(true)
    }

    /// Takes an `end`; gives the hash that the value must have, if there is any.
    ///
    /// # Errors
    /// Any of [`ChunkError`].
    pub fn end(&self, end: &End) -> Result<Option<ContentHash>, ChunkError> {
        if end.status != 0 {
            return Err(ChunkError::Abandoned);
        }
        if self.total.is_some_and(|total| total != self.received) {
            return Err(ChunkError::Short);
        }
        let hash = match (&self.expected, &end.hash) {
            (Some(expected), Some(hash)) if **expected != **hash => return Err(ChunkError::Hash),
            (Some(hash), _) => hash.0.clone(),
            (None, Some(hash)) => hash.clone(),
            (None, None) => return Ok(None),
        };
        // Without a name the length tells.
        let named = self.algorithm.as_deref().and_then(HashAlgorithm::from_name);
        match (named, hash.len()) {
            (None | Some(HashAlgorithm::Sha256), 32) => exact(hash).map(ContentHash::sha256).map(Some),
            (None | Some(HashAlgorithm::Sha384), 48) => exact(hash).map(ContentHash::sha384).map(Some),
            _ => Err(ChunkError::UnknownHash),
        }
    }
}

fn exact<const N: usize>(hash: Vec<u8>) -> Result<[u8; N], ChunkError> {
    hash.try_into().map_err(|_| ChunkError::UnknownHash)
}

impl From<ChunkError> for Error {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::TooLarge => Self::Rejected("a value longer than it may be"),
            ChunkError::OutOfOrder => Self::Rejected("a piece out of order"),
            ChunkError::Short | ChunkError::Abandoned => Self::Rejected("a value that is not complete"),
            ChunkError::UnknownHash | ChunkError::Hash => Self::Rejected("a value without a usable hash"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{decode, encode};

    fn begun(total: Option<u64>) -> Receiver {
        Receiver::begin(&Begin { total_size: total, ..Begin::default() }, 10).unwrap()
    }

    #[test]
    fn pieces_come_in_order_and_the_latest_may_come_twice() {
        let mut receiver = begun(Some(4));
        assert!(receiver.data(0, b"ab").unwrap());
        receiver = decode(&encode(&receiver)).unwrap();
        assert!(!receiver.data(0, b"ab").unwrap());
        assert_eq!(receiver.data(0, b"ax"), Err(ChunkError::OutOfOrder));
        assert_eq!(receiver.data(2, b"cd"), Err(ChunkError::OutOfOrder));
        assert!(receiver.data(1, b"cd").unwrap());
        assert_eq!(receiver.data(0, b"ab"), Err(ChunkError::OutOfOrder));
        assert_eq!(receiver.data(2, b"e"), Err(ChunkError::TooLarge));
        assert_eq!(receiver.end(&End::default()).unwrap(), None);
    }

    #[test]
    fn lengths_hold() {
        let begin = |size| Begin { total_size: Some(size), ..Begin::default() };
        assert_eq!(Receiver::begin(&begin(11), 10), Err(ChunkError::TooLarge));
        let mut open = begun(None);
        assert!(open.data(0, &[0; 10]).unwrap());
        assert_eq!(open.data(1, &[0]), Err(ChunkError::TooLarge));
        open.end(&End::default()).unwrap();
        assert_eq!(begun(Some(1)).end(&End::default()), Err(ChunkError::Short));
        assert!(begun(Some(0)).end(&End::default()).is_ok());
        assert_eq!(begun(Some(0)).end(&End { status: 1, ..End::default() }), Err(ChunkError::Abandoned));
    }

    #[test]
    fn the_hash_is_named_by_its_name_or_its_length() {
        let with = |name: Option<&str>, expected: Option<usize>, end: Option<usize>| {
            let begin = Begin {
                hash_algorithm: name.map(str::to_owned),
                expected_hash: expected.map(|length| vec![1; length]),
                ..Begin::default()
            };
            let receiver = Receiver::begin(&begin, 10)?;
            receiver.end(&End { hash: end.map(|length| vec![1; length]), ..End::default() })
        };
        assert_eq!(with(Some("sha256"), None, Some(32)), Ok(Some(ContentHash::sha256([1; 32]))));
        assert_eq!(with(None, Some(48), None), Ok(Some(ContentHash::sha384([1; 48]))));
        assert_eq!(with(Some("sha256"), None, None), Ok(None));
        assert_eq!(with(Some("sha384"), None, Some(32)), Err(ChunkError::UnknownHash));
        assert_eq!(with(None, Some(32), Some(48)), Err(ChunkError::Hash));
        assert_eq!(with(None, None, Some(20)), Err(ChunkError::UnknownHash));
        assert_eq!(with(Some("md5"), None, None), Err(ChunkError::UnknownHash));
    }
}
