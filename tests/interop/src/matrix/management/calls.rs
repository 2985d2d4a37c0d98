//! The calls, in the order of a site's first day, good ones and bad ones.

use std::path::Path;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{Call, Seen, Service, Side, Sides};
use crate::matrix::cell::{By, Cell, Place};
use crate::matrix::credentials::Credentials;
use crate::matrix::peers::Peers;
use crate::matrix::report::Outcome;

const PEM: &str = "application/x-pem-file";
const UNKNOWN: &str = "00112233445566778899aabbccddeeff";

/// All of them; a device like that of `cell` is born and onboarded on both sides.
pub async fn compare(peers: &Peers, directory: &Path, cell: &Cell) -> anyhow::Result<Vec<(Place, Outcome)>> {
    let mut sides = Sides::start(peers, directory, cell).await?;
    let mut seen = Seen { http: Client::builder().no_proxy().build()?, all: Vec::new() };
    let next = Credentials::make(directory, "next-owner", cell.key)?;
    for service in [Service::Manufacturer, Service::Rendezvous, Service::Owner] {
        seen.call(&sides, service, Method::GET, "/health", "", "").await?;
    }
    rendezvous_information(&mut seen, &sides).await?;
    device_cas(&mut seen, &sides, &std::fs::read_to_string(&next.certificate)?).await?;
    redirect(&mut seen, &sides).await?;
    seen.call(&sides, Service::Manufacturer, Method::GET, "/api/v1/vouchers", "no device", "").await?;
    seen.call(&sides, Service::Owner, Method::GET, "/api/v1/owner/devices", "no device", "").await?;
    sides.birth().await?;
    manufacturer_vouchers(&mut seen, &mut sides).await?;
    owner_vouchers(&mut seen, &sides).await?;
    sides.onboard().await?;
    devices_and_resale(&mut seen, &sides, &next.public_key).await?;
    Ok(seen.all)
}

impl Seen {
    /// The same path and body for both.
    async fn call(
        &mut self,
        sides: &Sides,
        service: Service,
        method: Method,
        path: &str,
        what: &str,
        body: &str,
    ) -> anyhow::Result<()> {
        let wanted = Call { service, method, path, what, accept: None };
        self.both(sides, &wanted, |_| (path.to_owned(), body.to_owned())).await.map(|_| ())
    }
}

