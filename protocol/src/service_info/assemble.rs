//! Putting a value together that the peer cut into several pairs of the same key.

use zeroize::{Zeroize, Zeroizing};

use crate::cbor::{Decode, Encode, MAX_DEPTH, Reader, Writer, check};
use crate::error::Error;
use crate::service_info::ServiceInfoKv;

/// The longest value that is put together unless the caller says otherwise, in bytes.
pub const DEFAULT_VALUE_LIMIT: usize = 1 << 20;

/// Collects pairs until their values make one CBOR item.
pub struct Assembler {
    limit: usize,
    key: String,
    pending: Zeroizing<Vec<u8>>,
    scan: Scan,
}

impl Assembler {
    /// One that refuses values of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, key: String::new(), pending: Zeroizing::default(), scan: Scan::default() }
    }

    /// Whether no value is half received.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes a pair; gives the pair with its whole value once that is complete.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the value cannot become one item: another key follows, or it is too long.
    pub fn accept(&mut self, mut kv: ServiceInfoKv) -> Result<Option<ServiceInfoKv>, Error> {
        if !self.is_idle() && self.key != kv.key {
            return Err(Error::Malformed("service info value cut short"));
        }
        if self.pending.len() + kv.value.len() > self.limit {
            return Err(Error::Malformed("service info value too long"));
        }
        let complete = self.scan.feed(&kv.value)?;
        if self.is_idle() {
            std::mem::swap(&mut self.key, &mut kv.key);
            std::mem::swap(&mut self.pending, &mut kv.value);
        } else {
            self.pending.extend_from_slice(&kv.value);
            kv.value.zeroize();
        }
        if !complete {
            return Ok(None);
        }
        self.scan = Scan::default();
        check(&self.pending)?;
        Ok(Some(ServiceInfoKv { key: std::mem::take(&mut self.key), value: std::mem::take(&mut self.pending) }))
    }
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new(DEFAULT_VALUE_LIMIT)
    }
}

impl Encode for Assembler {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(3).unsigned(self.limit as u64).text(&self.key).bytes(&self.pending);
    }
}

impl Decode for Assembler {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        let limit = usize::try_from(reader.unsigned()?).map_err(|_| Error::Malformed("value limit"))?;
        let mut assembler = Self::new(limit);
        assembler.key = String::decode_from(reader)?;
        assembler.pending = Zeroizing::new(reader.bytes()?.to_vec());
        assembler.scan.feed(&assembler.pending)?;
        Ok(assembler)
    }
}

/// Finds the end of an item in a stream of bytes without ever reading a byte twice: a peer that sends its value byte
/// by byte must not make each one cost a look at all the others.
#[derive(Default)]
struct Scan {
    /// Items that each open container still needs, outermost first.
    open: Vec<u64>,
    /// Bytes that the open string still needs.
    string: u64,
    /// The open head: its first byte, its argument so far, and the bytes that it still needs.
    head: Option<(u8, u64, u8)>,
    complete: bool,
}

impl Scan {
    /// Whether the item is complete after these bytes.
    fn feed(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.complete {
                return Err(Error::Malformed("trailing bytes"));
            }
            if self.string > 0 {
                let available = self.string.min(rest.len() as u64);
                self.string -= available;
                rest = &rest[usize::try_from(available).unwrap_or(rest.len())..];
                if self.string == 0 {
                    self.item_ends();
                }
                continue;
            }
            rest = after;
            match self.head.take() {
                Some((first, argument, needed)) => {
                    let argument = argument << 8 | u64::from(*byte);
                    self.head_grows(first, argument, needed - 1)?;
                }
                None => match byte & 31 {
                    short @ 0..24 => self.head_grows(*byte, u64::from(short), 0)?,
                    long @ 24..28 => self.head_grows(*byte, 0, 1 << (long - 24))?,
                    _ => return Err(Error::Malformed("indefinite length")),
                },
            }
        }
        Ok(self.complete)
    }

    fn head_grows(&mut self, first: u8, argument: u64, needed: u8) -> Result<(), Error> {
        if needed > 0 {
            self.head = Some((first, argument, needed));
            return Ok(());
        }
        let items = match first >> 5 {
            2 | 3 => {
                self.string = argument;
                if argument == 0 {
                    self.item_ends();
                }
                return Ok(());
            }
            4 => argument,
            5 => argument.checked_mul(2).ok_or(Error::Malformed("truncated"))?,
            6 => 1,
            _ => 0,
        };
        if items == 0 {
            self.item_ends();
        } else if self.open.len() >= MAX_DEPTH {
            return Err(Error::Malformed("nested too deeply"));
        } else {
            self.open.push(items);
        }
        Ok(())
    }

    fn item_ends(&mut self) {
        while let Some(items) = self.open.last_mut() {
            *items -= 1;
            if *items > 0 {
                return;
            }
            self.open.pop();
        }
        self.complete = true;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{ByteString, decode, encode};

    fn kv(key: &str, value: &[u8]) -> ServiceInfoKv {
        ServiceInfoKv::from_item(key.into(), value.to_vec())
    }

    #[test]
    fn an_item_in_single_bytes_is_put_together() {
        let item = hex::decode("a300820102016474657874186482d8184100f6").unwrap();
        check(&item).unwrap();
        let mut assembler = Assembler::default();
        for (index, byte) in item.iter().enumerate() {
            let whole = assembler.accept(kv("m:k", &[*byte])).unwrap();
            assembler = decode(&encode(&assembler)).unwrap();
            if index + 1 < item.len() {
                assert!(whole.is_none() && !assembler.is_idle());
            } else {
                assert_eq!(*whole.unwrap().value, item);
            }
        }
        assert!(assembler.is_idle());
    }

    #[test]
    fn what_cannot_become_one_item_is_refused() {
        let refused = |pieces: &[(&str, &str)]| {
            let mut assembler = Assembler::new(64);
            let outcome: Result<Vec<_>, _> = pieces
                .iter()
                .map(|(key, value)| assembler.accept(kv(key, &hex::decode(value).unwrap())))
                .collect();
            assert!(matches!(outcome, Err(Error::Malformed(_))), "{pieces:?}");
        };
        refused(&[("m:a", "82"), ("m:b", "01")]);
        refused(&[("m:a", "0101")]);
        refused(&[("m:a", "9f01ff")]);
        refused(&[("m:a", &"81".repeat(17))]);
        refused(&[("m:a", "a201010102")]);
        refused(&[("m:a", "5b7fffffffffffffff"), ("m:a", &"00".repeat(60))]);
        refused(&[("m:a", "bb8000000000000000")]);
        refused(&[("m:a", "61ff")]);
    }

    #[test]
    fn a_byte_at_a_time_costs_no_more_than_its_length() {
        let item = encode(&ByteString(vec![0; 200_000]));
        let mut assembler = Assembler::default();
        let done = item.iter().filter_map(|byte| assembler.accept(kv("m:k", &[*byte])).unwrap()).count();
        assert_eq!(done, 1);
    }
}
