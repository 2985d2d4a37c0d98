//! Every small change of a CBOR item: each field of another type, length or value, absent, or with one more beside it.
//! Byte strings that hold an array or a map are entered too.

use ciborium::Value;

/// What was done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Type,
    Longer,
    Shorter,
    Value,
    Absent,
    Extra,
}

/// One changed message.
pub struct Mutation {
    /// Where, as positions from the outside in: `0/w/3` is the fourth element of what the first one wraps.
    pub path: String,
    pub change: Change,
    pub body: Vec<u8>,
}

/// All changes of this item.
pub fn all(body: &[u8]) -> Vec<Mutation> {
    let item = decode(body).unwrap_or_else(|| panic!("{} is not CBOR", hex::encode(body)));
    assert_eq!(encode(&item), body, "a message of ours is in deterministic form");
    let mut found = Vec::new();
    inside(&item, "", &mut |path, change, changed| {
        found.push(Mutation { path: path.trim_matches('/').to_owned(), change, body: encode(changed) });
    });
    found
}

fn decode(bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let item = ciborium::from_reader(&mut rest).ok()?;
    rest.is_empty().then_some(item)
}

fn encode(item: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(item, &mut bytes).unwrap();
    bytes
}

fn inside(item: &Value, path: &str, emit: &mut dyn FnMut(&str, Change, &Value)) {
    for (change, changed) in of_field(item) {
        emit(path, change, &changed);
    }
    match item {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let with = |changed: &Value| {
                    let mut elements = elements.clone();
                    elements[index] = changed.clone();
                    Value::Array(elements)
                };
                let below = format!("{path}/{index}");
                inside(element, &below, &mut |path, change, changed| emit(path, change, &with(changed)));
                let mut without = elements.clone();
                without.remove(index);
                emit(&below, Change::Absent, &Value::Array(without));
            }
        }
        Value::Map(entries) => {
            for (index, (key, element)) in entries.iter().enumerate() {
                let with = |changed: &Value| {
                    let mut entries = entries.clone();
                    entries[index].1 = changed.clone();
                    Value::Map(entries)
                };
                let key = key.as_integer().map_or("?".to_owned(), |key| i128::from(key).to_string());
                let below = format!("{path}/{key}");
                inside(element, &below, &mut |path, change, changed| emit(path, change, &with(changed)));
                let mut without = entries.clone();
                without.remove(index);
                emit(&below, Change::Absent, &Value::Map(without));
            }
        }
        Value::Tag(tag, content) => {
            let below = format!("{path}/t");
            inside(content, &below, &mut |path, change, changed| {
                emit(path, change, &Value::Tag(*tag, Box::new(changed.clone())));
            });
        }
        Value::Bytes(bytes) => {
            if let Some(content @ (Value::Array(_) | Value::Map(_))) = decode(bytes) {
                let below = format!("{path}/w");
                inside(&content, &below, &mut |path, change, changed| {
                    emit(path, change, &Value::Bytes(encode(changed)));
                });
            }
        }
        _ => {}
    }
}

/// Changes of one field that leave what is around it as it was.
fn of_field(item: &Value) -> Vec<(Change, Value)> {
    let text = || Value::Text("x".into());
    match item {
        Value::Integer(number) => {
            let other = Value::Integer((i128::from(*number) + 1).try_into().unwrap_or(7.into()));
            vec![(Change::Type, text()), (Change::Value, other)]
        }
        Value::Bytes(bytes) => {
            let mut changes = vec![(Change::Type, Value::Integer(7.into()))];
            changes.push((Change::Longer, Value::Bytes([&bytes[..], &[0]].concat())));
            if let Some((first, rest)) = bytes.split_first() {
                changes.push((Change::Shorter, Value::Bytes(rest.to_vec())));
                changes.push((Change::Value, Value::Bytes([&[first ^ 1], rest].concat())));
            }
            changes
        }
        Value::Text(string) => {
            let mut changes = vec![(Change::Type, Value::Integer(7.into()))];
            changes.push((Change::Longer, Value::Text(format!("{string}x"))));
            if let Some(first) = string.chars().next() {
                changes.push((Change::Value, Value::Text(format!("#{}", &string[first.len_utf8()..]))));
            }
            changes
        }
        Value::Bool(flag) => vec![(Change::Type, text()), (Change::Value, Value::Bool(!flag))],
        Value::Null => vec![(Change::Type, text())],
        Value::Array(elements) => {
            let extra = [&elements[..], &[Value::Integer(7.into())]].concat();
            vec![(Change::Type, Value::Map(Vec::new())), (Change::Extra, Value::Array(extra))]
        }
        Value::Map(entries) => {
            let extra = [&entries[..], &[(Value::Integer(9999.into()), Value::Integer(7.into()))]].concat();
            vec![(Change::Type, Value::Array(Vec::new())), (Change::Extra, Value::Map(extra))]
        }
        Value::Tag(tag, content) => {
            vec![(Change::Absent, (**content).clone()), (Change::Value, Value::Tag(tag + 1, content.clone()))]
        }
        _ => Vec::new(),
    }
}
