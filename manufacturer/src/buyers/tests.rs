//! A code enrols the keys of one owner, once; a key belongs to one buyer.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::db::Migrator;
use fdo_protocol::crypto::SigningKey;
use fdo_service::db::testing::TestDatabase;

const NOW: u64 = 1_800_000_000;

fn key(key_type: KeyType) -> VerifyingKey {
    SigningKey::generate(key_type, &mut Random::system().rng()).unwrap().verifying_key().clone()
}

async fn try_enrol(
    db: &DatabaseConnection,
    key: &VerifyingKey,
    code: &str,
    complete: bool,
    now: u64,
) -> Result<Enrolled, BuyerError> {
    let transaction = database::begin(db).await.unwrap();
    let enrolled = enrol(&transaction, key, code, complete, now).await?;
    transaction.commit().await.unwrap();
    Ok(enrolled)
}

#[tokio::test]
async fn one_code_enrols_all_keys_of_an_owner_and_then_no_more() {
    for db in TestDatabase::all::<Migrator>().await {
        let conn = db.connection();
        let buyers = Buyers::new(conn.clone(), Clock::fixed(NOW), Random::system());
        let (buyer, code) = buyers.add("me", "Acme").await.unwrap();
        assert!(matches!(buyers.add("me", "Acme").await, Err(BuyerError::Exists(_))), "{}", db.name());
        assert!(matches!(buyers.add("me", " Acme").await, Err(BuyerError::Name)));
        let (first, second, third) = (key(KeyType::P256), key(KeyType::P384), key(KeyType::P256));
        let enrolled = try_enrol(conn, &first, &code.code, false, NOW).await.unwrap();
        assert_eq!((enrolled.keys, enrolled.complete), (1, false));
        let enrolled = try_enrol(conn, &second, &code.code, true, NOW + 599).await.unwrap();
        assert_eq!((enrolled.keys, enrolled.complete, &enrolled.buyer.id), (2, true, &buyer.id));
        assert!(matches!(try_enrol(conn, &third, &code.code, true, NOW + 1).await, Err(BuyerError::CodeInvalid)));
        // A reply that was lost: the same key asks again.
        assert_eq!(try_enrol(conn, &second, &code.code, true, NOW + 9999).await.unwrap().keys, 2);
        assert_eq!(buyers.get("Acme").await.unwrap().1.len(), 2);
    }
}

#[tokio::test]
async fn codes_expire_and_keys_have_one_buyer() {
    for db in TestDatabase::all::<Migrator>().await {
        let conn = db.connection();
        let buyers = Buyers::new(conn.clone(), Clock::fixed(NOW), Random::system());
        let (_, acme) = buyers.add("me", "Acme").await.unwrap();
        let (_, other) = buyers.add("me", "Other").await.unwrap();
        let mine = key(KeyType::P256);
        let late = try_enrol(conn, &mine, &acme.code, true, NOW + CODE_SECONDS).await;
        assert!(matches!(late, Err(BuyerError::CodeInvalid)), "{}", db.name());
        try_enrol(conn, &mine, &acme.code, false, NOW).await.unwrap();
        let slow = try_enrol(conn, &key(KeyType::P384), &acme.code, true, NOW + ENROLMENT_SECONDS).await;
        assert!(matches!(slow, Err(BuyerError::CodeInvalid)));
        assert!(matches!(try_enrol(conn, &mine, &other.code, true, NOW).await, Err(BuyerError::KeyElsewhere)));
        assert!(matches!(try_enrol(conn, &mine, "00000-00000", true, NOW).await, Err(BuyerError::CodeInvalid)));

        buyers.set_state("me", "Other", BuyerState::Suspended).await.unwrap();
        let suspended = try_enrol(conn, &key(KeyType::P256), &other.code, true, NOW).await;
        assert!(matches!(suspended, Err(BuyerError::Suspended)));
        buyers.set_state("me", "Other", BuyerState::Active).await.unwrap();
        try_enrol(conn, &key(KeyType::P256), &other.code, true, NOW).await.unwrap();
        let (_, fresh) = buyers.new_code("me", "Acme").await.unwrap();
        assert_eq!(try_enrol(conn, &key(KeyType::P384), &fresh.code, true, NOW).await.unwrap().keys, 2);
        assert!(matches!(buyers.new_code("me", "Nobody").await, Err(BuyerError::Unknown(_))));
    }
}
