//! The operator API of alerts: what it shows, what it refuses, and that no secret comes out of it.

use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use fdo_service::operators::Role;
use serde_json::{Value, json};

use super::{expiring, look};
use crate::alerts::{store, targets};
use crate::fixtures::{NOW, Owner};
use crate::routes;

const SECRET: &str = "correct horse battery staple";

macro_rules! call {
    ($app:expr, $token:expr, $request:expr) => {{
        let bearer = format!("Bearer {}", $token.as_str());
        let request = $request.insert_header(("Authorization", bearer)).to_request();
        let response = test::call_service(&$app, request).await;
        let status = response.status().as_u16();
        let body = test::read_body(response).await;
        (status, serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null))
    }};
}

fn path(path: &str) -> String {
    format!("/api/v1/{path}")
}

#[actix_web::test]
async fn alerts_are_listed_acknowledged_and_silenced() {
    for owner in Owner::on_all().await {
        expiring(&owner, 20).await;
        look(&owner).await;
        let (_, token) = owner.app.operators.create("tester", Role::Operator, None, "tester").await.unwrap();
        let (data, database) = (Data::new(owner.app), owner.database);
        let name = database.name();
        let app = test::init_service(actix_web::App::new().configure(|cfg| routes::operator(cfg, &data))).await;
        let get = |text: &str| TestRequest::get().uri(&path(text));
        let post = |text: &str, body: Value| TestRequest::post().uri(&path(text)).set_json(body);
        let (status, page) = call!(app, token, get("alerts"));
        assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1), "{name}: {page}");
        let alert = &page["items"][0];
        assert_eq!((alert["state"].as_str(), alert["threshold"].as_u64()), (Some("open"), Some(30)), "{name}");
        let id = alert["id"].as_str().unwrap();
        let (_, none) = call!(app, token, get("alerts?kind=onboarding-failing"));
        assert!(none["items"].as_array().unwrap().is_empty(), "{name}");
        let (status, alert) = call!(app, token, post(&format!("alerts/{id}/ack"), json!(null)));
        assert_eq!((status, alert["state"].as_str()), (200, Some("acknowledged")), "{name}");
        for until in [NOW, NOW + 400 * 86_400] {
            let (status, answer) =
                call!(app, token, post(&format!("alerts/{id}/silence"), json!({ "until": until })));
            assert_eq!((status, answer["code"].as_str()), (422, Some("alert-until")), "{name}");
        }
        let (_, alert) = call!(app, token, post(&format!("alerts/{id}/silence"), json!({ "until": NOW + 60 })));
        assert_eq!(alert["state"].as_str(), Some("silenced"), "{name}");
        store::close(&data.db, id, NOW).await.unwrap();
        for deed in ["ack", "silence"] {
            let body = if deed == "ack" { json!(null) } else { json!({ "until": NOW + 60 }) };
            let (status, answer) = call!(app, token, post(&format!("alerts/{id}/{deed}"), body.clone()));
            assert_eq!((status, answer["code"].as_str()), (409, Some("alert-closed")), "{name}");
            let (status, _) = call!(app, token, post(&format!("alerts/nobody/{deed}"), body));
            assert_eq!(status, 404, "{name}");
        }
        let (_, all) = call!(app, token, get("alerts?state=all"));
        assert_eq!(all["items"][0]["state"].as_str(), Some("closed"), "{name}");
        let (status, forecast) = call!(app, token, get("forecast?days=30"));
        let days = forecast["days"].as_array().unwrap();
        let ends: u64 = days.iter().map(|day| day["certificates"].as_u64().unwrap()).sum();
        assert_eq!((status, days.len(), ends), (200, 30, 1), "{name}");
        assert_eq!(days[20]["certificates"], 1, "{name}");
        assert_eq!(call!(app, token, get("forecast?days=0")).0, 422, "{name}");
    }
}

