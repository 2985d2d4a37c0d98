//! The listener's own certificate: of this owner's CA, recorded, renewed in time without a restart, or the operator's.

use fdo_owner::ca::State;
use fdo_owner::enrollment::est::listener;
use fdo_pki::Certificate;
use reqwest::tls::TlsInfo;

use crate::client::Fleet;
use crate::world::NOW;

async fn shown(fleet: &Fleet) -> Certificate {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true)
        .build()
        .unwrap();
    let response = client.get(fleet.url("cacerts")).send().await.unwrap();
    let info = response.extensions().get::<TlsInfo>().unwrap();
    Certificate::parse(info.peer_certificate().unwrap()).unwrap()
}

#[tokio::test]
async fn it_is_issued_by_our_ca_and_renewed_while_the_listener_serves() {
    let fleet = Fleet::new().await;
    let app = &fleet.world.app;
    let first = shown(&fleet).await;
    first.verify_signed_by(app.ca.active().certificate()).unwrap();
    let row = fdo_owner::ca::find(&app.db, first.serial()).await.unwrap().unwrap();
    assert_eq!((row.state, row.profile.as_str(), row.device_id.as_str()), (State::Issued, "server", ""));
    assert!(fdo_pki::names_exactly(&first, &app.settings.est.server_names()).unwrap());
    // Nothing is due: a restart would show the same.
    listener::renew(app).await.unwrap();
    assert_eq!(shown(&fleet).await.serial(), first.serial());
    fleet.world.clock.set(NOW + 60 * 86_400);
    listener::renew(app).await.unwrap();
    let second = shown(&fleet).await;
    assert_ne!(second.serial(), first.serial());
    assert!(second.not_after() > first.not_after());
    // A holder of the listener's certificate is no device.
    let pem = std::fs::read_to_string(app.data_dir.join("est/key.pem")).unwrap();
    let key = fdo_protocol::crypto::SigningKey::from_pem(&pem).unwrap();
    let server = crate::client::Pair { certificate: second, key };
    let (_, csr) = fleet.renewal(&server);
    fleet.refused(Some(&server), "simplereenroll", &csr, 403, "belongs to no device here").await;
    fleet.running.stop().await;
}

#[tokio::test]
async fn an_operators_own_certificate_is_shown_and_a_new_file_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let random = fdo_service::host::random::Random::seeded(9);
    let write = |years: u32| {
        let rng = &mut random.rng();
        let signing =
            fdo_protocol::crypto::SigningKey::generate(fdo_protocol::crypto::KeyType::P256, rng).unwrap();
        let names = [fdo_pki::ServerName::Dns("est.example".into())];
        let life = fdo_pki::Lifetime::years(years);
        let issued = fdo_pki::make_tls_server("est", &names, &signing, life, NOW, rng).unwrap();
        std::fs::write(&certificate, fdo_pki::pem::encode_certificates(&[issued.der()]).unwrap()).unwrap();
        fdo_service::secret_file::write(&key, signing.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
        issued.serial().to_string()
    };
    let first = write(1);
    let (chain, private) = (certificate.clone(), key.clone());
    let fleet = Fleet::with(move |config| {
        config.est.certificate = Some(chain);
        config.est.key = Some(private);
    })
    .await;
    assert_eq!(shown(&fleet).await.serial(), first);
    let second = write(2);
    fleet.world.clock.advance(60);
    listener::renew(&fleet.world.app).await.unwrap();
    assert_eq!(shown(&fleet).await.serial(), second);
    // A broken file changes nothing.
    std::fs::write(&certificate, "broken").unwrap();
    fleet.world.clock.advance(60);
    listener::renew(&fleet.world.app).await.unwrap_err();
    assert_eq!(shown(&fleet).await.serial(), second);
    fleet.running.stop().await;
}
