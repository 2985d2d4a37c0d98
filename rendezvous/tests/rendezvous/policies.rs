//! The policy: who may register and whom they may replace, changed while the service runs, followed by other replicas.

use fdo_protocol::crypto::{SigningKey, VerifyingKey};
use fdo_protocol::messages::to0::AcceptOwner;
use fdo_protocol::{ErrorCode, PublicKey, cbor};
use fdo_rendezvous::app;
use fdo_rendezvous::config::Config;
use fdo_rendezvous::policy::{Accept, PolicySettings};
use fdo_service::host::clock::Clock;
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use fdo_service::problem::Problem;
use reqwest::Method;
use serde_json::{Value, json};

use crate::devices::{Device, key, port_of};
use crate::world::{NOW, World};

fn fingerprint(key: &VerifyingKey) -> String {
    hex::encode(PublicKey::x509(key).fingerprint().unwrap())
}

fn pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap()
}

impl World {
    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let token = self.running.first_token.as_ref().unwrap().to_string();
        let request = self.http.request(method, self.url("operator", path)).bearer_auth(token);
        let response = request.json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    async fn set(&self, change: Value) {
        let (status, answer) = self.call(Method::PATCH, "/api/v1/policy", change).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn list(&self, list: &str, new: Value) -> Value {
        let (status, answer) = self.call(Method::POST, &format!("/api/v1/policy/{list}"), new).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }

    /// Registers and expects a refusal that changes nothing.
    async fn not_welcome(&self, device: &Device, owners: &[&SigningKey], code: ErrorCode) {
        let before = self.rows().await;
        let owner = owners.last().unwrap();
        self.register(device.sold_to(owners).bytes(), owner, 666).await.refused(22, code);
        assert_eq!(self.rows().await, before, "{}", self.database.name());
    }

    async fn welcome(&self, device: &Device, owners: &[&SigningKey], port: u16) {
        let owner = owners.last().unwrap();
        self.register(device.sold_to(owners).bytes(), owner, port).await.ok(23);
        assert_eq!(port_of(&self.ask(device).await.ok(33).body), port, "{}", self.database.name());
    }
}

#[tokio::test]
async fn an_allow_list_lets_in_listed_owners_and_devices_of_listed_manufacturers() {
    for world in World::all().await {
        let (device, other, owner) = (Device::new(), Device::new(), key());
        world.set(json!({ "accept": "allow-list" })).await;
        world.not_welcome(&device, &[&owner], ErrorCode::InvalidVoucher).await;
        let spki = pem("PUBLIC KEY", owner.verifying_key().spki_der());
        let added = world.list("allow", json!({ "party": "owner", "key": spki, "note": "ACME" })).await;
        let name = fingerprint(owner.verifying_key());
        assert_eq!((added["key"]["fingerprint"].as_str(), &added["in_force"]), (Some(&*name), &json!(true)));
        world.welcome(&device, &[&owner], 1).await;
        let (_, page) = world.call(Method::GET, "/api/v1/policy/allow", Value::Null).await;
        let item = json!({ "party": "owner", "fingerprint": name, "note": "ACME", "created": NOW });
        assert_eq!(page, json!({ "items": [item], "next": null }));
        let remove = format!("/api/v1/policy/allow/owner/{name}");
        assert_eq!(world.call(Method::DELETE, &remove, Value::Null).await.0, 204);
        assert_eq!(world.call(Method::DELETE, &remove, Value::Null).await.0, 404);
        world.not_welcome(&device, &[&owner], ErrorCode::InvalidVoucher).await;
        // What is registered stays; the manufacturer opens the door to all its devices.
        world.ask(&device).await.ok(33);
        let maker = fingerprint(other.maker.verifying_key());
        world.list("allow", json!({ "party": "manufacturer", "key": maker })).await;
        world.welcome(&other, &[&owner], 2).await;
        world.not_welcome(&device, &[&owner], ErrorCode::InvalidVoucher).await;
    }
}

#[tokio::test]
async fn a_denied_key_is_refused_and_its_registrations_end() {
    for world in World::all().await {
        let (device, kept, owner, friend) = (Device::new(), Device::new(), key(), key());
        world.set(json!({ "accept": "deny-list" })).await;
        world.welcome(&device, &[&owner], 1).await;
        world.welcome(&kept, &[&friend], 2).await;
        let new = json!({ "party": "owner", "key": fingerprint(owner.verifying_key()) });
        assert_eq!(world.list("deny", new.clone()).await["ended"], 1);
        world.hello(device.guid).await.refused(30, ErrorCode::NotFound);
        world.ask(&kept).await.ok(33);
        world.not_welcome(&device, &[&owner], ErrorCode::InvalidVoucher).await;
        // Whoever buys the device from a denied owner is another owner.
        world.welcome(&device, &[&owner, &friend], 3).await;
        // Its manufacturer's key is denied without ending what is registered.
        let maker = fingerprint(device.maker.verifying_key());
        let new = json!({ "party": "manufacturer", "key": maker, "keep_registrations": true });
        assert_eq!(world.list("deny", new).await["ended"], 0);
        world.ask(&device).await.ok(33);
        world.not_welcome(&device, &[&owner, &friend], ErrorCode::InvalidVoucher).await;
        let (_, audit) = world.call(Method::GET, "/api/v1/audit", Value::Null).await;
        let audit = audit.to_string();
        assert!(audit.contains("policy.set") && audit.contains("policy.deny.add"), "{audit}");
        assert!(audit.contains("1 registrations ended"), "{audit}");
    }
}

#[tokio::test]
async fn each_rule_of_replacement_says_who_takes_a_live_registrations_place() {
    for world in World::all().await {
        let (owner, buyer, other) = (key(), key(), key());
        // Rule; may the same owner, its buyer, and somebody with an equally long chain of the same maker replace?
        let rules = [
            ("same-chain", true, true, false),
            ("any-voucher", true, true, true),
            ("same-owner", true, false, false),
            ("same-manufacturer", true, true, true),
            ("first-come", false, false, false),
        ];
        for (rule, same, sold, beside) in rules {
            world.set(json!({ "replace": rule })).await;
            for (owners, allowed) in [(&[&owner][..], same), (&[&owner, &buyer], sold), (&[&other], beside)] {
                let device = Device::new();
                world.welcome(&device, &[&owner], 1).await;
                if allowed {
                    world.welcome(&device, owners, 2).await;
                } else {
                    world.not_welcome(&device, owners, ErrorCode::InvalidVoucher).await;
                    world.clock.advance(3600);
                    world.welcome(&device, owners, 3).await;
                }
            }
            // Whatever the rule, a live longer chain stays.
            let device = Device::new();
            world.welcome(&device, &[&owner, &buyer], 4).await;
            world.not_welcome(&device, &[&other], ErrorCode::InvalidVoucher).await;
        }
    }
}

#[tokio::test]
async fn the_rule_of_one_manufacturer_keeps_out_another_ones_header() {
    let (world, owner) = (World::new().await, key());
    world.set(json!({ "replace": "same-manufacturer" })).await;
    let device = Device::new();
    world.welcome(&device, &[&owner], 1).await;
    // The same device certificate under another header.
    let again = |maker| {
        let spki = device.key.verifying_key().spki_der().to_vec();
        assert!(!spki.is_empty());
        Device::from_parts(device.guid, key(), maker, device.certificates.clone())
    };
    world.not_welcome(&again(key()), &[&owner], ErrorCode::InvalidVoucher).await;
}

#[tokio::test]
async fn a_quota_counts_live_registrations_of_one_key() {
    for world in World::all().await {
        let (owner, other) = (key(), key());
        let devices: Vec<Device> = (0..4).map(|_| Device::new()).collect();
        world.set(json!({ "owner_quota": 2 })).await;
        world.welcome(&devices[0], &[&owner], 1).await;
        world.welcome(&devices[1], &[&owner], 1).await;
        world.not_welcome(&devices[2], &[&owner], ErrorCode::InvalidMessage).await;
        // Renewals go on, others are not concerned, and what has expired does not count.
        world.welcome(&devices[0], &[&owner], 2).await;
        world.welcome(&devices[3], &[&other], 1).await;
        world.set(json!({ "owner_quota": 1 })).await;
        world.welcome(&devices[0], &[&owner], 3).await;
        world.clock.advance(3600);
        world.welcome(&devices[2], &[&owner], 4).await;
    }
}

#[tokio::test]
async fn a_quota_holds_when_registrations_come_at_once() {
    for world in World::all().await {
        world.set(json!({ "owner_quota": 2 })).await;
        let owner = key();
        let vouchers: Vec<_> = (0..6).map(|_| Device::new().sold_to(&[&owner])).collect();
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|n| world.register(vouchers[n].bytes(), &owner, 1));
        let replies = tokio::join!(a, b, c, d, e, f);
        let replies = [replies.0, replies.1, replies.2, replies.3, replies.4, replies.5];
        let taken = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!((taken, world.rows().await.len()), (2, 2), "{}", world.database.name());
    }
}

