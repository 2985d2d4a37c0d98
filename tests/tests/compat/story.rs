//! The whole road by `curl`, as a site's scripts go it: everything that the services must know comes from the scripts, and
//! takes effect without a restart.

use std::path::Path;
use std::process::Output;

use fdo_device::Onboarded;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_tests::world::{WorldSettings, free_port, onboard};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Site, pem, settings};

const PEM: &str = "content-type: application/x-pem-file";

/// `curl` that fails on a refusal, in a folder for its files.
async fn curl(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["--fail", "--silent", "--show-error", "--noproxy", "*"]).args(arguments).current_dir(folder);
    command.output().await.unwrap()
}

async fn done(folder: &Path, arguments: &[&str]) -> Value {
    let output = curl(folder, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

#[tokio::test]
async fn a_site_keeps_its_scripts() {
    // What the services are configured with leads nowhere: only what the scripts set does.
    let nowhere = || format!("http://127.0.0.1:{}", free_port());
    let seen_at = Some([nowhere(), nowhere()]);
    let site = Site::with(WorldSettings { seen_at, ..settings() }, "admin", None).await;
    let (world, folder) = (&site.world, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let (maker, rendezvous, owner) = (&site.manufacturer, &site.rendezvous, &site.owner);
    for url in [maker, rendezvous, owner] {
        assert_eq!(done(folder, &[&format!("{url}/health")]).await["status"], "OK");
    }

    let port =
        world.rendezvous_url.to_string().rsplit_once(':').unwrap().1.trim_end_matches('/').parse::<u16>().unwrap();
    let rv_info =
        json!([[{"ip": "127.0.0.1"}, {"device_port": port}, {"owner_port": port}, {"protocol": "http"}]]);
    let (rvinfo, rv_info) = (format!("{maker}/api/v2/rvinfo"), rv_info.to_string());
    assert_eq!(done(folder, &[&rvinfo]).await, json!([]));
    let header = "content-type: application/json";
    done(folder, &["-X", "PUT", "-H", header, "--data-raw", &rv_info, &rvinfo]).await;

    let guid = site.birth("SN-1").await;
    let vouchers = done(folder, &[&format!("{maker}/api/v2/vouchers")]).await;
    assert_eq!(vouchers["vouchers"][0]["voucher"]["guid"], *guid);

    // The maker's CA at the rendezvous, which lets only its devices in from now on.
    let voucher = done(folder, &[&format!("{maker}/api/v2/vouchers/{guid}")]).await;
    std::fs::write(folder.join("device-ca.crt"), voucher["certChain"][1].as_str().unwrap()).unwrap();
    let required = json!({ "device_ca": "required" });
    let _: Value = world.rendezvous_api.patch("/api/v1/policy", &required).await.unwrap();
    let report =
        done(folder, &["-H", PEM, "--data-binary", "@device-ca.crt", &format!("{rendezvous}/api/v2/device-ca")])
            .await;
    assert_eq!(report["imported"], 1);

    let to2 =
        world.owner_url.to_string().rsplit_once(':').unwrap().1.trim_end_matches('/').parse::<u16>().unwrap();
    let redirect = json!([{"ip": "127.0.0.1", "dns": "localhost", "port": to2, "protocol": "http"}]).to_string();
    let rvto2addr = format!("{owner}/api/v2/rvto2addr");
    assert_eq!(done(folder, &[&rvto2addr]).await, json!([]));
    done(folder, &["-X", "PUT", "-H", header, "--data-raw", &redirect, &rvto2addr]).await;

    std::fs::write(folder.join("owner.pub"), pem("PUBLIC KEY", site.owner_key().spki_der())).unwrap();
    let extend = format!("{maker}/api/v2/vouchers/{guid}/extend");
    done(folder, &["-H", PEM, "--data-binary", "@owner.pub", "-o", "owner.ov", &extend]).await;
    let import = format!("{owner}/api/v2/vouchers");
    let send = ["-H", PEM, "--data-binary", "@owner.ov", &import];
    assert_eq!(done(folder, &send).await["imported"], 0, "its maker is not known yet");
    done(folder, &["-H", PEM, "--data-binary", "@device-ca.crt", &format!("{owner}/api/v2/device-ca")]).await;
    assert_eq!(done(folder, &send).await["imported"], 1);

    // TO0 at the rendezvous of the voucher, TO1, and TO2 at the redirect's address.
    world.register().await;
    let registered: Vec<Value> = wait_for(&site, &guid).await;
    assert!(registered[0]["addresses"].to_string().contains(&format!("127.0.0.1:{to2}")), "{registered:?}");
    let onboarded = onboard(&world.device("SN-1")).await.unwrap();
    let Onboarded::Now { next_guid, .. } = onboarded else { panic!("{onboarded:?}") };
    let now = next_guid.to_string().replace('-', "");
    let devices = done(folder, &[&format!("{owner}/api/v2/devices")]).await;
    let device = &devices["devices"][0];
    assert_eq!((&device["guid"], &device["old_guid"]), (&json!(now), &json!(guid)));
    assert_eq!((&device["to2_completed"], &device["to2_completed_at"]), (&json!(true), &device["updated_at"]));
    let old = done(folder, &[&format!("{owner}/api/v1/owner/devices?old_guid={guid}")]).await;
    assert_eq!(old, devices["devices"]);
    let listed = done(folder, &[&import]).await;
    assert_eq!(listed["vouchers"][0]["voucher"]["guid"], *now);

    resale(&site, folder, &now).await;
    let trail = site.trail(&world.owner_api).await;
    let deeds: Vec<&str> = trail.iter().filter_map(|entry| entry["action"].as_str()).collect();
    for deed in
        ["redirect.set", "trust.add", "voucher.import", "voucher.resell", "voucher.hand-over", "compat.request"]
    {
        assert!(deeds.contains(&deed), "{deeds:?}");
    }
    site.stop().await;
}

/// The background job may be at it already; what is registered at the rendezvous.
async fn wait_for(site: &Site, guid: &str) -> Vec<Value> {
    for _ in 0..500 {
        let all: Vec<Value> = site.world.rendezvous_api.pages("/api/v1/registrations").await.unwrap();
        if all.iter().any(|row| row["guid"].as_str().is_some_and(|found| found.replace('-', "") == guid)) {
            return all;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{guid} is not registered");
}

/// The onboarded device is sold on; one that never onboarded only where the script says so.
async fn resale(site: &Site, folder: &Path, onboarded: &str) {
    let next = SigningKey::generate(KeyType::P256, &mut site.world.random.rng()).unwrap();
    std::fs::write(folder.join("next.pub"), pem("PUBLIC KEY", next.verifying_key().spki_der())).unwrap();
    let sell = |guid: &str| format!("{}/api/v2/vouchers/{guid}/extend", site.owner);
    done(folder, &["-H", PEM, "--data-binary", "@next.pub", "-o", "next.ov", &sell(onboarded)]).await;
    let sold = std::fs::read(folder.join("next.ov")).unwrap();
    let voucher = fdo_protocol::voucher::Voucher::from_file(&sold).unwrap().remove(0);
    let voucher = voucher.verify(&fdo_protocol::voucher::VerifyPolicy::default()).unwrap();
    assert_eq!(voucher.owner_key(), next.verifying_key());

    let fresh = site.birth("SN-2").await;
    let extend = format!("{}/api/v2/vouchers/{fresh}/extend", site.manufacturer);
    done(folder, &["-H", PEM, "--data-binary", "@owner.pub", "-o", "fresh.ov", &extend]).await;
    done(folder, &["-H", PEM, "--data-binary", "@fresh.ov", &format!("{}/api/v2/vouchers", site.owner)]).await;
    let refused = curl(folder, &["-H", PEM, "--data-binary", "@next.pub", &sell(&fresh)]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("409"), "{refused:?}");
    let said =
        ["-H", PEM, "-H", "x-even-if-never-onboarded: true", "--data-binary", "@next.pub", "-o", "second.ov"];
    done(folder, &[&said[..], &[&sell(&fresh)]].concat()).await;
    // The same once more, said otherwise: the same bytes.
    let again = format!("{}/api/v1/owner/resell/{fresh}?even_if_never_onboarded=true", site.owner);
    done(folder, &["-H", PEM, "--data-binary", "@next.pub", "-o", "third.ov", &again]).await;
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("second.ov"), read("third.ov"));
}
