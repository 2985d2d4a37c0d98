//! The sender's side: numbers the pieces and says which messages they are.

use super::{Begin, End, MAX_CHUNK, Part};
use crate::cbor::Encode;
use crate::cbor_array;
use crate::service_info::{Outbox, ServiceInfoKv, kv_of_bytes, max_value_length};

/// The head of a byte string of up to 64 KiB.
const ITEM_HEAD: usize = 3;
/// The longest number of a piece, in digits.
const MAX_DIGITS: usize = 20;

/// Cuts one value into messages of a module, under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    module: String,
    prefix: String,
    next: u64,
}
cbor_array!(Sender { module, prefix, next });

impl Sender {
    /// For a value that nothing was sent of.
    pub fn new(module: &str, prefix: &str) -> Self {
        Self { module: module.to_owned(), prefix: prefix.to_owned(), next: 0 }
    }

    /// The longest piece in bytes that every receiver takes and that fits into a message of `size` bytes.
    pub fn piece(&self, size: usize) -> usize {
        let longest_key = self.module.len() + 1 + self.prefix.len() + "-data-".len() + MAX_DIGITS;
        let room = max_value_length(&"k".repeat(longest_key), size);
        MAX_CHUNK.min(room.saturating_sub(ITEM_HEAD)).max(1)
    }

    /// How many bytes fill a message of `size` bytes with pieces.
    pub fn filling(&self, size: usize) -> usize {
        let piece = self.piece(size);
        let longest_key = self.module.len() + 1 + self.prefix.len() + "-data-".len() + MAX_DIGITS;
        let whole = ServiceInfoKv::from_item("k".repeat(longest_key), vec![0; piece + ITEM_HEAD]);
        (Outbox::room(size) / whole.encoded_length()).max(1) * piece
    }

    /// `-begin`
    pub fn begin(&self, begin: &Begin) -> ServiceInfoKv {
        self.kv(Part::Begin, begin)
    }

    /// The next `-data-<n>`.
    pub fn data(&mut self, piece: &[u8]) -> ServiceInfoKv {
        let name = Part::Data(self.next).name(&self.prefix);
        self.next += 1;
        kv_of_bytes(&self.module, &name, piece)
    }

    /// `-end`
    pub fn end(&self, end: &End) -> ServiceInfoKv {
        self.kv(Part::End, end)
    }

    fn kv<T: Encode>(&self, part: Part, value: &T) -> ServiceInfoKv {
        ServiceInfoKv::new(&self.module, &part.name(&self.prefix), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_numbered_and_fit() {
        for size in [256, 1300, 16384, 65535] {
            let mut sender = Sender::new("fdo.payload", "payload");
            let piece = vec![7; sender.piece(size)];
            assert!(piece.len() <= MAX_CHUNK);
            sender.next = u64::MAX - 1;
            let kv = sender.data(&piece);
            assert!(kv.value.len() <= max_value_length(&kv.key, size), "{size}");
            assert!(sender.filling(size) >= piece.len() && sender.filling(size) <= size);
        }
        let mut sender = Sender::new("fdo.payload", "payload");
        assert_eq!(sender.data(b"x").key, "fdo.payload:payload-data-0");
        assert_eq!(sender.data(b"").key, "fdo.payload:payload-data-1");
    }
}
