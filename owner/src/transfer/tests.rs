//! Pushes, pulls and status calls at the transfer listener, on every database at hand: what is taken, what is refused,
//! and that a refusal changes nothing.

use std::sync::Arc;

use actix_web::dev::{Payload, Service, ServiceResponse};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::test::{self, TestRequest};
use actix_web::web;
use fdo_protocol::crypto::KeyType;
use fdo_protocol::key_auth::{AadPolicy, CallerHello, KeyAuthResult};
use fdo_service::host::random::Random;
use fdo_service::operators::audit;
use fdo_service::transfer::key_auth::KeyAuth;
use fdo_service::transfer::partners::NewPartner;
use fdo_service::transfer::push::Pushed;
use fdo_service::transfer::{PULL_ROOT, PUSH_ROOT, VOUCHER_LIMIT, timestamp, voucher_id};
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{Maker, NOW, Owner};
use crate::vouchers::State as VoucherState;
use crate::vouchers::upload::import_file;

macro_rules! listener {
    ($app:expr) => {{
        let app: Arc<App> = $app.clone();
        test::init_service(actix_web::App::new().configure(move |cfg| routes::configure(cfg, &app))).await
    }};
}

async fn answer<S, R, B>(listener: &S, request: R) -> (u16, Value)
where
    S: Service<R, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: actix_web::body::MessageBody,
{
    let answer = test::call_service(listener, request).await;
    let status = answer.status().as_u16();
    let body = test::read_body(answer).await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

macro_rules! call {
    ($listener:expr, $request:expr) => {
        answer($listener, $request.to_request())
    };
}

fn push(token: &str, pushed: &Pushed) -> TestRequest {
    let (media_type, body) = pushed.to_body(&mut Random::seeded(1).rng());
    let request = TestRequest::post().uri(PUSH_ROOT).insert_header((CONTENT_TYPE, media_type)).set_payload(body);
    request.insert_header(("Authorization", format!("Bearer {token}")))
}

fn get(token: &str, path: &str) -> TestRequest {
    TestRequest::get().uri(path).insert_header(("Authorization", format!("Bearer {token}")))
}

fn of(voucher: &fdo_protocol::voucher::VerifiedVoucher) -> Pushed {
    Pushed { bytes: voucher.bytes().to_vec(), guid: Some(voucher_id(&voucher.guid())), ..Pushed::default() }
}

async fn audited(app: &App, action: &str) -> usize {
    let entries = audit::list(&app.db, None, 1000).await.unwrap();
    entries.iter().filter(|entry| entry.action == action).count()
}

/// Everything that a refusal must not change.
async fn shown(app: &App) -> String {
    let vouchers = vouchers::list(&app.db, None, None, 100).await.unwrap();
    let partner = fdo_service::transfer::partners::get(&app.db, "Maker").await.unwrap();
    format!("{vouchers:?} {:?}", store::list(&app.db, &partner.id, 100).await.unwrap())
}

async fn partner(app: &App, name: &str, keys: Vec<fdo_protocol::crypto::VerifyingKey>) -> String {
    let push_root = Some("https://maker.example/api/v1/vouchers".to_owned());
    let new = NewPartner { name: name.into(), push_root, keys, ..NewPartner::default() };
    app.partners.add("tester", new).await.unwrap();
    app.partners.new_token("tester", name, None).await.unwrap().to_string()
}

#[tokio::test]
async fn a_pushed_voucher_is_taken_once_and_its_status_is_told() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(1, KeyType::P256);
        owner.trust(&maker).await;
        let app = Arc::new(owner.app);
        let token = partner(&app, "Maker", vec![]).await;
        let other = partner(&app, "Other", vec![]).await;
        let listener = listener!(app);
        let ours = app.keys.for_type(KeyType::P256).unwrap().verifying_key().clone();
        let voucher = maker.sold("SN-1", &ours);
        let id = voucher_id(&voucher.guid());
        let sent = Pushed { serial: Some("sn 1".into()), model: Some("lamp".into()), ..of(&voucher) };
        for _ in 0..2 {
            let (status, answer) = call!(&listener, push(&token, &sent)).await;
            assert_eq!((status, &answer["status"]), (200, &json!("accepted")), "{answer}");
            assert_eq!(answer["voucher_id"], id);
        }
        assert_eq!(audited(&app, "voucher.receive").await, 1, "{}", owner.database.name());
        let due = vouchers::due_for_registration(&app.db, NOW, 10).await.unwrap();
        assert_eq!(due, [voucher.guid()], "the rendezvous is told");
        for name in [id.clone(), voucher.guid().to_string(), "SN-1".to_owned()] {
            let (status, answer) = call!(&listener, get(&token, &format!("{PUSH_ROOT}/status/{name}"))).await;
            assert_eq!((status, &answer["status"]), (200, &json!("completed")), "{name}: {answer}");
            let (status, _) = call!(&listener, get(&other, &format!("{PUSH_ROOT}/status/{name}"))).await;
            assert_eq!(status, 404, "another partner learns nothing of {name}");
        }
        let (_, list) = call!(&listener, get(&token, &format!("{PUSH_ROOT}/list?limit=1"))).await;
        assert_eq!((list["vouchers"].as_array().unwrap().len(), &list["has_more"]), (1, &json!(false)));
        assert_eq!(list["vouchers"][0]["voucher_id"], id);
        let (_, list) = call!(&listener, get(&other, &format!("{PUSH_ROOT}/list"))).await;
        assert_eq!(list["vouchers"], json!([]));

        let longer = voucher.extend(app.keys.for_type(KeyType::P256).unwrap(), &ours).unwrap();
        let (status, answer) = call!(&listener, push(&token, &of(&longer))).await;
        assert_eq!(status, 200, "a strict prefix is here: {answer}");
        assert_eq!(vouchers::bytes(&app.db, &voucher.guid()).await.unwrap().unwrap(), longer.bytes());
    }
}

