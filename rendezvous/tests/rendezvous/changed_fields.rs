//! Each field of each message of TO0 and TO1 changed, one at a time: refused with FDO's code, and the registration that was
//! there is the same.

use std::collections::BTreeSet;

use fdo_protocol::cbor;
use fdo_protocol::messages::to1::HelloRv;
use fdo_protocol::messages::{ErrorMessage, SigInfo};

use crate::devices::{Device, Signing, key};
use crate::mutate;
use crate::world::World;

/// Labels that nothing reads, and what stands beside a signature's type, which is echoed.
const ACCEPTED: &[&str] = &["22 1/t/1 Extra", "30 1/1 Longer", "32 t/1 Extra"];

/// A voucher's entry, a redirect of somebody else, an unknown device; what does not decode, and what does not hold.
const CODES: [u16; 5] = [2, 3, 6, 100, 101];

#[tokio::test]
async fn a_changed_field_is_refused_and_changes_nothing() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    let voucher = device.sold_to(&[&owner]);
    world.register(voucher.bytes(), &owner, 1000).await.ok(23);
    let mut before = world.rows().await;
    let mut accepted = BTreeSet::new();
    for number in [20, 22, 30, 32] {
        let (mut index, mut refused) = (0, 0);
        loop {
            // What comes before the message, and the message as it should be.
            let (token, body) = match number {
                20 => (None, vec![0x80]),
                22 => {
                    let ack = world.post(20, None, &[0x80]).await.ok(21);
                    let body = Signing::new(&ack.body, voucher.bytes(), 1000).body(&owner);
                    (ack.token, body)
                }
                30 => {
                    let e_a_sig_info = SigInfo::for_key(device.key.key_type());
                    (None, cbor::encode(&HelloRv { guid: device.guid, e_a_sig_info }))
                }
                _ => {
                    let ack = world.hello(device.guid).await.ok(31);
                    let body = device.prove(&ack.body);
                    (ack.token, body)
                }
            };
            let mut all = mutate::all(&body);
            if index >= all.len() {
                break;
            }
            let mutation = all.swap_remove(index);
            let what = format!("{number} {} {:?}", mutation.path, mutation.change);
            index += 1;
            let reply = world.post(number, token.as_deref(), &mutation.body).await;
            if reply.status == 200 {
                accepted.insert(what);
                before = world.rows().await;
            } else {
                let error: ErrorMessage = cbor::decode(&reply.body).unwrap();
                assert_eq!((reply.status, error.previous), (500, number), "{what}");
                assert!(CODES.contains(&error.code), "{what} is answered with {}", error.code);
                assert_eq!(world.rows().await, before, "{what}");
                refused += 1;
            }
        }
        assert!(refused > 1, "{number}: only {refused} changes were refused");
    }
    assert_eq!(accepted, ACCEPTED.iter().map(|line| (*line).to_owned()).collect());
}
