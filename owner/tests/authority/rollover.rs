//! Introduce, activate, retire; a CA of the company's.

use fdo_owner::app::App;
use fdo_owner::ca::authorities::rollover::{self, Error};
use fdo_owner::ca::{Standing, find};
use fdo_pki::Certificate;
use fdo_protocol::crypto::KeyType;
use zeroize::Zeroizing;

use crate::company::Company;
use crate::world::World;

fn trusts(app: &App, certificate: &Certificate) -> bool {
    app.ca.trusted_certificates().iter().any(|known| known.der() == certificate.der())
}

fn standing(app: &App, id: &str) -> Standing {
    app.ca.authority(id).unwrap().standing
}

#[tokio::test]
async fn a_new_issuing_ca_is_introduced_activated_and_the_old_one_retired() {
    for world in World::all().await {
        let (app, other) = (&world.app, &world.other);
        let before = app.ca.active().certificate().clone();
        let first = world.issue(app, "ldevid").await;

        let wrong = rollover::introduce(app, "test", &Zeroizing::new([9; 32])).await;
        assert!(matches!(wrong, Err(Error::RootSecret)));
        assert_eq!(app.ca.all_authorities().len(), 2, "nothing is made");
        let id = rollover::introduce(app, "test", &world.root_secret()).await.unwrap();
        assert_eq!(id, "issuing-2");
        let new = app.ca.signer(&id).unwrap().certificate().clone();
        new.verify_signed_by(&app.ca.anchor()).unwrap();
        assert_ne!(new.subject(), before.subject());
        assert!(trusts(app, &new) && trusts(app, &before));
        world.issue(app, "ldevid").await.verify_signed_by(&before).unwrap();

        // The other replica knows nothing of it until it looks.
        assert!(!trusts(other, &new));
        assert!(other.ca.reload(&other.db).await.unwrap());
        assert!(!other.ca.reload(&other.db).await.unwrap(), "once is enough");
        assert!(trusts(other, &new));

        assert!(matches!(rollover::retire(app, "test", "issuing", false).await, Err(Error::Standing { .. })));
        rollover::activate(app, "test", &id).await.unwrap();
        assert!(matches!(rollover::activate(app, "test", &id).await, Err(Error::Standing { .. })));
        assert_eq!((standing(app, "issuing"), standing(app, &id)), (Standing::Trusted, Standing::Active));
        let renewed = world.issue(app, "ldevid").await;
        renewed.verify_signed_by(&new).unwrap();
        assert_eq!(find(&app.db, renewed.serial()).await.unwrap().unwrap().authority, id);
        assert!(trusts(app, &new) && trusts(app, &before), "both, while devices renew");

        // Another replica may not have looked yet.
        world.issue(other, "ldevid").await.verify_signed_by(&before).unwrap();
        let soon = rollover::retire(app, "test", "issuing", false).await;
        assert!(soon.unwrap_err().to_string().contains("minute"));
        world.clock.advance(61);
        let in_use = rollover::retire(app, "test", "issuing", false).await;
        assert!(matches!(in_use, Err(Error::InUse { count: 3, .. })));
        assert!(matches!(rollover::retire(app, "test", "root", true).await, Err(Error::Below { .. })));
        world.clock.set(first.not_after() + 62);
        rollover::retire(app, "test", "issuing", false).await.unwrap();
        assert!(trusts(app, &new) && !trusts(app, &before));
        assert!(app.ca.signer("issuing").is_some(), "its CRL goes on");
        assert!(matches!(rollover::activate(app, "test", "issuing").await, Err(Error::Standing { .. })));
    }
}

#[tokio::test]
async fn the_companys_issuing_ca_takes_the_place_of_the_own_one() {
    for world in World::all().await {
        let app = &world.app;
        let Company { root, issuing, key, .. } = Company::of(&world.random, KeyType::P384);
        let chain = [issuing.clone(), root.clone()];
        for (wrong, chain) in [
            ("without its root", vec![issuing.clone()]),
            ("in another order", vec![root.clone(), issuing.clone()]),
            ("a device's certificate", vec![world.issue(app, "ldevid").await]),
        ] {
            assert!(matches!(rollover::import(app, "test", &chain, &key).await, Err(Error::Chain(_))), "{wrong}");
        }
        let other = rollover::import(app, "test", &chain, &world.key()).await;
        assert!(matches!(other, Err(Error::OtherKey)));

        let id = rollover::import(app, "test", &chain, &key).await.unwrap();
        assert!(matches!(rollover::import(app, "test", &chain, &key).await, Err(Error::Known(_))));
        rollover::activate(app, "test", &id).await.unwrap();
        let leaf = world.issue(app, "ldevid").await;
        leaf.verify_signed_by(&issuing).unwrap();
        assert_eq!(app.ca.anchor().der(), root.der());
        assert_eq!(app.ca.chain_der(), [issuing.der(), root.der()]);
        assert!(trusts(app, &root) && trusts(app, &issuing));
        // Our own root goes when nothing stands below it.
        world.clock.advance(61);
        rollover::retire(app, "test", "issuing", true).await.unwrap();
        rollover::retire(app, "test", "root", false).await.unwrap();
        assert_eq!(app.ca.trusted_certificates().len(), 2);
        assert!(matches!(rollover::introduce(app, "test", &world.root_secret()).await, Err(Error::RootGone)));
    }
}

#[tokio::test]
async fn what_has_ended_does_not_become_active() {
    let world = World::all().await.remove(0);
    let Company { root, issuing, key, .. } = Company::new(&world.random);
    let id = rollover::import(&world.app, "test", &[issuing.clone(), root], &key).await.unwrap();
    world.clock.set(issuing.not_after() + 1);
    let late = rollover::activate(&world.app, "test", &id).await;
    assert!(late.unwrap_err().to_string().contains("not valid at this time"));
}
