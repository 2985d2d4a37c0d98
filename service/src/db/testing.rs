//! A database of its own for every store test: SQLite in a temporary file, PostgreSQL in a fresh schema.
//!
//! `FDO_TEST_POSTGRES` names a PostgreSQL to use. Without it those tests say that they skip it; with
//! `FDO_REQUIRE_POSTGRES=1` they fail instead.

use std::io::Write;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::MigratorTrait;
use tempfile::TempDir;

use crate::database;

/// A migrated database that nobody else uses. A PostgreSQL schema stays in its throw-away cluster.
pub struct TestDatabase {
    connection: DatabaseConnection,
    url: String,
    name: &'static str,
    _folder: Option<TempDir>,
}

#[allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test that has no database should stop
impl TestDatabase {
    /// SQLite in a temporary file.
    pub async fn sqlite<M: MigratorTrait>() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
        Self::open::<M>(url, "sqlite", Some(folder)).await
    }

    /// PostgreSQL, where there is one.
    pub async fn postgres<M: MigratorTrait>() -> Option<Self> {
        let Some(base) = std::env::var("FDO_TEST_POSTGRES").ok().filter(|url| !url.is_empty()) else {
            let required = std::env::var("FDO_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
            assert!(!required, "FDO_REQUIRE_POSTGRES=1, but FDO_TEST_POSTGRES names no PostgreSQL");
            let _ = writeln!(std::io::stderr(), "skipping PostgreSQL: FDO_TEST_POSTGRES is not set");
            return None;
        };
        let schema = format!("test_{}", uuid::Uuid::new_v4().simple());
        let admin = database::connect(&base).await.unwrap();
        admin.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        admin.close().await.unwrap();
        let separator = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{separator}options=-c%20search_path%3D{schema}");
        Some(Self::open::<M>(url, "postgres", None).await)
    }

    /// One of each kind at hand.
    pub async fn all<M: MigratorTrait>() -> Vec<Self> {
        let mut all = vec![Self::sqlite::<M>().await];
        all.extend(Self::postgres::<M>().await);
        all
    }

    async fn open<M: MigratorTrait>(url: String, name: &'static str, folder: Option<TempDir>) -> Self {
        let connection = database::connect(&url).await.unwrap();
        database::migrate::<M>(&connection).await.unwrap();
        Self { connection, url, name, _folder: folder }
    }

    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// To start a whole service on it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// "sqlite" or "postgres", for messages of failed assertions.
    pub fn name(&self) -> &'static str {
        self.name
    }
}