#[tokio::test]
async fn required_device_cas_let_in_devices_of_listed_cas_only() {
    for world in World::all().await {
        let (device, stranger, owner) = (Device::new(), Device::new(), key());
        world.set(json!({ "device_ca": "required" })).await;
        world.not_welcome(&device, &[&owner], ErrorCode::InvalidVoucher).await;
        let ca = pem("CERTIFICATE", device.certificates.last().unwrap());
        let new = json!({ "pem": ca, "note": "line 1" });
        let (status, view) = world.call(Method::POST, "/api/v1/policy/device-cas", new.clone()).await;
        assert_eq!(status, 201, "{view}");
        assert_eq!(world.call(Method::POST, "/api/v1/policy/device-cas", new).await.0, 200);
        world.welcome(&device, &[&owner], 1).await;
        world.not_welcome(&stranger, &[&owner], ErrorCode::InvalidVoucher).await;
        let path = format!("/api/v1/policy/device-cas/{}", view["fingerprint"].as_str().unwrap());
        assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.0, 204);
        world.not_welcome(&device, &[&owner], ErrorCode::InvalidVoucher).await;
        // A device's own certificate is no CA.
        let leaf = json!({ "pem": pem("CERTIFICATE", &device.certificates[0]) });
        let (status, problem) = world.call(Method::POST, "/api/v1/policy/device-cas", leaf).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("certificate")));
    }
}

