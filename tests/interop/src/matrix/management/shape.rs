//! What of an answer is its shape: media type, members and their kinds, labels of PEM blocks.

use anyhow::anyhow;
use serde_json::{Value, json};

use crate::matrix::server::Answer;

/// Holds ours against theirs; nothing where theirs is a line of text, which scripts only show.
pub fn compare(theirs: &Answer, ours: &Answer) -> Option<anyhow::Result<()>> {
    let is_error = !theirs.status.is_success();
    let (their_shape, our_shape) = (shape(theirs), shape(ours));
    if is_error {
        // Errors of ours tell more.
        let members = their_shape.as_object()?;
        let missing: Vec<_> = members.keys().filter(|name| our_shape.get(name.as_str()).is_none()).collect();
        return Some(match missing[..] {
            [] => Ok(()),
            _ => Err(anyhow!("without {missing:?}: {our_shape}")),
        });
    }
    let same = their_shape == our_shape && theirs.kind == ours.kind;
    Some(match same {
        true => Ok(()),
        false => Err(anyhow!("theirs {} {their_shape}, ours {} {our_shape}", theirs.kind, ours.kind)),
    })
}

fn shape(answer: &Answer) -> Value {
    match serde_json::from_str(&answer.body) {
        Ok(value) => of(&value),
        Err(_) => {
            let labels = answer.body.lines().filter_map(|line| line.strip_prefix("-----BEGIN "));
            json!(labels.map(|label| label.trim_end_matches('-')).collect::<Vec<_>>())
        }
    }
}

/// The same with each text as "text", each number as 0, each flag as true.
fn of(value: &Value) -> Value {
    match value {
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        Value::Bool(_) => json!(true),
        Value::Null => Value::Null,
        Value::Array(all) => all.iter().map(of).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), of(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn answer(status: StatusCode, kind: &str, body: &str) -> Answer {
        Answer { status, kind: kind.to_owned(), body: body.to_owned() }
    }

    #[test]
    fn members_kinds_labels_and_media_types_count_and_values_do_not() {
        let json = |body| answer(StatusCode::OK, "application/json", body);
        let is_same = |theirs: &Answer, ours: &Answer| compare(theirs, ours).is_some_and(|same| same.is_ok());
        assert!(is_same(&json(r#"[{"guid": "a", "n": 1}]"#), &json(r#"[{"n": 2, "guid": "b"}]"#)));
        for other in [r#"[{"guid": "a"}]"#, r#"[{"guid": "a", "n": "1"}]"#, "[]", r#"{"guid": "a", "n": 1}"#] {
            assert!(!is_same(&json(r#"[{"guid": "a", "n": 1}]"#), &json(other)), "{other}");
        }
        assert!(!is_same(&json("[]"), &answer(StatusCode::OK, "text/plain", "[]")));
        let pem =
            |label: &str| answer(StatusCode::OK, "application/x-pem-file", &format!("-----BEGIN {label}-----\n"));
        assert!(is_same(&pem("A"), &pem("A")) && !is_same(&pem("A"), &pem("B")));
    }

    #[test]
    fn an_error_of_ours_may_tell_more_and_not_less() {
        let refused = |body| answer(StatusCode::NOT_FOUND, "application/json", body);
        let more = compare(&refused(r#"{"message": "x"}"#), &refused(r#"{"message": "y", "code": "z"}"#));
        assert!(more.is_some_and(|same| same.is_ok()));
        let less = compare(&refused(r#"{"message": "x"}"#), &refused(r#"{"code": "z"}"#));
        assert!(less.is_some_and(|same| same.is_err()));
        assert!(compare(&refused("not found\n"), &refused(r#"{"code": "z"}"#)).is_none());
    }
}
