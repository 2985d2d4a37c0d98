//! The daemon over months of paused time: tokio's clock moves when everybody sleeps, and the device's clock with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::fake::{DAY, NOW, World};
use super::*;
use crate::clock::Clock;
use crate::store::{Directory, Store};

/// A world whose clock is tokio's, give or take what a test adds.
fn moving(life: u64) -> (World, Arc<AtomicI64>) {
    let (begun, off) = (Instant::now(), Arc::new(AtomicI64::new(0)));
    let error = off.clone();
    let clock = Clock::from_fn(move || {
        (NOW + begun.elapsed().as_secs()).saturating_add_signed(error.load(Ordering::Relaxed))
    });
    (World { clock, ..World::onboarded(life) }, off)
}

async fn run_for(world: &World, days: u64) {
    world.renewer().run(tokio::time::sleep(Duration::from_secs(days * DAY))).await.unwrap();
}

fn times(world: &World, operation: &str) -> Vec<u64> {
    let owner = world.owner();
    owner.asked.iter().filter(|(asked, _)| asked == operation).map(|(_, at)| at - NOW).collect()
}

#[tokio::test(start_paused = true)]
async fn a_year_is_five_renewals_each_after_two_thirds_of_a_life() {
    let (world, _) = moving(90 * DAY);
    run_for(&world, 365).await;
    let times = times(&world, "simplereenroll");
    assert_eq!(times.len(), 5, "{times:?}");
    let mut last = 0;
    for at in times {
        let percent = (at - last) * 100 / (90 * DAY);
        assert!((66..=70).contains(&percent), "{percent}");
        last = at;
    }
    assert_eq!(world.store().renewal_status().renewals, 5);
    let status = world.store().renewal_status();
    assert!(status.next_at.unwrap() > NOW + 365 * DAY);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_away_for_ten_days_is_asked_ever_more_seldom_and_found_again() {
    let (world, _) = moving(90 * DAY);
    run_for(&world, 58).await;
    world.owner().is_up = false;
    run_for(&world, 20).await;
    let status = world.store().renewal_status();
    assert!((8..30).contains(&status.failures), "{} attempts in twenty days", status.failures);
    world.owner().is_up = true;
    run_for(&world, 6).await;
    let status = world.store().renewal_status();
    assert_eq!((status.renewals, status.failures), (1, 0));
    assert!(world.pair().not_after() > NOW + 160 * DAY);
    assert_eq!(world.owner().reports.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_tried_again_every_four_percent_of_a_life() {
    let (world, _) = moving(100 * DAY);
    for operation in ["simplereenroll", "simpleenroll"] {
        world.owner().refuses.insert(operation, "this device is blocked");
    }
    run_for(&world, 98).await;
    let times = times(&world, "simplereenroll");
    assert!((6..=11).contains(&times.len()), "{times:?}");
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((3 * DAY - 60..=5 * DAY + 60).contains(&pause), "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_off_for_months_renews_at_once() {
    for (months, operation) in [(4, "simplereenroll"), (14, "simpleenroll")] {
        let (world, off) = moving(90 * DAY);
        off.store(months * 30 * 86_400, Ordering::Relaxed);
        run_for(&world, 1).await;
        assert_eq!(times(&world, operation).len(), 1, "{months} months");
        assert!(world.pair().not_after() > world.clock.now());
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_in_the_past_is_told_and_once_it_is_set_all_is_well() {
    let (world, off) = moving(90 * DAY);
    off.store(-i64::try_from(NOW).unwrap(), Ordering::Relaxed);
    // In 1970 nothing is due by the clock's word.
    run_for(&world, 1).await;
    let status = world.store().renewal_status();
    assert!(status.clock.unwrap().contains("1970-01-01 00:00"), "told once");
    assert!(world.operations().is_empty(), "and nobody is asked");
    off.store(70 * 86_400, Ordering::Relaxed);
    run_for(&world, 1).await;
    let status = world.store().renewal_status();
    assert_eq!((status.renewals, status.clock), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_once_far_ahead_does_not_silence_a_device() {
    let (world, off) = moving(90 * DAY);
    world.owner().is_up = false;
    off.store(20 * 365 * 86_400, Ordering::Relaxed);
    run_for(&world, 2).await;
    assert!(world.store().renewal_status().failures > 0);
    world.owner().is_up = true;
    off.store(80 * 86_400, Ordering::Relaxed);
    run_for(&world, 4).await;
    assert_eq!(world.store().renewal_status().renewals, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_does_not_make_it_spin() {
    let (world, off) = moving(90 * DAY);
    off.store(70 * 86_400, Ordering::Relaxed);
    let renewer = world.renewer();
    world.state.fail_after(Some(0));
    renewer.run(tokio::time::sleep(Duration::from_secs(DAY))).await.unwrap();
    let asked = world.owner().asked.len();
    world.state.fail_after(None);
    assert!(asked < 100, "{asked} requests in a day");
    run_for(&world, 4).await;
    assert_eq!(world.store().renewal_status().renewals, 1);
}

#[tokio::test(start_paused = true)]
async fn a_device_without_a_certificate_waits_for_the_owners_decision() {
    let (world, _) = moving(90 * DAY);
    let world = World { clock: world.clock, ..World::with(Directory::in_memory(), 90 * DAY, false) };
    world.owner().fates = (0..5).map(|_| super::fake::Fate::Answers(202, Some("3600"), "")).collect();
    run_for(&world, 1).await;
    assert_eq!(times(&world, "simpleenroll"), [0, 3600, 7200, 10_800, 14_400, 18_000]);
    world.pair();
}

#[tokio::test]
async fn there_is_one_daemon_and_none_before_birth() {
    let directory = tempfile::tempdir().unwrap();
    let state = || Directory::on_disk(directory.path()).unwrap();
    let world = World::with(state(), 90 * DAY, true);
    let _other = world.store().daemon_lock().unwrap();
    let outcome = world.renewer().run(std::future::pending()).await;
    assert!(matches!(outcome, Err(DaemonError::Running)), "{outcome:?}");
    // Who only does one thing is not kept out.
    Store::open(state(), None).unwrap();
    world.renewer().renew().await.unwrap();
    let unborn = World { state: Directory::in_memory(), ..world };
    let outcome = unborn.renewer().run(std::future::pending()).await;
    assert!(matches!(outcome, Err(DaemonError::Store(_))), "{outcome:?}");
}