/// What is refused, as rendezvous information and as a redirect.
fn misfits(port: &str) -> [(&'static str, String); 5] {
    let one = |ip: &str, number: &str, protocol: &str| {
        json!([{ "ip": ip, port: number, "protocol": protocol }]).to_string()
    };
    [
        ("no JSON", "{".to_owned()),
        ("neither dns nor ip", json!([{ port: "8041", "protocol": "http" }]).to_string()),
        ("ip is no address", one("300.0.0.1", "8041", "http")),
        ("port out of range", one("127.0.0.1", "70000", "http")),
        ("unknown protocol", one("127.0.0.1", "8041", "gopher")),
    ]
}

async fn rendezvous_information(seen: &mut Seen, sides: &Sides) -> anyhow::Result<()> {
    let (path, service) = ("/api/v1/rvinfo", Service::Manufacturer);
    let there = |side: &Side| {
        let port = side.port(Service::Rendezvous);
        // Our compat listener speaks FDO too, as that server does at its one address.
        json!([{ "ip": "127.0.0.1", "dns": "localhost", "device_port": port, "owner_port": port, "protocol": "http" }])
            .to_string()
    };
    let good = |method: Method, what: &'static str| Call { service, method, path, what, accept: None };
    seen.call(sides, service, Method::GET, path, "nothing set", "").await?;
    seen.both(sides, &good(Method::PUT, "nothing set"), |side| (path.to_owned(), there(side))).await?;
    for (what, body) in misfits("device_port") {
        seen.call(sides, service, Method::POST, path, what, &body).await?;
    }
    seen.both(sides, &good(Method::POST, ""), |side| (path.to_owned(), there(side))).await?;
    seen.both(sides, &good(Method::POST, "again"), |side| (path.to_owned(), there(side))).await?;
    seen.call(sides, service, Method::GET, path, "", "").await?;
    seen.both(sides, &good(Method::PUT, ""), |side| (path.to_owned(), there(side))).await?;
    for (what, body) in misfits("device_port") {
        seen.call(sides, service, Method::PUT, path, what, &body).await?;
    }
    seen.call(sides, service, Method::DELETE, path, "", "").await
}

async fn redirect(seen: &mut Seen, sides: &Sides) -> anyhow::Result<()> {
    let (path, service) = ("/api/v1/owner/redirect", Service::Owner);
    let here = |side: &Side| {
        let port = side.port(Service::Owner);
        json!([{ "ip": "127.0.0.1", "dns": "localhost", "port": port, "protocol": "http" }]).to_string()
    };
    let good = |method: Method, what: &'static str| Call { service, method, path, what, accept: None };
    seen.call(sides, service, Method::GET, path, "nothing set", "").await?;
    seen.both(sides, &good(Method::PUT, "nothing set"), |side| (path.to_owned(), here(side))).await?;
    for (what, body) in misfits("port") {
        seen.call(sides, service, Method::POST, path, what, &body).await?;
    }
    seen.both(sides, &good(Method::POST, ""), |side| (path.to_owned(), here(side))).await?;
    seen.both(sides, &good(Method::POST, "again"), |side| (path.to_owned(), here(side))).await?;
    seen.call(sides, service, Method::GET, path, "", "").await?;
    seen.both(sides, &good(Method::PUT, ""), |side| (path.to_owned(), here(side))).await?;
    for (what, body) in misfits("port") {
        seen.call(sides, service, Method::PUT, path, what, &body).await?;
    }
    seen.call(sides, service, Method::DELETE, path, "", "").await
}

async fn device_cas(seen: &mut Seen, sides: &Sides, another: &str) -> anyhow::Result<()> {
    let (path, service) = ("/api/v1/device-ca", Service::Rendezvous);
    let wanted = |method: Method, path: &'static str, what: &'static str, accept: Option<&'static str>| Call {
        service,
        method,
        path,
        what,
        accept,
    };
    seen.call(sides, service, Method::GET, path, "none", "").await?;
    seen.call(sides, service, Method::POST, path, "nothing in it", "").await?;
    seen.call(sides, service, Method::POST, path, "no PEM", "text").await?;
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    seen.call(sides, service, Method::POST, path, "no certificate", broken).await?;
    let both = |side: &Side| (path.to_owned(), format!("{}{another}", side.device_ca));
    let imported = seen.both(sides, &wanted(Method::POST, path, "two", None), both).await?;
    seen.both(sides, &wanted(Method::POST, path, "the same two", None), both).await?;
    seen.call(sides, service, Method::GET, path, "", "").await?;
    seen.both(sides, &wanted(Method::GET, path, "", Some(PEM)), |_| (path.to_owned(), String::new())).await?;
    for query in [
        "limit=1",
        "limit=1&offset=1",
        "offset=5",
        "limit=x",
        "search=next",
        "search=nobody",
        "validityStatus=valid",
        "validityStatus=expired",
        "sortBy=subject&sortOrder=desc",
    ] {
        seen.call(sides, service, Method::GET, &format!("{path}?{query}"), "", "").await?;
    }
    // The second is nobody's, so that it can go.
    let fingerprints = imported.map(|answer| {
        let report: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        report["certs"][1]["fingerprint"].as_str().unwrap_or_default().to_owned()
    });
    let of = |side: &Side| {
        let fingerprint = &fingerprints[usize::from(side.by == By::Us)];
        (format!("{path}/{fingerprint}"), String::new())
    };
    let one = "/api/v1/device-ca/{fingerprint}";
    seen.both(sides, &wanted(Method::GET, one, "", None), of).await?;
    seen.both(sides, &wanted(Method::GET, one, "", Some(PEM)), of).await?;
    seen.both(sides, &wanted(Method::DELETE, one, "", None), of).await?;
    seen.both(sides, &wanted(Method::GET, one, "deleted", None), of).await?;
    seen.both(sides, &wanted(Method::DELETE, one, "deleted", None), of).await?;
    let nonsense = |_: &Side| (format!("{path}/nonsense"), String::new());
    seen.both(sides, &wanted(Method::GET, one, "no fingerprint", None), nonsense).await.map(|_| ())
}

