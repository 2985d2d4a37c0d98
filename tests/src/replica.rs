//! More owners and manufacturers beside those of a world: strangers of their own, or replicas on the same database.

use fdo_owner::config::Config;
use fdo_service::cli::ApiClient;
use fdo_service::host::config::Listen;
use fdo_service::host::random::Random;
use serde_json::{Value, json};

use crate::world::{World, free_port};

fn anywhere() -> Listen {
    Listen::at(&format!("127.0.0.1:{}", free_port()))
}

/// An owner with its API.
pub struct OtherOwner {
    pub running: fdo_owner::app::Running,
    pub api: ApiClient,
}

/// Starts another owner on a data directory below the world's: the world's own `owner` makes it a replica.
pub async fn owner(world: &World, folder: &str, seed: u64) -> OtherOwner {
    owner_with(world, world.owner_config.clone(), folder, seed).await
}

/// The same with these settings; it listens elsewhere.
pub async fn owner_with(world: &World, settings: Config, folder: &str, seed: u64) -> OtherOwner {
    let data_dir = world.directory.path().join(folder);
    let mut config = Config { listen: anywhere(), operators: anywhere(), ..settings };
    config.status.address = anywhere().address;
    config.est.address = anywhere().address;
    let random = Random::seeded(seed);
    let running = fdo_owner::app::start(&config, &data_dir, world.clock.clone(), random).await.unwrap();
    let token = std::fs::read_to_string(data_dir.join("operator-token")).unwrap();
    let api = ApiClient::new(&format!("http://{}", config.operators.address), Some(token.trim())).unwrap();
    OtherOwner { running, api }
}

/// Starts a second manufacturer on the same keys and database; gives the URL of its claims.
pub async fn manufacturer(world: &World, seed: u64) -> (fdo_manufacturer::app::Running, String) {
    let mut config = fdo_manufacturer::config::Config {
        listen: anywhere(),
        operators: anywhere(),
        ..world.manufacturer_config.clone()
    };
    config.claims.address = anywhere().address;
    let data_dir = world.directory.path().join("manufacturer");
    let random = Random::seeded(seed);
    let running = fdo_manufacturer::app::start(&config, &data_dir, world.clock.clone(), random).await.unwrap();
    (running, format!("https://{}", config.claims.address))
}

/// Enrols an owner with a new code; `buyer` is made if need be. `url` is the claims listener.
pub async fn enrol(world: &World, api: &ApiClient, buyer: &str, url: &str) {
    let code = match world.manufacturer_api.post::<_, Value>("/api/v1/buyers", &json!({ "name": buyer })).await {
        Ok(made) => made["code"].clone(),
        Err(_) => {
            let path = format!("/api/v1/buyers/{buyer}/code");
            let renewed: Value = world.manufacturer_api.post(&path, &json!({})).await.unwrap();
            renewed["code"].clone()
        }
    };
    let enrolment = json!({ "url": url, "fingerprint": world.identity_fingerprint, "code": code });
    let _: Value = api.post("/api/v1/manufacturers", &enrolment).await.unwrap();
}
