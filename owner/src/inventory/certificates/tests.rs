//! The list of certificates on every database at hand: where rows come from, how they are found, what leaves them.

use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::random::Random;
use fdo_service::host::tls;
use fdo_service::operators::Role;
use serde_json::Value;

use super::*;
use crate::ca::{Origin, Requester};
use crate::fixtures::{Maker, NOW, Owner};
use crate::routes;
use crate::vouchers::upload::{self as voucher_upload};

async fn all(owner: &Owner) -> Vec<Listed> {
    matching(owner, Filter::default()).await
}

async fn matching(owner: &Owner, filter: Filter) -> Vec<Listed> {
    list(&owner.app.db, &filter, None, 1_000, owner.clock.now()).await.unwrap()
}

fn of(rows: &[Listed], source: Source) -> Vec<&Listed> {
    rows.iter().filter(|row| row.source == source).collect()
}

/// A self-signed certificate of a server, and its PEM.
fn server(seed: u64) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let names = ["127.0.0.1".to_owned()];
    let (_, der) = tls::self_signed_files(folder.path(), &names, NOW, &mut Random::seeded(seed).rng()).unwrap();
    let pem = fdo_pki::pem::encode_certificates(&[&der]).unwrap();
    (der, pem)
}

async fn import(owner: &Owner, maker: &mut Maker, serial: &str) {
    owner.trust(maker).await;
    let key = owner.key(KeyType::P256).clone();
    let voucher = maker.sold(serial, &key);
    let items = voucher_upload::import_file(&owner.app, "tester", voucher.bytes(), false).await.unwrap();
    assert!(items.iter().all(|item| item.result.is_ok()));
}

async fn issue(owner: &Owner, device: &str, session: &str, key_seed: u64) -> String {
    let key = SigningKey::generate(KeyType::P256, &mut Random::seeded(key_seed).rng()).unwrap();
    let csr = fdo_pki::build_csr(&key, None, &fdo_pki::DeviceSerial::parse("SN-L").unwrap()).unwrap();
    let now = owner.clock.now();
    let requester = Requester {
        device_id: device,
        serial: Some("SN-L"),
        guid: fdo_protocol::Guid::random(&mut Random::seeded(key_seed).rng()),
        origin: Origin::To2 { session, pending_until: now + 60 },
    };
    let mut rng = owner.app.random.rng();
    let granted = owner.app.ca.issue(&owner.app.db, "ldevid", &csr, &requester, now, &mut rng).await.unwrap();
    let crate::ca::Granted::Issued(certificate) = granted else { panic!("pending") };
    hex::encode(certificate.fingerprint())
}

#[tokio::test]
async fn a_voucher_brings_its_devices_certificate_and_the_ca_above_it() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(1, KeyType::P256);
        import(&owner, &mut maker, "SN-1").await;
        import(&owner, &mut maker, "SN-2").await;
        let rows = all(&owner).await;
        let idevids = of(&rows, Source::Idevid);
        assert_eq!(idevids.len(), 2, "{}", owner.database.name());
        assert!(idevids.iter().all(|row| row.guid.is_some() && row.key_type == "P-256"));
        // Both chains lead to one CA, which is one row.
        assert_eq!(of(&rows, Source::DeviceCa).len(), 1);
        let device = idevids[0].device_id.clone().unwrap();
        super::super::forget(&owner.app.db, &device).await.unwrap();
        let (row, der) = find(&owner.app.db, &idevids[0].fingerprint).await.unwrap().unwrap();
        assert_eq!(row.standing, Standing::Retired);
        assert_eq!(hex::encode(fdo_pki::Certificate::parse(&der).unwrap().fingerprint()), row.fingerprint);
    }
}

