//! The same behaviour of stored sessions in memory and in each database.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::db::SharedMigrator;
use crate::db::testing::TestDatabase;
use crate::host::random::Random;
use fdo_protocol::Error;

const NOW: u64 = 1_000_000;

async fn places(settings: RecordSettings) -> Vec<(Records, Option<TestDatabase>)> {
    let mut places = vec![(Records::memory(settings), None)];
    for database in TestDatabase::all::<SharedMigrator>().await {
        let key = SealingKey::new([5; 32]);
        places.push((Records::database(database.connection().clone(), &key, settings), Some(database)));
    }
    places
}

fn next(bytes: &[u8]) -> Next {
    Next::State(Zeroizing::new(bytes.to_vec()))
}

async fn begin(records: &Records, request: &[u8], proven: bool, now: u64) -> Result<String, SessionError> {
    let step = Step {
        protocol: Protocol::To2,
        next: next(b"one"),
        request_type: 60,
        request,
        reply_type: 61,
        reply: b"61",
        proven,
    };
    records.begin(step, now, &mut Random::system().rng()).await
}

async fn live(records: &Records, token: &str, message_type: u8, request: &[u8], now: u64) -> Session {
    match records.load(Protocol::To2, Some(token), message_type, request, now).await.unwrap() {
        Loaded::Live(session) => session,
        Loaded::Replay { .. } => panic!("a replay"),
    }
}

async fn replay(records: &Records, token: &str, message_type: u8, request: &[u8], now: u64) -> (u8, Vec<u8>) {
    match records.load(Protocol::To2, Some(token), message_type, request, now).await.unwrap() {
        Loaded::Replay { reply_type, reply } => (reply_type, reply),
        Loaded::Live(_) => panic!("not a replay"),
    }
}

