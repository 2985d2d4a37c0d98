//! Devices that an operator stops or takes out of service.

use serde_json::{Value, json};

use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_decommissioned_device_is_revoked_everywhere() {
    let site = Site::new().await;
    let api = &site.world.owner_api;
    let done: Value = api.post("/api/v1/devices/SN-1/decommission", &json!({})).await.unwrap();
    assert_eq!((&done["certificates"], &done["device"]["state"]), (&json!(1), &json!("decommissioned")), "{done}");
    let certificate: Value = api.get(&format!("/api/v1/certificates/{}", site.serial)).await.unwrap();
    assert_eq!(certificate["reason"], "cessationOfOperation", "{certificate}");
    let audit: Value = api.get("/api/v1/audit").await.unwrap();
    assert!(audit.to_string().contains("device.decommission"), "{audit}");
    site.world.stop().await;
}
