//! Devices that run as daemons beside the test, and what the public sees of their certificates.

use std::time::Duration;

use fdo_device::est::http::HttpEst;
use fdo_device::renewal::{DaemonError, Renewer};
use fdo_device::store::RenewalStatus;
use fdo_device::{Agent, HttpTransport, Onboarded};
use fdo_pki::Certificate;
use fdo_protocol::crypto::KeyType;
use fdo_service::host::clock::Clock;
use fdo_tests::world::{World, WorldSettings, onboard};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A world by the system's clock.
pub async fn real_time() -> World {
    let world = World::with(WorldSettings { clock: Some(Clock::system()), ..WorldSettings::default() }).await;
    world.enrol().await;
    world
}

/// How long certificates live from now on.
pub async fn life_of(world: &World, seconds: u64) {
    let profile = json!({ "validity_seconds": seconds });
    let set: Value = world.owner_api.put("/api/v1/profiles/ldevid", &profile).await.unwrap();
    assert_eq!(set["validity_seconds"], seconds, "{set}");
}

/// A device whose daemon runs.
pub struct Member {
    pub serial: String,
    renewer: Renewer<HttpTransport, HttpEst>,
    stop: oneshot::Sender<()>,
    daemon: JoinHandle<Result<(), DaemonError>>,
}

impl Member {
    /// Born, sold and onboarded, and renewing from now on.
    pub async fn onboarded(world: &World, serial: &str) -> Self {
        let agent = world.sold_device(serial, KeyType::P256).await;
        let onboarded = onboard(&agent).await.unwrap();
        assert!(matches!(onboarded, Onboarded::Now { .. }), "{onboarded:?}");
        Self::start(serial, agent)
    }

    fn start(serial: &str, agent: Agent<HttpTransport>) -> Self {
        let renewer = Renewer { agent, est: HttpEst };
        let (stop, stopped) = oneshot::channel::<()>();
        let runs = renewer.clone();
        let daemon = tokio::spawn(async move {
            let until = async move {
                let _ = stopped.await;
            };
            runs.run(until).await
        });
        Self { serial: serial.to_owned(), renewer, stop, daemon }
    }

    pub fn status(&self) -> RenewalStatus {
        self.renewer.agent.store.renewal_status()
    }

    pub fn renewals(&self) -> u64 {
        self.status().renewals
    }

    /// The certificate of a pair that works.
    pub fn ldevid(&self) -> Certificate {
        // Key and certificate are read one after the other, and a renewal may come between.
        let pair = (0..10).find_map(|_| self.renewer.agent.store.ldevid_pair());
        pair.expect("a pair that works").certificate
    }

    /// As SIGTERM does.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(Duration::from_secs(60), self.daemon).await;
        ended.expect("it stops").unwrap().unwrap();
    }
}

/// The CRL and OCSP say it to everybody, in the form of `openssl`.
pub async fn assert_revoked_in_public(world: &World, certificate: &Certificate) {
    let folder = world.directory.path();
    let pem = |der: &[u8]| fdo_pki::pem::encode_certificates(&[der]).unwrap();
    let authorities = world.owner.as_ref().unwrap().app.ca.chain_der();
    let all: String = authorities.iter().map(|der| pem(der)).collect();
    std::fs::write(folder.join("ca.pem"), &all).unwrap();
    std::fs::write(folder.join("issuing.pem"), pem(&authorities[0])).unwrap();
    std::fs::write(folder.join("revoked.pem"), pem(certificate.der())).unwrap();
    let status = world.owner_config.status.public_url.clone().unwrap();
    let run = |arguments: Vec<String>| {
        let output = std::process::Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    };
    let words = |line: &str| line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let crl = format!("{status}/crl/issuing.crl");
    loop {
        let asked = format!("ocsp -issuer issuing.pem -cert revoked.pem -url {status}/ocsp -CAfile ca.pem");
        let said = run(words(&asked));
        let list = reqwest::get(&crl).await.unwrap().bytes().await.unwrap();
        std::fs::write(folder.join("all.crl"), &list).unwrap();
        let listed = run(words("crl -inform DER -in all.crl -noout -text -CAfile ca.pem"));
        let serial = certificate.serial().to_ascii_uppercase();
        if said.contains("revoked.pem: revoked") && listed.contains(&serial) {
            assert!(said.contains("Response verify OK"), "{said}");
            assert!(listed.contains("verify OK"), "{listed}");
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{serial}\n{said}\n{listed}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
