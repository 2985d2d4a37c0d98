//! The state on disk, and what is left of it when the power goes.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;

use fdo_protocol::crypto::KeyType;
use fdo_protocol::service_info::est::RenewalSource;
use fdo_protocol::{Guid, RendezvousInfo};

use super::*;
use crate::random::Random;

fn credential(number: u8) -> DeviceCredential {
    DeviceCredential {
        active: true,
        hmac_secret: Zeroizing::new(vec![number; 32]),
        device_info: "model".into(),
        guid: Guid::from_bytes([number; 16]),
        rv_info: RendezvousInfo::new(Vec::new()),
        public_key_hash: Hash::of(HashType::Sha256, &[b"key"]),
    }
}

fn key() -> SigningKey {
    SigningKey::generate(KeyType::P256, &mut Random::seeded(1).rng()).unwrap()
}

fn pending(number: u8) -> Pending {
    let file = |name: &str| NamedFile::text(name.into(), format!("{name} {number}"));
    Pending {
        confirmed: false,
        credential: Some(credential(number)),
        ldevid: vec![file("ldevid-key.pem"), file("ldevid.pem"), file("ldevid-ca.pem")],
        wifi: Some(vec![file("fdo-a.nmconnection"), file("not-ours")]),
        wifi_ca: vec![file("fdo-a.pem")],
        status: "{}".into(),
        renewal: (number % 2 == 1).then(|| RenewalSource {
            url: format!("https://owner.example/{number}"),
            renew_percent: 66,
            trust: Vec::new(),
            idevid: Vec::new(),
        }),
    }
}

