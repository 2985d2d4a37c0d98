//! CPU time a session: what a rendezvous spends on TO1 and an owner on TO2, by the kernel's accounting of the server
//! process, beside what the public-key operations cost that such a session cannot avoid, measured in the same run with
//! the same library.
//!
//! `cargo run --release -p fdo-tests --bin load` (build the services first: `cargo build --release`)
#![allow(clippy::unwrap_used)]

use std::io::Write;

use fdo_protocol::crypto::{KexSuite, KeyExchangeReply, KeyType, OwnerKeyExchange, SigningKey};
use fdo_tests::load::{Measurement, Plan, measure_to1, measure_to2, sessions_in_memory};
use fdo_tests::process::own_cpu_nanoseconds;
use rand_core::SeedableRng;

const HELP: &str = "\
load [--sessions N] [--concurrency N] [--parked N] [--json]
  --sessions N     sessions measured of each kind [1000]
  --concurrency N  sessions at a time, over kept-alive connections [8]
  --parked N       sessions held at once for the memory figure [1000]
  --json           print one JSON object";

fn main() {
    let mut plan = Plan { sessions: 1000, concurrency: 8 };
    let (mut parked, mut json) = (1000, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| usage());
        match argument.as_str() {
            "--sessions" => plan.sessions = number(),
            "--concurrency" => plan.concurrency = number(),
            "--parked" => parked = number(),
            "--json" => json = true,
            _ => usage(),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut lines = Vec::new();
    for key_type in KeyType::ELLIPTIC {
        let floor = Floor::measure(key_type);
        let to1 = runtime.block_on(measure_to1(key_type, plan));
        lines.push(line("TO1", key_type, &to1, floor.to1()));
        let to2 = runtime.block_on(measure_to2(key_type, plan));
        lines.push(line("TO2", key_type, &to2, floor.to2()));
    }
    let (count, memory) = runtime.block_on(sessions_in_memory(KeyType::P256, parked));
    let memory = serde_json::json!({ "sessions": count, "peak_mib": memory / 1024 });
    let report = serde_json::json!({ "sessions": lines, "memory": memory });
    let mut out = std::io::stdout().lock();
    let written = if json { writeln!(out, "{report}") } else { table(&mut out, &report) };
    written.unwrap();
}

fn usage() -> ! {
    let _ = writeln!(std::io::stderr(), "{HELP}");
    std::process::exit(2);
}

fn line(protocol: &str, key_type: KeyType, measured: &Measurement, floor: f64) -> serde_json::Value {
    serde_json::json!({
        "protocol": protocol,
        "key": key_type.to_string(),
        "server_cpu_us": measured.server_cpu_us,
        "floor_us": floor,
        "ratio": measured.server_cpu_us / floor,
        "sessions": measured.sessions,
        "per_second": measured.per_second,
    })
}

fn table(out: &mut impl Write, report: &serde_json::Value) -> std::io::Result<()> {
    writeln!(
        out,
        "{:<9} {:<6} {:>9} {:>16} {:>13} {:>7} {:>11}",
        "PROTOCOL", "KEY", "SESSIONS", "SERVER CPU (us)", "FLOOR (us)", "RATIO", "PER SECOND"
    )?;
    for line in report["sessions"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "{:<9} {:<6} {:>9} {:>16.1} {:>13.1} {:>7.2} {:>11.0}",
            line["protocol"].as_str().unwrap_or_default(),
            line["key"].as_str().unwrap_or_default(),
            line["sessions"].as_u64().unwrap_or_default(),
            line["server_cpu_us"].as_f64().unwrap_or_default(),
            line["floor_us"].as_f64().unwrap_or_default(),
            line["ratio"].as_f64().unwrap_or_default(),
            line["per_second"].as_f64().unwrap_or_default(),
        )?;
    }
    let memory = &report["memory"];
    writeln!(out, "owner with {} sessions at once: {} MiB at the most", memory["sessions"], memory["peak_mib"])
}

/// What each operation costs on this machine now, in microseconds of CPU time.
struct Floor {
    sign: f64,
    verify: f64,
    key_exchange: f64,
}

impl Floor {
    fn measure(key_type: KeyType) -> Self {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let key = SigningKey::generate(key_type, &mut rng).unwrap();
        let signature = key.sign(&[7; 256]).unwrap();
        let suite = KexSuite::for_key(key_type);
        let offer = OwnerKeyExchange::generate(suite, &mut rng).unwrap();
        let (x_b, _) = KeyExchangeReply::answer(suite, offer.public(), key.verifying_key(), &mut rng).unwrap();
        Self {
            sign: each(|| drop(key.sign(&[7; 256]).unwrap())),
            verify: each(|| key.verifying_key().verify(&[7; 256], &signature).unwrap()),
            key_exchange: each(|| {
                let offer = OwnerKeyExchange::generate(suite, &mut rng).unwrap();
                drop(offer.finish(&x_b, &key).unwrap());
            }),
        }
    }

    /// The rendezvous verifies the device's token.
    fn to1(&self) -> f64 {
        self.verify
    }

    /// The owner signs 61 and 65, makes and ends a key exchange, and verifies the device's token.
    fn to2(&self) -> f64 {
        2.0 * self.sign + self.verify + self.key_exchange
    }
}

/// Microseconds of CPU time, the median of nine rounds of a hundred.
#[allow(clippy::cast_precision_loss)]
fn each(mut operation: impl FnMut()) -> f64 {
    const ROUND: u32 = 100;
    let mut rounds: Vec<u64> = (0..9)
        .map(|_| {
            let before = own_cpu_nanoseconds();
            (0..ROUND).for_each(|_| operation());
            own_cpu_nanoseconds() - before
        })
        .collect();
    rounds.sort_unstable();
    rounds[4] as f64 / f64::from(ROUND) / 1000.0
}
