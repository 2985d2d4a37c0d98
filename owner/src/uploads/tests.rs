//! Uploads on both databases: parts at their place, whole or not at all, never over another, within their limits.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

use fdo_protocol::Guid;
use sha2::{Digest, Sha384};

use super::*;
use crate::fixtures::Owner;

static GUID: LazyLock<Guid> = LazyLock::new(|| Guid::from_bytes([1; 16]));

fn device(byte: u8) -> String {
    hex::encode([byte; 32])
}

fn incoming<'a>(id: &'a str, device_id: &'a str, expected: u64) -> Incoming<'a> {
    let onboarding = id.split('-').next().unwrap();
    Incoming { id, device_id, guid: &GUID, onboarding, name: "/var/log/a.log", expected }
}

fn sha(bytes: &[u8]) -> [u8; 48] {
    Sha384::digest(bytes).into()
}

/// All files below the folder of uploads.
fn files(owner: &Owner) -> Vec<String> {
    let mut found = Vec::new();
    for device in std::fs::read_dir(owner.app.data_dir.join("uploads")).unwrap() {
        let entries = std::fs::read_dir(device.unwrap().path()).unwrap();
        found.extend(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
    }
    found.sort();
    found
}

#[tokio::test]
async fn parts_become_a_file_that_is_kept_under_a_name_of_ours() {
    for owner in Owner::on_all().await {
        let (app, device) = (&owner.app, device(1));
        let file = incoming("aa-1", &device, 6);
        store(app, &file, 0, b"one").await.unwrap();
        store(app, &file, 0, b"one").await.unwrap();
        store(app, &file, 3, b"two").await.unwrap();
        assert!(matches!(store(app, &file, 9, b"gap").await, Err(Error::Storage(StorageError::Gap))));
        let kept = finish(app, &file, 6, Some(sha(b"onetwo"))).await.unwrap().unwrap();
        assert_eq!((kept.name.as_str(), kept.length, kept.sha384), ("/var/log/a.log", 6, sha(b"onetwo")));
        assert_eq!(finish(app, &file, 6, Some(sha(b"onetwo"))).await.unwrap(), Some(kept.clone()), "again");
        let path = app.uploads.path(&device, "aa-1").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(list(&app.db, Some(&device), None, 10).await.unwrap(), std::slice::from_ref(&kept));
        assert_eq!(owner.audited("upload.receive").await, 1);

        // The same name in a later onboarding is another file.
        let later = incoming("bb-1", &device, 3);
        store(app, &later, 0, b"new").await.unwrap();
        assert!(finish(app, &later, 3, None).await.unwrap().is_some());
        assert_eq!(files(&owner), ["aa-1", "bb-1"]);
        delete(app, "me", "aa-1").await.unwrap();
        assert_eq!(files(&owner), ["bb-1"]);
        assert!(matches!(delete(app, "me", "aa-1").await, Err(Error::NotFound(_))));
        assert_eq!(app.uploads.arriving(&device), (0, 0), "nothing stays set aside");
    }
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    for owner in Owner::on_all().await {
        let (app, device) = (&owner.app, device(1));
        let kept = finish(app, &incoming("aa-1", &device, 0), 0, Some(sha(b""))).await.unwrap().unwrap();
        assert_eq!((kept.length, files(&owner)), (0, vec!["aa-1".to_owned()]));
    }
}

#[tokio::test]
async fn what_is_not_as_the_device_said_is_not_kept() {
    for owner in Owner::on_all().await {
        let (app, device) = (&owner.app, device(1));
        for (id, length, digest) in [("aa-1", 3, Some(sha(b"other"))), ("aa-2", 4, None)] {
            let file = incoming(id, &device, 3);
            store(app, &file, 0, b"one").await.unwrap();
            assert_eq!(finish(app, &file, length, digest).await.unwrap(), None);
        }
        assert!(files(&owner).is_empty() && list(&app.db, None, None, 10).await.unwrap().is_empty());
        assert_eq!(owner.audited("upload.receive").await, 0);
        // What an onboarding leaves goes with it, and no more than that.
        store(app, &incoming("aa-3", &device, 3), 0, b"one").await.unwrap();
        store(app, &incoming("bb-3", &device, 3), 0, b"one").await.unwrap();
        abandon(app, "aa").await;
        assert_eq!(files(&owner), ["bb-3.part"]);
        assert_eq!(app.uploads.arriving(&device), (3, 3));
    }
}

#[tokio::test]
async fn after_a_restart_the_file_is_read_to_be_checked() {
    for owner in Owner::on_all().await {
        let (app, device) = (&owner.app, device(1));
        let file = incoming("aa-1", &device, 6);
        store(app, &file, 0, b"one").await.unwrap();
        app.uploads.forget("aa-1");
        store(app, &file, 3, b"two").await.unwrap();
        assert!(finish(app, &file, 6, Some(sha(b"onetwo"))).await.unwrap().is_some());
        // It was placed, and the service died before it wrote the row.
        delete(app, "me", "aa-1").await.unwrap();
        std::fs::write(app.uploads.path(&device, "aa-1").unwrap(), b"onetwo").unwrap();
        assert!(finish(app, &file, 6, Some(sha(b"onetwo"))).await.unwrap().is_some());
        assert_eq!(files(&owner), ["aa-1"]);
    }
}

#[tokio::test]
async fn a_device_and_all_devices_have_a_limit() {
    for mut owner in Owner::on_all().await {
        owner.app.settings.uploads.device_bytes = 10;
        owner.app.settings.uploads.total_bytes = 15;
        let (app, one, two) = (&owner.app, device(1), device(2));
        let first = incoming("aa-1", &one, 6);
        store(app, &first, 0, b"onetwo").await.unwrap();
        let error = store(app, &incoming("aa-2", &one, 5), 0, b"x").await.unwrap_err();
        assert!(matches!(error, Error::DeviceFull(11)), "what arrives counts: {error}");
        finish(app, &first, 6, None).await.unwrap();
        assert!(matches!(store(app, &incoming("aa-2", &one, 5), 0, b"x").await, Err(Error::DeviceFull(11))));
        store(app, &incoming("aa-3", &one, 4), 0, b"x").await.unwrap();
        let error = store(app, &incoming("bb-1", &two, 6), 0, b"x").await.unwrap_err();
        assert!(matches!(error, Error::Full(16)), "{error}");
        store(app, &incoming("bb-2", &two, 5), 0, b"x").await.unwrap();
        assert_eq!(files(&owner), ["aa-1", "aa-3.part", "bb-2.part"]);
    }
}

#[tokio::test]
async fn only_old_content_without_a_row_is_swept() {
    for owner in Owner::on_all().await {
        let (app, device) = (&owner.app, device(1));
        let file = incoming("aa-1", &device, 3);
        store(app, &file, 0, b"one").await.unwrap();
        finish(app, &file, 3, None).await.unwrap();
        store(app, &incoming("aa-2", &device, 3), 0, b"on").await.unwrap();
        let known = std::collections::HashSet::from(["aa-1".to_owned()]);
        assert_eq!(app.uploads.sweep(&known, 0).await.unwrap(), 0, "it may be arriving");
        assert_eq!(app.uploads.sweep(&known, u64::MAX).await.unwrap(), 1);
        assert_eq!(files(&owner), ["aa-1"]);
    }
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path().to_owned()).unwrap();
    for (device, id) in [("..", "a"), ("a", ".."), ("a", "b/c"), ("", "a"), ("a", ""), ("a", "b.part")] {
        assert!(matches!(storage.path(device, id), Err(StorageError::Name(_))), "{device}/{id}");
    }
}
