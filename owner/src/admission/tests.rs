//! Rules: which devices each fits, how they are kept, and what is refused.

use fdo_protocol::Guid;
use fdo_service::db::testing::TestDatabase;

use super::rule::Facts;
use super::*;
use crate::db::Migrator;
use crate::inventory::DeviceState;

fn device(serial: Option<&str>) -> Device {
    Device {
        id: "d1".to_owned(),
        serial: serial.map(str::to_owned),
        guid: Guid::from_bytes([1; 16]),
        model: Some("gateway".to_owned()),
        device_info: "gateway".to_owned(),
        state: DeviceState::Onboarded,
        owner_key: "P-256".to_owned(),
        maker: None,
        progress: None,
        reason: None,
        certificate: None,
        certificate_expires: None,
        onboarded: None,
        created: 0,
        updated: 0,
    }
}

fn rule(id: &str, effect: Effect, criteria: Criteria) -> Rule {
    Rule { id: id.to_owned(), position: 0, effect, deed: None, criteria, created: 1 }
}

fn fits(criteria: Criteria, serial: Option<&str>) -> bool {
    let (device, groups) = (device(serial), ["pilot".to_owned()]);
    let key = "ab".repeat(32);
    let facts = Facts { deed: Deed::Enrol, device: &device, maker_key: Some(&key), groups: &groups };
    rule("r", Effect::Deny, criteria).fits(&facts)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_rule_fits_where_all_that_it_names_holds() {
    let any = Criteria::default;
    assert!(fits(any(), None));
    assert!(fits(Criteria { serial_prefix: text("SN-"), ..any() }, Some("SN-7")));
    assert!(!fits(Criteria { serial_prefix: text("SN-"), ..any() }, Some("XN-7")));
    assert!(!fits(Criteria { serial_prefix: text("SN-"), ..any() }, None));
    let range = || Criteria { serial_from: text("SN-010"), serial_to: text("SN-020"), ..any() };
    for (serial, expected) in
        [("SN-010", true), ("SN-020", true), ("SN-015", true), ("SN-021", false), ("SN-0150", false)]
    {
        assert_eq!(fits(range(), Some(serial)), expected, "{serial}");
    }
    assert!(fits(Criteria { maker_key: Some("AB".repeat(32)), ..any() }, None));
    assert!(!fits(Criteria { maker_key: Some("AC".repeat(32)), ..any() }, None));
    assert!(fits(Criteria { model: text("gateway"), group: text("pilot"), ..any() }, None));
    assert!(!fits(Criteria { model: text("gateway"), group: text("others"), ..any() }, None));
    assert!(fits(Criteria { state: Some(DeviceState::Onboarded), ..any() }, None));
    assert!(!fits(Criteria { state: Some(DeviceState::Failed), ..any() }, None));
    let facts_of = |deed| {
        let device = device(None);
        let facts = Facts { deed, device: &device, maker_key: None, groups: &[] };
        Rule { deed: Some(Deed::Enrol), ..rule("r", Effect::Allow, any()) }.fits(&facts)
    };
    assert!(facts_of(Deed::Enrol) && !facts_of(Deed::Onboard));
}

#[test]
fn wrong_rules_are_refused() {
    let any = Criteria::default;
    for criteria in [
        Criteria { maker_key: text("ab"), ..any() },
        Criteria { serial_from: text("1"), ..any() },
        Criteria { serial_from: text("1"), serial_to: text("10"), ..any() },
        Criteria { serial_from: text("2"), serial_to: text("1"), ..any() },
        Criteria { model: text(""), ..any() },
        Criteria { group: text("a b"), ..any() },
    ] {
        let refused = rule("r", Effect::Allow, criteria.clone()).check();
        assert!(matches!(refused, Err(Error::Field(..))), "{criteria:?}");
    }
    assert!(matches!(rule("a/b", Effect::Allow, any()).check(), Err(Error::Field("id", _))));
}

#[tokio::test]
async fn rules_and_groups_are_kept_in_their_order() {
    for database in TestDatabase::all::<Migrator>().await {
        let db = database.connection();
        let any = Criteria::default;
        let of_group = || Criteria { group: text("pilot"), ..any() };
        let unknown = insert(db, rule("pilot", Effect::Allow, of_group())).await;
        assert!(matches!(unknown, Err(Error::NoGroup(_))));
        put_group(db, "pilot", vec!["SN-2".into(), "SN-1".into(), "SN-2".into()]).await.unwrap();
        insert(db, rule("pilot", Effect::Allow, of_group())).await.unwrap();
        let all = Criteria { serial_prefix: text("SN-"), ..any() };
        insert(db, rule("rest", Effect::Deny, all)).await.unwrap();
        let first = Rule { position: 1, deed: Some(Deed::Onboard), ..rule("first", Effect::Deny, any()) };
        insert(db, first).await.unwrap();
        assert!(matches!(insert(db, rule("rest", Effect::Allow, any())).await, Err(Error::Exists(_))));
        let found = list(db).await.unwrap();
        let order: Vec<_> = found.iter().map(|rule| (rule.id.as_str(), rule.position)).collect();
        assert_eq!(order, [("first", 1), ("pilot", 10), ("rest", 20)]);
        assert_eq!(found[0].deed, Some(Deed::Onboard));
        assert_eq!(found[1].criteria, of_group());
        assert_eq!(store::groups_of(db, "SN-1").await.unwrap(), ["pilot"]);
        assert!(store::groups_of(db, "SN-3").await.unwrap().is_empty());
        assert_eq!(groups(db).await.unwrap(), [("pilot".to_owned(), 2)]);
        assert_eq!(members(db, "pilot").await.unwrap(), ["SN-1", "SN-2"]);
        assert!(matches!(delete_group(db, "pilot").await, Err(Error::GroupInUse(_))));
        delete(db, "pilot").await.unwrap();
        assert!(matches!(delete(db, "pilot").await, Err(Error::NotFound(_))));
        delete_group(db, "pilot").await.unwrap();
        assert!(matches!(members(db, "pilot").await, Err(Error::NoGroup(_))));
    }
}
