//! The same settings by our own routes: what one side sets the other shows, and what would lead nowhere is refused.

use serde_json::{Value, json};

use crate::Site;

#[tokio::test]
async fn where_devices_are_sent_is_set_without_scripts_too() {
    for site in Site::all().await {
        let api = &site.world.owner_api;
        let configured: Value = api.get("/api/v1/redirect").await.unwrap();
        let own = site.world.owner_config.public_url.clone().unwrap();
        assert_eq!(configured, json!({ "set": false, "urls": [own] }));
        let urls = json!(["https://owner.example:8443", "http://192.0.2.1:8043"]);
        let set: Value = api.put("/api/v1/redirect", &json!({ "urls": urls })).await.unwrap();
        assert_eq!(set, json!({ "set": true, "urls": urls }));
        let shown = site.get(format!("{}/api/v2/rvto2addr", site.owner)).await;
        assert_eq!(shown[0], json!({ "dns": "owner.example", "port": 8443, "protocol": "https" }));
        for wrong in
            [json!([]), json!(["ftp://owner"]), json!(["http://owner/path"]), json!(vec!["http://owner:1"; 9])]
        {
            let refused = api.put::<_, Value>("/api/v1/redirect", &json!({ "urls": wrong })).await.unwrap_err();
            assert!(refused.to_string().contains("[redirect"), "{refused}");
        }
        assert_eq!(api.get::<Value>("/api/v1/redirect").await.unwrap(), set);
        api.delete("/api/v1/redirect").await.unwrap();
        assert_eq!(api.get::<Value>("/api/v1/redirect").await.unwrap(), configured);
        site.stop().await;
    }
}

#[tokio::test]
async fn where_devices_look_is_set_without_scripts_too() {
    for site in Site::all().await {
        let api = &site.world.manufacturer_api;
        let configured: Value = api.get("/api/v1/rendezvous").await.unwrap();
        assert_eq!(configured["set"], false);
        let places = json!(["http://rv.example:8041", { "url": "https://inside.example", "device_only": true }]);
        let set: Value = api.put("/api/v1/rendezvous", &json!({ "places": places })).await.unwrap();
        assert_eq!(set["set"], true);
        let shown = site.get(format!("{}/api/v2/rvinfo", site.manufacturer)).await;
        assert_eq!(shown, set["directives"]);
        assert_eq!((shown.as_array().unwrap().len(), &shown[1][0]), (2, &json!({ "dev_only": true })));
        for wrong in
            [json!([]), json!(["rv.example"]), json!([{ "url": "http://rv.example", "device_only": true }])]
        {
            let refused =
                api.put::<_, Value>("/api/v1/rendezvous", &json!({ "places": wrong })).await.unwrap_err();
            assert!(refused.to_string().contains("[rendezvous"), "{refused}");
        }
        assert_eq!(api.get::<Value>("/api/v1/rendezvous").await.unwrap(), set);
        api.delete("/api/v1/rendezvous").await.unwrap();
        assert_eq!(api.get::<Value>("/api/v1/rendezvous").await.unwrap(), configured);
        site.stop().await;
    }
}