#[tokio::test]
async fn vouchers_from_before_there_was_a_list_are_taken_over_once() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(2, KeyType::P256);
        import(&owner, &mut maker, "SN-3").await;
        let before = all(&owner).await;
        store::tests::clear(&owner.app.db).await;
        gather::run(&owner.app).await.unwrap();
        let mut after = all(&owner).await;
        after.retain(|row| row.source != Source::Ldevid);
        assert_eq!(after, before, "{}", owner.database.name());
        assert_eq!(cursor(&owner.app.db, "inventory.vouchers").await.unwrap().as_deref(), Some("done"));
    }
}

#[tokio::test]
async fn an_ldevid_is_pending_then_valid_then_replaced_then_revoked() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let first = issue(&owner, "device", "one", 11).await;
        gather::run(&owner.app).await.unwrap();
        let status = async |fingerprint: &str| {
            find(&owner.app.db, fingerprint).await.unwrap().unwrap().0.status(owner.clock.now())
        };
        assert_eq!(status(&first).await, Status::Pending, "{name}");
        crate::ca::confirm(&owner.app.db, "one").await.unwrap().unwrap();
        gather::run(&owner.app).await.unwrap();
        assert_eq!(status(&first).await, Status::Valid, "{name}");
        let (_, der) = find(&owner.app.db, &first).await.unwrap().unwrap();
        assert_eq!(hex::encode(fdo_pki::Certificate::parse(&der).unwrap().fingerprint()), first);

        owner.clock.advance(10);
        let second = issue(&owner, "device", "two", 12).await;
        let other = issue(&owner, "other", "three", 13).await;
        gather::run(&owner.app).await.unwrap();
        // Not before the device surely has the new one.
        assert_eq!(status(&first).await, Status::Valid, "{name}");
        for session in ["two", "three"] {
            crate::ca::confirm(&owner.app.db, session).await.unwrap().unwrap();
        }
        gather::run(&owner.app).await.unwrap();
        assert_eq!((status(&first).await, status(&second).await), (Status::Replaced, Status::Valid), "{name}");
        assert_eq!(status(&other).await, Status::Valid, "{name}: of another device");

        owner.clock.advance(10);
        let reason = crate::ca::Reason::KeyCompromise;
        crate::ca::revoke_device(&owner.app.db, "device", None, reason, owner.clock.now()).await.unwrap();
        gather::run(&owner.app).await.unwrap();
        assert_eq!((status(&first).await, status(&second).await), (Status::Revoked, Status::Revoked), "{name}");
        let (row, _) = find(&owner.app.db, &second).await.unwrap().unwrap();
        assert_eq!(row.reason.as_deref(), Some("keyCompromise"));
    }
}

#[tokio::test]
async fn what_a_slow_transaction_commits_behind_the_cursor_is_found_by_the_sweep() {
    for owner in Owner::on_all().await {
        owner.clock.advance(60);
        let early = issue(&owner, "device", "one", 21).await;
        crate::ca::confirm(&owner.app.db, "one").await.unwrap().unwrap();
        set_cursor(&owner.app.db, "inventory.issued", &format!("{}/zzz", owner.clock.now())).await.unwrap();
        gather::run(&owner.app).await.unwrap();
        assert!(find(&owner.app.db, &early).await.unwrap().is_none(), "{}", owner.database.name());
        gather::sweep(&owner.app).await.unwrap();
        assert!(find(&owner.app.db, &early).await.unwrap().is_some(), "{}", owner.database.name());
        // CAs and keys come with it.
        let rows = all(&owner).await;
        assert_eq!(of(&rows, Source::Authority).len(), 2);
        assert!(of(&rows, Source::OwnerKey).iter().all(|row| row.is_bare_key() && row.not_after == WITHOUT_END));
    }
}

