//! Each field of each message of TO2 changed, one at a time, on its way to the service: it is refused with FDO's code, and
//! nothing that the owner keeps is other than before. What is inside the tunnel is changed as whoever is on the way could:
//! what its receiver says to each field within is the core's to test (`protocol/tests/mutations`).

use std::collections::BTreeSet;

use crate::device::{Manner, Talk};
use crate::mutate;
use crate::world::World;

/// What nobody can know to be wrong at once: a nonce, another suite that is offered, and labels that nothing reads.
const ACCEPTED: &[&str] = &[
    "60 2 Value",
    "60 4 Value",
    "64 t/1 Extra",
    "64 t/1/-259 Value",
    "66 t/1 Extra",
    "68 t/1 Extra",
    "70 t/1 Extra",
];

/// The codes of a message that does not decode, does not hold, is in the wrong order, or names an unknown device.
const CODES: [u16; 3] = [6, 100, 101];

#[tokio::test]
async fn a_changed_field_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let mut accepted = BTreeSet::new();
    for number in [60, 62, 64, 66, 68, 70] {
        let born = world.device().await;
        // No certificate: what a TO2 issues before it ends is tested in `certificates`.
        let manner = Manner { csr: None, ..Manner::new(&world) };
        let (mut index, mut tried) = (0, 0);
        loop {
            let before = world.everything(&born.guid()).await;
            let identity = world.identity(&born.guid()).await;
            let (mut talk, body) = if number == 60 {
                let mut talk = Talk::hello(&world, &born, &manner).await.unwrap();
                talk.token = None;
                let body = talk.hello_device.clone();
                (talk, body)
            } else {
                let talk = Talk::before(&world, &born, &manner, number).await;
                let body = talk.next.body.clone();
                (talk, body)
            };
            let mut all = mutate::all(&body);
            if index >= all.len() {
                break;
            }
            let mutation = all.swap_remove(index);
            let what = format!("{number} {} {:?}", mutation.path, mutation.change);
            index += 1;
            let Err(code) = talk.send(number, mutation.body).await else {
                accepted.insert(what);
                continue;
            };
            tried += 1;
            assert!(CODES.contains(&code), "{what} is answered with {code}");
            assert_eq!(world.identity(&born.guid()).await, identity, "{what}");
            if number <= 64 {
                assert_eq!(world.everything(&born.guid()).await, before, "{what}");
            }
        }
        assert!(tried > 4, "{number}: only {tried} changes were refused");
        // And the device gets in.
        crate::device::onboard(&world, &born, &manner).await.unwrap();
    }
    assert_eq!(accepted, ACCEPTED.iter().map(|line| (*line).to_owned()).collect());
}
