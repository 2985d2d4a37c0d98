//! Databases of their own on the PostgreSQL that `FDO_TEST_POSTGRES` names; without it a test says that it is skipped.

use std::io::Write;

use fdo_service::database::{self, ConnectionTrait};
use fdo_service::host::random::Random;
use rand_core::Rng;

/// So many empty databases, dropped by [`Databases::drop_all`].
pub struct Databases {
    server: String,
    names: Vec<String>,
}

impl Databases {
    /// Makes them; none where there is no PostgreSQL, unless `FDO_REQUIRE_POSTGRES=1` insists.
    pub async fn create(count: usize) -> Option<Self> {
        let Some(server) = std::env::var("FDO_TEST_POSTGRES").ok().filter(|url| !url.is_empty()) else {
            let is_required = std::env::var("FDO_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
            assert!(!is_required, "FDO_REQUIRE_POSTGRES=1, but FDO_TEST_POSTGRES names no PostgreSQL");
            let _ = writeln!(std::io::stderr(), "skipping PostgreSQL: FDO_TEST_POSTGRES is not set");
            return None;
        };
        let mark = Random::system().rng().next_u64();
        let names: Vec<String> = (0..count).map(|number| format!("firstlight_{mark:016x}_{number}")).collect();
        let databases = Self { server, names };
        databases.each("CREATE DATABASE").await;
        Some(databases)
    }

    /// The URL of one of them.
    pub fn url(&self, index: usize) -> String {
        let name = &self.names[index];
        let (address, query) = match self.server.split_once('?') {
            Some((address, query)) => (address, format!("?{query}")),
            None => (self.server.as_str(), String::new()),
        };
        let (scheme, rest) = address.split_once("://").unwrap();
        let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
        format!("{scheme}://{authority}/{name}{query}")
    }

    async fn each(&self, deed: &str) {
        let connection = database::connect(&self.server).await.unwrap();
        for name in &self.names {
            connection.execute_unprepared(&format!("{deed} {name}")).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// Drops them, whoever is still connected.
    pub async fn drop_all(self) {
        let connection = database::connect(&self.server).await.unwrap();
        for name in &self.names {
            let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            connection.execute_unprepared(&statement).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}
