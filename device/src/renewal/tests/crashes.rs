//! Renewal cut short at each write, by a crash or a full disk: the device keeps a pair that works, and nothing is issued
//! that it does not take.

use super::fake::{DAY, NOW, World};

/// Every write of a renewal fails in turn, and all after it.
async fn at_each_write(expired: bool) -> usize {
    let mut cut = 0;
    for writes in 0..60 {
        let world = World::onboarded(90 * DAY);
        let now = if expired { NOW + 500 * DAY } else { NOW + 60 * DAY };
        let before = world.pair();
        let renewer = world.at(now);
        world.state.fail_after(Some(writes));
        let outcome = renewer.renew().await;
        // A full disk: the process goes on, and the pair is one.
        let while_full = renewer.agent.store.ldevid_pair().expect("a pair that works on a full disk").certificate;
        world.state.fail_after(None);
        // A crash: it starts again.
        let restarted = world.at(now);
        let kept = world.pair();
        assert_eq!(kept.fingerprint(), while_full.fingerprint(), "{writes}");
        let renewed = kept.fingerprint() != before.fingerprint();
        let issued = world.owner().issued.len();
        assert!(issued <= 2, "{writes}: {issued} certificates for one renewal");
        if !renewed {
            restarted.renew().await.unwrap();
            // What was asked before the crash was asked again: the certificate of then is in use.
            assert_eq!(world.owner().issued.len(), 2, "{writes}");
        }
        assert_eq!(world.pair().der(), world.owner().issued[1], "{writes}");
        let restarted = world.at(now + 60 * DAY);
        restarted.renew().await.unwrap();
        let names = world.state.names().unwrap();
        assert_eq!(names.iter().filter(|name| name.starts_with("ldevid-")).count(), 1, "{writes}: {names:?}");
        cut += usize::from(outcome.is_err());
        if outcome.is_ok() {
            return cut;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn a_renewal_cut_short_at_any_write_leaves_a_pair_that_works() {
    let cut = at_each_write(false).await;
    assert!(cut >= 7, "only {cut} writes");
}

#[tokio::test]
async fn so_does_one_by_the_idevid() {
    let cut = at_each_write(true).await;
    assert!(cut >= 7, "only {cut} writes");
}

#[tokio::test]
async fn a_pair_that_was_destroyed_is_replaced_by_the_idevid() {
    for damage in ["ldevid/ldevid-key.pem", "ldevid/ldevid.pem"] {
        let world = World::onboarded(90 * DAY);
        world.state.replace(damage, b"cut").unwrap();
        assert!(world.store().ldevid_pair().is_none());
        world.renewer().renew().await.unwrap();
        world.pair();
        assert_eq!(world.operations(), ["cacerts", "simpleenroll"]);
    }
}