#[test]
fn everything_on_disk_is_private_and_read_back() {
    let base = tempfile::tempdir().unwrap();
    let (state, wifi) = (base.path().join("state"), base.path().join("wifi"));
    let open =
        || Store::open(Directory::on_disk(&state).unwrap(), Some(Directory::on_disk(&wifi).unwrap())).unwrap();
    let store = open();
    assert!(matches!(store.credential(), Err(StoreError::NotInitialised)));
    let key = key();
    store.initialise(&key, &credential(1), &Status::default()).unwrap();
    std::fs::write(wifi.join("home.nmconnection"), "made by hand").unwrap();
    std::fs::write(wifi.join("fdo-old.nmconnection"), "of an earlier owner").unwrap();
    for number in [2, 3] {
        let used = store.credential().unwrap();
        store.stage(&used, &pending(number)).unwrap();
        assert_eq!(open().credential().unwrap().guid, used.guid);
        store.confirm(pending(number)).unwrap();
    }
    let store = open();
    assert_eq!(store.device_key().unwrap().verifying_key(), key.verifying_key());
    assert_eq!(store.credential().unwrap().guid, credential(3).guid);
    assert_eq!(std::fs::read_to_string(state.join("ldevid/ldevid.pem")).unwrap(), "ldevid.pem 3");
    assert_eq!(Directory::on_disk(&wifi).unwrap().names().unwrap(), ["fdo-a.nmconnection", "home.nmconnection"]);
    let mut paths = vec![state.clone()];
    while let Some(path) = paths.pop() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            paths.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_crash_while_a_new_identity_is_written_leaves_the_old_or_the_new() {
    let keys = [key(), key()];
    for writes in 0..20 {
        let state = Directory::in_memory();
        let store = Store::open(state.clone(), None).unwrap();
        store.initialise(&keys[0], &credential(1), &Status::default()).unwrap();
        state.fail_after(Some(writes));
        let outcome = store.initialise(&keys[1], &credential(2), &Status::default());
        state.fail_after(None);
        let store = Store::open(state, None).unwrap();
        let (key_now, guid) = (store.device_key().unwrap(), store.credential().unwrap().guid);
        let number = if guid == credential(1).guid { 1 } else { 2 };
        assert_eq!(key_now.verifying_key(), keys[number - 1].verifying_key());
        if outcome.is_ok() {
            assert_eq!(number, 2);
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn a_crash_while_an_onboarding_takes_effect_never_mixes_two() {
    let key = key();
    for writes in 0..40 {
        let (state, wifi) = (Directory::in_memory(), Directory::in_memory());
        let store = Store::open(state.clone(), Some(wifi.clone())).unwrap();
        store.initialise(&key, &credential(1), &Status::default()).unwrap();
        store.stage(&credential(1), &pending(2)).unwrap();
        store.confirm(pending(2)).unwrap();
        let used = store.credential().unwrap();
        store.stage(&used, &pending(3)).unwrap();
        state.fail_after(Some(writes));
        let outcome = store.confirm(pending(3));
        state.fail_after(None);
        let number = |store: &Store, name: &str| {
            store.directory().read(name).unwrap().map(|content| content.last().copied().unwrap())
        };
        // Before the next start the set may be old or new, but it is one set.
        let sets: Vec<_> = ["key.pem", ".pem", "-ca.pem"]
            .map(|end| number(&store, &format!("ldevid/ldevid{end}").replace("ldevidkey", "ldevid-key")))
            .into();
        assert!(sets.iter().all(|set| *set == sets[0] && set.is_some()), "{sets:?}");
        let store = Store::open(state, Some(wifi)).unwrap();
        let confirmed = store.credential().unwrap().guid == credential(3).guid;
        assert_eq!(store.pending().unwrap().is_none(), confirmed);
        assert_eq!(number(&store, "ldevid/ldevid.pem"), Some(if confirmed { b'3' } else { b'2' }));
        if outcome.is_ok() {
            assert!(confirmed && writes > 5);
            return;
        }
    }
    panic!("it never ended");
}

/// An owner may keep the GUID when it gives a new credential: what it has proven itself with must survive all the same.
#[test]
fn the_credential_that_an_owner_has_proven_itself_with_is_kept_under_the_same_guid() {
    let same_guid = |number| DeviceCredential { guid: credential(1).guid, ..credential(number) };
    let staged = |number| Pending { credential: Some(same_guid(number)), ..pending(number) };
    let state = Directory::in_memory();
    let store = Store::open(state.clone(), None).unwrap();
    store.initialise(&key(), &credential(1), &Status::default()).unwrap();
    // 71 was lost, and the next TO2 ran with the credential that waited.
    store.stage(&credential(1), &staged(2)).unwrap();
    store.stage(&same_guid(2), &staged(3)).unwrap();
    let store = Store::open(state, None).unwrap();
    assert_eq!(store.credential().unwrap().hmac_secret, credential(2).hmac_secret);
    let waiting = store.pending().unwrap().unwrap().credential.unwrap();
    assert_eq!(waiting.hmac_secret, credential(3).hmac_secret);
}

#[test]
fn one_agent_at_a_time_is_at_work_and_anybody_may_look() {
    let base = tempfile::tempdir().unwrap();
    let open = || Store::open(Directory::on_disk(base.path()).unwrap(), None).unwrap();
    let store = open();
    store.initialise(&key(), &credential(1), &Status::default()).unwrap();
    let lock = store.lock().unwrap();
    store.stage(&credential(1), &pending(2)).unwrap();
    let confirmed = Pending { confirmed: true, ..pending(2) };
    store.write_value(PENDING, &confirmed).unwrap();
    // What another is in the middle of is left to it.
    let visitor = open();
    assert_eq!(visitor.credential().unwrap().guid, credential(1).guid);
    assert!(matches!(visitor.lock(), Err(StoreError::Busy)));
    drop(lock);
    let _lock = visitor.lock().unwrap();
    assert_eq!(visitor.credential().unwrap().guid, credential(2).guid);
}

#[test]
fn serial_number_and_model_outlive_the_status() {
    for content in [None, Some(b"cut".as_slice()), Some(b"{}")] {
        let state = Directory::in_memory();
        let store = Store::open(state.clone(), None).unwrap();
        let status = Status { serial: "FL-1".into(), model: "model".into(), ..Status::default() };
        store.initialise(&key(), &credential(1), &status).unwrap();
        state.remove("status.json").unwrap();
        if let Some(content) = content {
            state.replace("status.json", content).unwrap();
        }
        assert_eq!(store.status(), status);
    }
}

fn draft(number: u8, serial: &str) -> Draft {
    let key = SigningKey::generate(KeyType::P256, &mut Random::seeded(number.into()).rng()).unwrap();
    let manufacturer = "http://manufacturer.example:8038".to_owned();
    let purpose = DraftPurpose { manufacturer, serial: serial.to_owned(), key_type: KeyType::P256 };
    Draft { purpose, key, hmac_secret: Zeroizing::new(vec![number; 32]) }
}

#[test]
fn a_draft_is_private_serves_one_purpose_and_ends_with_the_birth() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(Directory::on_disk(base.path()).unwrap(), None).unwrap();
    let [one, other] = [draft(1, "FL-1"), draft(2, "FL-2")];
    assert!(store.draft(&one.purpose).unwrap().is_none());
    store.keep_draft(&one).unwrap();
    store.keep_draft(&other).unwrap();
    for name in store.directory().names().unwrap() {
        let file = base.path().join(&name).join("draft.cbor");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&base.path().join(&name)), mode(&file)), (0o700, 0o600), "{name}");
    }
    for kept in [&one, &other] {
        let found = store.draft(&kept.purpose).unwrap().unwrap();
        assert_eq!(found.key.verifying_key(), kept.key.verifying_key());
        assert_eq!(found.hmac_secret, kept.hmac_secret);
    }
    for purpose in [
        DraftPurpose { key_type: KeyType::P384, ..one.purpose.clone() },
        DraftPurpose { serial: "FL-3".into(), ..one.purpose.clone() },
        DraftPurpose { manufacturer: "http://other.example".into(), ..one.purpose.clone() },
    ] {
        assert!(store.draft(&purpose).unwrap().is_none(), "{purpose:?}");
    }
    store.initialise(&one.key, &credential(1), &Status::default()).unwrap();
    assert!(store.draft(&one.purpose).unwrap().is_none() && store.draft(&other.purpose).unwrap().is_none());

    store.keep_draft(&other).unwrap();
    let name = draft_directory(&other.purpose);
    std::fs::write(base.path().join(name).join("draft.cbor"), "cut").unwrap();
    assert!(store.draft(&other.purpose).unwrap().is_none());
}

