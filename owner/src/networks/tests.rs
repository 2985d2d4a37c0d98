//! Networks on both databases: sealed at rest, given to the right devices.
#![allow(clippy::unwrap_used)]

use fdo_protocol::Guid;
use fdo_service::database::{ConnectionTrait, DatabaseConnection};
use fdo_service::db::testing::TestDatabase;
use fdo_service::host::random::Random;
use fdo_service::sessions::SealingKey;

use super::*;
use crate::db::Migrator;

const PASSWORD: &[u8] = b"correct horse battery";

fn network(id: &str, ssid: &str, scope: Scope) -> Network {
    Network {
        id: id.to_owned(),
        ssid: ssid.to_owned(),
        auth: Auth::Wpa2Psk,
        trust_level: 1,
        enabled: true,
        scope,
        has_password: true,
        created: 1,
        updated: 1,
    }
}

async fn add(db: &DatabaseConnection, key: &SealingKey, network: &Network) {
    check(network, Some(PASSWORD)).unwrap();
    let sealed = seal(key, &network.id, PASSWORD, &mut Random::seeded(1).rng());
    insert(db, network, Some(sealed)).await.unwrap();
}

fn scope(guid: &Guid) -> DeviceScope<'_> {
    DeviceScope { id: "x", guid, serial: Some("SN-1"), model: Some("camera") }
}

#[tokio::test]
async fn a_device_gets_its_own_networks_first_and_one_of_each_name() {
    for database in TestDatabase::all::<Migrator>().await {
        let (db, key) = (database.connection(), SealingKey::new([3; 32]));
        add(db, &key, &network("everybody", "Plant", Scope::All)).await;
        add(db, &key, &network("cameras", "Cameras", Scope::Model("camera".into()))).await;
        add(db, &key, &network("locks", "Locks", Scope::Model("lock".into()))).await;
        add(db, &key, &network("own", "Plant", Scope::Device("SN-1".into()))).await;
        let off = Network { enabled: false, ..network("off", "Off", Scope::All) };
        add(db, &key, &off).await;
        let guid = Guid::from_bytes([1; 16]);
        let given = for_device(db, &key, &scope(&guid)).await.unwrap();
        let ids: Vec<&str> = given.iter().map(|network| network.network_id.as_str()).collect();
        assert_eq!(ids, ["own", "cameras"], "{}", database.name());
        assert_eq!(given[0].secret.as_ref().unwrap().as_slice(), PASSWORD);
    }
}

#[tokio::test]
async fn the_password_is_sealed_in_the_database_and_bound_to_its_row() {
    for database in TestDatabase::all::<Migrator>().await {
        let (db, key) = (database.connection(), SealingKey::new([3; 32]));
        add(db, &key, &network("a", "A", Scope::All)).await;
        let (found, sealed) = find(db, "a").await.unwrap().unwrap();
        let sealed = sealed.unwrap();
        assert!(found.has_password);
        assert!(!sealed.windows(PASSWORD.len()).any(|window| window == PASSWORD));
        assert!(matches!(open(&SealingKey::new([4; 32]), "a", &sealed), Err(Error::Sealed(_))));
        assert!(matches!(open(&key, "b", &sealed), Err(Error::Sealed(_))));
        assert!(matches!(insert(db, &found, None).await, Err(Error::Exists(_))), "{}", database.name());
        db.execute_unprepared("UPDATE network SET auth = 9").await.unwrap();
        assert!(matches!(find(db, "a").await, Err(Error::Database(_))));
    }
}

#[test]
fn what_no_device_could_use_is_refused() {
    let base = network("n", "Name", Scope::All);
    for (password, good) in
        [(&b"seven77"[..], false), (b"eight888", true), (&[b'a'; 63], true), (&[b'a'; 64], true)]
    {
        assert_eq!(check(&base, Some(password)).is_ok(), good, "{}", password.len());
    }
    assert!(check(&Network { auth: Auth::Wpa3Psk, ..base.clone() }, Some(&[b'a'; 64])).is_err());
    assert!(check(&Network { auth: Auth::Open, ..base.clone() }, Some(PASSWORD)).is_err());
    assert!(check(&Network { auth: Auth::Open, ..base.clone() }, None).is_ok());
    assert!(check(&base, None).is_err());
    for ssid in ["", "a\nb", &"x".repeat(33)] {
        assert!(check(&Network { ssid: ssid.to_owned(), ..base.clone() }, Some(PASSWORD)).is_err(), "{ssid:?}");
    }
    assert!(check(&Network { id: "a/b".into(), ..base.clone() }, Some(PASSWORD)).is_err());
    assert!(check(&Network { trust_level: 2, ..base }, Some(PASSWORD)).is_err());
}
