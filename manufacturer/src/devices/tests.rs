//! Serials are entered all or none, compared in one form, and released only by an operator.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::db::Migrator;
use fdo_service::db::testing::TestDatabase;

fn rows(serials: &[&str]) -> Vec<Entered> {
    let entered = |(index, serial): (usize, &&str)| Entered {
        line: index + 1,
        serial: (*serial).to_owned(),
        model: Some("Lamp".to_owned()),
        hardware_serial: None,
    };
    serials.iter().enumerate().map(entered).collect()
}

fn serial(text: &str) -> Serial {
    Serial::parse(text).unwrap()
}

#[tokio::test]
async fn a_list_is_applied_as_a_whole_or_not_at_all() {
    for db in TestDatabase::all::<Migrator>().await {
        let devices = Devices::new(db.connection().clone(), Clock::fixed(1_800_000_000));
        let report = devices.enter("me", &rows(&["FL-1", "fl 1", "FL-2", "\u{7}"]), false).await.unwrap();
        assert_eq!((report.applied, report.accepted, report.refused), (false, 2, 2), "{}", db.name());
        assert_eq!(report.notes[0].code, "duplicate");
        assert!(devices.find(&serial("FL-1")).await.unwrap().is_none());

        let report = devices.enter("me", &rows(&["FL-1", "FL-2"]), true).await.unwrap();
        assert!(!report.applied && report.dry_run && report.accepted == 2);
        assert!(devices.list(None, None, 10).await.unwrap().is_empty());

        assert!(devices.enter("me", &rows(&["FL-1", "FL-2"]), false).await.unwrap().applied);
        let again = devices.enter("me", &rows(&["fl1", "FL-3"]), false).await.unwrap();
        assert_eq!((again.applied, again.accepted, again.known), (true, 1, 1));
        assert_eq!(devices.list(Some(DeviceState::Admitted), Some("FL1".into()), 10).await.unwrap().len(), 2);
        assert!(audit::verify(db.connection()).await.is_ok());
    }
}

#[tokio::test]
async fn only_a_device_with_a_voucher_is_released() {
    for db in TestDatabase::all::<Migrator>().await {
        let devices = Devices::new(db.connection().clone(), Clock::fixed(1_800_000_000));
        devices.enter("me", &rows(&["FL-1"]), false).await.unwrap();
        assert!(matches!(devices.release("me", &serial("FL-1")).await, Err(DeviceError::NotInitialized(_))));
        assert!(matches!(devices.release("me", &serial("FL-9")).await, Err(DeviceError::Unknown(_))));
        let blocked = devices.set_blocked("me", &serial("fl1"), true).await.unwrap();
        assert_eq!(admit(Some(&blocked), Admission::Open), Err(Refusal::Blocked));
        let free = devices.set_blocked("me", &serial("fl1"), false).await.unwrap();
        assert_eq!(admit(Some(&free), Admission::Listed), Ok(()));
        assert_eq!(admit(None, Admission::Listed), Err(Refusal::Unlisted));
        assert_eq!(admit(None, Admission::Open), Ok(()));
    }
}
