//! The operator API: listing, showing and removing registrations, and who may.

use fdo_rendezvous::registrations::routes::RegistrationView;
use fdo_service::paging::Page;
use fdo_service::problem::Problem;

use crate::devices::{Device, key};
use crate::world::World;

impl World {
    fn token(&self) -> String {
        self.running.first_token.as_ref().unwrap().to_string()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url("operator", path)).bearer_auth(self.token()).send().await.unwrap()
    }
}

#[tokio::test]
async fn registrations_are_listed_in_pages_and_shown_by_guid() {
    for world in World::all().await {
        let owner = key();
        let devices = [Device::new(), Device::new(), Device::new()];
        for device in &devices {
            world.register(device.sold_to(&[&owner]).bytes(), &owner, 1000).await.ok(23);
        }
        let page: Page<RegistrationView> = world.get("/api/v1/registrations?limit=2").await.json().await.unwrap();
        assert_eq!(page.items.len(), 2);
        let path = format!("/api/v1/registrations?limit=2&cursor={}", page.next.unwrap());
        let rest: Page<RegistrationView> = world.get(&path).await.json().await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (1, None), "{}", world.database.name());
        let path = format!("/api/v1/registrations/{}", devices[0].guid);
        let found: Vec<RegistrationView> = world.get(&path).await.json().await.unwrap();
        assert_eq!(found[0].guid, devices[0].guid.to_string());
        assert_eq!(found[0].addresses, ["http://127.0.0.1:1000"]);
    }
}

#[tokio::test]
async fn a_removed_registration_is_gone_at_once_and_audited() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    world.register(device.sold_to(&[&owner]).bytes(), &owner, 1000).await.ok(23);
    world.ask(&device).await.ok(33);
    let url = world.url("operator", &format!("/api/v1/registrations/{}", device.guid));
    let delete = || world.http.delete(&url).bearer_auth(world.token()).send();
    assert_eq!(delete().await.unwrap().status(), 204);
    world.hello(device.guid).await.refused(30, fdo_protocol::ErrorCode::NotFound);
    let again = delete().await.unwrap();
    assert_eq!(again.status(), 404);
    assert_eq!(again.json::<Problem>().await.unwrap().code(), "registration-unknown");
    let audit: serde_json::Value = world.get("/api/v1/audit").await.json().await.unwrap();
    assert!(audit.to_string().contains("registration.delete"), "{audit}");
    // The owner may come back.
    world.register(device.sold_to(&[&owner]).bytes(), &owner, 1001).await.ok(23);
}

#[tokio::test]
async fn nobody_operates_without_a_token_or_on_the_device_listener() {
    let world = World::new().await;
    let open = |listener, path| world.http.get(world.url(listener, path)).send();
    assert_eq!(open("operator", "/api/v1/registrations").await.unwrap().status(), 401);
    assert_eq!(open("device", "/api/v1/registrations").await.unwrap().status(), 404);
    assert_eq!(open("device", "/metrics").await.unwrap().status(), 404);
    assert_eq!(open("device", "/health").await.unwrap().status(), 200);
    assert_eq!(open("operator", "/ready").await.unwrap().status(), 200);
    let wrong = world.get("/api/v1/registrations/nonsense").await;
    assert_eq!(wrong.status(), 400);
    assert_eq!(wrong.json::<Problem>().await.unwrap().code(), "guid");
}
