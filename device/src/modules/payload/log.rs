//! The output of a program that applied a payload, as a log for the owner.

use fdo_protocol::service_info::chunking::{Begin, ContentHash, End, Sender};
use fdo_protocol::service_info::payload::{LOG_PREFIX, MODULE};

use crate::modules::Answers;
use crate::modules::program::Ended;

/// Sends both streams, the complaints last, in messages of `size` bytes.
pub fn tell(ended: &Ended, size: usize, answers: &mut Answers) {
    let text = [ended.stdout.as_slice(), ended.stderr.as_slice()].concat();
    let hash = ContentHash::of(&text);
    let mut sender = Sender::new(MODULE, LOG_PREFIX);
    let begin = Begin {
        total_size: Some(text.len() as u64),
        hash_algorithm: Some(hash.algorithm().name().to_owned()),
        ..Begin::default()
    };
    answers.say_kv(sender.begin(&begin));
    for piece in text.chunks(sender.piece(size)) {
        answers.say_kv(sender.data(piece));
    }
    answers.say_kv(sender.end(&End { hash: Some(hash.digest().to_vec()), ..End::default() }));
}
