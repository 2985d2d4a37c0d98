//! BouncyCastle's EST client, driven by a small program of ours.

use std::path::Path;

use fdo_tests::pki_tools::find;

use crate::fleet::{Fleet, SERIAL};

const JARS: &str = "/usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar";

#[tokio::test(flavor = "multi_thread")]
async fn bouncy_castle_reads_the_attributes_enrols_and_renews() {
    let Some(java) = find("java") else { return };
    let missing = JARS.split(':').find(|jar| !Path::new(jar).is_file());
    if let Some(jar) = missing {
        let required = std::env::var("FDO_REQUIRE_PKI_TOOLS").is_ok_and(|value| value == "1");
        assert!(!required, "FDO_REQUIRE_PKI_TOOLS=1, but {jar} is missing");
        return;
    }
    let fleet = Fleet::new().await;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/est/Est.java");
    let run = |arguments: &[&str]| {
        let server = fleet.url.trim_start_matches("https://");
        let start = ["-cp", JARS, program.to_str().unwrap(), server, "root.pem"];
        java.run_with(fleet.folder(), &[&start, arguments].concat())
    };
    let done = |arguments: &[&str]| {
        let (went_well, said) = run(arguments);
        assert!(went_well, "{said}");
        said
    };
    let said = done(&["-", "idevid", "enroll", "one", SERIAL]);
    assert!(said.contains("ca certificates: 2"), "{said}");
    assert!(said.contains("attributes: 1.2.840.10045.2.1"), "{said}");
    assert_eq!(fleet.certificate("one.pem").subject_serial_number(), Some(SERIAL));
    done(&["ldevid", "one", "reenroll", "two", ""]);
    assert_eq!(fleet.certificate("two.pem").subject(), fleet.certificate("one.pem").subject());
    assert_eq!(fleet.issued("two.pem").await["replaces"], fleet.certificate("one.pem").serial());
    fleet.block().await;
    let (went_well, said) = run(&["-", "two", "reenroll", "three", ""]);
    assert!(!went_well && said.contains("403"), "{said}");
    assert_eq!(fleet.said().await["detail"], "The device is blocked here.");
    fleet.world.stop().await;
}