#[tokio::test]
async fn what_does_not_hold_is_refused_and_changes_nothing() {
    for owner in Owner::on_all().await {
        let (mut maker, mut unknown) = (Maker::new(2, KeyType::P256), Maker::new(3, KeyType::P256));
        owner.trust(&maker).await;
        let app = Arc::new(owner.app);
        let token = partner(&app, "Maker", vec![]).await;
        let listener = listener!(app);
        let ours = app.keys.for_type(KeyType::P256).unwrap().verifying_key().clone();
        let device = maker.device("SN-1");
        let start = maker.voucher(&device);
        let voucher = start.extend(&maker.key, &ours).unwrap();
        let fork = start.extend(&maker.key, &ours).unwrap();
        assert_eq!(call!(&listener, push(&token, &of(&voucher))).await.0, 200);
        let before = shown(&app).await;
        let fresh = maker.sold("SN-2", &ours);
        let with = |change: fn(&mut Pushed)| {
            let mut pushed = of(&fresh);
            change(&mut pushed);
            pushed
        };
        let theirs = maker.sold("SN-3", unknown.key.verifying_key());
        let cases = [
            (of(&fork), 409, "fork"),
            (of(&theirs), 403, "not_our_key"),
            (of(&maker.voucher(&device)), 403, "not_our_key"),
            (of(&unknown.sold("SN-4", &ours)), 403, "untrusted_manufacturer"),
            (with(|pushed| pushed.guid = Some("00".repeat(16))), 400, "guid_mismatch"),
            (with(|pushed| pushed.guid = Some("x".into())), 400, "guid_mismatch"),
            (with(|pushed| pushed.serial = Some("SN-9".into())), 400, "serial_mismatch"),
            (with(|pushed| pushed.bytes.push(0)), 400, "voucher_invalid"),
            (with(|pushed| *pushed.bytes.last_mut().unwrap() ^= 1), 400, "voucher_invalid"),
            (with(|pushed| pushed.bytes = b"nothing".to_vec()), 400, "bad_request"),
        ];
        for (number, (pushed, status, code)) in cases.into_iter().enumerate() {
            let (answered, answer) = call!(&listener, push(&token, &pushed)).await;
            assert_eq!((answered, &answer["error_code"]), (status, &json!(code)), "case {number}: {answer}");
        }
        assert_eq!(audited(&app, "voucher.fork").await, 1, "an alarm");
        let gzip = push(&token, &of(&fresh)).insert_header((CONTENT_ENCODING, "gzip"));
        assert_eq!(call!(&listener, gzip).await.0, 415);
        let raw = push(&token, &of(&fresh)).insert_header((CONTENT_TYPE, "application/x-fdo-voucher"));
        assert_eq!(call!(&listener, raw).await.0, 415);
        let long = Pushed { bytes: vec![0x85; VOUCHER_LIMIT + 32 * 1024], ..Pushed::default() };
        assert_eq!(call!(&listener, push(&token, &long)).await.0, 413);
        let all: Vec<_> = (0..4).map(|_| app.pushes.try_acquire().unwrap()).collect();
        assert_eq!(call!(&listener, push(&token, &of(&fresh))).await.0, 503, "no room");
        drop(all);
        assert_eq!(call!(&listener, TestRequest::put().uri(PUSH_ROOT)).await.0, 405);
        let assign = TestRequest::post().uri(&format!("{PUSH_ROOT}/assign"));
        assert_eq!(
            call!(&listener, assign.insert_header(("Authorization", format!("Bearer {token}")))).await.0,
            501
        );
        assert_eq!(shown(&app).await, before, "{}", owner.database.name());
        assert_eq!(call!(&listener, push(&token, &of(&fresh))).await.0, 200, "the good one still is");
    }
}

