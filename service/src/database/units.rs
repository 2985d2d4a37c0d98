//! Units of work: each is one transaction, and what waits at the same time is committed together.
//!
//! On SQLite a thread of its own runs them, so that a unit costs one way there and back however many statements it has,
//! and one fsync makes several of them durable. Nobody is answered before the commit that holds their unit. While it
//! works it holds the ordinary connection, so that no other transaction of the process can meet it half way. On
//! PostgreSQL, and with a database in memory, a unit is an ordinary transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionTrait,
};
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::DatabaseError;
use super::inline::{Inline, Narrow};

/// Units that may wait; each has somebody who waits for it, so that more are a flood.
const QUEUE: usize = 4096;
/// At most so many units are one commit.
const TOGETHER: usize = 64;
/// The ordinary connection is held for so long while units keep coming ..
const TURN: Duration = Duration::from_millis(20);
/// .. and for so long while none comes, because giving it back and taking it again costs more than a unit.
const LINGER: Duration = Duration::from_millis(2);

/// What the statements of a unit run on.
pub struct Unit(On);

enum On {
    Transaction(DatabaseTransaction),
    Inline(Arc<Inline>),
}

/// A unit of work under way.
pub type Work<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Commits units of work.
pub struct Units {
    db: DatabaseConnection,
    queue: Option<SyncSender<Box<dyn Waiting>>>,
}

impl Units {
    /// For a database that is connected; on SQLite it starts the thread.
    pub fn new(db: &DatabaseConnection, narrow: &Narrow) -> Result<Self, DatabaseError> {
        let Some(file) = super::file(db) else {
            return Ok(Self { db: db.clone(), queue: None });
        };
        let inline = Arc::new(Inline::writing(&file, narrow.clone()).map_err(DatabaseError::Again)?);
        let (queue, waiting) = sync_channel(QUEUE);
        let (pool, runtime) = (db.get_sqlite_connection_pool().clone(), Handle::current());
        let thread = Thread { inline, pool, runtime, waiting };
        let spawned = std::thread::Builder::new().name("units".to_owned()).spawn(move || thread.run());
        spawned.map_err(|error| DatabaseError::Again(DbErr::Custom(error.to_string())))?;
        Ok(Self { db: db.clone(), queue: Some(queue) })
    }

    /// Runs a unit of work and commits it; where it fails, nothing of it stays. It must await nothing but what it is
    /// given, and holds nothing that others wait for.
    pub async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
        F: for<'a> FnOnce(&'a Unit) -> Work<'a, T, E> + Send + 'static,
    {
        let Some(queue) = &self.queue else {
            let unit = Unit(On::Transaction(self.db.begin().await?));
            let done = work(&unit).await?;
            if let On::Transaction(transaction) = unit.0 {
                transaction.commit().await?;
            }
            return Ok(done);
        };
        let (answer, done) = oneshot::channel();
        let waiting = Job { work: Some(work), outcome: None, answer: Some(answer) };
        queue.try_send(Box::new(waiting)).map_err(|_| failed("too many units of work wait"))?;
        done.await.unwrap_or_else(|_| Err(failed("a unit of work broke off").into()))
    }
}

/// A unit in the queue.
trait Waiting: Send {
    /// Whether it did its work; what came of it is kept.
    fn run(&mut self, unit: &Unit) -> bool;

    /// Answers with what came of it, or with why it could not be committed.
    fn answer(self: Box<Self>, uncommitted: Option<&DbErr>);
}

struct Job<T, E, F> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    answer: Option<oneshot::Sender<Result<T, E>>>,
}