#[test]
fn a_birth_cut_short_after_its_identity_is_finished_at_the_next_start() {
    let (mut cut, old) = (0, key());
    for writes in 0..40 {
        let state = Directory::in_memory();
        let store = Store::open(state.clone(), None).unwrap();
        store.initialise(&old, &credential(1), &Status::default()).unwrap();
        store.stage(&credential(1), &pending(2)).unwrap();
        store.confirm(pending(2)).unwrap();
        let new = draft(9, "FL-9");
        store.keep_draft(&new).unwrap();
        state.fail_after(Some(writes));
        let status = Status { serial: "FL-9".into(), ..Status::default() };
        let outcome = store.initialise(&new.key, &credential(3), &status);
        state.fail_after(None);
        let store = Store::open(state.clone(), None).unwrap();
        let born = store.credential().unwrap().guid == credential(3).guid;
        assert_eq!(store.draft(&new.purpose).unwrap().is_none(), born, "{writes}");
        // The earlier owner's certificate is there as long as the earlier identity.
        assert_eq!(state.read("ldevid/ldevid.pem").unwrap().is_none(), born, "{writes}");
        if born {
            assert_eq!(store.status().serial, "FL-9");
        }
        cut += usize::from(born && outcome.is_err());
        if outcome.is_ok() {
            assert!(cut > 3);
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn the_place_of_renewal_is_that_of_the_last_owner() {
    let state = Directory::in_memory();
    let store = Store::open(state.clone(), None).unwrap();
    store.initialise(&key(), &credential(1), &Status::default()).unwrap();
    for number in [3, 2, 5] {
        let used = store.credential().unwrap();
        store.stage(&used, &pending(number)).unwrap();
        store.confirm(pending(number)).unwrap();
        assert_eq!(store.renewal_source().unwrap(), pending(number).renewal, "{number}");
    }
    store.initialise(&key(), &credential(6), &Status::default()).unwrap();
    assert_eq!(store.renewal_source().unwrap(), None);
}

#[test]
fn an_onboarding_that_an_earlier_release_left_unfinished_is_finished() {
    let record = pending(2);
    let mut writer = cbor::Writer::default();
    writer.array(6).bool(true).value(&record.credential).value(&record.ldevid).value(&record.wifi);
    writer.value(&record.wifi_ca).text(&record.status);
    let state = Directory::in_memory();
    let store = Store::open(state.clone(), None).unwrap();
    store.initialise(&key(), &credential(1), &Status::default()).unwrap();
    state.replace(PENDING, &writer.into_bytes()).unwrap();
    let store = Store::open(state, None).unwrap();
    assert_eq!(store.credential().unwrap().guid, credential(2).guid);
    assert!(store.pending().unwrap().is_none());
}
