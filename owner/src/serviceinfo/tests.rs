//! What devices say is bounded and escaped; files are described once and read in parts.

use super::*;

#[test]
fn text_of_a_device_is_cut_and_escaped() {
    assert_eq!(shown("Linux"), "Linux");
    assert_eq!(shown("a\u{1b}[31mb\u{202e}"), "a\\u{1b}[31mb\\u{202e}");
    assert_eq!(shown(&"x".repeat(10_000)).len(), 128);
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
