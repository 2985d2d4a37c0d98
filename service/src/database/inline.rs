//! SQLite on the thread that asks: no statement costs the way to another thread and back, which takes longer than most
//! statements do. It reads and writes the file that the ordinary connection has, and speaks the same SQL.
//!
//! Rows are read by their columns' names; a statement must not ask for several columns by position.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExecResult, IdenStatic, Iterable,
    MockDatabase, MockDatabaseTrait, MockExecResult, QueryResult, RuntimeErr, Statement, Value,
};

use super::PATIENCE;

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 128;
/// What the text of an error begins with where a row with the same unique key is there.
const NOT_UNIQUE: &str = "not unique: ";

/// As durable as the ordinary connection. What a unit of work that fails takes back is kept in memory; the cache is in KiB.
const WRITING: &str = "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; \
    PRAGMA cache_size=-8192;";
const READING: &str = "PRAGMA query_only=ON; PRAGMA cache_size=-2048;";

/// Which columns hold 32 bits, by their entities: to SQLite all integers are the same.
#[derive(Clone, Default)]
pub struct Narrow {
    narrow: HashSet<String>,
    wide: HashSet<String>,
}

impl Narrow {
    /// With the columns of an entity.
    #[must_use]
    pub fn with<E: EntityTrait>(mut self) -> Self {
        for column in E::Column::iter() {
            match column.def().get_column_type() {
                ColumnType::Integer => self.narrow.insert(column.as_str().to_owned()),
                ColumnType::BigInteger => self.wide.insert(column.as_str().to_owned()),
                _ => false,
            };
        }
        self
    }

    /// A name that stands for 32 bits in one table and for 64 in another; there must be none.
    pub fn clash(&self) -> Option<&String> {
        self.narrow.intersection(&self.wide).next()
    }
}

/// Connections whose statements run where they are awaited; a statement takes one that is free.
pub(super) struct Inline {
    connections: Vec<Mutex<Connection>>,
    narrow: Narrow,
}

impl Inline {
    /// One, for units of work.
    pub(super) fn writing(file: &Path, narrow: Narrow) -> Result<Self, DbErr> {
        Ok(Self { connections: vec![Mutex::new(open(file, WRITING)?)], narrow })
    }

    /// So many, for reading only.
    pub(super) fn reading(file: &Path, count: usize, narrow: Narrow) -> Result<Self, DbErr> {
        let connections = (0..count).map(|_| open(file, READING).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { connections, narrow })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        let free = self.connections.iter().find_map(|connection| connection.try_lock().ok());
        free.unwrap_or_else(|| self.connections[0].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A statement without values and rows, such as BEGIN.
    pub(super) fn run(&self, sql: &str) -> Result<(), DbErr> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        statement.raw_execute().map(|_| ()).map_err(failed)
    }

    /// Whether a transaction is open.
    pub(super) fn is_in_transaction(&self) -> bool {
        !self.lock().is_autocommit()
    }

    fn kind(&self, column: &str, declared: Option<&str>) -> Kind {
        match declared {
            Some(declared) if declared.eq_ignore_ascii_case("boolean") => Kind::Boolean,
            _ if self.narrow.narrow.contains(column) => Kind::Integer,
            _ => Kind::BigInteger,
        }
    }

    fn execute(&self, statement: &Statement) -> Result<ExecResult, DbErr> {
        let connection = self.lock();
        let mut prepared = prepare(&connection, statement)?;
        let rows = prepared.raw_execute().map_err(failed)?;
        let last = u64::try_from(connection.last_insert_rowid()).unwrap_or_default();
        changed(MockExecResult { last_insert_id: last, rows_affected: rows as u64 })
    }

    fn query(&self, statement: &Statement, most: usize) -> Result<Vec<QueryResult>, DbErr> {
        let connection = self.lock();
        let mut prepared = prepare(&connection, statement)?;
        let columns: Vec<(String, Kind)> = prepared
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), self.kind(column.name(), column.decl_type())))
            .collect();
        let (mut rows, mut found) = (prepared.raw_query(), Vec::new());
        while let Some(row) = rows.next().map_err(failed)? {
            if found.len() < most {
                let mut values = BTreeMap::new();
                for (index, (name, kind)) in columns.iter().enumerate() {
                    let cell = row.get_ref(index).map_err(failed)?;
                    values.insert(name.clone(), kind.value(name, cell)?);
                }
                found.push(values);
            }
            // One that changes something is done with its last row only.
        }
        if found.is_empty() { Ok(Vec::new()) } else { read(found) }
    }
}

