//! What revocation costs: a CRL shard of 5,000 entries, and OCSP answers from memory, with HTTP and without.
//!
//! `cargo build --release`, then `cargo run --release -p fdo-tests --bin revocation`. CPU time is the operating system's,
//! of the server's process or of the one thread that works.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::time::{Duration, Instant};

use fdo_owner::revocation::ocsp::{Reply, respond};
use fdo_pki::crl::{CrlProfile, RevokedEntry};
use fdo_pki::{CaSubject, Issuer, Lifetime, Reason, make_device_ca};
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;
use fdo_tests::process::{Process, own_cpu_nanoseconds, program};
use fdo_tests::world::{World, free_port, onboard};
use fdo_tests::{WorldSettings, pki_tools};
use rand_core::Rng;
use serde_json::Value;

const ENTRIES: usize = 5_000;
const IN_MEMORY: u32 = 200_000;
const REQUESTS: usize = 40_000;
const CONNECTIONS: usize = 8;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    lists();
    let world = World::with(WorldSettings { clock: Some(Clock::system()), ..WorldSettings::default() }).await;
    let question = question(&world).await;
    in_memory(&world, &question).await;
    over_http(world, &question).await;
}

fn median(mut times: Vec<u64>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2] as f64
}

/// A CRL as a shard has it when it is full, and the signature that it cannot do without.
fn lists() {
    let mut rng = Random::seeded(1).rng();
    let key = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
    let name = CaSubject { common_name: "CA".into(), organization: None };
    let now = 1_790_000_000;
    let ca = make_device_ca(&name, &key, Lifetime::years(10), now, &mut rng).unwrap();
    let issuer = Issuer::new(&ca.certificate().unwrap()).unwrap();
    let serials: Vec<[u8; 16]> = (0..ENTRIES)
        .map(|_| {
            let mut serial = [0; 16];
            rng.fill_bytes(&mut serial);
            serial
        })
        .collect();
    let mut size = 0;
    let mut build = || {
        let began = own_cpu_nanoseconds();
        let entries: Vec<RevokedEntry> =
            serials.iter().map(|serial| RevokedEntry::new(serial, now, Reason::KeyCompromise).unwrap()).collect();
        let point = Some("http://pki.example/crl/issuing/1.crl");
        let profile = CrlProfile { number: 1, this_update: now, next_update: now + 1, distribution_point: point };
        size = profile.prepare(&issuer, &entries).unwrap().sign(&key).unwrap().len();
        own_cpu_nanoseconds() - began
    };
    let built = median((0..51).map(|_| build()).collect());
    let sign = || {
        let began = own_cpu_nanoseconds();
        (0..100).for_each(|_| drop(key.sign_der(&[0; 256]).unwrap()));
        (own_cpu_nanoseconds() - began) / 100
    };
    let signature = median((0..51).map(|_| sign()).collect());
    println!(
        "CRL of {ENTRIES} entries: {:.2} ms, {size} bytes; a signature: {:.1} us",
        built / 1e6,
        signature / 1e3
    );
}

/// What OpenSSL asks about a device's certificate, without a nonce.
async fn question(world: &World) -> Vec<u8> {
    world.enrol().await;
    let agent = world.sold_device("SN-1", KeyType::P256).await;
    onboard(&agent).await.unwrap();
    let issued: Value = world.owner_api.get("/api/v1/certificates?state=issued").await.unwrap();
    let ca: Value = world.owner_api.get("/api/v1/ca").await.unwrap();
    let folder = world.directory.path();
    std::fs::write(folder.join("leaf.pem"), issued["items"][0]["pem"].as_str().unwrap()).unwrap();
    std::fs::write(folder.join("issuing.pem"), ca["issuing"]["pem"].as_str().unwrap()).unwrap();
    let openssl = pki_tools::find("openssl").unwrap();
    openssl.run(folder, "ocsp -issuer issuing.pem -cert leaf.pem -no_nonce -reqout ask.der");
    std::fs::read(folder.join("ask.der")).unwrap()
}

async fn in_memory(world: &World, question: &[u8]) {
    let app = &world.owner.as_ref().unwrap().app;
    let first = respond(app, question).await;
    assert!(matches!(&first, Reply::Signed(answer) if answer.may_be_kept), "{first:?}");
    let (began, clock) = (own_cpu_nanoseconds(), Instant::now());
    for _ in 0..IN_MEMORY {
        std::hint::black_box(respond(app, question).await);
    }
    let each = (own_cpu_nanoseconds() - began) as f64 / f64::from(IN_MEMORY);
    let wall = clock.elapsed().as_secs_f64() / f64::from(IN_MEMORY) * 1e9;
    println!("OCSP from memory: {each:.0} ns ({wall:.0} ns on the clock), {:.0} a second and core", 1e9 / each);
}

/// The same by POST on kept connections, by the CPU time of a server process of its own.
async fn over_http(mut world: World, question: &[u8]) {
    world.owner.take().unwrap().stop().await;
    let address = format!("127.0.0.1:{}", free_port());
    let [device, operators] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let data = world.directory.path().join("owner");
    let url = &world.owner_config.status.url();
    let arguments = ["--data-dir", data.to_str().unwrap(), "serve", "--log", "warn", "--workers", "1"];
    let more = ["--listen", &device, "--operators", &operators, "--status", &address, "--status-public-url", url];
    let arguments = [&arguments[..], &more].concat();
    let server = Process::start(&program("fdo-owner"), &arguments, &[], &world.directory.path().join("log"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        assert!(Instant::now() < deadline, "{}", log(&world.directory.path().join("log")));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ask = async |client: &reqwest::Client| {
        let request =
            client.post(format!("http://{address}/ocsp")).header("content-type", "application/ocsp-request");
        let answer = request.body(question.to_vec()).send().await.unwrap().bytes().await.unwrap();
        assert!(answer.len() > 100, "a failure: {answer:?}");
    };
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| reqwest::Client::new()).collect();
    for client in &clients {
        ask(client).await;
    }
    let (began, clock) = (server.cpu_nanoseconds(), Instant::now());
    let runs = clients.iter().map(|client| async {
        for _ in 0..REQUESTS / CONNECTIONS {
            ask(client).await;
        }
    });
    futures_util::future::join_all(runs).await;
    let each = (server.cpu_nanoseconds() - began) as f64 / REQUESTS as f64;
    let rate = REQUESTS as f64 / clock.elapsed().as_secs_f64();
    println!(
        "OCSP over HTTP: {:.1} us of the server's CPU time, {:.0} a second and core; {rate:.0} a second were asked; \
         peak memory {} MiB",
        each / 1e3,
        1e9 / each,
        server.peak_memory() / 1024
    );
    server.kill();
    world.stop().await;
}

fn log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
