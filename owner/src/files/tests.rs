//! Files on both databases: whole or not at all, bounded, replaced, swept.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;

use futures_util::stream;
use sha2::{Digest, Sha384};

use super::*;
use crate::fixtures::Owner;

type Part = Result<Vec<u8>, std::io::Error>;

fn body(parts: &[&[u8]]) -> impl Stream<Item = Part> + Unpin {
    stream::iter(parts.iter().map(|part| Ok(part.to_vec())).collect::<Vec<_>>())
}

fn contents(owner: &Owner) -> Vec<String> {
    let entries = std::fs::read_dir(owner.app.data_dir.join("files")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_kept_hashed_and_replaced() {
    for owner in Owner::on_all().await {
        let app = &owner.app;
        let (file, is_new) = add(app, "me", "fw.bin", None, body(&[b"one ", b"two"])).await.unwrap();
        assert!(is_new);
        assert_eq!((file.length, file.sha384.as_slice()), (7, Sha384::digest(b"one two").as_slice()));
        assert_eq!(find(&app.db, "fw.bin").await.unwrap(), Some(file.clone()));
        let path = app.folder.path(&file.content);
        assert_eq!(std::fs::read(&path).unwrap(), b"one two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let expected = Sha384::digest(b"three").into();
        let (next, is_new) = add(app, "me", "fw.bin", Some(expected), body(&[b"three"])).await.unwrap();
        assert!(!is_new && next.content != file.content);
        assert_eq!(contents(&owner), std::slice::from_ref(&next.content), "the old content is gone");
        assert_eq!(list(&app.db, None, 10).await.unwrap().len(), 1);

        remove(app, "me", "fw.bin").await.unwrap();
        assert!(matches!(remove(app, "me", "fw.bin").await, Err(Error::NotFound(_))));
        assert!(contents(&owner).is_empty());
        assert_eq!((owner.audited("file.add").await, owner.audited("file.remove").await), (2, 1));
    }
}

#[tokio::test]
async fn what_does_not_arrive_whole_leaves_nothing_behind() {
    for owner in Owner::on_all().await {
        let app = &owner.app;
        let (kept, _) = add(app, "me", "a", None, body(&[b"kept"])).await.unwrap();
        let cut = stream::iter([Ok(b"on".to_vec()), Err(std::io::Error::other("line cut"))]);
        let error = add(app, "me", "a", None, cut).await.unwrap_err();
        assert!(error.to_string().contains("line cut"), "{error}");
        assert!(matches!(add(app, "me", "a", Some([0; 48]), body(&[b"x"])).await, Err(Error::Digest)));
        for name in ["", "../a", "a/b", ".a", "a b", &"n".repeat(129)] {
            assert!(matches!(add(app, "me", name, None, body(&[b"x"])).await, Err(Error::Name)), "{name}");
        }
        assert_eq!(find(&app.db, "a").await.unwrap(), Some(kept.clone()));
        assert_eq!(contents(&owner), [kept.content]);
        assert_eq!(owner.audited("file.add").await, 1);
    }
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = Folder::open(folder.path().join("files"), 4).unwrap();
    let rng = &mut fdo_service::host::random::Random::seeded(1).rng();
    assert!(place.receive(body(&[b"1234"]), rng).await.is_ok());
    let endless = stream::repeat_with(|| Part::Ok(vec![0; 3]));
    assert!(matches!(place.receive(endless, rng).await, Err(FolderError::TooLarge(4))));
    assert_eq!(std::fs::read_dir(folder.path().join("files")).unwrap().count(), 0, "neither was kept");
}

#[tokio::test]
async fn only_old_content_without_a_row_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let place = Folder::open(folder.path().to_owned(), 100).unwrap();
    let rng = &mut fdo_service::host::random::Random::seeded(1).rng();
    let known = place.receive(body(&[b"known"]), rng).await.unwrap();
    let orphan = place.receive(body(&[b"orphan"]), rng).await.unwrap();
    let names = HashSet::from([known.content.clone()]);
    std::fs::write(folder.path().join("README"), b"somebody else's").unwrap();
    assert_eq!(place.sweep(&names, 0).await.unwrap(), 0, "it may be arriving");
    assert_eq!(place.sweep(&names, u64::MAX).await.unwrap(), 1);
    assert!(place.path(&known.content).exists() && !place.path(&orphan.content).exists());
    assert!(folder.path().join("README").exists());
}

#[tokio::test]
async fn a_file_is_described_again_when_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    std::fs::write(&path, b"one").unwrap();
    let files = Files::default();
    let one = files.describe(&path).await.unwrap();
    assert_eq!((one.length, files.describe(&path).await.unwrap()), (3, one));
    assert_eq!(files.read(&path, 1, 100).await.unwrap(), b"ne");
    std::fs::write(&path, b"three").unwrap();
    assert_eq!(files.describe(&path).await.unwrap().length, 5);
    assert!(files.describe(&folder.path().join("none")).await.is_err());
}
