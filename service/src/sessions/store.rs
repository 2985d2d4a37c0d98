//! Sessions in the database: any replica serves any message. The token is stored hashed, the state sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, Condition, PaginatorTrait, QueryOrder, QuerySelect, QueryTrait};
use sha2::{Digest, Sha256};

use super::record::{Change, Found, RecordSettings, TOKEN_BYTES};
use super::{Protocol, SealingKey, SessionError};
use crate::host::random::Random;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "fdo_session")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token_hash: Vec<u8>,
        pub protocol: String,
        pub version: i64,
        pub state: Option<Vec<u8>>,
        pub request_hash: Vec<u8>,
        pub reply_type: i32,
        pub reply: Vec<u8>,
        pub proven: bool,
        pub created: i64,
        pub active: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// At most so many rows go in one statement, since SQLite's only connection is busy for its time.
const BATCH: u64 = 1000;

pub(super) struct Rows {
    db: DatabaseConnection,
    key: SealingKey,
    random: Random,
    settings: RecordSettings,
    /// About how many rows there are, so that an insert need not count them; replicas and removals make it drift
    /// until the next count.
    about: AtomicU64,
}

impl Rows {
    pub(super) fn new(db: DatabaseConnection, key: SealingKey, settings: RecordSettings) -> Self {
        // Nonces must never repeat, not even in tests that seed everything else.
        Self { db, key, random: Random::system(), settings, about: AtomicU64::new(0) }
    }