impl<T, E, F> Waiting for Job<T, E, F>
where
    T: Send,
    E: From<DbErr> + Send,
    F: for<'a> FnOnce(&'a Unit) -> Work<'a, T, E> + Send,
{
    fn run(&mut self, unit: &Unit) -> bool {
        let Some(work) = self.work.take() else { return false };
        // Its statements are done when they are first asked for, so that it cannot be pending.
        let polled =
            catch_unwind(AssertUnwindSafe(|| work(unit).as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        let outcome = match polled {
            Ok(Poll::Ready(outcome)) => outcome,
            Ok(Poll::Pending) => Err(failed("a unit of work waited for something else than its database").into()),
            Err(_) => Err(failed("a unit of work panicked").into()),
        };
        let is_done = outcome.is_ok();
        self.outcome = Some(outcome);
        is_done
    }

    fn answer(mut self: Box<Self>, uncommitted: Option<&DbErr>) {
        let outcome = match (uncommitted, self.outcome.take()) {
            (_, Some(Err(error))) => Err(error),
            (None, Some(Ok(done))) => Ok(done),
            (Some(error), _) => Err(failed(&error.to_string()).into()),
            (None, None) => Err(failed("a unit of work did not run").into()),
        };
        if let Some(answer) = self.answer.take() {
            // Whoever asked may be gone; what is committed holds all the same.
            let _ = answer.send(outcome);
        }
    }
}

struct Thread {
    inline: Arc<Inline>,
    pool: SqlitePool,
    runtime: Handle,
    waiting: Receiver<Box<dyn Waiting>>,
}

impl Thread {
    fn run(self) {
        let unit = Unit(On::Inline(self.inline.clone()));
        let _entered = self.runtime.enter();
        while let Ok(first) = self.waiting.recv() {
            let turn = match self.runtime.block_on(self.pool.acquire()) {
                Ok(turn) => turn,
                Err(error) => {
                    first.answer(Some(&failed(&error.to_string())));
                    continue;
                }
            };
            let until = Instant::now() + TURN;
            let mut next = Some(first);
            while let Some(first) = next {
                let more = self.waiting.try_iter().take(TOGETHER - 1);
                commit(&self.inline, &unit, std::iter::once(first).chain(more).collect());
                next = if Instant::now() < until { self.waiting.recv_timeout(LINGER).ok() } else { None };
            }
            drop(turn);
        }
    }
}

/// Runs units in one transaction and answers them. One that fails takes back what it did, and only that.
fn commit(inline: &Inline, unit: &Unit, mut units: Vec<Box<dyn Waiting>>) {
    let alone = units.len() == 1;
    let committed = (|| {
        inline.run("BEGIN IMMEDIATE")?;
        let mut worth = false;
        for waiting in &mut units {
            if !alone {
                inline.run("SAVEPOINT unit")?;
            }
            let is_done = waiting.run(unit);
            worth |= is_done;
            match (alone, is_done) {
                (true, _) => {}
                (false, true) => inline.run("RELEASE unit")?,
                (false, false) => {
                    inline.run("ROLLBACK TO unit")?;
                    inline.run("RELEASE unit")?;
                }
            }
        }
        inline.run(if worth { "COMMIT" } else { "ROLLBACK" })
    })();
    if committed.is_err() && inline.is_in_transaction() {
        // What remains is to give up; SQLite itself rolls back where even that fails.
        let _ = inline.run("ROLLBACK");
    }
    for waiting in units {
        waiting.answer(committed.as_ref().err());
    }
}

fn failed(why: &str) -> DbErr {
    DbErr::Exec(RuntimeErr::Internal(why.to_owned()))
}

#[async_trait::async_trait]
impl ConnectionTrait for Unit {
    fn get_database_backend(&self) -> DbBackend {
        match &self.0 {
            On::Transaction(transaction) => transaction.get_database_backend(),
            On::Inline(inline) => inline.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.0 {
            On::Transaction(transaction) => transaction.execute_raw(statement).await,
            On::Inline(inline) => inline.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            On::Transaction(transaction) => transaction.execute_unprepared(sql).await,
            On::Inline(inline) => inline.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.0 {
            On::Transaction(transaction) => transaction.query_one_raw(statement).await,
            On::Inline(inline) => inline.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.0 {
            On::Transaction(transaction) => transaction.query_all_raw(statement).await,
            On::Inline(inline) => inline.query_all_raw(statement).await,
        }
    }
}