#[tokio::test]
async fn strangers_are_refused_before_their_bodies_are_read_and_tokens_end() {
    for owner in Owner::on_all().await {
        let clock = owner.clock.clone();
        let app = Arc::new(owner.app);
        let token = partner(&app, "Maker", vec![]).await;
        let ending = app.partners.new_token("tester", "Maker", Some(NOW + 10)).await.unwrap();
        let listener = listener!(app);
        for wrong in
            [None, Some("Bearer x".to_owned()), Some("Bearer fp_x".into()), Some(format!("Basic {token}"))]
        {
            let mut request = TestRequest::post().uri(PUSH_ROOT);
            if let Some(value) = &wrong {
                request = request.insert_header(("Authorization", value.as_str()));
            }
            let mut request = request.to_request();
            *request.payload() = Payload::Stream { payload: Box::pin(futures_util::stream::pending()) };
            let answer =
                tokio::time::timeout(std::time::Duration::from_secs(5), test::call_service(&listener, request));
            assert_eq!(answer.await.unwrap().status(), 401, "{wrong:?}");
        }
        let list = format!("{PUSH_ROOT}/list");
        assert_eq!(call!(&listener, get(&ending, &list)).await.0, 200);
        clock.advance(10);
        assert_eq!(call!(&listener, get(&ending, &list)).await.0, 401, "it has ended");
        let (status, answer) = call!(&listener, get(&token, PULL_ROOT)).await;
        assert_eq!((status, &answer["error_code"]), (403, &json!("push_only")), "a static token is for pushes");
        let api = get(&token, "/api/v1/devices");
        assert_eq!(call!(&listener, api).await.0, 404, "nothing for operators here");
        app.partners.set_suspended("tester", "Maker", true).await.unwrap();
        assert_eq!(call!(&listener, get(&token, &list)).await.0, 403, "suspended");
        app.partners.set_suspended("tester", "Maker", false).await.unwrap();
        app.partners.revoke_tokens("tester", "Maker").await.unwrap();
        assert_eq!(call!(&listener, get(&token, &list)).await.0, 401, "revoked");
    }
}

