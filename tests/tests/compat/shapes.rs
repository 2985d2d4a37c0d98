//! The shapes of version 2 and 1, as its published definition and its handlers have them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Site, pem};

/// The same with each text as "text", each number as 0, each flag as true: what of an answer is its shape.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        Value::Bool(_) => json!(true),
        Value::Null => Value::Null,
        Value::Array(all) => all.iter().map(shape).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
    }
}

#[tokio::test]
async fn health_has_message_status_and_version() {
    let site = Site::new().await;
    for url in [&site.manufacturer, &site.rendezvous, &site.owner] {
        let health = site.get(format!("{url}/health")).await;
        assert_eq!(shape(&health), json!({ "message": "text", "status": "text", "version": "text" }));
        assert_eq!(health["status"], "OK");
    }
    site.stop().await;
}

#[tokio::test]
async fn rendezvous_information_comes_back_as_it_was_set() {
    for site in Site::all().await {
        let two = format!("{}/api/v2/rvinfo", site.manufacturer);
        assert_eq!(site.get(two.clone()).await, json!([]));
        let set = json!([
            [{"dns": "rv.example"}, {"device_port": 8041}, {"protocol": "http"}, {"ip": "192.0.2.1"}, {"owner_port": 8041}],
            [{"ip": "192.0.2.2"}, {"protocol": "https"}, {"owner_port": 8443}, {"rv_bypass": true}],
        ]);
        let put = site.call(Method::PUT, two.clone(), &set.to_string()).await;
        assert_eq!(put, (200, set.clone()));
        assert_eq!(site.get(two.clone()).await, set);
        // Version 1 is flat, with ports as text.
        let one = format!("{}/api/v1/rvinfo", site.manufacturer);
        let flat = json!({"dns": "rv.example", "device_port": "8041", "protocol": "http", "ip": "192.0.2.1", "owner_port": "8041"});
        assert_eq!(site.get(one.clone()).await[0], flat);
        let again = site.call(Method::POST, one.clone(), &json!([flat]).to_string()).await;
        assert_eq!(again.0, 409);
        assert_eq!(site.call(Method::DELETE, two.clone(), "").await, (200, set));
        assert_eq!(site.call(Method::DELETE, two.clone(), "").await, (200, json!([])));
        assert_eq!(site.call(Method::GET, one.clone(), "").await.0, 404);
        assert_eq!(site.call(Method::PUT, one.clone(), &json!([flat]).to_string()).await.0, 404);
        assert_eq!(site.call(Method::POST, one.clone(), &json!([flat]).to_string()).await, (201, json!([flat])));
        assert_eq!(site.call(Method::PUT, one, &json!([flat]).to_string()).await.0, 200);
        site.stop().await;
    }
}

#[tokio::test]
async fn the_owners_redirect_comes_back_as_it_was_set() {
    for site in Site::all().await {
        let two = format!("{}/api/v2/rvto2addr", site.owner);
        assert_eq!(site.get(two.clone()).await, json!([]));
        let set = json!([
            {"dns": "owner.example", "ip": "192.0.2.1", "port": 8043, "protocol": "http"},
            {"ip": "192.0.2.2", "port": 8443, "protocol": "https"},
        ]);
        assert_eq!(site.call(Method::PUT, two.clone(), &set.to_string()).await, (200, set.clone()));
        assert_eq!(site.get(two.clone()).await, set);
        let one = format!("{}/api/v1/owner/redirect", site.owner);
        assert_eq!(
            site.get(one.clone()).await[1],
            json!({"ip": "192.0.2.2", "port": "8443", "protocol": "https"})
        );
        assert_eq!(site.call(Method::DELETE, two.clone(), "").await, (200, set));
        assert_eq!(site.call(Method::GET, one.clone(), "").await.0, 404);
        let flat = json!([{"dns": "owner", "port": "8043", "protocol": "http"}]).to_string();
        assert_eq!(site.call(Method::PUT, one.clone(), &flat).await.0, 404);
        assert_eq!(site.call(Method::POST, one.clone(), &flat).await.0, 201);
        assert_eq!(site.call(Method::POST, one.clone(), &flat).await.0, 409);
        assert_eq!(site.call(Method::PUT, one, &flat).await.0, 200);
        site.stop().await;
    }
}