#[tokio::test]
async fn wait_seconds_follow_the_policy_at_once() {
    let (world, owner) = (World::new().await, key());
    world.set(json!({ "max_wait_seconds": 60 })).await;
    let reply = world.register(Device::new().sold_to(&[&owner]).bytes(), &owner, 1).await.ok(23);
    assert_eq!(cbor::decode::<AcceptOwner>(&reply.body).unwrap().wait_seconds, 60);
    world.set(json!({ "max_wait_seconds": 90_000, "min_wait_seconds": 7200 })).await;
    world.not_welcome(&Device::new(), &[&owner], ErrorCode::InvalidMessage).await;
    assert_eq!(world.call(Method::DELETE, "/api/v1/policy", Value::Null).await.0, 204);
    let (_, view) = world.call(Method::GET, "/api/v1/policy", Value::Null).await;
    assert_eq!(view["settings"], json!(PolicySettings::default()));
    assert_eq!((&view["set"], &view["version"]), (&json!(false), &json!(3)));
    world.welcome(&Device::new(), &[&owner], 1).await;
}

#[tokio::test]
async fn bad_changes_are_refused_and_change_nothing() {
    let world = World::new().await;
    let before = world.call(Method::GET, "/api/v1/policy", Value::Null).await;
    let fine = "00".repeat(32);
    let (policy, allow, deny) = ("/api/v1/policy", "/api/v1/policy/allow", "/api/v1/policy/deny");
    let (patch, post) = (Method::PATCH, Method::POST);
    let cases = [
        (&patch, policy, json!({ "accept": "nobody" }), 400, "body"),
        (&patch, policy, json!({ "colour": 1 }), 400, "body"),
        (&patch, policy, json!({ "max_wait_seconds": 0 }), 422, "wait-seconds"),
        (&patch, policy, json!({ "min_wait_seconds": u32::MAX }), 422, "wait-seconds"),
        (&patch, policy, json!({ "max_wait_seconds": u64::MAX }), 400, "body"),
        (&post, allow, json!({ "party": "owner", "key": "abc" }), 422, "key"),
        (&post, allow, json!({ "party": "owner", "key": pem("PUBLIC KEY", b"x") }), 422, "key"),
        (&post, allow, json!({ "party": "device", "key": fine }), 400, "body"),
        (&post, deny, json!({ "party": "owner", "key": fine, "note": "a\nb" }), 422, "note"),
        (&post, "/api/v1/policy/grey", json!({ "party": "owner", "key": fine }), 404, "path"),
    ];
    for (method, path, body, status, code) in cases {
        let (got, problem) = world.call(method.clone(), path, body.clone()).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{body}: {problem}");
    }
    assert_eq!(world.call(Method::GET, "/api/v1/policy", Value::Null).await, before);
}

