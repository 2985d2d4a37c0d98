//! Packing pairs into messages of the size that the peer announced in 66 or 67.
//!
//! The limit is on the list alone, but some peers count the whole message: so does this.

use std::collections::VecDeque;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::{ServiceInfo, ServiceInfoKv};

/// The size, in bytes, that a peer means by null, and by zero.
pub const DEFAULT_SIZE: usize = 1300;
/// The least size, in bytes, that has a meaning; a peer that announces less is taken at this.
pub const MINIMUM_SIZE: usize = 256;

/// The head of 69 and its two booleans; 68 has one less.
const MESSAGE_OVERHEAD: usize = 3;
/// The longest head of a list within 65,535 bytes.
const LIST_OVERHEAD: usize = 3;
/// A smaller rest of a message is not worth a piece of a split value.
const SMALLEST_PIECE: usize = 64;

/// The size to keep to, in bytes, for what a peer announced in 66 or 67.
pub fn negotiated_size(announced: Option<u16>) -> usize {
    announced.filter(|size| *size > 0).map_or(DEFAULT_SIZE, |size| usize::from(size).max(MINIMUM_SIZE))
}

/// The longest value, in bytes, that fits under `key` into a message of its own.
pub fn max_value_length(key: &str, size: usize) -> usize {
    value_length_within(key, size.saturating_sub(MESSAGE_OVERHEAD + LIST_OVERHEAD))
}

/// A string of `length` bytes with its head.
pub(super) fn string_length(length: usize) -> usize {
    length
        + match length {
            0..24 => 1,
            24..0x100 => 2,
            0x100..0x1_0000 => 3,
            _ => 5,
        }
}

fn value_length_within(key: &str, room: usize) -> usize {
    let room = room.saturating_sub(1 + string_length(key.len()));
    // A head of 3 bytes also serves a short value, at a loss of 2 bytes at most.
    let head = if room > 0x1_0002 { 5 } else { 3 };
    room.saturating_sub(head)
}

/// A pair that waits, and whether it may be cut into several pairs of the same key.
#[derive(Clone, PartialEq, Eq)]
struct Waiting {
    kv: ServiceInfoKv,
    may_split: bool,
}
cbor_array!(Waiting { kv, may_split });

/// Pairs that wait to be sent, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Outbox {
    size: usize,
    waiting: VecDeque<Waiting>,
}

impl Outbox {
    /// An empty one for a peer that receives messages of `size` bytes (see [`negotiated_size`]).
    pub fn new(size: usize) -> Self {
        Self { size: size.max(MINIMUM_SIZE), waiting: VecDeque::new() }
    }

    /// The size of a message, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a pair that must stay whole.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it does not fit into a message of the peer's size.
    pub fn push(&mut self, kv: ServiceInfoKv) -> Result<(), Error> {
        if kv.value.len() > max_value_length(&kv.key, self.size) {
            return Err(Error::Unsupported("a value larger than the peer's service info size"));
        }
        self.waiting.push_back(Waiting { kv, may_split: false });
        Ok(())
    }

    /// Adds a pair that is cut into several of the same key where it does not fit. Few peers put such pairs together.
    pub fn push_split(&mut self, kv: ServiceInfoKv) {
        self.waiting.push_back(Waiting { kv, may_split: true });
    }

    /// The next pair of at most `room` encoded bytes. `None` when nothing waits, or when what waits wants a message
    /// of its own.
    pub fn next(&mut self, room: usize) -> Option<ServiceInfoKv> {
        let first = self.waiting.front_mut()?;
        if first.kv.encoded_length() <= room {
            return self.waiting.pop_front().map(|waiting| waiting.kv);
        }
        let fits_alone = first.kv.value.len() <= max_value_length(&first.kv.key, self.size);
        let piece = value_length_within(&first.kv.key, room);
        if fits_alone || !first.may_split || piece < SMALLEST_PIECE.min(first.kv.value.len()) {
            return None;
        }
        let rest = first.kv.value.split_off(piece);
        let key = first.kv.key.clone();
        let whole = std::mem::replace(&mut first.kv, ServiceInfoKv::from_item(key, rest));
        Some(whole)
    }

