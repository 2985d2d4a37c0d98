//! Tokens, roles and the audit trail, through the operator API and in each database.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::routes::CreatedToken;
use super::*;
use crate::cli::{ApiClient, CliError};
use crate::database::{self, ConnectionTrait};
use crate::db::SharedMigrator;
use crate::db::testing::TestDatabase;
use crate::host::{Host, HostError, Listener, Running};
use crate::paging::Page;
use crate::problem;

async fn start(operators: &Operators) -> (Running, String) {
    let operators = operators.clone();
    let listener = Listener::operator("operator", "127.0.0.1:0", move |cfg| {
        problem::configure(cfg);
        routes::configure(cfg, &operators);
    });
    let running = Host::new().start(vec![listener]).await.unwrap();
    let base = format!("http://{}", running.addresses[0]);
    (running, base)
}

fn refused(error: CliError) -> (u16, String) {
    match error {
        CliError::Refused(problem) => (problem.status(), problem.code().to_owned()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn tokens_are_made_used_and_taken_back() {
    for database in TestDatabase::all::<SharedMigrator>().await {
        let clock = Clock::fixed(1_000_000);
        let operators = Operators::new(database.connection().clone(), clock.clone(), Random::system());
        let folder = tempfile::tempdir().unwrap();
        let first = operators.bootstrap(folder.path()).await.unwrap().unwrap();
        assert!(operators.bootstrap(folder.path()).await.unwrap().is_none());
        assert_eq!(*crate::cli::token(folder.path(), None).unwrap(), *first);
        let (running, base) = start(&operators).await;
        let admin = ApiClient::new(&base, Some(&first)).unwrap();

        let new = json!({ "name": "reader", "role": "read-only", "expires": 1_000_100 });
        let made: CreatedToken = admin.post("/api/v1/tokens", &new).await.unwrap();
        let reader = ApiClient::new(&base, Some(&made.secret)).unwrap();
        let _: Page<Value> = reader.get("/api/v1/audit").await.unwrap();
        assert_eq!(refused(reader.get::<Value>("/api/v1/tokens").await.unwrap_err()), (403, "role".into()));
        clock.advance(100);
        assert_eq!(refused(reader.get::<Value>("/api/v1/audit").await.unwrap_err()), (401, "token".into()));

        let tokens: Vec<OperatorToken> = admin.pages("/api/v1/tokens").await.unwrap();
        assert_eq!(tokens.len(), 2);
        let own = tokens.iter().find(|token| token.role == Role::Admin).unwrap();
        let last = admin.delete(&format!("/api/v1/tokens/{}", own.id)).await.unwrap_err();
        assert_eq!(refused(last), (409, "last-admin".into()));
        admin.delete(&format!("/api/v1/tokens/{}", made.token.id)).await.unwrap();
        let again = admin.delete(&format!("/api/v1/tokens/{}", made.token.id)).await.unwrap_err();
        assert_eq!(refused(again), (404, "token-unknown".into()));

        let page: Page<audit::Entry> = admin.get("/api/v1/audit?limit=2").await.unwrap();
        assert_eq!((page.items[0].action.as_str(), page.items.len()), ("token.delete", 2));
        let entries: Vec<audit::Entry> = admin.pages("/api/v1/audit").await.unwrap();
        assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [3, 2, 1]);
        running.stop().await;
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let database = TestDatabase::sqlite::<SharedMigrator>().await;
    let operators = Operators::new(database.connection().clone(), Clock::fixed(5), Random::system());
    let folder = tempfile::tempdir().unwrap();
    let token = operators.bootstrap(folder.path()).await.unwrap().unwrap();
    let (running, base) = start(&operators).await;
    let admin = ApiClient::new(&base, Some(&token)).unwrap();
    for (status, error) in [
        (404, admin.get::<Value>("/api/v1/nothing").await.unwrap_err()),
        (405, admin.put::<_, Value>("/api/v1/tokens", &json!({})).await.unwrap_err()),
        (400, admin.post::<_, Value>("/api/v1/tokens", &json!({ "colour": 1 })).await.unwrap_err()),
        (400, admin.get::<Value>("/api/v1/tokens?limit=x").await.unwrap_err()),
        (400, admin.get::<Value>("/api/v1/tokens?limit=0").await.unwrap_err()),
        (400, admin.get::<Value>("/api/v1/tokens?cursor=x").await.unwrap_err()),
        (
            422,
            admin.post::<_, Value>("/api/v1/tokens", &json!({ "name": "", "role": "admin" })).await.unwrap_err(),
        ),
        (401, ApiClient::new(&base, None).unwrap().get::<Value>("/api/v1/tokens").await.unwrap_err()),
        (401, ApiClient::new(&base, Some("fl_wrong")).unwrap().get::<Value>("/api/v1/tokens").await.unwrap_err()),
    ] {
        assert_eq!(refused(error).0, status);
    }
    running.stop().await;
}

#[tokio::test]
async fn operators_on_an_open_address_need_tls() {
    let listener = Listener::operator("operator", "0.0.0.0:0", |_| {});
    let refused = Host::new().start(vec![listener]).await;
    assert!(matches!(refused.map(|_| ()), Err(HostError::Exposed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_trail_is_one_chain_whoever_appends() {
    for database in TestDatabase::all::<SharedMigrator>().await {
        let db = database.connection().clone();
        let event = |subject: &'static str| audit::Event {
            actor: "test",
            action: "thing.do",
            subject,
            outcome: audit::Outcome::Success,
            detail: "",
        };
        let tasks = (0..8).map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let transaction = database::begin(&db).await.unwrap();
                audit::record(&transaction, 7, event("a")).await.unwrap();
                transaction.commit().await.unwrap();
                audit::record(&db, 8, event("b")).await.unwrap();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(audit::list(&db, None, 100).await.unwrap().len(), 16);
        assert_eq!(audit::verify(&db).await.unwrap(), None);
        // A transaction that does not commit leaves no entry.
        let transaction = database::begin(&db).await.unwrap();
        audit::record(&transaction, 9, event("c")).await.unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(audit::verify(&db).await.unwrap(), None);
        db.execute_unprepared("UPDATE audit_entry SET detail = 'x' WHERE sequence = 5").await.unwrap();
        assert_eq!(audit::verify(&db).await.unwrap(), Some(5));
        db.execute_unprepared("UPDATE audit_entry SET detail = '' WHERE sequence = 5").await.unwrap();
        db.execute_unprepared("DELETE FROM audit_entry WHERE sequence = 16").await.unwrap();
        assert_eq!(audit::verify(&db).await.unwrap(), Some(16));
    }
}

#[test]
fn roles_allow_what_they_should() {
    for (role, allowed) in
        [(Role::Admin, [true; 3]), (Role::Operator, [true, true, false]), (Role::ReadOnly, [true, false, false])]
    {
        let permissions = [Permission::Read, Permission::Write, Permission::Admin];
        assert_eq!(permissions.map(|permission| role.allows(permission)), allowed);
    }
}
