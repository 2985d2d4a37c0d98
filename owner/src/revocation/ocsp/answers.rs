//! Signed answers in memory, by what was asked. An answer counts only while its shard's list has the number that it had
//! when the answer was made, and no change is marked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::view::Known;

/// A signed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub der: bytes::Bytes,
    pub this_update: u64,
    pub next_update: u64,
    /// SHA-1 of the answer in hexadecimal (RFC 5019, 6.2).
    pub tag: String,
    /// Whether it was made for everybody: without a nonce.
    pub may_be_kept: bool,
}

struct Kept {
    shard: u8,
    number: u64,
    answer: Arc<Answer>,
}

/// At most so many answers: when half of them are new, the older half goes, save what was asked for since.
pub(in crate::revocation) struct Answers {
    half: usize,
    kept: Mutex<Halves>,
}

#[derive(Default)]
struct Halves {
    new: HashMap<Vec<u8>, Kept>,
    old: HashMap<Vec<u8>, Kept>,
}

impl Halves {
    fn insert(&mut self, id: Vec<u8>, kept: Kept, half: usize) {
        if self.new.len() >= half {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(id, kept);
    }
}

impl Answers {
    pub fn new(capacity: usize) -> Self {
        Self { half: capacity.div_ceil(2).max(1), kept: Mutex::default() }
    }

    /// The answer to a question about one certificate, where it still holds.
    pub fn find(&self, id: &[u8], now: u64, current: impl Fn(u8) -> Known) -> Option<Arc<Answer>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, found)) = kept.old.remove_entry(id) {
            kept.insert(id, found, self.half);
        }
        let found = kept.new.get(id)?;
        let known = current(found.shard);
        let answer = &found.answer;
        let is_fresh = now < answer.this_update + answer.next_update.saturating_sub(answer.this_update) / 2;
        (is_fresh && now >= answer.this_update && known.number == found.number && !known.is_behind)
            .then(|| answer.clone())
    }

    pub fn keep(&self, id: &[u8], shard: u8, number: u64, answer: &Arc<Answer>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.old.remove(id);
        kept.insert(id.to_vec(), Kept { shard, number, answer: answer.clone() }, self.half);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(name: &str) -> Arc<Answer> {
        let der = name.as_bytes().to_vec().into();
        Arc::new(Answer { der, this_update: 100, next_update: 200, tag: name.to_owned(), may_be_kept: true })
    }

    fn at(number: u64, is_behind: bool) -> impl Fn(u8) -> Known {
        move |_| Known { number, is_behind, ..Known::default() }
    }

    #[test]
    fn an_answer_holds_for_its_shards_number_and_half_of_its_life() {
        let answers = Answers::new(4);
        answers.keep(b"a", 7, 3, &answer("a"));
        assert_eq!(answers.find(b"a", 100, at(3, false)).unwrap().tag, "a");
        assert!(answers.find(b"b", 100, at(3, false)).is_none());
        assert!(answers.find(b"a", 100, at(4, false)).is_none(), "the shard has another list");
        assert!(answers.find(b"a", 100, at(3, true)).is_none(), "a change is marked");
        assert!(answers.find(b"a", 149, at(3, false)).is_some());
        assert!(answers.find(b"a", 150, at(3, false)).is_none(), "half of its life is over");
        assert!(answers.find(b"a", 99, at(3, false)).is_none(), "the clock went back");
        let asked = std::cell::Cell::new(0);
        answers.find(b"a", 100, |shard| {
            asked.set(shard);
            Known::default()
        });
        assert_eq!(asked.get(), 7);
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_asked_for() {
        let answers = Answers::new(100);
        for number in 0..1_000_u32 {
            answers.keep(&number.to_be_bytes(), 0, 1, &answer("x"));
            assert!(answers.find(&0_u32.to_be_bytes(), 100, at(1, false)).is_some(), "{number}");
        }
        let kept = answers.kept.lock().unwrap();
        assert!(kept.new.len() + kept.old.len() <= 100);
    }
}