/// KeyAuth over the routes.
macro_rules! prove {
    ($listener:expr, $app:expr, $root:expr, $key:expr) => {{
        let hello = CallerHello::new($key.verifying_key(), &mut Random::system().rng());
        let send = async |path: &str, body: Vec<u8>| -> web::Bytes {
            let request = TestRequest::post().uri(&format!("{}/auth/{path}", $root)).set_payload(body);
            let answer = test::call_service($listener, request.to_request()).await;
            assert_eq!(answer.status(), 200, "{path}");
            test::read_body(answer).await
        };
        let challenge = send("hello", hello.bytes().to_vec()).await;
        // The first key of the DID document signs.
        let server = &document($app).keys[0];
        let proof = hello.prove(&challenge, server, $key, AadPolicy::default()).unwrap();
        let result = send("prove", proof).await;
        KeyAuthResult::from_bytes(&result, $app.clock.now()).unwrap().token.to_string()
    }};
}

#[tokio::test]
async fn each_key_sees_what_was_sold_to_it_in_pages_and_a_download_settles_the_sale() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(5, KeyType::P256);
        owner.trust(&maker).await;
        let app = Arc::new(owner.app);
        let listener = listener!(app);
        let ours = app.keys.for_type(KeyType::P256).unwrap().verifying_key().clone();
        let (buyer, other) = (Maker::new(6, KeyType::P256).key, Maker::new(7, KeyType::P256).key);
        let mut guids = Vec::new();
        for number in 0..5 {
            let voucher = maker.sold(&format!("SN-{number}"), &ours);
            import_file(&app, "tester", voucher.bytes(), false).await.unwrap();
            let next = if number == 4 { other.verifying_key() } else { buyer.verifying_key() };
            let name = voucher.guid().to_string();
            let request = resale::Request { name: &name, next, even_if_never_onboarded: true };
            resale::resell(&app, "tester", request).await.unwrap();
            guids.push(voucher.guid());
        }
        let token = prove!(&listener, &app, PULL_ROOT, &buyer);
        let nobody = Maker::new(8, KeyType::P384).key;
        let stranger = prove!(&listener, &app, PULL_ROOT, &nobody);
        let (_, nothing) = call!(&listener, get(&stranger, PULL_ROOT)).await;
        assert_eq!((&nothing["vouchers"], &nothing["has_more"]), (&json!([]), &json!(false)));

        let (mut found, mut query) = (Vec::new(), "?limit=3".to_owned());
        loop {
            let (status, page) = call!(&listener, get(&token, &format!("{PULL_ROOT}{query}"))).await;
            assert_eq!(status, 200, "{page}");
            found.extend(page["vouchers"].as_array().unwrap().iter().map(|v| v["voucher_id"].clone()));
            assert_eq!(page["has_more"] == true, page.get("continuation").is_some());
            let Some(next) = page["continuation"].as_str() else { break };
            query = format!("?limit=3&continuation={next}");
            let foreign = call!(&listener, get(&stranger, &format!("{PULL_ROOT}{query}"))).await;
            assert_eq!(foreign.0, 400, "a continuation is of one key");
        }
        found.sort_by_key(Value::to_string);
        let mut mine: Vec<Value> = guids[..4].iter().map(|guid| voucher_id(guid).into()).collect();
        mine.sort_by_key(Value::to_string);
        assert_eq!(found, mine, "{}", owner.database.name());

        let path = |guid: &Guid| format!("{PULL_ROOT}/{}/download", voucher_id(guid));
        assert_eq!(call!(&listener, get(&token, &path(&guids[4]))).await.0, 404, "another key's");
        assert_eq!(call!(&listener, get(&token, &format!("{PULL_ROOT}/zz/download"))).await.0, 400);
        let status = format!("{PULL_ROOT}/status/{}", guids[0]);
        assert_eq!(call!(&listener, get(&token, &status)).await.1["status"], "assigned");
        resale::cancel(&app, "tester", &guids[1]).await.unwrap();
        for _ in 0..2 {
            let answer = test::call_service(&listener, get(&token, &path(&guids[0])).to_request()).await;
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/x-fdo-voucher");
            let promised = answer.headers().get("x-fdo-checksum").unwrap().to_str().unwrap().to_owned();
            let length = answer.headers().get("content-length").map(|value| value.to_str().unwrap().to_owned());
            let body = test::read_body(answer).await;
            assert_eq!(fdo_service::transfer::checksum(&body), promised, "the same bytes again");
            assert!(length.is_none_or(|length| length == body.len().to_string()));
        }
        assert_eq!(call!(&listener, get(&token, &status)).await.1["status"], "downloaded");
        let (_, pending) = call!(&listener, get(&token, &format!("{PULL_ROOT}?status=pending"))).await;
        assert_eq!(pending["vouchers"].as_array().unwrap().len(), 2, "one is downloaded, one was called off");
        assert!(matches!(resale::cancel(&app, "tester", &guids[0]).await, Err(resale::Error::HandedOver(_))));
        assert_eq!(call!(&listener, get(&token, &path(&guids[1]))).await.0, 404, "called off");
    }
}

