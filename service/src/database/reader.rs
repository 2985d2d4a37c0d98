//! Reads what was committed last: on SQLite where it is awaited and beside whoever writes, else as ever.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
};

use super::DatabaseError;
use super::inline::{Inline, Narrow};

/// So many statements can read side by side.
const CONNECTIONS: usize = 4;

/// A connection for reading.
#[derive(Clone)]
pub struct Reader {
    db: DatabaseConnection,
    inline: Option<Arc<Inline>>,
}

impl Reader {
    /// For a database that is connected.
    pub fn new(db: &DatabaseConnection, narrow: &Narrow) -> Result<Self, DatabaseError> {
        let inline = super::file(db)
            .map(|file| Inline::reading(&file, CONNECTIONS, narrow.clone()))
            .transpose()
            .map_err(DatabaseError::Again)?;
        Ok(Self { db: db.clone(), inline: inline.map(Arc::new) })
    }
}

fn only_reads() -> DbErr {
    DbErr::Exec(RuntimeErr::Internal("this connection only reads".to_owned()))
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(only_reads())
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(only_reads())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.inline {
            Some(inline) => inline.query_one_raw(statement).await,
            None => self.db.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.inline {
            Some(inline) => inline.query_all_raw(statement).await,
            None => self.db.query_all_raw(statement).await,
        }
    }
}