// SeaORM lets nobody else make its results: the feature that is meant for it, `proxy`, does not build beside SQLite, and
// what its mock answers is what it was told to.
fn changed(result: MockExecResult) -> Result<ExecResult, DbErr> {
    let statement = Statement::from_string(DbBackend::Sqlite, "");
    MockDatabase::new(DbBackend::Sqlite).append_exec_results([result]).execute(0, statement)
}

fn read(rows: Vec<BTreeMap<String, Value>>) -> Result<Vec<QueryResult>, DbErr> {
    let statement = Statement::from_string(DbBackend::Sqlite, "");
    MockDatabase::new(DbBackend::Sqlite).append_query_results([rows]).query(0, statement)
}

fn open(file: &Path, settings: &str) -> Result<Connection, DbErr> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise a statement with `LIMIT ?` is planned anew whenever a value is bound to it, which costs more than running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    connection.execute_batch(settings).map_err(failed)?;
    Ok(connection)
}

fn prepare<'a>(connection: &'a Connection, statement: &Statement) -> Result<CachedStatement<'a>, DbErr> {
    let mut prepared = connection.prepare_cached(&statement.sql).map_err(failed)?;
    for (index, value) in statement.values.iter().flat_map(|values| &values.0).enumerate() {
        prepared.raw_bind_parameter(index + 1, bound(value)?).map_err(failed)?;
    }
    Ok(prepared)
}

/// How a value goes in.
fn bound(value: &Value) -> Result<ToSqlOutput<'_>, DbErr> {
    let integer = |number: Option<i64>| number.map_or(ValueRef::Null, ValueRef::Integer);
    Ok(ToSqlOutput::Borrowed(match value {
        Value::Bool(value) => integer(value.map(i64::from)),
        Value::TinyInt(value) => integer(value.map(i64::from)),
        Value::SmallInt(value) => integer(value.map(i64::from)),
        Value::Int(value) => integer(value.map(i64::from)),
        Value::BigInt(value) => integer(*value),
        Value::TinyUnsigned(value) => integer(value.map(i64::from)),
        Value::SmallUnsigned(value) => integer(value.map(i64::from)),
        Value::Unsigned(value) => integer(value.map(i64::from)),
        Value::BigUnsigned(value) => {
            let number = value.map(i64::try_from).transpose();
            integer(number.map_err(|_| DbErr::Type("a number beyond 63 bits".to_owned()))?)
        }
        Value::Double(value) => value.map_or(ValueRef::Null, ValueRef::Real),
        Value::String(value) => value.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
        Value::Bytes(value) => value.as_ref().map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
        _ => return Err(DbErr::Type("a value of a kind that is not bound here".to_owned())),
    }))
}

/// What the cells of a column become.
#[derive(Clone, Copy)]
enum Kind {
    Boolean,
    Integer,
    BigInteger,
}

impl Kind {
    /// How a cell comes out.
    fn value(self, column: &str, cell: ValueRef<'_>) -> Result<Value, DbErr> {
        let bad = || DbErr::Type(format!("the column {column} holds an impossible value"));
        Ok(match (cell, self) {
            (ValueRef::Null, _) => Value::String(None),
            (ValueRef::Integer(number), Self::Boolean) => Value::Bool(Some(number != 0)),
            (ValueRef::Integer(number), Self::Integer) => {
                Value::Int(Some(i32::try_from(number).map_err(|_| bad())?))
            }
            (ValueRef::Integer(number), Self::BigInteger) => Value::BigInt(Some(number)),
            (ValueRef::Real(number), _) => Value::Double(Some(number)),
            (ValueRef::Text(text), _) => {
                Value::String(Some(std::str::from_utf8(text).map_err(|_| bad())?.to_owned()))
            }
            (ValueRef::Blob(bytes), _) => Value::Bytes(Some(bytes.to_vec())),
        })
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` calls it
fn failed(error: rusqlite::Error) -> DbErr {
    let unique = |code: i32| {
        matches!(code, rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
    };
    let text = match error.sqlite_error() {
        Some(inner) if inner.code == ErrorCode::ConstraintViolation && unique(inner.extended_code) => {
            format!("{NOT_UNIQUE}{error}")
        }
        _ => error.to_string(),
    };
    DbErr::Exec(RuntimeErr::Internal(text))
}

/// Whether one of these connections refused a row because one with the same unique key is there.
pub(super) fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error, DbErr::Exec(RuntimeErr::Internal(text)) if text.starts_with(NOT_UNIQUE))
}

#[async_trait::async_trait]
impl ConnectionTrait for Inline {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.execute(&statement)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute(&Statement::from_string(DbBackend::Sqlite, sql))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query(&statement, 1)?.pop())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.query(&statement, usize::MAX)
    }
}