#[tokio::test]
async fn vouchers_are_listed_shown_extended_and_imported() {
    for site in Site::all().await {
        let (first, second) = (site.birth("SN-1").await, site.birth("SN-2").await);
        let list = format!("{}/api/v2/vouchers", site.manufacturer);
        let page = site.get(list.clone()).await;
        let facts = json!({ "guid": "text", "protocolVersion": 0, "deviceInfo": "text", "numEntries": 0 });
        let item = json!({ "voucher": facts, "createdAt": "text", "updatedAt": "text", "guid": "text" });
        let golden = json!({ "total": 0, "limit": 0, "offset": 0, "vouchers": [item, item] });
        assert_eq!(shape(&page), golden);
        assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(2), &json!(20), &json!(0)));
        let facts = &page["vouchers"][0]["voucher"];
        assert_eq!((&facts["protocolVersion"], &facts["deviceInfo"]), (&json!(101), &json!("gateway")));
        assert_eq!(page["vouchers"][0]["createdAt"], "2026-09-21T14:13:20Z");
        let count = async |query: &str| {
            let page = site.get(format!("{list}?{query}")).await;
            (page["total"].as_u64().unwrap(), page["vouchers"].as_array().unwrap().len())
        };
        assert_eq!(count("limit=1").await, (2, 1));
        assert_eq!(count("offset=2").await, (2, 0));
        assert_eq!(count(&format!("guid={first}")).await, (1, 1));
        assert_eq!(count("deviceInfo=GATE").await, (2, 2));
        assert_eq!(count("deviceInfo=lamp").await, (0, 0));
        assert_eq!(count(&format!("search={}", &second[4..20].to_uppercase())).await, (1, 1));
        for by in ["createdAt", "updatedAt", "guid", "deviceInfo"] {
            assert_eq!(count(&format!("sortBy={by}&sortOrder=desc")).await, (2, 2));
        }
        let sorted = site.get(format!("{list}?sortBy=guid&sortOrder=desc&limit=1")).await;
        assert_eq!(sorted["vouchers"][0]["voucher"]["guid"], *first.clone().max(second.clone()));
        assert_eq!(site.get_pem(list.clone()).await.matches("BEGIN OWNERSHIP VOUCHER").count(), 2);

        // Version 1 has no pages, and the whole of the device information counts.
        let one = format!("{}/api/v1/vouchers", site.manufacturer);
        let all = site.get(one.clone()).await;
        let item = json!({ "guid": "text", "device_info": "text", "created_at": "text", "updated_at": "text" });
        assert_eq!(shape(&all), json!([item, item]));
        assert_eq!(site.get(format!("{one}?guid={first}")).await[0]["guid"], *first);
        for (query, count) in [("device_info=gateway", 2), ("device_info=gate", 0), ("guid=", 2)] {
            assert_eq!(site.get(format!("{one}?{query}")).await.as_array().unwrap().len(), count, "{query}");
        }
        assert_eq!(site.call(Method::GET, format!("{one}?guid=x"), "").await.0, 400);

        // Extended once to one key.
        let key = pem("PUBLIC KEY", site.owner_key().spki_der());
        let extend = format!("{list}/{first}/extend");
        let (status, extended) = site.call(Method::POST, extend.clone(), &key).await;
        assert_eq!(status, 200, "{extended}");
        assert_eq!(site.call(Method::POST, extend, &key).await, (200, extended.clone()));
        let extended = extended.as_str().unwrap().to_owned();
        assert_eq!(site.get_pem(format!("{list}/{first}")).await, extended);
        let one = site.get(format!("{list}/{first}")).await;
        let (hash, public) =
            (json!({ "algorithm": "text", "value": "text" }), json!({ "type": "text", "value": "text" }));
        let header = json!({
            "version": 0, "guid": "text", "rvInfo": shape(&one["header"]["rvInfo"]), "deviceInfo": "text",
            "manufacturerKey": public, "certChainHash": hash,
        });
        let entry = json!({ "previousHash": hash, "headerHash": hash, "publicKey": public });
        let golden = json!({
            "guid": "text", "protocolVersion": 0, "deviceInfo": "text", "numEntries": 0, "header": header,
            "hmac": hash, "certChain": ["text", "text"], "entries": [entry], "pem": "text",
        });
        assert_eq!(shape(&one), golden);
        assert_eq!((&one["guid"], &one["numEntries"]), (&json!(first), &json!(1)));
        assert_eq!(one["header"]["manufacturerKey"]["type"], "SECP256R1");
        assert_eq!(one["hmac"]["algorithm"], "HMAC-SHA-256");
        assert_eq!(one["header"]["rvInfo"][0][0]["ip"], "127.0.0.1");

        import(&site, &first, &extended, &one).await;
        site.stop().await;
    }
}

