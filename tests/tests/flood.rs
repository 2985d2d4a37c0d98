//! A flood of hellos: what the owner keeps stays within its bounds, whoever has proven itself stays, and an honest device
//! still gets in.
#![allow(clippy::unwrap_used)]

use fdo_device::{Agent, Onboarded};
use fdo_http::{Client, Retry, Settings};
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType, SigningKey};
use fdo_protocol::messages::Outbound;
use fdo_protocol::to2::device::{self, AfterEntry, DeviceSettings};
use fdo_protocol::{DeviceCredential, FileSecrets};
use fdo_service::endpoint::{Conversation as _, Incoming};
use fdo_tests::world::{World, WorldSettings, onboard, read};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;
use zeroize::Zeroizing;

const CAPACITY: usize = 200;
const HELLOS: usize = 10_000;

async fn small_owner() -> World {
    let owner: fn(&mut fdo_owner::config::Config) = |config| {
        config.sessions.capacity = CAPACITY;
        config.sessions.bytes = 1 << 20;
    };
    let world = World::with(WorldSettings { owner: Some(owner), ..WorldSettings::default() }).await;
    world.enrol().await;
    world
}

fn credential<T: fdo_device::Transport>(agent: &Agent<T>) -> DeviceCredential {
    agent.store.credential().unwrap()
}

fn settings() -> DeviceSettings {
    DeviceSettings {
        kex_suite: KexSuite::for_key(KeyType::P256),
        cipher_suite: CipherSuite::for_key(KeyType::P256),
        max_message_size: u16::MAX,
        max_service_info_size: None,
        allow_reuse: false,
    }
}

/// What the device signs with, out of its state directory.
fn secrets<T: fdo_device::Transport>(world: &World, agent: &Agent<T>) -> FileSecrets {
    let state = world.directory.path().join(agent.store.status().serial);
    let key = SigningKey::from_pem(&read(&state, "identity/device-key.pem")).unwrap();
    FileSecrets::new(key, Zeroizing::new(credential(agent).hmac_secret.to_vec()))
}

/// 60 of a device, each time with another nonce.
fn hello<T: fdo_device::Transport>(world: &World, agent: &Agent<T>, seed: u64) -> Outbound {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    device::begin(credential(agent), None, &secrets(world, agent), settings(), &mut rng).0
}

/// Asks the owner without HTTP, as fast as it can answer.
async fn flood<T: fdo_device::Transport>(world: &World, agents: &[Agent<T>], count: usize) -> usize {
    let conversation = fdo_owner::onboarding::Conversation::new(world.owner.as_ref().unwrap().app.clone());
    let bodies: Vec<Vec<u8>> =
        (0..64).map(|seed| hello(world, &agents[seed % agents.len()], seed as u64).body).collect();
    let mut answered = 0;
    for number in 0..count {
        let incoming = Incoming {
            message_type: 60,
            body: bodies[number % bodies.len()].clone().into(),
            token: None,
            source: [127, 0, 0, 1].into(),
            correlation: 1,
        };
        answered += usize::from(conversation.answer(incoming).await.is_ok());
    }
    answered
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn kept(world: &World) -> u64 {
    world.owner.as_ref().unwrap().app.records.count().await.unwrap()
}

#[tokio::test]
async fn a_flood_of_hellos_is_bounded_and_costs_no_proven_device_its_session() {
    let world = small_owner().await;
    let mut agents = Vec::new();
    for number in 0..8 {
        agents.push(world.sold_device(&format!("SN-{number}"), KeyType::P256).await);
    }
    // One device has proven itself by 64.
    let proven = &agents[7];
    let (proof, secrets) = (settings(), secrets(&world, proven));
    let mut rng = ChaCha20Rng::seed_from_u64(99);
    let client = Client::new(&Settings { retry: Retry::NEVER, ..Settings::default() }).unwrap();
    let mut run = client.conversation(&world.owner_url);
    let (request, state) = device::begin(credential(proven), None, &secrets, proof, &mut rng);
    let (mut request, mut state) = state.prove_ov_hdr(&run.exchange(&request).await.unwrap(), &secrets).unwrap();
    let set_up = loop {
        match state.ov_next_entry(&run.exchange(&request).await.unwrap(), &secrets, &mut rng).unwrap() {
            AfterEntry::Next(next, waiting) => (request, state) = (next, waiting),
            AfterEntry::Prove(prove, waiting) => {
                break waiting.setup_device(&run.exchange(&prove).await.unwrap()).unwrap();
            }
        }
    };

    // One known GUID, then many, far more often than there is room.
    let warm = flood(&world, &agents[..1], 1_000).await;
    assert_eq!(warm, 1_000, "the oldest unproven session makes room");
    let before = resident_kib();
    flood(&world, &agents[..1], HELLOS / 2).await;
    flood(&world, &agents[..7], HELLOS / 2).await;
    assert!(kept(&world).await <= CAPACITY as u64, "{} sessions", kept(&world).await);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more after the flood");

    // Whoever had proven itself goes on.
    let (ready, state) = set_up.ready(&secrets, Zeroizing::new(vec![7; 32]), &mut rng).unwrap();
    state.ready(&run.exchange(&ready).await.unwrap()).unwrap();

    // And an honest device gets in while the table is full.
    let onboarded = onboard(&agents[0]).await.unwrap();
    assert!(matches!(onboarded, Onboarded::Now { .. }), "{onboarded:?}");
    world.stop().await;
}

#[tokio::test]
async fn hellos_of_one_guid_are_limited_and_cost_the_others_nothing() {
    let owner: fn(&mut fdo_owner::config::Config) = |config| {
        config.limits.guid_per_second = 1;
        config.limits.guid_burst = 60;
    };
    let world = World::with(WorldSettings { owner: Some(owner), ..WorldSettings::default() }).await;
    world.enrol().await;
    let flooded = world.sold_device("FLOODED", KeyType::P256).await;
    let honest = world.sold_device("HONEST", KeyType::P256).await;
    let answered = flood(&world, std::slice::from_ref(&flooded), 1_000).await;
    assert_eq!(answered, 60, "the burst, and no more");
    assert!(kept(&world).await <= 60);
    onboard(&honest).await.unwrap();
    // With time, the flooded one gets in too.
    assert!(onboard(&flooded).await.is_err());
    world.clock.advance(60);
    onboard(&flooded).await.unwrap();
    let device: Value = world.owner_api.get("/api/v1/devices/FLOODED").await.unwrap();
    assert_eq!(device["state"], "onboarded", "{device}");
    world.stop().await;
}