async fn manufacturer_vouchers(seen: &mut Seen, sides: &mut Sides) -> anyhow::Result<()> {
    let (path, service) = ("/api/v1/vouchers", Service::Manufacturer);
    let get =
        |path: &'static str, what: &'static str| Call { service, method: Method::GET, path, what, accept: None };
    seen.call(sides, service, Method::GET, path, "one device", "").await?;
    let by_guid = |side: &Side| (format!("{path}?guid={}", side.guid), String::new());
    seen.both(sides, &get("/api/v1/vouchers?guid=", ""), by_guid).await?;
    for query in ["guid=x", "guid=00112233445566778899aabbccddeeff", "device_info=gateway", "device_info=gate"] {
        seen.call(sides, service, Method::GET, &format!("{path}?{query}"), "", "").await?;
    }
    let one = |side: &Side| (format!("{path}/{}", side.guid), String::new());
    let [theirs, ours] = seen.both(sides, &get("/api/v1/vouchers/{guid}", ""), one).await?;
    (sides.theirs.voucher, sides.ours.voucher) = (theirs.body, ours.body);
    seen.call(sides, service, Method::GET, &format!("{path}/x"), "", "").await?;
    seen.call(sides, service, Method::GET, &format!("{path}/{UNKNOWN}"), "", "").await
}

async fn owner_vouchers(seen: &mut Seen, sides: &Sides) -> anyhow::Result<()> {
    let (path, service) = ("/api/v1/owner/vouchers", Service::Owner);
    let post = |what: &'static str| Call { service, method: Method::POST, path, what, accept: None };
    seen.call(sides, service, Method::POST, path, "nothing in it", "").await?;
    seen.call(sides, service, Method::POST, path, "no PEM", "text").await?;
    let broken = "-----BEGIN OWNERSHIP VOUCHER-----\nMAA=\n-----END OWNERSHIP VOUCHER-----\n";
    seen.call(sides, service, Method::POST, path, "no voucher", broken).await?;
    let [theirs, ours] = [sides.theirs.voucher.clone(), sides.ours.voucher.clone()];
    let crossed = |side: &Side| {
        let voucher = if side.by == By::Us { &theirs } else { &ours };
        (path.to_owned(), voucher.clone())
    };
    seen.both(sides, &post("somebody else's"), crossed).await?;
    let good = |side: &Side| (path.to_owned(), side.voucher.clone());
    seen.both(sides, &post(""), good).await?;
    seen.both(sides, &post("again"), good).await?;
    seen.call(sides, service, Method::GET, path, "", "").await?;
    let devices = "/api/v1/owner/devices";
    seen.call(sides, service, Method::GET, devices, "not onboarded", "").await?;
    seen.call(sides, service, Method::GET, &format!("{devices}?old_guid=x"), "", "").await?;
    seen.call(sides, service, Method::GET, &format!("{devices}?old_guid={UNKNOWN}"), "", "").await
}

async fn devices_and_resale(seen: &mut Seen, sides: &Sides, next: &str) -> anyhow::Result<()> {
    let service = Service::Owner;
    let wanted = |method: Method, path: &'static str, what: &'static str| Call {
        service,
        method,
        path,
        what,
        accept: None,
    };
    let devices = "/api/v1/owner/devices";
    let old = |side: &Side| (format!("{devices}?old_guid={}", side.guid), String::new());
    let found =
        seen.both(sides, &wanted(Method::GET, "/api/v1/owner/devices?old_guid=", "onboarded"), old).await?;
    seen.call(sides, service, Method::GET, devices, "onboarded", "").await?;
    let guids = found.map(|answer| {
        let list: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        list[0]["guid"].as_str().unwrap_or_default().to_owned()
    });
    let resell = "/api/v1/owner/resell/{guid}";
    let post = |what| wanted(Method::POST, resell, what);
    let sale = |side: &Side, body: &str| {
        let guid = &guids[usize::from(side.by == By::Us)];
        (format!("/api/v1/owner/resell/{guid}"), body.to_owned())
    };
    seen.both(sides, &post("no PEM"), |side| sale(side, "text")).await?;
    let at = |guid: &'static str| move |_: &Side| (format!("/api/v1/owner/resell/{guid}"), next.to_owned());
    seen.both(sides, &post("no GUID"), at("x")).await?;
    seen.both(sides, &post("unknown"), at(UNKNOWN)).await?;
    seen.both(sides, &post(""), |side| sale(side, next)).await?;
    seen.both(sides, &post("again"), |side| sale(side, next)).await?;
    seen.call(sides, service, Method::GET, devices, "sold", "").await
}