    /// Fills one message. The flag tells whether more waits.
    pub fn fill(&mut self) -> (ServiceInfo, bool) {
        let mut room = Self::room(self.size);
        let mut list = ServiceInfo::empty();
        while let Some(kv) = self.next(room) {
            room = room.saturating_sub(kv.encoded_length());
            list.0.push(kv);
        }
        (list, !self.is_empty())
    }

    /// How many bytes of pairs fit into a message of `size` bytes.
    pub fn room(size: usize) -> usize {
        size.saturating_sub(MESSAGE_OVERHEAD + LIST_OVERHEAD)
    }
}

impl Encode for Outbox {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2).unsigned(self.size as u64).array(self.waiting.len());
        for waiting in &self.waiting {
            writer.value(waiting);
        }
    }
}

impl Decode for Outbox {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        let size = u32::decode_from(reader)?;
        Ok(Self {
            size: usize::try_from(size).map_err(|_| Error::Malformed("service info size"))?,
            waiting: Vec::decode_from(reader)?.into(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{ByteString, decode, encode};
    use crate::service_info::OwnerServiceInfo;

    fn message(list: &ServiceInfo) -> usize {
        encode(&OwnerServiceInfo { is_more: true, is_done: false, service_info: list.clone() }).len()
    }

    #[test]
    fn sizes_have_a_default_and_a_floor() {
        assert_eq!(negotiated_size(None), 1300);
        assert_eq!(negotiated_size(Some(0)), 1300);
        assert_eq!(negotiated_size(Some(1)), 256);
        assert_eq!(negotiated_size(Some(256)), 256);
        assert_eq!(negotiated_size(Some(65535)), 65535);
    }

    #[test]
    fn the_longest_value_fits_and_one_more_byte_does_not() {
        for size in [256, 1300, 16384, 65535] {
            let key = "fdo.download:data";
            let longest = max_value_length(key, size);
            let mut outbox = Outbox::new(size);
            outbox.push(ServiceInfoKv::from_item(key.into(), vec![0; longest])).unwrap();
            let (list, more) = outbox.fill();
            assert!(!more && message(&list) <= size && message(&list) + 3 >= size, "{size}");
            let one_more = ServiceInfoKv::from_item(key.into(), vec![0; longest + 1]);
            assert!(matches!(outbox.push(one_more), Err(Error::Unsupported(_))));
        }
    }

    #[test]
    fn whole_pairs_are_packed_in_order() {
        for size in [256, 1300, 65535] {
            let mut outbox = Outbox::new(size);
            for number in 0..400_u64 {
                outbox.push(ServiceInfoKv::new("m", "n", &vec![number; 5])).unwrap();
            }
            let mut seen = Vec::new();
            loop {
                outbox = decode(&encode(&outbox)).unwrap();
                let (list, more) = outbox.fill();
                assert!(!list.is_empty() && message(&list) <= size);
                seen.extend(list.0);
                if !more {
                    break;
                }
            }
            assert_eq!(seen.len(), 400);
            assert_eq!(seen[399], ServiceInfoKv::new("m", "n", &vec![399_u64; 5]));
        }
    }

    #[test]
    fn a_large_value_is_cut_only_where_allowed() {
        let item = encode(&ByteString(vec![7; 3000]));
        let mut outbox = Outbox::new(256);
        outbox.push(ServiceInfoKv::new("m", "n", &true)).unwrap();
        outbox.push_split(ServiceInfoKv::from_item("m:big".into(), item.clone()));
        let mut joined = Vec::new();
        let mut more = true;
        while more {
            let (list, rest) = outbox.fill();
            assert!(message(&list) <= 256);
            for kv in list.0.iter().filter(|kv| kv.key == "m:big") {
                joined.extend_from_slice(&kv.value);
            }
            more = rest;
        }
        assert_eq!(joined, item);
    }
}
