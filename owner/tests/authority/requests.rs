//! Requests that wait: approved by an operator, carried to an outside CA by hand, or forwarded to it by EST.

use fdo_owner::ca::authorities::external::{Connection, Est};
use fdo_owner::ca::profiles::{self, Approval, Profile};
use fdo_owner::ca::requests::{EnrollmentRequest, RequestState};
use fdo_owner::ca::{self, Error as Refused, Granted, Origin, Reason};
use fdo_owner::enrollment::external::{self, Error};
use fdo_pki::{Certificate, Csr, LdevidProfile, LdevidSubject, pem};
use fdo_protocol::Guid;
use fdo_protocol::crypto::SigningKey;

use crate::company::{Company, EstServer, Script};
use crate::world::{NOW, World, issued};

fn waiting(granted: Granted) -> String {
    let Granted::Pending { request, .. } = granted else { panic!("it does not wait") };
    request
}

fn text(certificates: &[&Certificate]) -> String {
    let all: Vec<&[u8]> = certificates.iter().map(|certificate| certificate.der()).collect();
    pem::encode_certificates(&all).unwrap()
}

async fn state(world: &World, id: &str) -> EnrollmentRequest {
    external::find(&world.app, id).await.unwrap()
}

#[tokio::test]
async fn our_own_ca_waits_for_an_operator_where_the_profile_says_so() {
    for world in World::all().await {
        let app = &world.app;
        let manual = Profile { name: "manual".into(), approval: Approval::Manual, ..Profile::default() };
        profiles::put(app, "test", &manual).await.unwrap();
        assert!(!app.ca.answers_at_once("manual") && app.ca.answers_at_once("ldevid"));
        let key = world.key();
        let id = waiting(world.ask(app, "manual", &key, None).await.unwrap());
        assert_eq!(
            waiting(world.ask(app, "manual", &key, None).await.unwrap()),
            id,
            "the same request, the same answer"
        );
        assert_eq!(state(&world, &id).await.state, RequestState::Requested);
        assert!(matches!(external::upload(app, "test", &id, "nothing").await, Err(Error::OwnCa(_))));

        let approved = external::approve(app, "test", &id).await.unwrap();
        assert_eq!(approved.state, RequestState::Issued);
        let certificate = issued(world.ask(app, "manual", &key, None).await.unwrap());
        assert_eq!(approved.certificate.as_deref(), Some(certificate.serial()));
        certificate.verify_signed_by(app.ca.active().certificate()).unwrap();
        assert!(matches!(external::approve(app, "test", &id).await, Err(Error::State { .. })));
        // The key is taken, by this device and for everybody else.
        let stranger = world.ask_as(app, "d2", "manual", &key, None).await;
        assert!(matches!(stranger, Err(Refused::KeySeen)));
        // A revoked certificate is not handed out again.
        ca::revoke(&app.db, certificate.serial(), Reason::KeyCompromise, NOW).await.unwrap();
        assert!(matches!(world.ask(app, "manual", &key, None).await, Err(Refused::KeySeen)));

        let second = world.key();
        let id = waiting(world.ask(app, "manual", &second, None).await.unwrap());
        external::refuse(app, "test", &id, "not this one").await.unwrap();
        let told = world.ask(app, "manual", &second, None).await.unwrap_err();
        assert!(told.to_string().contains("not this one"));
        // Another request of the same device takes the place of one that waits.
        let (lost, kept) = (world.key(), world.key());
        let lost = waiting(world.ask(app, "manual", &lost, None).await.unwrap());
        let kept = waiting(world.ask(app, "manual", &kept, None).await.unwrap());
        assert_eq!(state(&world, &lost).await.state, RequestState::Refused);
        assert_eq!(state(&world, &kept).await.state, RequestState::Requested);
    }
}