/// The owner imports what the manufacturer has extended: unknown makers are refused, known ones are taken.
async fn import(site: &Site, guid: &str, voucher: &str, json: &Value) {
    let list = format!("{}/api/v2/vouchers", site.owner);
    let counts =
        |report: &Value| ["detected", "imported", "skipped", "failed"].map(|name| report[name].as_u64().unwrap());
    let (status, report) = site.call(Method::POST, list.clone(), voucher).await;
    assert_eq!((status, counts(&report)), (200, [1, 0, 0, 1]), "{report}");
    assert!(report["messages"][0].as_str().unwrap().contains(guid), "{report}");
    let ca = json["certChain"][1].as_str().unwrap();
    let (status, taken) = site.call(Method::POST, format!("{}/api/v2/device-ca", site.owner), ca).await;
    assert_eq!((status, &taken["imported"]), (200, &json!(1)), "{taken}");
    let (status, report) = site.call(Method::POST, list.clone(), voucher).await;
    assert_eq!((status, counts(&report)), (201, [1, 1, 0, 0]), "{report}");
    let facts = json!({ "guid": "text", "protocolVersion": 0, "deviceInfo": "text", "numEntries": 0 });
    let item = json!({ "voucher": facts, "createdAt": "text", "updatedAt": "text", "guid": "text" });
    let golden = json!({
        "detected": 0, "imported": 0, "skipped": 0, "failed": 0, "messages": ["text"], "vouchers": [item],
    });
    assert_eq!(shape(&report), golden);
    // Again, and as the JSON that the manufacturer answered: it is here already.
    assert_eq!(counts(&site.call(Method::POST, list.clone(), voucher).await.1), [1, 0, 1, 0]);
    let response = site.http.post(&list).json(json).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(counts(&response.json().await.unwrap()), [1, 0, 1, 0]);
    let page = site.get(format!("{list}?search=GATE&sortBy=deviceInfo")).await;
    assert_eq!((&page["total"], &page["vouchers"][0]["voucher"]["guid"]), (&json!(1), &json!(guid)));
    assert_eq!(site.get_pem(format!("{list}/{guid}")).await, voucher);
    assert_eq!(site.get(format!("{list}/{guid}")).await["pem"], voucher);
    let (status, nothing) = site.call(Method::POST, list.clone(), "no voucher").await;
    assert_eq!((status, counts(&nothing)), (400, [0, 0, 0, 0]));
    let version_1 = format!("{}/api/v1/owner/vouchers", site.owner);
    assert_eq!(site.call(Method::POST, version_1.clone(), voucher).await, (200, json!("")));
    assert_eq!(site.call(Method::POST, version_1, "no voucher").await.0, 400);

    let devices = site.get(format!("{}/api/v2/devices", site.owner)).await;
    let device = json!({
        "guid": "text", "old_guid": "text", "device_info": "text", "created_at": "text", "updated_at": "text",
        "to2_completed": true,
    });
    assert_eq!(shape(&devices), json!({ "devices": [device], "limit": 0, "offset": 0, "total": 0 }));
    let device = &devices["devices"][0];
    assert_eq!(
        (&device["guid"], &device["old_guid"], &device["to2_completed"]),
        (&json!(guid), &json!(""), &json!(false))
    );
    let older = site.get(format!("{}/api/v1/owner/devices", site.owner)).await;
    assert_eq!(older, devices["devices"]);
    assert_eq!(site.get(format!("{}/api/v1/owner/devices?old_guid={guid}", site.owner)).await, json!([]));
}

#[tokio::test]
async fn device_cas_are_imported_listed_and_removed() {
    for site in Site::all().await {
        site.birth("SN-1").await;
        let vouchers = site.get(format!("{}/api/v2/vouchers", site.manufacturer)).await;
        let guid = vouchers["vouchers"][0]["guid"].as_str().unwrap();
        let voucher = site.get(format!("{}/api/v2/vouchers/{guid}", site.manufacturer)).await;
        let (leaf, ca) = (voucher["certChain"][0].as_str().unwrap(), voucher["certChain"][1].as_str().unwrap());
        for service in [&site.rendezvous, &site.owner] {
            let all = format!("{service}/api/v2/device-ca");
            assert_eq!(site.get(all.clone()).await, json!({ "total": 0, "limit": 20, "offset": 0, "certs": [] }));
            let bundle = format!("{ca}{}{leaf}{ca}", pem("CERTIFICATE", b"nonsense"));
            let (status, report) = site.call(Method::POST, all.clone(), &bundle).await;
            let counts =
                ["detected", "imported", "skipped", "malformed"].map(|name| report[name].as_u64().unwrap());
            assert_eq!((status, counts), (200, [2, 1, 1, 2]), "{report}");
            let cert = json!({
                "fingerprint": "text", "pem": "text", "subject": "text", "issuer": "text", "notBefore": "text",
                "notAfter": "text", "createdAt": "text",
            });
            assert_eq!(shape(&report["certs"]), json!([cert]));
            let page = site.get(all.clone()).await;
            assert_eq!(shape(&page), json!({ "total": 0, "limit": 0, "offset": 0, "certs": [cert] }));
            let cert = &page["certs"][0];
            assert_eq!((&cert["pem"], &cert["createdAt"]), (&json!(ca), &json!("2026-09-21T14:13:20Z")));
            let one = format!("{all}/{}", cert["fingerprint"].as_str().unwrap());
            assert_eq!(&site.get(one.clone()).await, cert);
            assert_eq!(site.get_pem(one.clone()).await, ca);
            assert_eq!(site.get_pem(all.clone()).await, ca);
            for (query, total) in [
                ("search=test", 1),
                ("search=nobody", 0),
                ("validityStatus=expired", 0),
                ("validityStatus=valid&sortBy=notAfter&sortOrder=desc", 1),
                ("offset=1", 1),
            ] {
                assert_eq!(site.get(format!("{all}?{query}")).await["total"], total, "{query}");
            }
            assert_eq!(site.get(format!("{service}/api/v1/device-ca")).await, page);
            assert_eq!(site.call(Method::DELETE, one.clone(), "").await, (204, json!("")));
            assert_eq!(site.call(Method::DELETE, one.clone(), "").await.0, 404);
            assert_eq!(site.call(Method::GET, one, "").await.0, 404);
        }
        site.stop().await;
    }
}
