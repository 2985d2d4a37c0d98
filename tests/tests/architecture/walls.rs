//! Rules 1, 3, 4 and 5 over the source: which crate may be named in which file.

use crate::hold;
use crate::source::{Source, mention, sources};

/// Lines of the files that `may_not` is true of and whose shipped code names one of `names`.
fn naming(all: &[Source], names: &[&str], may_not: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in all.iter().filter(|file| may_not(file)) {
        let code = if file.is_test() { file.code() } else { file.shipped() };
        for name in names {
            if mention(&code, name).is_some() {
                found.push(format!("{} names {name}", file.path));
            }
        }
    }
    found
}

fn folder_in(file: &Source, folder: &str) -> bool {
    file.path.contains(&format!("/{folder}/"))
}

fn is_pure(file: &Source) -> bool {
    (file.path.starts_with("protocol/src/") || file.path.starts_with("pki/src/")) && !file.is_test()
}

fn without_sql(file: &Source) -> bool {
    let name = file.name();
    !file.is_test()
        && !folder_in(file, "db")
        && name != "store.rs"
        && name != "database.rs"
        && !folder_in(file, "database")
}

fn without_http(file: &Source) -> bool {
    let named = matches!(file.name(), "routes.rs" | "error.rs" | "main.rs" | "lib.rs");
    let shell = file.path.starts_with("service/") || folder_in(file, "console");
    !file.is_test() && !shell && (!named || file.path.starts_with("device/"))
}

const CLOCKS_AND_SYSTEM: [&str; 10] = [
    "SystemTime",
    "Instant",
    "OsRng",
    "SysRng",
    "getrandom",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
];

#[test]
fn the_pure_crates_ask_the_system_for_nothing() {
    let all = sources();
    let backend = |file: &Source| folder_in(file, "crypto/backend");
    let found = naming(&all, &CLOCKS_AND_SYSTEM, |file| is_pure(file) && !backend(file));
    hold("pure crates ask the system for nothing", &found);
}

#[test]
fn one_module_names_a_crypto_backend() {
    let all = sources();
    let mut found = naming(&all, &["aws_lc_rs"], |file| is_pure(file) && !folder_in(file, "crypto/backend"));
    found.extend(naming(&all, &["backend"], |file| {
        is_pure(file) && !file.path.starts_with("protocol/src/crypto/")
    }));
    hold("one module names a crypto backend", &found);
}

#[test]
fn only_stores_speak_sql() {
    let all = sources();
    let crates = ["sea_orm", "sqlx", "sea_query", "sea_orm_migration"];
    let mut found = naming(&all, &crates, without_sql);
    // Entities stay behind the store, which turns rows into types that hold.
    found.extend(naming(&all, &["db::entity"], without_sql));
    hold("only stores speak SQL", &found);
}

#[test]
fn the_database_shows_only_connections_and_transactions() {
    const SHOWN: [&str; 8] = [
        "ConnectionTrait",
        "DatabaseConnection",
        "DatabaseTransaction",
        "DbErr",
        "TransactionSession",
        "TransactionTrait",
        "MigrationTrait",
        "MigratorTrait",
    ];
    let all = sources();
    let database = all.iter().find(|file| file.path == "service/src/database.rs").unwrap();
    hold("database.rs shows only connections and transactions", &shown_beyond(&database.code(), &SHOWN));
}

/// What is re-exported from `sea_orm` and not in `allowed`.
fn shown_beyond(code: &str, allowed: &[&str]) -> Vec<String> {
    let exports = code.split(';').filter(|statement| statement.trim_start().starts_with("pub use sea_orm"));
    let names = exports.flat_map(|statement| {
        let list = statement.rsplit_once("::").map_or("", |(_, list)| list);
        list.trim_matches(|c: char| "{} \n".contains(c))
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty() && !allowed.contains(&name.as_str())).collect()
}

#[test]
fn only_the_edge_speaks_http() {
    hold("only the edge speaks HTTP", &naming(&sources(), &["actix_web", "actix_http"], without_http));
}

#[test]
fn only_the_protocol_knows_cbor() {
    // Its tests may take a codec that is not ours, to make what ours must refuse.
    let inside = ["protocol/src/", "protocol/tests/"];
    let outside = |file: &Source| !inside.iter().any(|folder| file.path.starts_with(folder));
    hold("only the protocol knows CBOR", &naming(&sources(), &["ciborium", "coset", "ciborium_ll"], outside));
}

#[test]
fn crates_out_of_place_are_seen() {
    let file = |path: &str, text: &str| vec![Source { path: path.into(), text: text.into() }];
    let sql = |path| naming(&file(path, "use sea_orm::Set;"), &["sea_orm"], without_sql).len();
    assert_eq!(
        [sql("owner/src/claims/mod.rs"), sql("owner/src/claims/store.rs"), sql("owner/src/db/mod.rs")],
        [1, 0, 0]
    );
    let http =
        |path| naming(&file(path, "fn f(x: actix_web::HttpRequest) {}"), &["actix_web"], without_http).len();
    assert_eq!([http("owner/src/claims/mod.rs"), http("owner/src/claims/routes.rs")], [1, 0]);
    assert_eq!([http("device/src/main.rs"), http("service/src/problem.rs")], [1, 0]);
    let clock = |path| naming(&file(path, "std::time::SystemTime::now()"), &CLOCKS_AND_SYSTEM, is_pure).len();
    assert_eq!([clock("protocol/src/nonce.rs"), clock("service/src/host/clock.rs")], [1, 0]);
    assert_eq!(shown_beyond("pub use sea_orm::{DbErr, EntityTrait};", &["DbErr"]), ["EntityTrait"]);
}