#[tokio::test]
async fn filters_find_and_pages_are_stable() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let mut maker = Maker::new(3, KeyType::P256);
        for serial in ["GATE-1", "GATE-2", "LAMP-1"] {
            import(&owner, &mut maker, serial).await;
        }
        let (_, pem) = server(31);
        let served = upload::add(&owner.app, "tester", pem.as_bytes(), Some("front door")).await.unwrap();
        gather::sweep(&owner.app).await.unwrap();
        let fingerprint = served[0].fingerprint.clone();
        let words = |text: &str| Filter { words: Filter::search(text), ..Filter::default() };
        assert_eq!(matching(&owner, words("gat")).await.len(), 2, "{name}");
        assert_eq!(matching(&owner, words("gate 2")).await.len(), 1, "{name}");
        assert_eq!(matching(&owner, words("FRONT")).await[0].fingerprint, fingerprint, "{name}");
        assert_eq!(matching(&owner, words("ate")).await.len(), 0, "{name}: words are found by their beginnings");
        assert_eq!(matching(&owner, words("x' OR 1=1 -- %")).await.len(), 0, "{name}");
        let one = Filter { fingerprint: Some(fingerprint.clone()), ..Filter::default() };
        assert_eq!(matching(&owner, one).await.len(), 1, "{name}");
        let soon = Filter { expires_before: Some(served[0].not_after + 1), ..Filter::default() };
        assert!(matching(&owner, soon).await.iter().any(|row| row.fingerprint == fingerprint), "{name}");
        let later = Filter { expires_after: Some(served[0].not_after + 1), ..Filter::default() };
        assert!(matching(&owner, later).await.iter().all(|row| row.fingerprint != fingerprint), "{name}");
        let expired = Filter { status: Some(Status::Expired), ..Filter::default() };
        assert!(matching(&owner, expired.clone()).await.is_empty(), "{name}");
        owner.clock.set(served[0].not_after + 1);
        assert!(!matching(&owner, expired).await.is_empty(), "{name}");
        owner.clock.set(NOW);
        let by = |source| Filter { source: Some(source), ..Filter::default() };
        assert_eq!(count(&owner.app.db, &by(Source::Idevid), NOW).await.unwrap(), 3, "{name}");
        let devices = Filter { issuer: Some("Devices".to_owned()), ..Filter::default() };
        assert_eq!(matching(&owner, devices).await.len(), 4, "{name}: three devices and the CA itself");
        let keys = Filter { key_type: Some("P-384".to_owned()), ..Filter::default() };
        assert_eq!(of(&matching(&owner, keys).await, Source::OwnerKey).len(), 1, "{name}");

        let (whole, mut paged, mut after) = (all(&owner).await, Vec::new(), None);
        loop {
            let page = list(&owner.app.db, &Filter::default(), after, 2, NOW).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.not_after, last.fingerprint.clone()));
            paged.extend(page);
        }
        assert_eq!(paged, whole, "{name}");
        assert!(whole.len() > 6);
    }
}

macro_rules! call {
    ($token:expr, $app:expr, $request:expr) => {{
        let token = $token.as_str();
        let request = $request.insert_header(("Authorization", format!("Bearer {token}"))).to_request();
        let response = test::call_service(&$app, request).await;
        let status = response.status().as_u16();
        let body = test::read_body(response).await;
        (status, body)
    }};
}

