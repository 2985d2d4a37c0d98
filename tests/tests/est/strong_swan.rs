//! strongSwan's `pki`: it reads base64 on one line only, and answers with their length.

use fdo_tests::pki_tools::find;

use crate::fleet::{Fleet, SERIAL};

#[tokio::test(flavor = "multi_thread")]
async fn strong_swan_fetches_the_ca_enrols_and_renews() {
    let (Some(_), Some(_), Some(sh)) = (find("pki"), find("openssl"), find("sh")) else { return };
    let fleet = Fleet::new().await;
    let url = &fleet.url;
    let run = |line: &str| {
        let (went_well, said) = sh.run_with(fleet.folder(), &["-c", &format!("set -e; {line}")]);
        assert!(went_well, "{said}");
        said
    };
    run(&format!("pki --estca --url {url} --cacert root.pem --caout ca.der --force"));
    run("pki --gen --type ecdsa --size 256 --outform pem > one.key");
    run(&format!("pki --req --type priv --in one.key --dn 'serialNumber={SERIAL}' --outform der > one.der"));
    let est = format!("pki --est --url {url} --cacert root.pem");
    run(&format!("{est} --in one.der --cert idevid.pem --key idevid.key --outform pem > one.pem"));
    assert_eq!(fleet.certificate("one.pem").subject_serial_number(), Some(SERIAL));
    assert_eq!(fleet.issued("one.pem").await["origin"], "est");

    // With a client certificate `pki` asks for renewal where there is one of the CA's.
    run("pki --gen --type ecdsa --size 256 --outform pem > two.key");
    run("pki --req --type priv --in two.key --oldreq one.der --outform der > two.der");
    run(&format!("{est} --in two.der --cert one.pem --key one.key --outform pem > two.pem"));
    assert_eq!(fleet.certificate("two.pem").subject(), fleet.certificate("one.pem").subject());
    run("pki --verify --in two.pem --cacert root.pem $(for ca in ca*.der; do echo --cacert $ca; done)");

    fleet.block().await;
    let (went_well, said) =
        sh.run_with(fleet.folder(), &["-c", &format!("{est} --in two.der --cert two.pem --key two.key")]);
    assert!(!went_well, "{said}");
    assert_eq!(fleet.said().await["detail"], "The device is blocked here.");
    fleet.world.stop().await;
}
