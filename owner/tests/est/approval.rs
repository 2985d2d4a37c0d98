//! The story of a request that waits: TO2 ends without an LDevID, and the device fetches it later by EST with its IDevID.

use fdo_owner::ca::profiles::{self, Approval, Profile};
use fdo_owner::enrollment::external;
use fdo_owner::onboarding::Outcome;
use fdo_service::cli::ApiClient;
use serde_json::Value;

use crate::client::{Fleet, Pair, asking};
use crate::device::{Manner, onboard};
use crate::world::SERIAL;

/// The id and the state of each request, as operators see them.
async fn requests(fleet: &Fleet) -> Vec<(String, String)> {
    let token = std::fs::read_to_string(fleet.world.app.data_dir.join("operator-token")).unwrap();
    let address = fleet.running.address("operator").unwrap();
    let api = ApiClient::new(&format!("http://{address}"), Some(token.trim())).unwrap();
    let all: Vec<Value> = api.pages("/api/v1/requests").await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.iter().map(|request| (text(&request["id"]), text(&request["state"]))).collect()
}

#[tokio::test]
async fn a_request_that_waits_ends_to2_without_a_certificate_and_is_fetched_by_est() {
    let fleet = Fleet::new().await;
    let (world, app) = (&fleet.world, &fleet.world.app);
    let manual = Profile { approval: Approval::Manual, ..Profile::default() };
    profiles::put(app, "test", &manual).await.unwrap();
    app.ca.reload(&app.db).await.unwrap();

    let (born, key) = (world.device().await, fleet.key());
    let csr = asking(&key, None, SERIAL);
    let manner = Manner { csr: Some(csr.clone()), ..Manner::new(world) };
    let (next, received) = onboard(world, &born, &manner).await.unwrap();
    assert!(received.certificates.is_empty());
    let run = &world.runs(&next.guid()).await[0];
    assert_eq!(run.outcome, Some(Outcome::OnboardedWithoutCertificate));

    // The same request by EST, with the IDevID: not yet, and not a second time.
    let der = next.voucher.certificates().unwrap()[0].to_vec();
    let idevid = Pair { certificate: fdo_pki::Certificate::parse(&der).unwrap(), key: next.key.clone() };
    let before = world.certificates().await;
    for _ in 0..2 {
        let answer = fleet.post(Some(&idevid), "simpleenroll", &csr).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    assert_eq!(world.certificates().await, before);
    let requests = requests(&fleet).await;
    assert_eq!((requests.len(), requests[0].1.as_str()), (1, "requested"), "one request, asked three times");

    external::approve(app, "test", &requests[0].0).await.unwrap();
    let certificate = fleet.post(Some(&idevid), "simpleenroll", &csr).await.certificate();
    assert_eq!(certificate.uris(), [format!("urn:uuid:{}", next.guid())]);
    let known = world.known(&next.guid()).await;
    assert_eq!(known.certificate.as_deref(), Some(certificate.serial()));
    let ldevid = Pair { certificate, key };
    assert_eq!(fleet.row(&ldevid).await.origin, "est");

    // A renewal waits as well, and is told when an operator says no.
    let (_, renewal) = fleet.renewal(&ldevid);
    assert_eq!(fleet.post(Some(&ldevid), "simplereenroll", &renewal).await.status, 202);
    let (open, _) = self::requests(&fleet).await.into_iter().find(|(_, state)| state == "requested").unwrap();
    external::refuse(app, "test", &open, "out of warranty").await.unwrap();
    fleet.refused(Some(&ldevid), "simplereenroll", &renewal, 403, "out of warranty").await;
    fleet.running.stop().await;
}