#[tokio::test]
async fn a_partners_proven_key_may_push_and_a_strangers_may_not() {
    for owner in Owner::on_all().await {
        let mut maker = Maker::new(9, KeyType::P256);
        owner.trust(&maker).await;
        let app = Arc::new(owner.app);
        let listener = listener!(app);
        let identity = Maker::new(10, KeyType::P384).key;
        partner(&app, "Maker", vec![identity.verifying_key().clone()]).await;
        let voucher = maker.sold("SN-1", app.keys.for_type(KeyType::P256).unwrap().verifying_key());
        let stranger = prove!(&listener, &app, PUSH_ROOT, &maker.key);
        let (status, answer) = call!(&listener, push(&stranger, &of(&voucher))).await;
        assert_eq!((status, &answer["error_code"]), (403, &json!("key_not_enrolled")));
        let token = prove!(&listener, &app, PUSH_ROOT, &identity);
        assert_eq!(call!(&listener, push(&token, &of(&voucher))).await.0, 200);
        let stored = vouchers::find_by_guid(&app.db, &voucher.guid()).await.unwrap().unwrap();
        assert_eq!(stored.state, VoucherState::Imported, "{}", owner.database.name());
    }
}

#[tokio::test]
async fn the_did_document_names_our_keys_and_both_roots() {
    let owner = Owner::on_all().await.remove(0);
    let app = Arc::new(owner.app);
    let listener = listener!(app);
    let (status, json) = call!(&listener, TestRequest::get().uri("/.well-known/did.json")).await;
    assert_eq!(status, 200);
    let bytes = serde_json::to_vec(&json).unwrap();
    let read = fdo_service::transfer::did::Document::parse(json["id"].as_str().unwrap(), &bytes).unwrap();
    assert_eq!(read, document(&app));
    assert_eq!(&read.keys[0], identity(&app).unwrap().verifying_key());
    assert_eq!(read.keys.len(), 2);
}

