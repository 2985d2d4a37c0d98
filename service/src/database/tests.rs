//! Units of work and readers, on every database at hand.

use std::time::Duration;

use sea_orm::{EntityTrait, Statement};

use super::*;
use crate::db::SharedMigrator;
use crate::db::testing::TestDatabase;
use crate::operators::audit::{self, Event, Outcome};

mod kinds {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "kinds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub c: i64,
        pub a: bool,
        pub b: i32,
        pub d: String,
        pub e: Vec<u8>,
        pub f: Option<i32>,
        pub g: Option<i64>,
        pub h: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn with_table(database: &TestDatabase) -> DatabaseConnection {
    let db = database.connection().clone();
    db.execute_unprepared("CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT)").await.unwrap();
    db
}

fn sql(conn: &impl ConnectionTrait, text: impl Into<String>) -> Statement {
    Statement::from_string(conn.get_database_backend(), text.into())
}

async fn count(conn: &impl ConnectionTrait) -> i64 {
    let row = conn.query_one_raw(sql(conn, "SELECT COUNT(*) AS n FROM note")).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

async fn add(unit: &Unit, id: usize) -> Result<(), DbErr> {
    unit.execute_raw(sql(unit, format!("INSERT INTO note VALUES ({id}, 'text')"))).await.map(|_| ())
}

fn event(detail: &str) -> Event<'_> {
    Event { actor: "test", action: "unit.run", subject: "s", outcome: Outcome::Success, detail }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_unit_that_fails_takes_back_its_own_and_nothing_else() {
    for database in TestDatabase::all::<SharedMigrator>().await {
        let db = with_table(&database).await;
        let units = std::sync::Arc::new(Units::new(&db, &Narrow::default()).unwrap());
        let tasks = (0..60_usize).map(|id| {
            let units = units.clone();
            tokio::spawn(async move {
                units
                    .run(move |unit| {
                        Box::pin(async move {
                            add(unit, id).await?;
                            if id % 3 == 0 { Err(DbErr::Custom("no".to_owned())) } else { Ok(id) }
                        })
                    })
                    .await
            })
        });
        for (id, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
            let done = task.await.unwrap();
            assert_eq!(done.ok(), (id % 3 != 0).then_some(id), "{}", database.name());
        }
        assert_eq!(count(&db).await, 40, "{}", database.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn units_and_other_transactions_never_meet_half_way() {
    for database in TestDatabase::all::<SharedMigrator>().await {
        let db = database.connection().clone();
        let units = std::sync::Arc::new(Units::new(&db, &Narrow::default()).unwrap());
        let tasks = (0..40).map(|number| {
            let (db, units) = (db.clone(), units.clone());
            tokio::spawn(async move {
                match number % 3 {
                    0 => units.run(|unit| Box::pin(audit::record(unit, 1, event("unit")))).await,
                    1 => audit::record(&db, 2, event("alone")).await,
                    _ => {
                        let transaction = begin(&db).await?;
                        // It has read, so that a writer in between would make its own writing fail.
                        audit::list(&transaction, None, 1).await?;
                        audit::record(&transaction, 3, event("transaction")).await?;
                        transaction.commit().await
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
        assert_eq!(audit::list(&db, None, 100).await.unwrap().len(), 40, "{}", database.name());
        assert_eq!(audit::verify(&db).await.unwrap(), None, "{}", database.name());
    }
}

#[tokio::test]
async fn the_same_key_twice_is_told_from_other_failures() {
    for database in TestDatabase::all::<SharedMigrator>().await {
        let db = with_table(&database).await;
        let units = Units::new(&db, &Narrow::default()).unwrap();
        units.run(|unit| Box::pin(add(unit, 1))).await.unwrap();
        let again = units.run(|unit| Box::pin(add(unit, 1))).await.unwrap_err();
        assert!(is_unique_violation(&again), "{}: {again}", database.name());
        let other: DbErr = units
            .run(|unit| {
                Box::pin(
                    async move { unit.execute_unprepared("INSERT INTO nothing VALUES (1)").await.map(|_| ()) },
                )
            })
            .await
            .unwrap_err();
        assert!(!is_unique_violation(&other), "{}: {other}", database.name());
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn a_unit_that_waits_or_panics_is_refused_and_the_next_one_goes_on() {
    let database = TestDatabase::sqlite::<SharedMigrator>().await;
    let db = with_table(&database).await;
    let units = Units::new(&db, &Narrow::default()).unwrap();
    let waits: Result<(), DbErr> = units
        .run(|unit| {
            Box::pin(async move {
                add(unit, 1).await?;
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            })
        })
        .await;
    assert!(waits.unwrap_err().to_string().contains("waited"));
    let panics: Result<(), DbErr> = units
        .run(|unit| {
            Box::pin(async move {
                add(unit, 2).await?;
                panic!("a bug");
            })
        })
        .await;
    assert!(panics.unwrap_err().to_string().contains("panicked"));
    units.run(|unit| Box::pin(add(unit, 3))).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn units_are_as_durable_as_everything_else() {
    let database = TestDatabase::sqlite::<SharedMigrator>().await;
    let units = Units::new(database.connection(), &Narrow::default()).unwrap();
    let pragma = |name: &'static str| {
        units.run(move |unit| {
            Box::pin(async move {
                let row = unit.query_one_raw(sql(unit, format!("PRAGMA {name}"))).await?;
                let row = row.ok_or_else(|| DbErr::Custom("no row".to_owned()))?;
                row.try_get_by_index::<i64>(0)
            })
        })
    };
    assert_eq!(pragma("synchronous").await, Ok(2), "FULL");
    assert_eq!(pragma("foreign_keys").await, Ok(1));
}

#[tokio::test]
async fn a_database_in_memory_has_units_and_readers_too() {
    let db = connect("sqlite::memory:").await.unwrap();
    migrate::<SharedMigrator>(&db).await.unwrap();
    db.execute_unprepared("CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT)").await.unwrap();
    let (units, reader) =
        (Units::new(&db, &Narrow::default()).unwrap(), Reader::new(&db, &Narrow::default()).unwrap());
    units.run(|unit| Box::pin(add(unit, 1))).await.unwrap();
    let refused: Result<(), DbErr> = units
        .run(|unit| {
            Box::pin(async move {
                add(unit, 2).await?;
                Err(DbErr::Custom("no".to_owned()))
            })
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(count(&reader).await, 1);
}

#[tokio::test]
async fn a_reader_sees_what_was_committed_as_the_connection_does_and_changes_nothing() {
    for database in TestDatabase::all::<SharedMigrator>().await {
        let db = database.connection();
        let reader = Reader::new(db, &Narrow::default().with::<kinds::Entity>()).unwrap();
        let bytes = if is_postgres(db) { "BYTEA" } else { "blob" };
        // As the migrations declare them.
        let wide = if is_postgres(db) { "bigint" } else { "integer" };
        let table = format!(
            "CREATE TABLE kinds (a boolean, b integer, c {wide}, d text, e {bytes}, f integer, g {wide}, h text)"
        );
        db.execute_unprepared(&table).await.unwrap();
        let blob = if is_postgres(db) { "'\\x0102'" } else { "x'0102'" };
        let row = format!("INSERT INTO kinds VALUES (true, 7, 5000000000, 'text', {blob}, NULL, 8, NULL)");
        db.execute_unprepared(&row).await.unwrap();
        let row = kinds::Model {
            c: 5_000_000_000,
            a: true,
            b: 7,
            d: "text".to_owned(),
            e: vec![1, 2],
            f: None,
            g: Some(8),
            h: None,
        };
        assert_eq!(kinds::Entity::find().one(db).await.unwrap().as_ref(), Some(&row), "{}", database.name());
        assert_eq!(kinds::Entity::find().one(&reader).await.unwrap(), Some(row), "{}", database.name());
        assert!(reader.execute_unprepared("DELETE FROM kinds").await.is_err());
        let changes = sql(db, "DELETE FROM kinds RETURNING b");
        if !is_postgres(db) {
            assert!(reader.query_all_raw(changes).await.is_err(), "it only reads");
        }
    }
}
