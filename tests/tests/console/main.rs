//! The console in a real browser, against the three services: signing in, the fleet, a device, revoking its certificate.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod browser;

use browser::Browser;
use fdo_device::Birth;
use fdo_protocol::crypto::KeyType;
use fdo_tests::World;
use fdo_tests::world::onboard;
use serde_json::Value;

const MODEL: &str = "<img src=x onerror=alert(1)>";

/// Where pictures go, for whoever wants to look at the pages.
async fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("FDO_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), browser.picture().await).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_finds_a_device_and_revokes_its_certificate() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::new().await;
    world.enrol().await;
    // Somebody's attempt at a page of their own.
    let agent = world.sold(&Birth { model: MODEL.into(), ..world.birth("FL-1", KeyType::P256) }).await;
    onboard(&agent).await.unwrap();
    let owner = world.owner.as_ref().unwrap();
    let address = owner.address("operator").unwrap();
    let token = owner.first_token.as_ref().unwrap();

    browser.open(&format!("http://{address}/")).await;
    browser.reads("Sign in with an operator token").await;
    picture(&browser, "sign-in.png").await;
    browser.enter("//input[@id='token']", "fl_wrong").await;
    browser.click("//button[text()='Sign in']").await;
    browser.reads("This token is not known here").await;
    browser.enter("//input[@id='token']", token).await;
    browser.click("//button[text()='Sign in']").await;
    browser.reads("Certificate authorities").await;
    picture(&browser, "overview.png").await;

    browser.click("//nav/a[text()='Devices']").await;
    // What a device is called is text and nothing else.
    browser.reads(MODEL).await;
    picture(&browser, "devices.png").await;
    browser.click("//td/a[text()='FL-1']").await;
    browser.reads("Issued").await;
    browser.reads("issued").await;
    picture(&browser, "device.png").await;
    browser.click("//td/button[text()='Revoke']").await;
    picture(&browser, "revoke.png").await;
    browser.click("//dialog//button[text()='Cancel']").await;
    let issued: Value = world.owner_api.get("/api/v1/certificates").await.unwrap();
    assert_eq!(issued["items"][0]["state"], "issued", "asking revokes nothing");
    browser.click("//td/button[text()='Revoke']").await;
    browser.click("//dialog//button[text()='Revoke']").await;
    browser.reads("revoked (keyCompromise)").await;
    let issued: Value = world.owner_api.get("/api/v1/certificates").await.unwrap();
    assert_eq!(
        (&issued["items"][0]["state"], &issued["items"][0]["reason"]),
        (&"revoked".into(), &"keyCompromise".into())
    );

    browser.click("//nav/a[text()='Certificates']").await;
    browser.reads("revoked").await;
    picture(&browser, "certificates.png").await;
    browser.click("//nav/a[text()='Alerts']").await;
    browser.reads("Alerts").await;
    picture(&browser, "alerts.png").await;
    browser.click("//button[text()='Sign out']").await;
    browser.reads("Sign in with an operator token").await;
    assert!(browser.script("return sessionStorage.length").await == 0);
    browser.close().await;
    world.stop().await;
}
