//! What works: renewal and enrolment, the same again after a lost answer, what the owner keeps of it.

use fdo_owner::ca::State;
use fdo_pki::Certificate;
use fdo_service::operators::audit;

use crate::client::{Fleet, Pair, asking};
use crate::world::{NOW, SERIAL};

#[tokio::test]
async fn a_certificate_renews_and_the_same_request_gets_the_same_answer() {
    let fleet = Fleet::new().await;
    let (key, csr) = fleet.renewal(&fleet.ldevid);
    let first = fleet.post(Some(&fleet.ldevid), "simplereenroll", &csr).await;
    let certificate = first.certificate();
    assert_eq!(first.header("content-type"), "application/pkcs7-mime; smime-type=certs-only");
    assert_eq!(first.header("content-length"), first.body.len().to_string());
    assert!(!first.body.contains('\n'), "one line");
    certificate.verify_signed_by(fleet.world.app.ca.active().certificate()).unwrap();
    assert_eq!(certificate.subject(), fleet.ldevid.certificate.subject());
    assert_eq!(certificate.uris(), fleet.ldevid.certificate.uris());
    let again = fleet.post(Some(&fleet.ldevid), "simplereenroll", &csr).await;
    assert_eq!(again.body, first.body);

    let renewed = Pair { certificate, key };
    let row = fleet.row(&renewed).await;
    assert_eq!((row.state, row.confirmed, row.origin.as_str()), (State::Issued, true, "est"));
    assert_eq!(row.replaces.as_deref(), Some(fleet.ldevid.certificate.serial()));
    assert_eq!(fleet.row(&fleet.ldevid).await.state, State::Issued, "the old one keeps its validity");
    let known = fleet.world.known(&fleet.born.guid()).await;
    assert_eq!(known.certificate.as_deref(), Some(renewed.certificate.serial()));
    assert_eq!(known.certificate_expires, Some(renewed.certificate.not_after()));
    let entries = fleet.audit().await;
    let of_est = |entry: &&audit::Entry| entry.actor == "est";
    let said: Vec<_> = entries.iter().filter(of_est).collect();
    assert_eq!(said.len(), 1, "asked twice, issued once");
    assert_eq!((said[0].action.as_str(), said[0].outcome.as_str()), ("certificate.renew", "success"));
    assert_eq!(said[0].subject, fleet.born.guid().to_string());
    assert!(said[0].detail.contains(renewed.certificate.serial()), "{}", said[0].detail);
    assert_eq!(audit::verify(&fleet.world.app.db).await.unwrap(), None);

    // On and on; an answer that is asked for once more changes nothing of what came after it.
    fleet.world.clock.advance(60);
    let newest = fleet.renew(&renewed).await;
    assert_eq!(fleet.post(Some(&fleet.ldevid), "simplereenroll", &csr).await.body, first.body);
    let known = fleet.world.known(&fleet.born.guid()).await;
    assert_eq!(known.certificate.as_deref(), Some(newest.certificate.serial()));
    fleet.running.stop().await;
}

#[tokio::test]
async fn an_idevid_enrols_and_so_does_a_certificate_of_ours() {
    let fleet = Fleet::new().await;
    let guid = fleet.born.guid().to_string();
    for (pair, serial) in [(fleet.idevid(), SERIAL), (fleet.ldevid.clone(), guid.as_str())] {
        let key = fleet.key();
        let answer = fleet.post(Some(&pair), "simpleenroll", &asking(&key, Some("anything"), serial)).await;
        let certificate = answer.certificate();
        assert_eq!(certificate.subject_serial_number(), Some(SERIAL), "by the record");
        assert_eq!(certificate.common_name(), None);
        assert_eq!(certificate.uris(), [format!("urn:uuid:{guid}")]);
        let issued = Pair { certificate, key };
        assert_eq!(fleet.row(&issued).await.replaces, None);
        let labelled = fleet.renew_at(&issued, "ldevid/simplereenroll").await;
        labelled.verify_signed_by(fleet.world.app.ca.active().certificate()).unwrap();
    }
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_device_that_was_off_for_long_renews_within_the_grace_and_then_enrols_by_its_idevid() {
    let fleet = Fleet::with(|config| config.est.expired_grace_seconds = 1_000).await;
    let end = fleet.ldevid.certificate.not_after();
    fleet.world.clock.set(end + 1_000);
    let renewed = fleet.renew(&fleet.ldevid).await;
    // Now it is not the newest any more.
    let (_, csr) = fleet.renewal(&fleet.ldevid);
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &csr, 403, "not the device's newest").await;
    fleet.world.clock.set(renewed.certificate.not_after() + 1_001);
    let (_, csr) = fleet.renewal(&renewed);
    fleet.refused(Some(&renewed), "simplereenroll", &csr, 403, "use the device's IDevID").await;
    let key = fleet.key();
    let answer = fleet.post(Some(&fleet.idevid()), "simpleenroll", &asking(&key, None, SERIAL)).await;
    assert!(answer.certificate().not_after() > fleet.world.clock.now());
    fleet.running.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_revoked_when_its_successor_is_used_where_that_is_wanted() {
    let fleet = Fleet::with(|config| config.est.revoke_on_renew = true).await;
    let renewed = fleet.renew(&fleet.ldevid).await;
    assert_eq!(fleet.row(&fleet.ldevid).await.state, State::Issued, "not before the new one works");
    let newest = fleet.renew(&renewed).await;
    let old = fleet.row(&fleet.ldevid).await;
    assert_eq!((old.state, old.reason.as_deref()), (State::Revoked, Some("superseded")));
    assert_eq!(fleet.row(&renewed).await.state, State::Issued);
    assert_eq!(fleet.row(&newest).await.state, State::Issued);
    fleet.running.stop().await;
}

#[tokio::test]
async fn renewal_before_its_time_is_refused_where_that_is_wanted() {
    let fleet = Fleet::with(|config| config.est.refuse_early = true).await;
    let (_, csr) = fleet.renewal(&fleet.ldevid);
    fleet.refused(Some(&fleet.ldevid), "simplereenroll", &csr, 403, "may be renewed from").await;
    let certificate = &fleet.ldevid.certificate;
    let life = certificate.not_after() - certificate.not_before();
    fleet.world.clock.set(certificate.not_before() + life / 100 * 66);
    fleet.renew(&fleet.ldevid).await;
    assert!(fleet.world.clock.now() > NOW);
    fleet.running.stop().await;
}

impl Fleet {
    async fn renew_at(&self, pair: &Pair, path: &str) -> Certificate {
        let (_, csr) = self.renewal(pair);
        self.post(Some(pair), path, &csr).await.certificate()
    }
}
