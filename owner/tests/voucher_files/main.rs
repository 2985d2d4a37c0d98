//! Files of vouchers, by the command line as people use it: every form that others write, one or ten thousand.
#![allow(clippy::unwrap_used)]

mod maker;
#[path = "../to2/world.rs"]
#[allow(dead_code)] // TO2's tests use the rest
mod world;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use fdo_owner::app::Running;
use fdo_owner::vouchers::{self, State};
use fdo_protocol::crypto::KeyType;
use fdo_protocol::voucher::VerifiedVoucher;
use serde_json::Value;

use maker::Maker;
use world::World;

/// `fdo-owner .. --json` against the owner of this test: how it ended, what it printed.
async fn run(world: &World, running: &Running, arguments: &[&str]) -> (bool, Value, String) {
    let api = format!("http://{}", running.address("operator").unwrap());
    let data_dir = world.app.data_dir.to_str().unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_fdo-owner"));
    command.args(arguments).args(["--json", "--api", &api, "--data-dir", data_dir]);
    let done = command.output().await.unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    (done.status.success(), serde_json::from_slice(&done.stdout).unwrap_or(Value::Null), told)
}

fn maker(world: &World) -> Maker {
    Maker::new(70, world.app.keys.for_type(KeyType::P256).unwrap().verifying_key().clone())
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), content).unwrap();
}

fn counts(report: &Value) -> [u64; 5] {
    ["imported", "extended", "unchanged", "refused", "skipped"].map(|name| report[name].as_u64().unwrap())
}

/// What became of the vouchers of a file.
fn statuses<'a>(report: &'a Value, file: &str) -> Vec<&'a str> {
    let files = report["files"].as_array().unwrap();
    let of = files.iter().find(|of| of["file"].as_str().unwrap().ends_with(file));
    let vouchers = of.unwrap_or_else(|| panic!("{file} is not told of: {report}"))["vouchers"].as_array().unwrap();
    vouchers.iter().map(|voucher| voucher["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_file_is_told_of_and_a_second_import_changes_nothing() {
    let (world, running) = World::serving().await;
    let mut maker = maker(&world);
    let all: Vec<VerifiedVoucher> = (0..7).map(|number| maker.sell(number)).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir_all(folder.path().join("stores/owner_vouchers")).unwrap();
    // go-fdo-server: PEM with LF, here two in one file, and the key that interoperability events append.
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQA=\n-----END PRIVATE KEY-----\n";
    write(folder.path(), "go.pem", format!("{}{}{key}", all[0].to_pem(), all[1].to_pem()));
    // pri-fidoiot: CRLF.
    write(folder.path(), "pri.txt", all[2].to_pem().replace('\n', "\r\n"));
    // fido-device-onboard-rs: CBOR named by the GUID, and an archive of PEM.
    write(&folder.path().join("stores/owner_vouchers"), &all[3].guid().to_string(), all[3].bytes());
    let mut archive = tar::Builder::new(Vec::new());
    for voucher in &all[4..6] {
        let pem = voucher.to_pem().replace('\n', "\r\n");
        let mut header = tar::Header::new_gnu();
        header.set_size(pem.len() as u64);
        archive.append_data(&mut header, format!("./{}", voucher.guid()), pem.as_bytes()).unwrap();
    }
    write(folder.path(), "ovs.tar.gz", archive.into_inner().unwrap());
    write(folder.path(), "README", "vouchers of this week\n");
    let stranger = Maker::new(71, maker.key().clone()).sell(90);
    write(folder.path(), "theirs.pem", stranger.to_pem());
    let cut = all[6].to_pem();
    write(folder.path(), "cut.pem", &cut[..cut.len() / 2]);

    let arguments = ["voucher", "import", folder.path().to_str().unwrap(), "--allow-untrusted"];
    let (good, report, told) = run(&world, &running, &arguments).await;
    assert!(!good && told.contains("2 of 8 vouchers were refused"), "{told}");
    assert_eq!(counts(&report), [6, 0, 0, 2, 1], "{report}");
    assert_eq!(statuses(&report, "go.pem"), ["imported", "imported"]);
    assert_eq!(statuses(&report, "pri.txt"), ["imported"]);
    assert_eq!(statuses(&report, &format!("owner_vouchers/{}", all[3].guid())), ["imported"]);
    assert_eq!(statuses(&report, &format!("ovs.tar.gz:{}", all[5].guid())), ["imported"]);
    assert_eq!(statuses(&report, "theirs.pem"), ["refused"]);
    assert_eq!(statuses(&report, "cut.pem"), ["refused"]);
    let text = report.to_string();
    assert!(text.contains("a private key stands in it") && text.contains("voucher-not-ours"), "{text}");
    assert!(!text.contains("MC4CAQA"), "{text}");

    // Done again, it leaves everything as it was; what was mended comes in.
    write(folder.path(), "cut.pem", &cut);
    let (_, report, _) = run(&world, &running, &arguments).await;
    assert_eq!(counts(&report), [1, 0, 6, 1, 1], "{report}");

    // A longer chain takes the place of the shorter one, whatever file it comes in.
    let own = world.app.keys.for_type(KeyType::P256).unwrap();
    write(folder.path(), "longer", all[0].extend(own, own.verifying_key()).unwrap().bytes());
    let (good, report, told) = run(&world, &running, &["voucher", "import", &path("longer")]).await;
    // Nobody vouches for the maker, and nobody said that it does not matter.
    assert!(!good && told.contains("1 of 1"), "{report}");
    let (good, report, _) =
        run(&world, &running, &["voucher", "import", &path("longer"), "--allow-untrusted"]).await;
    assert!(good && counts(&report) == [0, 1, 0, 0, 0], "{report}");

    // What was named must be there, and hold a voucher.
    let (good, _, told) = run(&world, &running, &["voucher", "import", &path("nowhere")]).await;
    assert!(!good && told.contains("nowhere"), "{told}");
    let (good, report, _) = run(&world, &running, &["voucher", "import", &path("README")]).await;
    assert!(!good && counts(&report) == [0, 0, 0, 1, 0], "{report}");
    running.stop().await;
}

#[tokio::test]
async fn vouchers_that_others_made_come_in_where_their_owners_key_is_ours() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/vouchers");
    let mut config = world::config();
    config.listen.address = "127.0.0.1:0".into();
    config.operators.address = "127.0.0.1:0".into();
    config.est.address = "127.0.0.1:0".into();
    let world = World::with(config).await;
    // Two of the files have their owner's key appended, as interoperability events do.
    for name in ["fdo-rs-v101-voucher3.pem", "fido-conformance-interop-example.pem"] {
        let text = std::fs::read_to_string(vectors.join(name)).unwrap();
        let key = &text[text.find("-----END OWNERSHIP VOUCHER-----").unwrap() + 31..];
        let path = world.app.data_dir.join("keys").join(name);
        fdo_service::secret_file::write(&path, key.trim_start().as_bytes()).unwrap();
    }
    let data_dir = world.app.data_dir.clone();
    let running = fdo_owner::app::start(&world.config, &data_dir, world.clock.clone(), world.random.clone()).await;
    let running = running.unwrap();
    let arguments = ["voucher", "import", vectors.to_str().unwrap(), "--allow-untrusted"];
    let (good, report, _) = run(&world, &running, &arguments).await;
    assert!(!good && counts(&report)[0] == 2, "{report}");
    for name in ["fdo-rs-v101-voucher3.pem", "fido-conformance-interop-example.pem"] {
        assert_eq!(statuses(&report, name), ["imported"]);
    }
    let code = |name: &str| {
        let files = report["files"].as_array().unwrap();
        files.iter().find(|file| file["file"].as_str().unwrap().ends_with(name)).unwrap()["vouchers"][0]["code"]
            .clone()
    };
    assert_eq!(code("go-fdo-testdata-ov.pem"), "voucher-no-entries");
    assert_eq!(code("go-fdo-server-x5chain-owner-mapped-ipv4.pem"), "voucher-not-ours");
    assert_eq!(code("negative-fdo-rs-v100-voucher1.pem"), "voucher-invalid");
    running.stop().await;
}

