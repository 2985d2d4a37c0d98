//! Connects to SQLite or PostgreSQL and brings the schema up to date.
//!
//! SQLite gets ONE connection, which all statements and transactions of the process take in turns. So a transaction that
//! reads and then writes can never meet another one half way, and SQLITE_BUSY cannot happen inside the process (other
//! processes, such as a backup, are waited for). The price: whoever holds a transaction must pass that transaction, not
//! the connection, to all that it awaits, and must never hold it over a network call. `Units` and `Reader` are for what
//! happens often: they have connections of their own, which keep that order.

mod inline;
mod reader;
mod units;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "database/tests.rs"]
mod work_tests;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DbBackend, SqlErr, SqlxSqliteConnector};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use inline::Narrow;
pub use reader::Reader;
pub use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionSession, TransactionTrait,
};
pub use units::{Unit, Units, Work};

pub use sea_orm_migration::{MigrationTrait, MigratorTrait};

pub use crate::db::migration::{shared_migrations, transfer_migrations};

const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a request waits for a connection, and SQLite for a writer in another process.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no database. Passwords are cut out of URLs.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(
        "the database URL {0} is neither sqlite: nor postgres:; use sqlite:///path/to/file.db?mode=rwc or postgres://user@host/name"
    )]
    Scheme(String),
    #[error("cannot open the database {url}: {source}")]
    Connect { url: String, source: DbErr },
    #[error("cannot bring the database's schema up to date: {0}")]
    Migrate(DbErr),
    #[error("cannot open the database's file once more: {0}")]
    Again(DbErr),
}

/// Opens a database by its URL.
pub async fn connect(url: &str) -> Result<DatabaseConnection, DatabaseError> {
    let connected = match url.split(':').next() {
        Some("sqlite") => sqlite(url).await,
        Some("postgres" | "postgresql") => postgres(url).await,
        _ => return Err(DatabaseError::Scheme(redacted(url))),
    };
    connected.map_err(|source| DatabaseError::Connect { url: redacted(url), source })
}

async fn sqlite(url: &str) -> Result<DatabaseConnection, DbErr> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE);
    if url.contains("mode=rwc") {
        create_private(options.get_filename()).map_err(|error| DbErr::Custom(error.to_string()))?;
    }
    // Kept for ever: reopening would cost time, and an in-memory database would be lost.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_with(sqlx::ConnectOptions::disable_statement_logging(options))
        .await
        .map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Makes the file itself, for its owner only; SQLite gives its companions (`-wal`, `-shm`) the same mode.
fn create_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn postgres(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(POSTGRES_CONNECTIONS)
        .connect_timeout(PATIENCE)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false);
    Database::connect(options).await
}

/// Applies the migrations that are missing. Replicas that start together take turns.
pub async fn migrate<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), DatabaseError> {
    if !is_postgres(db) {
        return M::up(db, None).await.map_err(DatabaseError::Migrate);
    }
    let result = async {
        let transaction = db.begin().await?;
        // Held until the commit; the number only has to be the same in every replica.
        transaction.execute_unprepared("SELECT pg_advisory_xact_lock(4071982731)").await?;
        M::up(&transaction, None).await?;
        transaction.commit().await
    };
    result.await.map_err(DatabaseError::Migrate)
}

/// Begins a transaction.
pub async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    db.begin().await
}

/// Whether replicas may share this database.
pub fn is_postgres(conn: &impl ConnectionTrait) -> bool {
    conn.get_database_backend() == DbBackend::Postgres
}

/// Whether a row was refused because one with the same unique key is there.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) || inline::is_unique_violation(error)
}

/// The file of a SQLite database; none where it is in memory, or elsewhere.
fn file(db: &DatabaseConnection) -> Option<PathBuf> {
    if is_postgres(db) {
        return None;
    }
    let options = db.get_sqlite_connection_pool().connect_options();
    Some(options.get_filename().to_owned()).filter(|file| file.is_file())
}

/// Where a change of several statements is made: one that has no transaction yet begins its own.
#[async_trait::async_trait]
pub trait Change: ConnectionTrait {
    /// The transaction that the change needs and whoever asked did not begin.
    async fn own_transaction(&self) -> Result<Option<DatabaseTransaction>, DbErr>;
}

#[async_trait::async_trait]
impl Change for DatabaseConnection {
    async fn own_transaction(&self) -> Result<Option<DatabaseTransaction>, DbErr> {
        self.begin().await.map(Some)
    }
}

#[async_trait::async_trait]
impl Change for DatabaseTransaction {
    async fn own_transaction(&self) -> Result<Option<DatabaseTransaction>, DbErr> {
        Ok(None)
    }
}

#[async_trait::async_trait]
impl Change for Unit {
    async fn own_transaction(&self) -> Result<Option<DatabaseTransaction>, DbErr> {
        Ok(None)
    }
}

/// Fails when the database does not answer.
pub async fn ping(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.ping().await
}

/// A database URL without its password, for logs.
pub fn redacted(url: &str) -> String {
    // A password may also stand in the query.
    let url = url.split('?').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::db::SharedMigrator;
    use crate::db::testing::TestDatabase;

    #[tokio::test]
    async fn a_sqlite_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new.db");
        let db = connect(&format!("sqlite://{}?mode=rwc", file.display())).await.unwrap();
        migrate::<SharedMigrator>(&db).await.unwrap();
        for name in ["new.db", "new.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn passwords_are_cut_out() {
        assert_eq!(redacted("postgres://me:se@cret@host/db?password=x"), "postgres://me@host/db");
        assert_eq!(redacted("sqlite:///a/b.db?mode=rwc"), "sqlite:///a/b.db");
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_refused() {
        let error = connect("mysql://me:secret@host/db").await.unwrap_err().to_string();
        assert!(error.contains("postgres://") && !error.contains("secret"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn transactions_that_read_and_write_never_meet_half_way() {
        for database in TestDatabase::all::<SharedMigrator>().await {
            let db = database.connection().clone();
            db.execute_unprepared("CREATE TABLE counter (value INTEGER)").await.unwrap();
            db.execute_unprepared("INSERT INTO counter VALUES (0)").await.unwrap();
            let lock = if is_postgres(&db) { " FOR UPDATE" } else { "" };
            let tasks = (0..20).map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    let transaction = begin(&db).await.unwrap();
                    transaction.execute_unprepared(&format!("SELECT value FROM counter{lock}")).await.unwrap();
                    transaction.execute_unprepared("UPDATE counter SET value = value + 1").await.unwrap();
                    transaction.commit().await.unwrap();
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            let row = sea_orm::Statement::from_string(db.get_database_backend(), "SELECT value FROM counter");
            let count: i32 = db.query_one_raw(row).await.unwrap().unwrap().try_get("", "value").unwrap();
            assert_eq!(count, 20);
        }
    }
}