#[tokio::test]
async fn what_is_asked_in_a_to2_waits_for_its_end() {
    for world in World::all().await {
        let app = &world.app;
        let manual = Profile { name: "manual".into(), approval: Approval::Manual, ..Profile::default() };
        profiles::put(app, "test", &manual).await.unwrap();
        let key = world.key();
        let session = |session| Origin::To2 { session, pending_until: NOW + 900 };
        let id = waiting(world.ask_in(app, "manual", &key, session("s1")).await.unwrap());
        assert!(matches!(external::approve(app, "test", &id).await, Err(Error::Unconfirmed(_))));
        ca::abandon(&app.db, "s1", NOW).await.unwrap();
        assert!(matches!(external::find(app, &id).await, Err(Error::NotFound(_))));
        let id = waiting(world.ask_in(app, "manual", &key, session("s2")).await.unwrap());
        assert_eq!(ca::confirm(&app.db, "s2").await.unwrap(), Some(Vec::new()));
        external::approve(app, "test", &id).await.unwrap();
        issued(world.ask(app, "manual", &key, None).await.unwrap());
        // The device leaves the fleet: what it still asks for is refused.
        let other = world.key();
        let id = waiting(world.ask(app, "manual", &other, None).await.unwrap());
        ca::revoke_device(&app.db, "d1", None, Reason::CessationOfOperation, NOW).await.unwrap();
        assert_eq!(state(&world, &id).await.state, RequestState::Refused);
    }
}

/// What the outside CA signs for a request, for this serial number and GUID.
fn signed(
    world: &World,
    company: &Company,
    key: &SigningKey,
    serial: &str,
    guid: [u8; 16],
    days: u64,
) -> Certificate {
    let csr = Csr::parse(&world.csr(key)).unwrap().verify().unwrap();
    let device = LdevidSubject {
        serial: Some(fdo_pki::DeviceSerial::parse(serial).unwrap()),
        ..LdevidSubject::new(Guid::from_bytes(guid))
    };
    let profile = LdevidProfile { validity_seconds: days * 86_400, ..LdevidProfile::default() };
    company.sign(&profile, &csr, &device)
}

async fn outside(world: &World, company: &Company, connection: Connection) -> Profile {
    let chain = [company.issuing.clone(), company.root.clone()];
    ca::authorities::external::set(&world.app, "test", "acme", &chain, &connection).await.unwrap();
    let profile = Profile { name: "acme".into(), authority: Some("acme".into()), ..Profile::default() };
    profiles::put(&world.app, "test", &profile).await.unwrap();
    profile
}

#[tokio::test]
async fn an_operator_carries_requests_to_the_companys_ca_and_only_what_fits_comes_back() {
    for world in World::all().await {
        let app = &world.app;
        let company = Company::new(&world.random);
        outside(&world, &company, Connection::Manual).await;
        let trusted = app.ca.trusted_certificates();
        assert!(trusted.iter().any(|known| known.der() == company.root.der()), "devices get its root, too");
        let key = world.key();
        let id = waiting(world.ask(app, "acme", &key, None).await.unwrap());
        assert_eq!(state(&world, &id).await.state, RequestState::Approved);

        let own = [1; 16];
        let good = signed(&world, &company, &key, "SN-1", own, 90);
        let elsewhere = Company::new(&world.random);
        for (wrong, certificate) in [
            ("another key", signed(&world, &company, &world.key(), "SN-1", own, 90)),
            ("another device", signed(&world, &company, &key, "SN-2", own, 90)),
            ("another device", signed(&world, &company, &key, "SN-1", [2; 16], 90)),
            ("another CA", signed(&world, &elsewhere, &key, "SN-1", own, 90)),
            ("longer", signed(&world, &company, &key, "SN-1", own, 120)),
        ] {
            let refused = external::upload(app, "test", &id, &text(&[&certificate])).await;
            assert!(
                refused.as_ref().is_err_and(|error| error.to_string().contains(wrong)),
                "{wrong}: {refused:?}"
            );
        }
        let with_key = text(&[&good]) + &key.to_pkcs8_pem().unwrap();
        let refused = external::upload(app, "test", &id, &with_key).await.unwrap_err();
        assert!(refused.to_string().contains("private key"));
        assert!(ca::newest_of_device(&app.db, "d1").await.unwrap().is_none(), "nothing was taken");
        assert_eq!(state(&world, &id).await.state, RequestState::Approved);

        external::upload(app, "test", &id, &text(&[&good, &company.issuing])).await.unwrap();
        let certificate = issued(world.ask(app, "acme", &key, None).await.unwrap());
        assert_eq!(certificate.der(), good.der());
        let row = ca::find(&app.db, good.serial()).await.unwrap().unwrap();
        assert_eq!(
            (row.authority.as_str(), row.origin.as_str(), row.profile.as_str()),
            ("acme", "upload", "acme")
        );
        let again = external::upload(app, "test", &id, &text(&[&good])).await;
        assert!(matches!(again, Err(Error::State { .. })));
        // A CA that a profile names, or that certificates hold of, stays.
        let retired = ca::authorities::rollover::retire(app, "test", "acme", false).await;
        assert!(retired.unwrap_err().to_string().contains("profile"));
    }
}

