//! The second half of a device's life against the real owner, in real time: certificates of seconds, renewed by the
//! devices themselves, revoked, refused.
#![allow(clippy::unwrap_used)]

mod fleet;
mod kills;
mod travel;

use std::time::Duration;

use fdo_pki::Certificate;
use fdo_tests::world::World;
use serde_json::{Value, json};

use fleet::{Member, life_of, real_time};

/// A certificate of the owner's record.
async fn record(world: &World, serial: &str) -> Value {
    world.owner_api.get(&format!("/api/v1/certificates/{serial}")).await.unwrap()
}

async fn certificates(world: &World, serial: &str) -> Vec<Value> {
    let all: Vec<Value> = world.owner_api.pages("/api/v1/certificates").await.unwrap();
    all.into_iter().filter(|row| row["device_serial"] == serial).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_with_certificates_of_six_seconds_renew_ten_times_and_are_refused_once_revoked() {
    let world = real_time().await;
    life_of(&world, 6).await;
    let mut members = Vec::new();
    for number in 1..=4 {
        members.push(Member::onboarded(&world, &format!("SN-{number}")).await);
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(180);
    for member in &members {
        while member.renewals() < 10 {
            assert!(tokio::time::Instant::now() < deadline, "{}: {:?}", member.serial, member.status());
            let ldevid = member.ldevid();
            assert!(ldevid.not_after() + 6 > world.clock.now(), "{}: {:?}", member.serial, member.status());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for member in &members {
        let issued = certificates(&world, &member.serial).await;
        assert!(issued.len() > 10, "{}: {}", member.serial, issued.len());
        let mut serials: Vec<&str> = issued.iter().map(|row| row["serial"].as_str().unwrap()).collect();
        serials.sort_unstable();
        serials.dedup();
        assert_eq!(serials.len(), issued.len(), "no serial number twice");
    }

    // One is revoked and blocked: it is refused by whatever it shows; the others go on.
    let (gone, others) = members.split_first().unwrap();
    let _: Value = world.owner_api.post("/api/v1/devices/SN-1/block", &json!({})).await.unwrap();
    let reason = json!({ "reason": "keyCompromise" });
    let _: Value = world.owner_api.post("/api/v1/devices/SN-1/revoke", &reason).await.unwrap();
    let (then, others_then) = (gone.renewals(), others[0].renewals());
    while others[0].renewals() < others_then + 2 || gone.status().failures < 2 {
        assert!(tokio::time::Instant::now() < deadline, "{:?} {:?}", gone.status(), others[0].status());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(gone.renewals() <= then + 1, "at most what was under way");
    let failure = gone.status().failure.unwrap();
    assert!(failure.contains("refuses (403)") && failure.contains("by the IDevID"), "{failure}");
    let last: Certificate = gone.ldevid();
    assert_eq!(record(&world, last.serial()).await["state"], "revoked");
    fleet::assert_revoked_in_public(&world, &last).await;
    for member in members {
        member.stop().await;
    }
    world.stop().await;
}