#[actix_web::test]
async fn private_keys_are_refused_and_nothing_is_kept() {
    for owner in Owner::on_all().await {
        let (_, token) = owner.app.operators.create("tester", Role::Admin, None, "tester").await.unwrap();
        let (data, database) = (Data::new(owner.app), owner.database);
        let name = database.name();
        let app = test::init_service(actix_web::App::new().configure(|cfg| routes::operator(cfg, &data))).await;
        let (der, pem) = server(41);
        let key = SigningKey::generate(KeyType::P256, &mut Random::seeded(42).rng()).unwrap();
        let pkcs8 = key.to_pkcs8_der().unwrap();
        let key_pem = pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, &pkcs8).unwrap();
        for body in [format!("{pem}{key_pem}").into_bytes(), key_pem.into_bytes(), pkcs8.to_vec()] {
            let request = TestRequest::post().uri("/api/v1/inventory").set_payload(body);
            let (status, answer) = call!(token, app, request);
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!((status, answer["code"].as_str()), (422, Some("private-key")), "{name}: {answer}");
            assert!(answer["detail"].as_str().unwrap().contains("exposed"), "{name}: it warns");
        }
        assert!(list(&data.db, &Filter::default(), None, 100, NOW).await.unwrap().is_empty(), "{name}");
        let audited = fdo_service::operators::audit::list(&data.db, None, 100).await.unwrap();
        let refused =
            audited.iter().filter(|entry| entry.action == "inventory.upload" && entry.outcome == "refused");
        assert_eq!(refused.count(), 3, "{name}");
        for broken in [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"] {
            let request = TestRequest::post().uri("/api/v1/inventory").set_payload(broken.to_vec());
            assert_eq!(call!(token, app, request).0, 422, "{name}");
        }
        for body in [der, pem.into_bytes()] {
            let request = TestRequest::post().uri("/api/v1/inventory?name=gate").set_payload(body);
            let (status, answer) = call!(token, app, request);
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!((status, answer["items"][0]["source"].as_str()), (201, Some("upload")), "{name}");
        }
        assert_eq!(list(&data.db, &Filter::default(), None, 100, NOW).await.unwrap().len(), 1, "{name}");
    }
}

#[actix_web::test]
async fn an_export_has_every_row_and_no_formula() {
    for owner in Owner::on_all().await {
        let (_, token) = owner.app.operators.create("tester", Role::Admin, None, "tester").await.unwrap();
        let (data, database) = (Data::new(owner.app), owner.database);
        let name = database.name();
        let app = test::init_service(actix_web::App::new().configure(|cfg| routes::operator(cfg, &data))).await;
        // More than two parts of it.
        store::tests::fill(&data.db, 4_500).await;
        let (status, body) = call!(token, app, TestRequest::get().uri("/api/v1/inventory/export?format=json"));
        let rows: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, rows.len()), (200, 4_500), "{name}");
        let (_, body) = call!(token, app, TestRequest::get().uri("/api/v1/inventory/export?format=csv"));
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(text.lines().count(), 4_501, "{name}");
        assert!(text.contains(",'=cmd|x,") && !text.contains(",=cmd"), "{name}");
        let (_, body) = call!(token, app, TestRequest::get().uri("/api/v1/inventory/export?format=json&q=nobody"));
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&body).unwrap().len(), 0, "{name}");
        for (wrong, code) in [
            ("inventory?fingerprint=12", "fingerprint"),
            ("inventory?q=%2B", "search"),
            ("inventory/zz", "fingerprint"),
            ("inventory?cursor=zz", "cursor"),
        ] {
            let (status, answer) = call!(token, app, TestRequest::get().uri(&format!("/api/v1/{wrong}")));
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{name}: {wrong}");
        }
    }
}