/// The vouchers of the recorded runs, as go-fdo's and pri-fidoiot's makers left them, by owners that have the keys which
/// they end in: elliptic and RSA.
#[tokio::test]
async fn recorded_vouchers_of_go_fdo_and_pri_fidoiot_are_imported() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let mut config = world::config();
    config.listen.address = "127.0.0.1:0".into();
    config.operators.address = "127.0.0.1:0".into();
    config.est.address = "127.0.0.1:0".into();
    let world = World::with(config).await;
    let folder = tempfile::tempdir().unwrap();
    let pem = |label: &str, ending, der: &[u8]| pem_rfc7468::encode_string(label, ending, der).unwrap();
    let mut count = 0;
    for (directory, ending) in [
        ("transcripts-go-fdo", pem_rfc7468::LineEnding::LF),
        ("transcripts-java-server", pem_rfc7468::LineEnding::CRLF),
    ] {
        for file in std::fs::read_dir(vectors.join(directory)).unwrap() {
            let path = file.unwrap().path();
            let run: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
            let voucher = run.get("voucher_2_entries").unwrap_or(&run["voucher_1_entry"]);
            let name = format!("{}.pem", path.file_stem().unwrap().to_str().unwrap());
            write(folder.path(), &name, pem("OWNERSHIP VOUCHER", ending, &bytes(voucher)));
            let key = pem("PRIVATE KEY", ending, &bytes(&run["secrets"]["owner_key_pkcs8"]));
            fdo_service::secret_file::write(&world.app.data_dir.join("keys").join(name), key.as_bytes()).unwrap();
            count += 1;
        }
    }
    assert!(count >= 15, "{count} recordings");
    let data_dir = world.app.data_dir.clone();
    let running = fdo_owner::app::start(&world.config, &data_dir, world.clock.clone(), world.random.clone()).await;
    let running = running.unwrap();
    let arguments = ["voucher", "import", folder.path().to_str().unwrap(), "--allow-untrusted"];
    let (good, report, _) = run(&world, &running, &arguments).await;
    // The C device kept its key in three runs with three makers; whoever came first has it.
    assert!(!good && counts(&report) == [count - 2, 0, 0, 2, 0], "{report}");
    let of_one_device: Vec<Value> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["vouchers"][0])
        .filter(|voucher| voucher["status"] != "imported")
        .map(|voucher| voucher["code"].clone())
        .collect();
    assert_eq!(of_one_device, ["voucher-other-maker", "voucher-other-maker"]);
    assert_eq!(statuses(&report, "java-server-c-device-ec256-aesccm32.pem"), ["imported"]);
    running.stop().await;
}