    pub(super) async fn insert(
        &self,
        token: &[u8; TOKEN_BYTES],
        protocol: Protocol,
        change: Change<'_>,
    ) -> Result<(), SessionError> {
        self.make_room().await?;
        let hash = hash(token);
        let state = self.seal(&hash, protocol, 0, &change);
        let row = row::ActiveModel {
            protocol: Set(protocol.name().to_owned()),
            version: Set(0),
            state: Set(state),
            request_hash: Set(change.request.to_vec()),
            reply_type: Set(i32::from(change.reply_type)),
            reply: Set(change.reply.to_vec()),
            proven: Set(change.proven),
            created: Set(signed(change.now)),
            active: Set(signed(change.now)),
            token_hash: Set(hash),
        };
        row::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.about.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A flood between two sweeps displaces its own hellos; some at a time, so that most inserts cost one statement.
    async fn make_room(&self) -> Result<(), SessionError> {
        let capacity = self.settings.capacity as u64;
        if self.about.load(Ordering::Relaxed) < capacity {
            return Ok(());
        }
        let count = self.count().await?;
        let gone =
            if count < capacity { 0 } else { self.drop_silent((count - capacity + 1).max(capacity / 16)).await? };
        self.about.store(count - gone.min(count), Ordering::Relaxed);
        if count - gone.min(count) < capacity { Ok(()) } else { Err(SessionError::Full) }
    }

    pub(super) async fn find(
        &self,
        token: &[u8; TOKEN_BYTES],
        protocol: Protocol,
        now: u64,
    ) -> Result<Option<Found>, SessionError> {
        let hash = hash(token);
        let Some(row) = row::Entity::find_by_id(hash.clone()).one(&self.db).await? else {
            return Ok(None);
        };
        let (created, active) = (unsigned(row.created)?, unsigned(row.active)?);
        if row.protocol != protocol.name() || self.settings.expired(created, active, now) {
            return Ok(None);
        }
        let state = match &row.state {
            Some(sealed) => Some(Arc::new(self.key.open(&bound(&hash, protocol, row.version), sealed)?)),
            None => None,
        };
        Ok(Some(Found {
            version: row.version,
            state,
            request: row.request_hash.as_slice().try_into().map_err(|_| bad_row("request_hash"))?,
            reply_type: u8::try_from(row.reply_type).map_err(|_| bad_row("reply_type"))?,
            reply: row.reply,
            proven: row.proven,
        }))
    }

    /// One statement, so that no transaction is needed: the version decides who wins.
    pub(super) async fn update(
        &self,
        token: &[u8; TOKEN_BYTES],
        protocol: Protocol,
        version: i64,
        change: Change<'_>,
    ) -> Result<(), SessionError> {
        let hash = hash(token);
        let state = self.seal(&hash, protocol, version + 1, &change);
        let written = row::Entity::update_many()
            .col_expr(row::Column::Version, Expr::value(version + 1))
            .col_expr(row::Column::State, Expr::value(state))
            .col_expr(row::Column::RequestHash, Expr::value(change.request.to_vec()))
            .col_expr(row::Column::ReplyType, Expr::value(i32::from(change.reply_type)))
            .col_expr(row::Column::Reply, Expr::value(change.reply.to_vec()))
            .col_expr(row::Column::Proven, Expr::value(change.proven))
            .col_expr(row::Column::Active, Expr::value(signed(change.now)))
            .filter(row::Column::TokenHash.eq(hash))
            .filter(row::Column::Version.eq(version))
            .exec(&self.db)
            .await?;
        if written.rows_affected == 1 { Ok(()) } else { Err(SessionError::Lost) }
    }

    pub(super) async fn remove(&self, token: &[u8; TOKEN_BYTES], protocol: Protocol) -> Result<(), SessionError> {
        row::Entity::delete_many()
            .filter(row::Column::TokenHash.eq(hash(token)))
            .filter(row::Column::Protocol.eq(protocol.name()))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    /// Forgets what has expired; above the capacity, also the longest silent sessions that are not proven.
    pub(super) async fn sweep(&self, now: u64) -> Result<u64, SessionError> {
        let expired = Condition::any()
            .add(row::Column::Active.lte(signed(now.saturating_sub(self.settings.idle_seconds))))
            .add(row::Column::Created.lte(signed(now.saturating_sub(self.settings.total_seconds))));
        let mut gone = row::Entity::delete_many().filter(expired).exec(&self.db).await?.rows_affected;
        let mut count = self.count().await?;
        let surplus = count.saturating_sub(self.settings.capacity as u64);
        if surplus > 0 {
            let dropped = self.drop_silent(surplus).await?;
            gone += dropped;
            count -= dropped.min(count);
        }
        self.about.store(count, Ordering::Relaxed);
        Ok(gone)
    }

    /// Drops the longest silent sessions that are not proven or are over, as many as there are up to `wanted`.
    async fn drop_silent(&self, wanted: u64) -> Result<u64, SessionError> {
        let mut gone = 0;
        while gone < wanted {
            let droppable = Condition::any().add(row::Column::Proven.eq(false)).add(row::Column::State.is_null());
            let silent = row::Entity::find()
                .select_only()
                .column(row::Column::TokenHash)
                .filter(droppable)
                .order_by_asc(row::Column::Active)
                .limit((wanted - gone).min(BATCH))
                .into_query();
            let batch = row::Entity::delete_many().filter(row::Column::TokenHash.in_subquery(silent));
            match batch.exec(&self.db).await?.rows_affected {
                0 => break,
                dropped => gone += dropped,
            }
        }
        Ok(gone)
    }

    pub(super) async fn count(&self) -> Result<u64, SessionError> {
        Ok(row::Entity::find().count(&self.db).await?)
    }

    fn seal(&self, hash: &[u8], protocol: Protocol, version: i64, change: &Change<'_>) -> Option<Vec<u8>> {
        let state = change.state.as_ref()?;
        Some(self.key.seal(&bound(hash, protocol, version), state, &mut self.random.rng()))
    }
}

/// A sealed state opens only in its row and at its version.
fn bound(hash: &[u8], protocol: Protocol, version: i64) -> Vec<u8> {
    [hash, &version.to_be_bytes(), protocol.name().as_bytes()].concat()
}

fn hash(token: &[u8; TOKEN_BYTES]) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn unsigned(seconds: i64) -> Result<u64, SessionError> {
    u64::try_from(seconds).map_err(|_| bad_row("time"))
}

fn bad_row(column: &str) -> SessionError {
    SessionError::Database(DbErr::Type(format!("fdo_session.{column} holds an impossible value")))
}
