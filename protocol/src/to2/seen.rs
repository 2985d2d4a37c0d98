//! Which messages of the tunnel were already taken, so that an older one does not count again.

use std::collections::VecDeque;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;

/// How many are remembered. An older one still fails wherever the state has moved on.
const REMEMBERED: usize = 64;

/// Length in bytes of what is kept of each: the authentication tag, with which every message of the tunnel ends, or as
/// much of a longer MAC.
const TAG: usize = 16;

/// The tags of the last messages taken. However a message is wrapped, its tag stays the same.
#[derive(Clone, Default)]
pub(super) struct SeenMessages(VecDeque<[u8; TAG]>);

impl SeenMessages {
    /// Takes a message that was decrypted.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it was taken before.
    pub(super) fn take(&mut self, message: &[u8]) -> Result<(), Error> {
        let tag = *message.last_chunk::<TAG>().ok_or(Error::Malformed("shorter than its tag"))?;
        if self.0.contains(&tag) {
            return Err(Error::Rejected("an older message of this session"));
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(tag);
        Ok(())
    }
}

impl Encode for SeenMessages {
    fn encode_into(&self, writer: &mut Writer) {
        let tags: Vec<u8> = self.0.iter().flatten().copied().collect();
        writer.bytes(&tags);
    }
}

impl Decode for SeenMessages {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (tags, rest) = reader.bytes()?.as_chunks::<TAG>();
        if rest.is_empty() { Ok(Self(tags.iter().copied().collect())) } else { Err(Error::Malformed("tags")) }
    }
}
