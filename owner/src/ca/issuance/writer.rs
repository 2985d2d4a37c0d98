//! One task writes for all requests: what arrives while a commit is under way shares the next one. What is stored before
//! the signature, and what after it, are two rounds of the same queue.

use fdo_service::database::{self, ConnectionTrait, DatabaseConnection, DbErr};
use tokio::sync::{mpsc, oneshot};

use super::store::{self, Completed};
use super::{Draft, Error};

/// How many writes may wait; whoever comes then waits for room.
const QUEUE: usize = 1_024;
/// How many writes share a commit.
const BATCH: usize = 256;

type Stored = Result<Option<Vec<u8>>, Error>;
/// The draft comes back with what was stored of it.
type Prepared = (Box<Draft>, Stored);

/// A write, and where its outcome is awaited.
enum Write {
    Prepare(Box<Draft>, oneshot::Sender<Prepared>),
    Complete(Completed, oneshot::Sender<Result<bool, Error>>),
}

/// The way into the queue; the task ends with the last of them.
#[derive(Clone)]
pub(in crate::ca) struct Writer(mpsc::Sender<Write>);

fn gone() -> Error {
    Error::Database(DbErr::Custom("the CA's writer has ended".to_owned()))
}

impl Writer {
    pub fn start(db: &DatabaseConnection) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(run(db.clone(), receiver));
        Self(sender)
    }

    /// Commits what is about to be signed; what there is already for the same request comes back instead.
    pub async fn prepare(&self, draft: Box<Draft>) -> Result<(Box<Draft>, Option<Vec<u8>>), Error> {
        let (outcome, awaited) = oneshot::channel();
        self.0.send(Write::Prepare(draft, outcome)).await.map_err(|_| gone())?;
        let (draft, stored) = awaited.await.map_err(|_| gone())?;
        stored.map(|earlier| (draft, earlier))
    }

    /// Commits what was signed; false when it was withdrawn meanwhile.
    pub async fn complete(&self, completed: Completed) -> Result<bool, Error> {
        let (outcome, awaited) = oneshot::channel();
        self.0.send(Write::Complete(completed, outcome)).await.map_err(|_| gone())?;
        awaited.await.map_err(|_| gone())?
    }
}

async fn run(db: DatabaseConnection, mut queue: mpsc::Receiver<Write>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let (mut prepares, mut completes) = (Vec::new(), Vec::new());
        for write in batch.drain(..) {
            match write {
                Write::Prepare(draft, outcome) => prepares.push((draft, outcome)),
                Write::Complete(completed, outcome) => completes.push((completed, outcome)),
            }
        }
        match write(&db, &prepares, &completes).await {
            Ok((stored, completed)) => {
                // Whoever does not wait any more is told nothing; what was written stands.
                for ((draft, outcome), stored) in prepares.into_iter().zip(stored) {
                    let _ = outcome.send((draft, stored));
                }
                for ((_, outcome), completed) in completes.into_iter().zip(completed) {
                    let _ = outcome.send(Ok(completed));
                }
            }
            Err(error) => {
                let said = || Error::Database(DbErr::Custom(error.to_string()));
                for (draft, outcome) in prepares {
                    let _ = outcome.send((draft, Err(said())));
                }
                for (_, outcome) in completes {
                    let _ = outcome.send(Err(said()));
                }
            }
        }
    }
}

type Awaiting<T, O> = (T, oneshot::Sender<O>);

/// One transaction; nothing of it is told before it is committed.
async fn write(
    db: &DatabaseConnection,
    prepares: &[Awaiting<Box<Draft>, Prepared>],
    completes: &[Awaiting<Completed, Result<bool, Error>>],
) -> Result<(Vec<Stored>, Vec<bool>), DbErr> {
    let transaction = database::begin(db).await?;
    let mut completed = Vec::with_capacity(completes.len());
    for (one, _) in completes {
        completed.push(store::set_issued(&transaction, one).await?);
    }
    let drafts: Vec<&Draft> = prepares.iter().map(|(draft, _)| &**draft).collect();
    let stored = insert(&transaction, &drafts).await?;
    transaction.commit().await?;
    Ok((stored, completed))
}

async fn insert(conn: &impl ConnectionTrait, drafts: &[&Draft]) -> Result<Vec<Stored>, DbErr> {
    let fresh = store::insert_all(conn, drafts).await?;
    let mut stored = Vec::with_capacity(drafts.len());
    for (draft, fresh) in drafts.iter().zip(fresh) {
        stored.push(match fresh {
            true => Ok(None),
            false => match store::insert_again(conn, draft).await {
                Err(Error::Database(error)) => return Err(error),
                other => other,
            },
        });
    }
    Ok(stored)
}