/// A holder that gives the same first page for ever, as some do, and offers what was never sold to us.
#[tokio::test]
async fn a_holder_that_never_ends_is_left_and_what_does_not_hold_is_not_taken() {
    use fdo_service::host::{Host, Listener, tls};
    let mut owner = Owner::on_all().await.remove(0);
    owner.app.settings.transfer.poll_seconds = 60;
    let mut maker = Maker::new(11, KeyType::P256);
    owner.trust(&maker).await;
    let clock = owner.clock.clone();
    let app = Arc::new(owner.app);
    let ours = app.keys.for_type(KeyType::P256).unwrap().verifying_key().clone();
    let good = maker.sold("SN-1", &ours);
    let foreign = maker.sold("SN-2", Maker::new(13, KeyType::P256).key.verifying_key());
    let swapped = maker.sold("SN-3", &ours);
    let broken = maker.sold("SN-4", &ours);
    let bodies: Arc<Vec<(String, Vec<u8>, String)>> = Arc::new(
        [(&good, &good), (&foreign, &foreign), (&swapped, &good)]
            .into_iter()
            .map(|(named, sent)| {
                let sum = fdo_service::transfer::checksum(sent.bytes());
                (voucher_id(&named.guid()), sent.bytes().to_vec(), sum)
            })
            .chain([(voucher_id(&broken.guid()), broken.bytes().to_vec(), format!("sha256:{}", "0".repeat(64)))])
            .collect(),
    );
    let folder = tempfile::tempdir().unwrap();
    let identity = Arc::new(Maker::new(12, KeyType::P256).key);
    let pem = identity.to_pkcs8_pem().unwrap();
    fdo_service::secret_file::write(&folder.path().join("tls-key.pem"), pem.as_bytes()).unwrap();
    let names = ["127.0.0.1".to_owned()];
    let (tls, der) = tls::self_signed_files(folder.path(), &names, NOW, &mut Random::system().rng()).unwrap();
    let pin = fdo_pki::Certificate::parse(&der).unwrap().spki_sha256();
    let limits = fdo_service::endpoint::Limits::new(&fdo_service::endpoint::LimitSettings::default());
    let (db, random) = (app.db.clone(), Random::system());
    let key_auth = Arc::new(KeyAuth::new(db, clock, random, limits, AadPolicy::default()));
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (counted, listed) = (asked.clone(), bodies.clone());
    let configure = move |cfg: &mut web::ServiceConfig| {
        let (auth, key) = (key_auth.clone(), identity.clone());
        let hello = move |body: web::Bytes| {
            let (auth, key) = (auth.clone(), key.clone());
            async move { auth.hello(&body, [127, 0, 0, 1].into(), &*key).await.unwrap() }
        };
        let auth = key_auth.clone();
        let prove = move |body: web::Bytes| {
            let auth = auth.clone();
            async move {
                let proven = auth.prove(&body, [127, 0, 0, 1].into()).await.unwrap();
                auth.issue(proven, None).await.unwrap()
            }
        };
        let (counted, listed) = (counted.clone(), listed.clone());
        let sent = listed.clone();
        let list = move || {
            let number = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let item = |(id, _, sum): &(String, Vec<u8>, String)| json!({ "voucher_id": id, "serial_number": "", "checksum": sum, "created_at": timestamp(NOW) });
            let vouchers: Vec<Value> = listed.iter().map(item).collect();
            let page = json!({ "vouchers": vouchers, "has_more": true, "continuation": number.to_string() });
            async move { web::Json(page) }
        };
        let download = move |id: web::Path<String>| {
            let found = sent.iter().find(|(named, ..)| *named == *id).map(|(_, bytes, _)| bytes.clone());
            async move { found.unwrap() }
        };
        cfg.route("/q/auth/hello", web::post().to(hello))
            .route("/q/auth/prove", web::post().to(prove))
            .route("/q/{id}/download", web::get().to(download))
            .route("/q", web::get().to(list));
    };
    let listener = Listener::device("holder", "127.0.0.1:0", configure).tls(tls).workers(1);
    let host = Host::new().start(vec![listener]).await.unwrap();
    let pull_root = Some(format!("https://{}/q", host.address("holder").unwrap()));
    let new = NewPartner { name: "Holder".into(), tls_pin: Some(pin), pull_root, ..NewPartner::default() };
    app.partners.add("tester", new).await.unwrap();

    let supplier = pull::supplier(&app, "Holder").await.unwrap();
    let pulled = pull::pull(&app, &supplier).await.unwrap();
    assert_eq!(pulled.imported, [good.guid()], "{:?}", pulled.refused);
    // Twice, once with each of our keys; the good one is not our P-384 key's.
    assert!(asked.load(std::sync::atomic::Ordering::SeqCst) <= 4, "it is left");
    for refused in [&foreign, &swapped, &broken] {
        assert!(pulled.refused.iter().any(|(id, _)| *id == voucher_id(&refused.guid())), "{:?}", pulled.refused);
        assert!(vouchers::find_by_guid(&app.db, &refused.guid()).await.unwrap().is_none());
    }
    let again = pull::pull(&app, &supplier).await.unwrap();
    assert!(again.imported.is_empty() && again.known > 0);
    assert_eq!(audited(&app, "voucher.pull").await, 1);

    host.kill().await;
    assert!(pull::pull(&app, &supplier).await.is_err());
    let stranger = pull::supplier(&app, "https://nobody.example").await;
    assert!(matches!(stranger, Err(Error::UnknownSupplier(_))));
}