#[tokio::test]
async fn a_probe_records_what_an_endpoint_serves_and_retires_what_it_no_longer_does() {
    for owner in Owner::on_all().await {
        let name = owner.database.name();
        let server = Server::start(51).await;
        let probe = probes::add(&owner.app, "tester", &server.endpoint, 3_600).await.unwrap();
        let twice = probes::add(&owner.app, "tester", &server.endpoint, 3_600).await;
        assert!(matches!(twice, Err(Error::ProbeExists(_))), "{name}");
        probes::run_due(&owner.app).await.unwrap();
        let seen = probes::find(&owner.app.db, &probe.id).await.unwrap().unwrap();
        assert_eq!((seen.failures, seen.last_seen, seen.next_at), (0, Some(NOW), NOW + 3_600), "{name}");
        let first = &matching(&owner, Filter { source: Some(Source::Probe), ..Filter::default() }).await[0];
        assert_eq!(first.fingerprint, server.fingerprint, "{name}");
        assert_eq!(probes::sightings_of(&owner.app.db, &first.fingerprint).await.unwrap().len(), 1, "{name}");

        // Another certificate at the same place.
        server.change(52);
        owner.clock.advance(3_600);
        probes::run_due(&owner.app).await.unwrap();
        let rows = matching(&owner, Filter { source: Some(Source::Probe), ..Filter::default() }).await;
        let standing = |fingerprint: &str| {
            rows.iter().find(|row| row.fingerprint == fingerprint).map(|row| row.standing).unwrap()
        };
        assert_eq!((rows.len(), standing(&first.fingerprint)), (2, Standing::Retired), "{name}");

        // Nobody there: it is tried again, and what was seen stays.
        server.stop();
        for failures in 1..=3 {
            let due = probes::find(&owner.app.db, &probe.id).await.unwrap().unwrap().next_at;
            owner.clock.set(due);
            probes::run_due(&owner.app).await.unwrap();
            let seen = probes::find(&owner.app.db, &probe.id).await.unwrap().unwrap();
            assert_eq!(seen.failures, failures, "{name}");
            assert!(seen.error.as_ref().is_some_and(|error| error.contains("connect")), "{name}: {seen:?}");
            assert_eq!(seen.next_at, due + (300 << (failures - 1)).min(3_600), "{name}");
        }
        assert_eq!(probes::failing(&owner.app.db, 3, 10).await.unwrap().len(), 1, "{name}");
        probes::remove(&owner.app, "tester", &probe.id).await.unwrap();
        let rows = matching(&owner, Filter { source: Some(Source::Probe), ..Filter::default() }).await;
        assert!(rows.iter().all(|row| row.standing == Standing::Retired), "{name}");
    }
}

#[tokio::test]
async fn private_addresses_are_not_probed_unless_the_settings_name_them() {
    let owner = Owner::on_all().await.swap_remove(0);
    for endpoint in ["10.0.0.1:443", "169.254.169.254:80", "[fe80::1]:443"] {
        let probe = probes::add(&owner.app, "tester", endpoint, 60).await.unwrap();
        let seen = probes::look(&owner.app, &probe).await.unwrap();
        assert!(seen.error.unwrap().contains("outbound_allow"), "{endpoint}");
    }
    for wrong in ["nothing", "a:0"] {
        assert!(matches!(probes::add(&owner.app, "tester", wrong, 60).await, Err(Error::Endpoint(_))));
    }
    assert!(matches!(probes::add(&owner.app, "tester", "a.example:1", 59).await, Err(Error::Interval)));
}

/// A TLS server that shows a certificate and nothing else.
struct Server {
    endpoint: String,
    fingerprint: String,
    config: std::sync::Arc<std::sync::Mutex<std::sync::Arc<rustls::ServerConfig>>>,
    task: tokio::task::JoinHandle<()>,
}

fn server_config(seed: u64) -> (std::sync::Arc<rustls::ServerConfig>, String) {
    let folder = tempfile::tempdir().unwrap();
    let names = ["127.0.0.1".to_owned()];
    let (config, der) =
        tls::self_signed_files(folder.path(), &names, NOW, &mut Random::seeded(seed).rng()).unwrap();
    let fingerprint = hex::encode(fdo_pki::Certificate::parse(&der).unwrap().fingerprint());
    (std::sync::Arc::new(config), fingerprint)
}

impl Server {
    async fn start(seed: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let (config, fingerprint) = server_config(seed);
        let config = std::sync::Arc::new(std::sync::Mutex::new(config));
        let shared = config.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let config = shared.lock().unwrap().clone();
                tokio::spawn(async move { tokio_rustls::TlsAcceptor::from(config).accept(stream).await });
            }
        });
        Self { endpoint, fingerprint, config, task }
    }

    fn change(&self, seed: u64) {
        *self.config.lock().unwrap() = server_config(seed).0;
    }

    fn stop(&self) {
        self.task.abort();
    }
}
