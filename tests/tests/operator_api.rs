//! Who may use the operator API: nobody on the device listener, nobody without a token, and each role only what it may.
//! The URLs are read from the services' sources, so that a new one is tested too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use fdo_service::cli::ApiClient;
use fdo_tests::world::World;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

fn scan(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("cli") {
                scan(&path, into);
            }
        } else if path.file_name().unwrap() == "routes.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            for opening in ["resource(\"", "resource(\"/api/v1/"] {
                let found = text.split(opening).skip(1).map(|rest| rest.split('"').next().unwrap());
                into.extend(found.filter(|url| !url.is_empty()).map(|url| {
                    if url.starts_with("/api/v2/") {
                        return url.to_owned();
                    }
                    let rest = url.trim_start_matches("/api/v1/").trim_start_matches('/');
                    format!("/api/v1/{rest}")
                }));
            }
        }
    }
}

/// The operator URLs of a service, each parameter filled in.
fn urls(service: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut urls = BTreeSet::new();
    scan(&root.join(service).join("src"), &mut urls);
    scan(&root.join("service/src/operators"), &mut urls);
    // Buyers' URLs stand on the claims listener.
    urls.retain(|url| !url.contains("/pull/vouchers") && !url.contains("{}"));
    let fill = |url: &String| {
        let pieces = url.split('/').map(|piece| if piece.starts_with('{') { "unknown" } else { piece });
        pieces.collect::<Vec<_>>().join("/")
    };
    let urls: BTreeSet<String> = urls.iter().map(fill).collect();
    assert!(urls.len() >= 5, "{service}: {urls:?}");
    urls.into_iter().collect()
}

/// A service as the test sees it.
struct Seen<'a> {
    name: &'static str,
    device: String,
    operators: String,
    token: String,
    api: &'a ApiClient,
}

fn seen(world: &World) -> Vec<Seen<'_>> {
    let token = |name: &str| {
        let file = world.directory.path().join(name).join("operator-token");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    };
    let one = |name, device: &dyn ToString, operators: &str, api| Seen {
        name,
        device: device.to_string().trim_end_matches('/').to_owned(),
        operators: format!("http://{operators}"),
        token: token(name),
        api,
    };
    let (maker, rendezvous, owner) = (&world.manufacturer_config, &world.rendezvous_config, &world.owner_config);
    vec![
        one("manufacturer", &world.manufacturer_url, &maker.operators.address, &world.manufacturer_api),
        one("rendezvous", &world.rendezvous_url, &rendezvous.operators.address, &world.rendezvous_api),
        one("owner", &world.owner_url, &owner.operators.address, &world.owner_api),
    ]
}

async fn ask(method: Method, url: &str, token: Option<&str>) -> (StatusCode, Value, String) {
    // Making a client is slow; one without pooled connections may serve the runtimes of all tests.
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client =
        CLIENT.get_or_init(|| reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap());
    let mut request = client.request(method, url).header("content-type", "application/json").body("{}");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default(), kind.unwrap_or_default())
}

#[tokio::test]
async fn the_device_listener_serves_no_operator_route() {
    let world = World::new().await;
    for service in seen(&world) {
        for url in urls(service.name) {
            for method in METHODS {
                let at = format!("{}{url}", service.device);
                let (status, ..) = ask(method.clone(), &at, Some(&service.token)).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{} {method} {url}", service.name);
            }
        }
        for url in ["/metrics", "/api/v1", "/api/v1/"] {
            let (status, ..) = ask(Method::GET, &format!("{}{url}", service.device), Some(&service.token)).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{} {url}", service.name);
        }
    }
    world.stop().await;
}

async fn create(api: &ApiClient, role: &str, expires: Option<u64>) -> String {
    let body = json!({ "name": role, "role": role, "expires": expires });
    let created: Value = api.post("/api/v1/tokens", &body).await.unwrap();
    created["secret"].as_str().unwrap().to_owned()
}

/// Each method of each URL; a method that a URL does not have says so, or nothing.
async fn refused_everywhere(service: &Seen<'_>, token: Option<&str>, expected: StatusCode, methods: &[Method]) {
    for url in urls(service.name) {
        let mut refused = 0;
        for method in methods {
            let at = format!("{}{url}", service.operators);
            let (status, problem, kind) = ask(method.clone(), &at, token).await;
            let what = format!("{} {method} {url}: {status} {problem}", service.name);
            if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                assert_eq!(problem["code"].as_str().map(|code| code.ends_with("unknown")), Some(false), "{what}");
                continue;
            }
            assert_eq!(status, expected, "{what}");
            assert_eq!(kind, "application/problem+json", "{what}");
            assert_eq!(problem["status"], expected.as_u16(), "{what}");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{what}");
            refused += 1;
        }
        assert!(refused > 0 || expected == StatusCode::FORBIDDEN, "{} {url} has no method", service.name);
    }
}

#[tokio::test]
async fn without_a_valid_token_every_route_is_401() {
    let world = World::new().await;
    for service in seen(&world) {
        let expired = create(service.api, "admin", Some(world.clock.now() + 10)).await;
        world.clock.advance(11);
        refused_everywhere(&service, None, StatusCode::UNAUTHORIZED, &METHODS).await;
        for wrong in ["wrong", "fl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &service.token[1..], &expired] {
            refused_everywhere(&service, Some(wrong), StatusCode::UNAUTHORIZED, &METHODS).await;
        }
        let (status, ..) = ask(Method::GET, &format!("{}/metrics", service.operators), None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "the counters are for operators");
        let (status, ..) = ask(Method::GET, &format!("{}/health", service.operators), None).await;
        assert_eq!(status, StatusCode::OK, "health is for everybody");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_read_only_token_changes_nothing() {
    let world = World::new().await;
    let writes = [Method::POST, Method::PUT, Method::DELETE];
    for service in seen(&world) {
        let before: Vec<Value> = service.api.pages("/api/v1/tokens").await.unwrap();
        let reader = create(service.api, "read-only", None).await;
        refused_everywhere(&service, Some(&reader), StatusCode::FORBIDDEN, &writes).await;
        for url in urls(service.name) {
            let (status, problem, _) =
                ask(Method::GET, &format!("{}{url}", service.operators), Some(&reader)).await;
            let may = if url.starts_with("/api/v1/tokens") { StatusCode::FORBIDDEN } else { StatusCode::OK };
            let is_other =
                matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST);
            assert!(status == may || is_other, "{} {url}: {status} {problem}", service.name);
        }
        // An operator writes, but makes no tokens.
        let operator = create(service.api, "operator", None).await;
        let at = format!("{}/api/v1/tokens", service.operators);
        assert_eq!(ask(Method::POST, &at, Some(&operator)).await.0, StatusCode::FORBIDDEN);
        let after: Vec<Value> = service.api.pages("/api/v1/tokens").await.unwrap();
        assert_eq!(after.len(), before.len() + 2, "only those made here");
    }
    world.stop().await;
}