#[tokio::test]
async fn only_admins_change_the_policy() {
    let world = World::new().await;
    let new = json!({ "name": "watcher", "role": "operator", "expires": null });
    let (_, made) = world.call(Method::POST, "/api/v1/tokens", new).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let try_as = async |token: Option<&str>, method: Method| {
        let request = world.http.request(method, world.url("operator", "/api/v1/policy"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.json(&json!({ "owner_quota": 1 })).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Problem>().await.ok())
    };
    assert_eq!(try_as(None, Method::PATCH).await.0, 401);
    assert_eq!(try_as(Some(&secret), Method::PATCH).await.0, 403);
    assert_eq!(try_as(Some(&secret), Method::GET).await.0, 200);
}

#[tokio::test]
async fn replicas_follow_and_the_configuration_is_where_it_begins() {
    for world in World::all().await {
        // A second process over the same database, configured otherwise.
        let folder = tempfile::tempdir().unwrap();
        let policy = PolicySettings { accept: Accept::AllowList, ..PolicySettings::default() };
        let config = Config {
            database: Some(world.database.url().to_owned()),
            listen: Listen::at("127.0.0.1:0"),
            operators: Listen::at("127.0.0.1:0"),
            policy,
            ..Config::default()
        };
        let other = app::start(&config, folder.path(), Clock::fixed(NOW), Random::seeded(2)).await.unwrap();
        let there = async || other.app.policies.current().await.unwrap();
        assert_eq!(there().await.settings.accept, Accept::AllowList);
        let owner = key();
        let name: [u8; 32] = PublicKey::x509(owner.verifying_key()).fingerprint().unwrap();
        assert!(there().await.grant(name, [0; 32], 1).is_err());
        world.list("allow", json!({ "party": "owner", "key": hex::encode(name) })).await;
        assert!(there().await.grant(name, [0; 32], 1).is_ok(), "{}", world.database.name());
        world.set(json!({ "accept": "deny-list" })).await;
        assert_eq!(there().await.settings.accept, Accept::DenyList);
        world.list("deny", json!({ "party": "owner", "key": hex::encode(name) })).await;
        assert!(there().await.grant(name, [0; 32], 1).is_err());
        other.stop().await;
    }
}