fn est(server: &EstServer) -> Connection {
    Connection::Est(Est {
        url: server.url.clone(),
        server_ca: server.tls_ca.clone(),
        username: Some("ra".into()),
        password: EstServer::password(),
        client_certificate: None,
        client_key: None,
    })
}

#[tokio::test]
async fn an_approved_request_is_forwarded_waits_and_is_fetched() {
    for world in World::all_allowing("loopback").await {
        let app = &world.app;
        let company = Company::new(&world.random);
        let key = world.key();
        let good = signed(&world, &company, &key, "SN-1", [1; 16], 90);
        let server = EstServer::start(
            &company,
            vec![
                Script::Status(503, None),
                Script::Status(202, Some(400)),
                Script::Certificates(vec![good.clone()]),
            ],
        );
        outside(&world, &company, est(&server)).await;
        let id = waiting(world.ask(app, "acme", &key, None).await.unwrap());

        external::run_due(app).await.unwrap();
        let failed = state(&world, &id).await;
        assert_eq!((failed.state, failed.attempts), (RequestState::Approved, 1));
        assert!(failed.reason.unwrap().contains("503"));
        external::run_due(app).await.unwrap();
        assert_eq!(state(&world, &id).await.attempts, 1, "not before its pause has passed");
        world.clock.advance(30);
        external::run_due(app).await.unwrap();
        let later = state(&world, &id).await;
        assert_eq!((later.state, later.next_attempt), (RequestState::Forwarded, Some(NOW + 430)));
        // The service is killed here and another replica goes on.
        world.clock.advance(400);
        world.other.ca.reload(&world.other.db).await.unwrap();
        external::run_due(&world.other).await.unwrap();
        assert_eq!(state(&world, &id).await.state, RequestState::Issued);
        assert_eq!(issued(world.ask(app, "acme", &key, None).await.unwrap()).der(), good.der());
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        let posted = &seen[0];
        assert!(posted.starts_with("POST /.well-known/est/simpleenroll HTTP/1.1"), "{posted}");
        assert!(posted.contains("authorization: Basic cmE6czNjcmV0"), "{posted}");
        assert!(posted.contains(&fdo_pki::encode_base64(&world.csr(&key))), "{posted}");
    }
}

#[tokio::test]
async fn what_the_outside_ca_refuses_or_gets_wrong_ends_there() {
    let world = World::all_allowing("loopback").await.remove(0);
    let app = &world.app;
    let company = Company::new(&world.random);
    let (first, second) = (world.key(), world.key());
    let wrong = signed(&world, &company, &second, "SN-9", [1; 16], 90);
    let server = EstServer::start(&company, vec![Script::Status(400, None), Script::Certificates(vec![wrong])]);
    outside(&world, &company, est(&server)).await;
    let refused = waiting(world.ask(app, "acme", &first, None).await.unwrap());
    external::run_due(app).await.unwrap();
    let refused = state(&world, &refused).await;
    assert_eq!(refused.state, RequestState::Refused);
    assert!(refused.reason.unwrap().contains("said the script"));
    assert!(matches!(world.ask(app, "acme", &first, None).await, Err(Refused::Refused(_))));
    let mixed_up = waiting(world.ask(app, "acme", &second, None).await.unwrap());
    external::run_due(app).await.unwrap();
    assert!(state(&world, &mixed_up).await.reason.unwrap().contains("another device"));
    assert!(ca::newest_of_device(&app.db, "d1").await.unwrap().is_none());
}

#[tokio::test]
async fn an_inner_address_is_not_called_unless_it_is_allowed() {
    let world = World::all().await.remove(0);
    let company = Company::new(&world.random);
    let server = EstServer::start(&company, vec![Script::Status(500, None)]);
    outside(&world, &company, est(&server)).await;
    let key = world.key();
    let id = waiting(world.ask(&world.app, "acme", &key, None).await.unwrap());
    external::run_due(&world.app).await.unwrap();
    assert!(state(&world, &id).await.reason.unwrap().contains("outbound_allow"));
    assert!(server.seen().is_empty());
}
