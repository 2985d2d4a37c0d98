//! Profiles that operators set, and the certificates that devices get by them.

use fdo_owner::ca::profiles::{self, Error, Profile, Status};
use fdo_owner::ca::{self, Error as Refused};
use fdo_owner::inventory::{self, NewDevice};
use fdo_protocol::Guid;

use crate::world::{NOW, World, issued};

fn gateway() -> Profile {
    Profile {
        name: "gateway".into(),
        models: vec!["GW-3".into()],
        subject: vec!["CN={serial}".into(), "OU={model}".into()],
        validity_seconds: 6,
        backdate_seconds: 0,
        status: vec![Status::NoRevAvail],
        reuse_key: true,
        ..Profile::default()
    }
}

#[tokio::test]
async fn a_profile_is_set_serves_its_models_and_is_taken_away() {
    for world in World::all().await {
        let app = &world.app;
        assert!(profiles::put(app, "test", &gateway()).await.unwrap());
        assert!(!profiles::put(app, "test", &gateway()).await.unwrap(), "it was there");
        assert_eq!(app.ca.profile_of_model(Some("GW-3")), "gateway");
        assert_eq!(app.ca.profile_of_model(Some("camera")), "ldevid");
        assert_eq!(app.ca.profile_of(&app.db, "d1").await.unwrap(), "ldevid", "nobody knows this device");
        let certificate = world.issue(app, "gateway").await;
        assert_eq!(certificate.subject(), "CN=SN-1, serialNumber=SN-1", "what is not known is left out");

        let device = NewDevice {
            id: "d1",
            serial: Some("SN-1"),
            guid: Guid::from_bytes([1; 16]),
            model: Some("GW-3"),
            device_info: "gateway",
            owner_key: "P-256",
            maker: None,
        };
        inventory::insert(&app.db, NOW, &device).await.unwrap();
        assert_eq!(app.ca.profile_of(&app.db, "d1").await.unwrap(), "gateway");
        let certificate = world.issue(app, "gateway").await;
        assert_eq!((certificate.not_before(), certificate.not_after()), (NOW, NOW + 6));
        assert_eq!(certificate.subject(), "CN=SN-1, OU=GW-3, serialNumber=SN-1");
        assert_eq!(certificate.uris(), ["urn:uuid:01010101-0101-0101-0101-010101010101"]);
        let row = ca::find(&app.db, certificate.serial()).await.unwrap().unwrap();
        assert_eq!(row.profile, "gateway");
        // Elsewhere, once the other replica looks.
        world.other.ca.reload(&world.other.db).await.unwrap();
        world.issue(&world.other, "gateway").await;

        let taken = profiles::put(app, "test", &Profile { name: "second".into(), ..gateway() }).await;
        assert!(matches!(taken, Err(Error::ModelTaken { profile, .. }) if profile == "gateway"));
        let nobody = Profile { authority: Some("acme".into()), ..gateway() };
        assert!(matches!(profiles::put(app, "test", &nobody).await, Err(Error::Field("authority", _))));
        profiles::delete(app, "test", "gateway").await.unwrap();
        assert_eq!(app.ca.profile_of_model(Some("GW-3")), "ldevid");
        assert!(matches!(profiles::delete(app, "test", "gateway").await, Err(Error::NotFound(_))));
        assert!(matches!(profiles::delete(app, "test", "ldevid").await, Err(Error::BuiltIn(_))));
    }
}

#[tokio::test]
async fn a_key_is_kept_only_where_the_profile_says_so_and_by_the_same_device() {
    for world in World::all().await {
        let app = &world.app;
        profiles::put(app, "test", &gateway()).await.unwrap();
        let key = world.key();
        let first = issued(world.ask(app, "gateway", &key, None).await.unwrap());
        world.clock.advance(4);
        let second = issued(world.ask(app, "gateway", &key, Some(first.serial())).await.unwrap());
        assert_ne!(second.serial(), first.serial());
        world.clock.advance(4);
        let third = issued(world.ask(app, "gateway", &key, Some(second.serial())).await.unwrap());
        assert_ne!(third.serial(), second.serial());
        assert_eq!(ca::newest_of_device(&app.db, "d1").await.unwrap().unwrap().serial, third.serial());
        let again = issued(world.ask(app, "gateway", &key, Some(second.serial())).await.unwrap());
        assert_eq!(again.serial(), third.serial(), "the same request has the same answer while that is fresh");
        world.clock.advance(4);
        let once_more = world.ask(app, "gateway", &key, Some(first.serial())).await;
        assert!(matches!(once_more, Err(Refused::KeySeen)), "a certificate is followed once");
        // The profile of everybody wants fresh keys.
        let other = world.key();
        let first = issued(world.ask(app, "ldevid", &other, None).await.unwrap());
        world.clock.advance(80 * 86_400);
        let kept = world.ask(app, "ldevid", &other, Some(first.serial())).await;
        assert!(matches!(kept, Err(Refused::KeySeen)));
    }
}