#[tokio::test]
async fn what_is_refused_in_a_batch_keeps_nothing_else_out() {
    let (world, running) = World::serving().await;
    let mut maker = maker(&world);
    let all: Vec<VerifiedVoucher> = (0..20).map(|number| maker.sell(number)).collect();
    // Another maker's voucher over the certificate of one of these devices, and a fork of another.
    let own = world.app.keys.for_type(KeyType::P256).unwrap();
    let mut thief = Maker::new(72, own.verifying_key().clone());
    let taken = thief.sell_device_of(&all[3]);
    let fork = maker.sell_again(&all[7]);
    let folder = tempfile::tempdir().unwrap();
    let text: String = all.iter().chain([&taken, &fork]).map(|voucher| voucher.to_pem()).collect();
    write(folder.path(), "all.pem", text);
    let file = folder.path().join("all.pem").display().to_string();
    let (good, report, _) = run(&world, &running, &["voucher", "import", &file, "--allow-untrusted"]).await;
    assert!(!good && counts(&report) == [20, 0, 0, 2, 0], "{report}");
    let codes: Vec<_> = report["files"][0]["vouchers"].as_array().unwrap()[20..]
        .iter()
        .map(|voucher| voucher["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["voucher-other-maker", "voucher-fork"]);
    let db = &world.app.db;
    assert_eq!(vouchers::list(db, Some(State::Imported), None, 100).await.unwrap().len(), 20);
    assert!(vouchers::find_by_guid(db, &taken.guid()).await.unwrap().is_none());
    assert_eq!(vouchers::bytes(db, &all[7].guid()).await.unwrap().unwrap(), all[7].bytes());
    let audit = fdo_service::operators::audit::list(db, None, 1000).await.unwrap();
    let audited = |action| audit.iter().filter(|entry| entry.action == action).count();
    assert_eq!((audited("voucher.import"), audited("voucher.fork")), (20, 1));
    assert_eq!(fdo_service::operators::audit::verify(db).await.unwrap(), None);
    running.stop().await;
}

async fn there_and_back(count: usize) {
    let (world, running) = World::serving().await;
    let mut maker = maker(&world);
    let folder = tempfile::tempdir().unwrap();
    let single = folder.path().join("single");
    std::fs::create_dir_all(&single).unwrap();
    // Half of them in files of their own, half in one file.
    let mut many = std::io::BufWriter::new(std::fs::File::create(folder.path().join("many.pem")).unwrap());
    for number in 0..count {
        let voucher = maker.sell(number);
        match number % 2 {
            0 => write(&single, &format!("{}.pem", voucher.guid()), voucher.to_pem()),
            _ => many.write_all(voucher.to_pem().as_bytes()).unwrap(),
        }
    }
    drop(many);
    let path = folder.path().to_str().unwrap().to_owned();
    let began = Instant::now();
    let (good, report, told) = run(&world, &running, &["voucher", "import", &path, "--allow-untrusted"]).await;
    let imported = began.elapsed();
    assert!(good && counts(&report) == [count as u64, 0, 0, 0, 0], "{told}");
    let began = Instant::now();
    let (good, report, _) = run(&world, &running, &["voucher", "import", &path, "--allow-untrusted"]).await;
    let again = began.elapsed();
    assert!(good && counts(&report) == [0, 0, count as u64, 0, 0]);
    for format in ["go", "pri", "rs"] {
        let out = format!("{path}/{format}/");
        let began = Instant::now();
        let (good, report, told) =
            run(&world, &running, &["voucher", "export", "--format", format, "--out", &out]).await;
        let exported = began.elapsed();
        assert!(good && report["exported"] == count, "{report} {told}");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), count);
        let (good, report, _) = run(&world, &running, &["voucher", "import", &out, "--allow-untrusted"]).await;
        assert!(good && counts(&report) == [0, 0, count as u64, 0, 0], "{:?}", counts(&report));
        let told = format!("{count} vouchers exported as {format} in {exported:?}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
    let told = format!("{count} vouchers imported in {imported:?}, and once more in {again:?}\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    running.stop().await;
}

#[tokio::test]
async fn several_requests_full_go_there_and_back() {
    there_and_back(450).await;
}

#[tokio::test]
#[ignore = "makes ten thousand devices; `cargo test -p fdo-owner --test voucher_files -- --ignored --nocapture`"]
async fn ten_thousand_go_there_and_back() {
    there_and_back(10_000).await;
}