#[actix_web::test]
async fn targets_are_checked_and_their_secrets_stay_inside() {
    for owner in Owner::on_all().await {
        let (_, token) = owner.app.operators.create("tester", Role::Admin, None, "tester").await.unwrap();
        let (_, lesser) = owner.app.operators.create("lesser", Role::Operator, None, "tester").await.unwrap();
        let (data, database) = (Data::new(owner.app), owner.database);
        let name = database.name();
        let app = test::init_service(actix_web::App::new().configure(|cfg| routes::operator(cfg, &data))).await;
        let post = |body: Value| TestRequest::post().uri(&path("alert-targets")).set_json(body);
        for (wrong, field) in [
            (json!({ "name": "", "kind": "webhook", "url": "https://example.com" }), "name"),
            (json!({ "name": "a", "kind": "webhook", "url": "ftp://example.com" }), "url"),
            (json!({ "name": "a", "kind": "webhook", "url": "https://me:pw@example.com" }), "url"),
            (json!({ "name": "a", "kind": "webhook", "url": "https://example.com", "secret": "short" }), "secret"),
            (
                json!({ "name": "a", "kind": "email", "server": "mail", "from": "a@b.c", "to": ["a@b.c"] }),
                "server",
            ),
            (json!({ "name": "a", "kind": "email", "server": "mail:25", "from": "a", "to": ["a@b.c"] }), "from"),
            (json!({ "name": "a", "kind": "email", "server": "mail:25", "from": "a@b.c", "to": [] }), "to"),
            (
                json!({ "name": "a", "kind": "email", "server": "mail:25", "encryption": "none",
                        "from": "a@b.c", "to": ["a@b.c"], "username": "u", "secret": SECRET }),
                "encryption",
            ),
        ] {
            let (status, answer) = call!(app, token, post(wrong));
            assert_eq!(
                (status, answer["code"].as_str()),
                (422, Some("alert-target")),
                "{name}: {field}: {answer}"
            );
            assert!(answer["detail"].as_str().unwrap().starts_with(field), "{name}: {answer}");
        }
        let hook = json!({ "name": "hook", "kind": "webhook", "url": "https://example.com", "secret": SECRET });
        assert_eq!(call!(app, lesser, post(hook.clone())).0, 403, "{name}");
        let (status, added) = call!(app, token, post(hook.clone()));
        assert_eq!((status, &added["made_secret"]), (201, &Value::Null), "{name}: {added}");
        assert_eq!(call!(app, token, post(hook)).0, 409, "{name}");
        let made = json!({ "name": "made", "kind": "webhook", "url": "https://example.com" });
        let (_, made) = call!(app, token, post(made));
        assert_eq!(made["made_secret"].as_str().unwrap().len(), 64, "{name}");
        let change =
            json!({ "name": "hook", "kind": "webhook", "url": "https://example.com/2", "enabled": false });
        let put = TestRequest::put().uri(&path("alert-targets/hook")).set_json(change);
        let (status, changed) = call!(app, token, put);
        assert_eq!((status, changed["has_secret"].as_bool()), (200, Some(true)), "{name}: it keeps its secret");
        let (_, list) = call!(app, token, TestRequest::get().uri(&path("alert-targets")));
        let (_, audit) = call!(app, token, TestRequest::get().uri(&path("audit")));
        for shown in [list.to_string(), audit.to_string(), changed.to_string()] {
            assert!(!shown.contains(SECRET) && !shown.contains(made["made_secret"].as_str().unwrap()), "{name}");
        }
        let target = targets::find(&data.db, "hook").await.unwrap().unwrap();
        let sealed = target.secret.clone().unwrap();
        assert!(!sealed.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{name}");
        assert_eq!(targets::open(&data, &target).unwrap().unwrap().as_slice(), SECRET.as_bytes(), "{name}");
        assert_eq!(call!(app, token, TestRequest::delete().uri(&path("alert-targets/hook"))).0, 204, "{name}");
        assert_eq!(call!(app, token, TestRequest::get().uri(&path("alert-targets/hook"))).0, 404, "{name}");
    }
}
