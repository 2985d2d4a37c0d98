//! The alerting rules in `deploy/monitoring` are rules, and each metric that they look at is one that the owner shows.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fdo_tests::world::World;
use yaml_rust2::{Yaml, YamlLoader};

fn rules() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/monitoring/alerts.yml");
    let documents = YamlLoader::load_from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(documents.len(), 1);
    let mut rules = Vec::new();
    for group in documents[0]["groups"].as_vec().unwrap() {
        assert!(group["name"].as_str().is_some());
        for rule in group["rules"].as_vec().unwrap() {
            let text =
                |name: &str| rule[name].as_str().unwrap_or_else(|| panic!("{rule:?} has no {name}")).to_owned();
            assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()));
            assert!(rule["annotations"]["summary"].as_str().is_some_and(|summary| !summary.is_empty()));
            assert!(matches!(rule["for"], Yaml::BadValue) || rule["for"].as_str().is_some());
            rules.push((text("alert"), text("expr")));
        }
    }
    rules
}

/// Names of our metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("firstlight_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn each_rule_looks_at_metrics_that_there_are() {
    let rules = rules();
    let alerts: BTreeSet<&String> = rules.iter().map(|(alert, _)| alert).collect();
    assert!(rules.len() >= 8 && alerts.len() == rules.len());
    let world = World::new().await;
    let token = std::fs::read_to_string(world.directory.path().join("owner/operator-token")).unwrap();
    let url = format!("http://{}/metrics", world.owner_config.operators.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // The first look comes as soon as the jobs run.
    let mut text = String::new();
    for _ in 0..200 {
        text = client.get(&url).bearer_auth(token.trim()).send().await.unwrap().text().await.unwrap();
        if text.contains("firstlight_inventory_refreshed_timestamp_seconds") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let shown: BTreeSet<String> = text.lines().filter(|line| !line.starts_with('#')).flat_map(names).collect();
    for (alert, expression) in &rules {
        let wanted = names(expression);
        assert!(!wanted.is_empty(), "{alert} looks at nothing of ours");
        for name in wanted {
            assert!(shown.contains(&name), "{alert} looks at {name}, which /metrics does not show:\n{text}");
        }
        for kind in expression.split("kind=").skip(1) {
            let kinds = kind.trim_start_matches('~').trim_matches('"').split(['"', '}']).next().unwrap();
            for kind in kinds.split('|') {
                assert!(text.contains(&format!("kind=\"{kind}\"")), "{alert}: there is no kind {kind}");
            }
        }
    }
}

#[test]
fn a_metric_is_seen_in_an_expression() {
    let found = names("sum(firstlight_a{kind=\"x\"}) > 0 and increase(firstlight_b_total[1h]) > time()");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["firstlight_a", "firstlight_b_total"]);
}