#[tokio::test]
async fn a_session_goes_on_and_its_latest_request_is_replayed() {
    for (records, _database) in places(RecordSettings::default()).await {
        let token = begin(&records, b"hello", false, NOW).await.unwrap();
        assert_eq!(token.len(), 32);
        assert_eq!(replay(&records, &token, 60, b"hello", NOW).await, (61, b"61".to_vec()));
        let session = live(&records, &token, 62, b"entry 0", NOW).await;
        assert_eq!((session.state(), session.token()), (&b"one"[..], token.clone()));
        session.advance(next(b"two"), 63, b"63", false, NOW).await.unwrap();
        assert_eq!(replay(&records, &token, 62, b"entry 0", NOW).await, (63, b"63".to_vec()));
        // The same bytes as another message, and an older request, are no repetition.
        assert_eq!(live(&records, &token, 64, b"entry 0", NOW).await.state(), b"two");
        assert_eq!(live(&records, &token, 60, b"hello", NOW).await.state(), b"two");
        live(&records, &token, 70, b"done", NOW)
            .await
            .advance(Next::Finished, 71, b"71", true, NOW)
            .await
            .unwrap();
        assert_eq!(replay(&records, &token, 70, b"done", NOW).await, (71, b"71".to_vec()));
        let ended = records.load(Protocol::To2, Some(&token), 68, b"more", NOW).await;
        assert!(matches!(ended, Err(SessionError::Ended)));
        records.remove(Protocol::To2, &token).await.unwrap();
        assert_eq!(records.count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_failed_session_repeats_its_error() {
    for (records, _database) in places(RecordSettings::default()).await {
        let token = begin(&records, b"hello", false, NOW).await.unwrap();
        let session = live(&records, &token, 64, b"forged", NOW).await;
        let mut fault = session.fail(Fault::new(Error::Rejected("signature")), 77, NOW).await;
        let sent = fault.body(64, NOW + 9, 78);
        assert_eq!(replay(&records, &token, 64, b"forged", NOW + 9).await, (ERROR, sent));
        assert!(matches!(
            records.load(Protocol::To2, Some(&token), 64, b"right", NOW).await,
            Err(SessionError::Ended)
        ));
    }
}

#[tokio::test]
async fn of_two_requests_at_once_one_wins() {
    for (records, _database) in places(RecordSettings::default()).await {
        let token = begin(&records, b"hello", false, NOW).await.unwrap();
        let (a, b) = (live(&records, &token, 62, b"a", NOW).await, live(&records, &token, 62, b"b", NOW).await);
        a.advance(next(b"two"), 63, b"63", false, NOW).await.unwrap();
        let lost = b.advance(next(b"other"), 63, b"63", false, NOW).await;
        assert!(matches!(lost, Err(SessionError::Lost)));
        assert_eq!(live(&records, &token, 64, b"c", NOW).await.state(), b"two");
    }
}

#[tokio::test]
async fn wrong_tokens_lead_nowhere() {
    for (records, _database) in places(RecordSettings::default()).await {
        let token = begin(&records, b"hello", false, NOW).await.unwrap();
        let mut other = token.clone();
        other.replace_range(..1, if token.starts_with('A') { "B" } else { "A" });
        for (protocol, wrong) in [
            (Protocol::To2, None),
            (Protocol::To2, Some("")),
            (Protocol::To2, Some("short")),
            (Protocol::To2, Some(&*other)),
            (Protocol::Di, Some(&*token)),
        ] {
            let loaded = records.load(protocol, wrong, 62, b"", NOW).await;
            assert!(matches!(loaded, Err(SessionError::InvalidToken)), "{wrong:?}");
        }
        records.remove(Protocol::Di, &token).await.unwrap();
        assert_eq!(records.count().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn silence_and_age_end_a_session() {
    let settings = RecordSettings { idle_seconds: 900, total_seconds: 2000, ..RecordSettings::default() };
    for (records, _database) in places(settings).await {
        let token = begin(&records, b"hello", true, NOW).await.unwrap();
        live(&records, &token, 68, b"1", NOW + 899)
            .await
            .advance(next(b"s"), 69, b"", true, NOW + 899)
            .await
            .unwrap();
        live(&records, &token, 68, b"2", NOW + 1798)
            .await
            .advance(next(b"s"), 69, b"", true, NOW + 1798)
            .await
            .unwrap();
        let old = records.load(Protocol::To2, Some(&token), 68, b"3", NOW + 2000).await;
        assert!(matches!(old, Err(SessionError::InvalidToken)));
        let silent = begin(&records, b"hello", true, NOW + 2000).await.unwrap();
        let gone = records.load(Protocol::To2, Some(&silent), 68, b"1", NOW + 2900).await;
        assert!(matches!(gone, Err(SessionError::InvalidToken)));
        records.sweep(NOW + 2900).await.unwrap();
        assert_eq!(records.count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_flood_of_hellos_displaces_only_hellos() {
    let settings = RecordSettings { capacity: 3, ..RecordSettings::default() };
    for (records, _database) in places(settings).await {
        let proven = begin(&records, b"proven", true, NOW).await.unwrap();
        let oldest = begin(&records, b"oldest", false, NOW + 1).await.unwrap();
        for round in 0..10 {
            begin(&records, b"flood", false, NOW + 2 + round).await.unwrap();
            records.sweep(NOW + 12).await.unwrap();
        }
        assert_eq!(records.count().await.unwrap(), 3);
        live(&records, &proven, 68, b"", NOW + 20).await;
        assert!(records.load(Protocol::To2, Some(&oldest), 62, b"", NOW + 20).await.is_err());
    }
}

#[tokio::test]
async fn a_flood_between_two_sweeps_stays_within_the_capacity() {
    let settings = RecordSettings { capacity: 3, ..RecordSettings::default() };
    for (records, _database) in places(settings).await {
        let proven = begin(&records, b"proven", true, NOW).await.unwrap();
        for round in 0..10 {
            begin(&records, b"flood", false, NOW + round).await.unwrap();
        }
        assert_eq!(records.count().await.unwrap(), 3);
        live(&records, &proven, 68, b"", NOW + 20).await;
        // Proven ones displace hellos, and nothing displaces them.
        begin(&records, b"second", true, NOW + 20).await.unwrap();
        begin(&records, b"third", true, NOW + 20).await.unwrap();
        assert!(matches!(begin(&records, b"fourth", false, NOW + 20).await, Err(SessionError::Full)));
    }
}

#[tokio::test]
async fn one_sweep_drops_a_surplus_of_any_size() {
    let database = TestDatabase::sqlite::<SharedMigrator>().await;
    let open = |capacity| {
        let settings = RecordSettings { capacity, ..RecordSettings::default() };
        Records::database(database.connection().clone(), &SealingKey::new([5; 32]), settings)
    };
    let wide = open(10_000);
    for _ in 0..2100 {
        begin(&wide, b"flood", false, NOW).await.unwrap();
    }
    assert_eq!(open(3).sweep(NOW + 1).await.unwrap(), 2097);
    assert_eq!(wide.count().await.unwrap(), 3);
}

#[tokio::test]
async fn memory_refuses_when_all_are_proven_and_is_bounded_in_bytes() {
    let records = Records::memory(RecordSettings { capacity: 2, ..RecordSettings::default() });
    begin(&records, b"a", true, NOW).await.unwrap();
    begin(&records, b"b", true, NOW).await.unwrap();
    assert!(matches!(begin(&records, b"c", true, NOW).await, Err(SessionError::Full)));
    begin(&records, b"d", true, NOW + 900).await.unwrap();

    let records = Records::memory(RecordSettings { bytes: 4000, ..RecordSettings::default() });
    for _ in 0..100 {
        begin(&records, b"hello", false, NOW).await.unwrap();
    }
    assert!(records.count().await.unwrap() < 13);
    let token = begin(&records, b"hello", false, NOW).await.unwrap();
    let session = live(&records, &token, 64, b"big", NOW).await;
    assert!(matches!(session.advance(next(&[0; 5000]), 65, b"", true, NOW).await, Err(SessionError::Full)));
    assert_eq!(live(&records, &token, 64, b"small", NOW).await.state(), b"one");
}

#[tokio::test]
async fn another_key_does_not_open_a_row() {
    let database = TestDatabase::sqlite::<SharedMigrator>().await;
    let open = |byte| {
        Records::database(database.connection().clone(), &SealingKey::new([byte; 32]), RecordSettings::default())
    };
    let token = begin(&open(1), b"hello", false, NOW).await.unwrap();
    assert!(open(2).load(Protocol::To2, Some(&token), 62, b"", NOW).await.is_err());
    assert_eq!(live(&open(1), &token, 62, b"", NOW).await.state(), b"one");
}
