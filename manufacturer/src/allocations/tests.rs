//! A list is allocated as a whole; a serial has one buyer; revoking is possible before the claim.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::buyers::Buyers;
use crate::db::Migrator;
use crate::devices::{Devices, Entered};
use fdo_service::db::testing::TestDatabase;

fn rows(serials: &[&str]) -> Vec<Ordered> {
    let ordered = |(index, serial): (usize, &&str)| Ordered {
        line: index + 1,
        serial: (*serial).to_owned(),
        buyer: None,
        order_ref: Some("PO-1".to_owned()),
    };
    serials.iter().enumerate().map(ordered).collect()
}

#[tokio::test]
async fn serials_go_to_one_buyer_or_the_list_is_refused() {
    for db in TestDatabase::all::<Migrator>().await {
        let (clock, random) = (Clock::fixed(1_800_000_000), Random::system());
        let devices = Devices::new(db.connection().clone(), clock.clone());
        let buyers = Buyers::new(db.connection().clone(), clock.clone(), random.clone());
        let allocations = Allocations::new(db.connection().clone(), clock, random);
        let entered: Vec<_> = ["FL-1", "FL-2", "FL-3"]
            .map(|serial| Entered { line: 1, serial: serial.into(), model: None, hardware_serial: None })
            .into();
        devices.enter("me", &entered, false).await.unwrap();
        devices.set_blocked("me", &Serial::parse("FL-3").unwrap(), true).await.unwrap();
        buyers.add("me", "Acme").await.unwrap();
        buyers.add("me", "Other").await.unwrap();

        let bad = rows(&["FL-1", "fl1", "FL-9", "FL-3", "?"]);
        let report = allocations.allocate("me", Some("Acme"), &bad, false).await.unwrap();
        let codes: Vec<_> = report.notes.iter().map(|note| note.code.as_str()).collect();
        assert_eq!(codes, ["duplicate", "unknown", "blocked", "invalid"], "{}", db.name());
        assert!(!report.applied && allocations.list(None, 10).await.unwrap().is_empty());

        let dry = allocations.allocate("me", Some("Acme"), &rows(&["FL-1", "FL-2"]), true).await.unwrap();
        assert!(dry.accepted == 2 && !dry.applied && allocations.list(None, 10).await.unwrap().is_empty());
        assert!(allocations.allocate("me", Some("Acme"), &rows(&["FL-1"]), false).await.unwrap().applied);
        let again = allocations.allocate("me", Some("Acme"), &rows(&["FL-1", "FL-2"]), false).await.unwrap();
        assert_eq!((again.known, again.accepted, again.applied), (1, 1, true));
        let other = allocations.allocate("me", Some("Other"), &rows(&["FL-1"]), false).await.unwrap();
        assert_eq!((other.notes[0].code.as_str(), other.applied), ("allocated", false));
        let nobody = allocations.allocate("me", Some("Nobody"), &rows(&["FL-1"]), false).await.unwrap();
        assert_eq!(nobody.notes[0].code, "buyer");

        let listed = allocations.list(None, 10).await.unwrap();
        assert_eq!((listed.len(), listed[0].buyer.as_str(), listed[0].claimed), (2, "Acme", false));
        let serial = Serial::parse("FL-1").unwrap();
        allocations.revoke("me", &serial).await.unwrap();
        assert!(matches!(allocations.revoke("me", &serial).await, Err(AllocationError::NotAllocated(_))));
        assert!(allocations.allocate("me", Some("Other"), &rows(&["FL-1"]), false).await.unwrap().applied);
    }
}

#[tokio::test]
async fn two_lists_in_opposite_order_do_not_wait_for_each_other() {
    for db in TestDatabase::all::<Migrator>().await {
        let (clock, random) = (Clock::fixed(1_800_000_000), Random::system());
        let devices = Devices::new(db.connection().clone(), clock.clone());
        let allocations = Allocations::new(db.connection().clone(), clock.clone(), random.clone());
        Buyers::new(db.connection().clone(), clock, random).add("me", "Acme").await.unwrap();
        let serials: Vec<_> = (0..30).map(|number| format!("FL-{number}")).collect();
        let backwards: Vec<_> = serials.iter().rev().cloned().collect();
        let enter = async |serials: &[String]| {
            let row =
                |serial: &String| Entered { line: 1, serial: serial.clone(), model: None, hardware_serial: None };
            devices.enter("me", &serials.iter().map(row).collect::<Vec<_>>(), false).await
        };
        // One of the two may find the serials taken, but neither is chosen as the victim of a deadlock.
        let (one, two) = tokio::join!(enter(&serials), enter(&backwards));
        for error in [one.err(), two.err()].into_iter().flatten() {
            let DeviceError::Database(error) = error else { panic!("{error}") };
            assert!(database::is_unique_violation(&error), "{error}");
        }
        let allocate = async |serials: &[String]| {
            let serials: Vec<_> = serials.iter().map(String::as_str).collect();
            allocations.allocate("me", Some("Acme"), &rows(&serials), true).await.unwrap()
        };
        for _ in 0..5 {
            let (one, two) = tokio::join!(allocate(&serials), allocate(&backwards));
            assert_eq!((one.accepted, two.accepted), (30, 30), "{}", db.name());
        }
    }
}
