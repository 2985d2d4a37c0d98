//! The daemon as a process of its own, killed with SIGKILL while it renews, again and again: it always has a pair that
//! works, and the owner knows every certificate that it ever issued.

use std::time::Duration;

use fdo_device::Onboarded;
use fdo_device::store::{Directory, Store};
use fdo_protocol::crypto::KeyType;
use fdo_tests::process::{Process, program};
use fdo_tests::world::onboard;

use crate::certificates;
use crate::fleet::{life_of, real_time};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_at_any_moment_keeps_a_pair_that_works() {
    let world = real_time().await;
    life_of(&world, 4).await;
    let agent = world.sold_device("SN-1", KeyType::P256).await;
    assert!(matches!(onboard(&agent).await.unwrap(), Onboarded::Now { .. }));
    let state = world.directory.path().join("SN-1");
    let log = world.directory.path().join("device.log");
    let store = || Store::open(Directory::on_disk(&state).unwrap(), None).unwrap();
    let mut renewed = 0;
    for round in 0..30_u64 {
        let arguments = [state.to_str().unwrap()];
        let process = Process::start(&program("device"), &arguments, &[], &log);
        // From before the first request to after the change, a little later each time.
        tokio::time::sleep(Duration::from_millis(1500 + 110 * round)).await;
        process.kill();
        let store = store();
        let pair = store.ldevid_pair().expect("a pair that works after SIGKILL");
        let known = certificates(&world, "SN-1").await;
        assert!(known.iter().any(|row| row["serial"] == pair.certificate.serial()), "round {round}");
        if store.renewal_status().renewals > renewed {
            renewed = store.renewal_status().renewals;
        }
    }
    assert!(renewed >= 5, "{renewed} renewals were seen: {}", std::fs::read_to_string(&log).unwrap_or_default());
    let mut serials: Vec<String> =
        certificates(&world, "SN-1").await.iter().map(|row| row["serial"].as_str().unwrap().to_owned()).collect();
    let issued = serials.len();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), issued, "no serial number twice");
    world.stop().await;
}
