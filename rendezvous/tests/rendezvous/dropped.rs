//! Requests whose peer hangs up: wherever the answer is dropped, devices are told what is stored.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use fdo_rendezvous::registrations::{Granted, Terms};

use crate::devices::{Device, key};
use crate::world::{NOW, World};

#[tokio::test]
async fn a_dropped_registration_leaves_nothing_stale() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    world.register(device.sold_to(&[&owner]).bytes(), &owner, 1).await.ok(23);
    let registrations = &world.running.app.registrations;
    let first = world.rows().await.remove(0);
    for polls in 1..=40 {
        // What is kept before the change.
        registrations.find(&device.guid, NOW).await.unwrap();
        let mut registration = first.clone();
        registration.to1d = vec![polls];
        let granted = Granted { registration, owners: vec![first.owner], terms: Terms::default() };
        {
            let mut change = pin!(registrations.register(granted, NOW));
            for _ in 0..polls {
                let ended = poll_fn(|context| Poll::Ready(change.as_mut().poll(context).is_ready())).await;
                if ended {
                    break;
                }
                // The database goes on by itself, so that a drop may follow the commit.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let mut rounds = 0;
        while registrations.find(&device.guid, NOW).await.unwrap()[0].to1d != world.rows().await[0].to1d {
            rounds += 1;
            assert!(rounds < 250, "stale after a drop at poll {polls}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
