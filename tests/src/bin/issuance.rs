//! Certificates a second that the owner's CA issues durably, on SQLite or PostgreSQL, by how many are asked for at a time.
//! Each is stored before it is signed and committed before it is answered.
//!
//! `cargo run --release -p fdo-tests --bin issuance`
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use fdo_owner::app::App;
use fdo_owner::ca::{Granted, LDEVID, Origin, Requester};
use fdo_owner::config::Config;
use fdo_pki::{DeviceSerial, build_csr};
use fdo_protocol::Guid;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use futures_util::{StreamExt, stream};

const HELP: &str = "\
issuance [--count N] [--database URL] [--json]
  --count N       certificates of each row [4000]
  --database URL  instead of SQLite in a temporary folder
  --json          print one JSON object";

fn main() {
    let (mut count, mut database, mut json) = (4_000, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| usage());
        match argument.as_str() {
            "--count" => count = value().parse().unwrap_or_else(|_| usage()),
            "--database" => database = Some(value()),
            "--json" => json = true,
            _ => usage(),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let rows: Vec<_> = runtime.block_on(measure(count, database));
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!({ "issuance": rows })).unwrap();
        return;
    }
    writeln!(out, "{:>10} {:>16}", "at a time", "certificates/s").unwrap();
    for row in rows {
        writeln!(out, "{:>10} {:>16.0}", row["concurrency"], row["per_second"].as_f64().unwrap()).unwrap();
    }
}

fn usage() -> ! {
    let _ = writeln!(std::io::stderr(), "{HELP}");
    std::process::exit(2);
}

async fn measure(count: usize, database: Option<String>) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let random = Random::seeded(1);
    let config = Config { database, ..Config::default() };
    let (app, _) = App::open(&config, folder.path(), Clock::system(), random.clone()).await.unwrap();
    let app = Arc::new(app);
    let mut rows = Vec::new();
    for concurrency in [1, 8, 64, 256] {
        let few = if concurrency == 1 { count / 8 } else { count };
        let requests: Vec<Vec<u8>> = (0..few).map(|_| request(&random)).collect();
        let started = Instant::now();
        let issue = |request: Vec<u8>| {
            let app = app.clone();
            // On every core, as requests come in.
            tokio::spawn(async move { issue(&app, &request).await })
        };
        let issued = stream::iter(requests).map(issue).buffer_unordered(concurrency);
        issued.for_each(|outcome| async move { outcome.unwrap() }).await;
        let seconds = started.elapsed().as_secs_f64();
        rows.push(serde_json::json!({ "concurrency": concurrency, "per_second": few as f64 / seconds }));
    }
    rows
}

fn request(random: &Random) -> Vec<u8> {
    let key = SigningKey::generate(KeyType::P256, &mut random.rng()).unwrap();
    build_csr(&key, None, &DeviceSerial::parse("SN-1").unwrap()).unwrap()
}

async fn issue(app: &App, csr: &[u8]) {
    let requester = Requester {
        device_id: "d1",
        serial: Some("SN-1"),
        guid: Guid::from_bytes([1; 16]),
        origin: Origin::Est { replaces: None },
    };
    let (now, rng) = (app.clock.now(), &mut app.random.rng());
    let granted = app.ca.issue(&app.db, LDEVID, csr, &requester, now, rng).await.unwrap();
    assert!(matches!(granted, Granted::Issued(_)));
}
