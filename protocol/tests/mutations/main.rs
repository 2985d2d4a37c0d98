//! A hostile peer changes each field of each message, one at a time: another type, length or value, absent, or one more
//! beside it. Its receiver refuses, and never panics. What a receiver cannot know to be wrong stands in [`CANNOT_KNOW`]
//! with the reason, and is listed so exactly that a check which is lost, or gained, fails the test.
#![allow(clippy::unwrap_used)]

mod conversation;
mod mutate;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use fdo_protocol::crypto::KeyType;
use support::World;

const MESSAGES: [u8; 24] =
    [10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71];

/// Message, field, and the changes that its receiver accepts.
const CANNOT_KNOW: &[(u8, &str, &str)] = &[
    // What a device wishes for; and lists that later versions may lengthen.
    (10, "0/w", "Extra"),
    (10, "0/w/0", "Value"),
    (10, "0/w/1", "Value"),
    (10, "0/w/2", "Longer Value"),
    (10, "0/w/3", "Longer Value"),
    // DI has no proof of the manufacturer: the device believes the first header that it is given. Rendezvous instructions
    // that it does not understand are kept as they are.
    (11, "0/w/1", "Value"),
    (11, "0/w/2/0/0", "Absent"),
    (11, "0/w/2/0/0/0", "Value"),
    (11, "0/w/2/0/0/1", "Absent Longer Shorter Type Value"),
    (11, "0/w/2/0/1", "Absent"),
    (11, "0/w/2/0/1/0", "Value"),
    (11, "0/w/2/0/1/1", "Absent Longer Shorter Type Value"),
    (11, "0/w/2/0/2", "Absent"),
    (11, "0/w/2/0/2/0", "Value"),
    (11, "0/w/2/0/2/1", "Absent Longer Shorter Type Value"),
    (11, "0/w/2/0/3", "Absent"),
    (11, "0/w/2/0/3/0", "Value"),
    (11, "0/w/2/0/3/1", "Absent Longer Shorter Type Value"),
    (11, "0/w/3", "Longer Value"),
    (11, "0/w/5/1", "Value"),
    // Only the device can check its HMAC.
    (12, "0/1", "Value"),
    // A nonce is as good as another to whoever signs it.
    (21, "0", "Value"),
    // Unknown unprotected labels are ignored, here and below: nothing reads them.
    (22, "1/t/1", "Extra"),
    // How long a rendezvous keeps a registration is its own to say.
    (23, "0", "Value"),
    // A nonce again.
    (31, "0", "Value"),
    (32, "t/1", "Extra"),
    (33, "t/1", "Extra"),
    // A nonce again, and another suite that is offered; the owner's signature over the hash of 60 tells the device.
    (60, "2", "Value"),
    (60, "4", "Value"),
    // The device's answer to a changed nonce is refused by the owner, in 64.
    (61, "t/1", "Extra"),
    (61, "t/1/256", "Value"),
    (63, "1/t/1", "Extra"),
    // The owner's answer to a changed nonce is refused by the device, in 65.
    (64, "t/1", "Extra"),
    (64, "t/1/-259", "Value"),
    (65, "t/1", "Extra"),
    // Only the device can check its HMAC.
    (66, "0/1", "Value"),
    // A size is its sender's to say.
    (67, "0", "Value"),
    // What service info means is for the modules to check, once its pieces are together.
    (68, "0", "Value"),
    (68, "1/0", "Absent"),
    (68, "1/0/0", "Longer Value"),
    (68, "1/0/1", "Longer Shorter Value"),
    // An owner may go on.
    (69, "1", "Value"),
];

/// What a changed message is answered with: 100 what does not decode, 101 what decodes and does not hold, 2 a voucher's entry
/// that does not hold, 3 a redirect of somebody else, 6 an unknown GUID.
const CODES: &[(u8, &[u16])] = &[
    (10, &[100, 101]),
    (11, &[100, 101]),
    (12, &[100]),
    (13, &[100]),
    (20, &[100]),
    (21, &[100]),
    (22, &[3, 100, 101]),
    (23, &[100]),
    (30, &[6, 100, 101]),
    (31, &[100, 101]),
    (32, &[100, 101]),
    (33, &[100, 101]),
    (60, &[6, 100, 101]),
    (61, &[100, 101]),
    (62, &[100, 101]),
    (63, &[2, 100, 101]),
    (64, &[100, 101]),
    (65, &[100, 101]),
    (66, &[100]),
    (67, &[100]),
    (68, &[100]),
    (69, &[100, 101]),
    (70, &[100, 101]),
    (71, &[100, 101]),
];

/// Each accepted change as one line; each code that refusals have, by message.
fn accepted(world: &World) -> (BTreeSet<String>, BTreeSet<(u8, u16)>, usize) {
    let (mut lines, mut codes, mut tried) = (BTreeSet::new(), BTreeSet::new(), 0);
    for number in MESSAGES {
        let mut count = 0;
        let genuine = conversation::receive(world, number, &mut |body| {
            count = mutate::all(body).len();
            body.to_vec()
        });
        genuine.unwrap_or_else(|error| panic!("{number} as it is: {error}"));
        assert!(count >= 2, "{number} has only {count} changes");
        for index in 0..count {
            let mut what = String::new();
            let result = conversation::receive(world, number, &mut |body| {
                let mut all = mutate::all(body);
                let mutation = all.swap_remove(index);
                what = format!("{number} {} {:?}", mutation.path, mutation.change);
                mutation.body
            });
            match result {
                Ok(()) => drop(lines.insert(what)),
                Err(error) => {
                    let code = error.code().number();
                    let expected = CODES.iter().find(|(known, _)| *known == number).unwrap().1;
                    assert!(expected.contains(&code), "{what} is answered with {code}: {error}");
                    codes.insert((number, code));
                }
            }
            tried += 1;
        }
    }
    (lines, codes, tried)
}

#[test]
fn each_changed_field_is_refused_unless_nobody_could_know() {
    let world = World::new(KeyType::P256);
    let (accepted, codes, tried) = accepted(&world);
    let expected: BTreeSet<String> = CANNOT_KNOW
        .iter()
        .flat_map(|(number, path, changes)| {
            changes.split(' ').map(move |change| format!("{number} {path} {change}"))
        })
        .collect();
    let surprises: Vec<&String> = accepted.symmetric_difference(&expected).collect();
    assert!(surprises.is_empty(), "of {tried}: {surprises:#?}");
    assert!(tried > 800, "only {tried} changes");
    let listed: BTreeSet<(u8, u16)> =
        CODES.iter().flat_map(|(number, codes)| codes.iter().map(|code| (*number, *code))).collect();
    assert_eq!(codes, listed, "a code that no change is answered with any more");
}
