//! `RendezvousInfo` as JSON: in version 2 an array of directives, each an array of objects with one key; in version 1
//! an array of flat objects with ports as text.
//!
//! Media are numbered as FDO 1.1 does (wired from 0, Wi-Fi from 10); that server has the two the other way round.

use fdo_protocol::rendezvous_info::{Directive, Instruction, RvProtocol};
use fdo_protocol::{Hash, RendezvousInfo, cbor};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

const MAX_DIRECTIVES: usize = 16;
const MAX_INSTRUCTIONS: usize = 32;

const PROTOCOLS: [(&str, RvProtocol); 7] = [
    ("rest", RvProtocol::Rest),
    ("http", RvProtocol::Http),
    ("https", RvProtocol::Https),
    ("tcp", RvProtocol::Tcp),
    ("tls", RvProtocol::Tls),
    ("coap+tcp", RvProtocol::CoapTcp),
    ("coap", RvProtocol::CoapUdp),
];

fn wrong(place: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::bad_request("rvinfo", format!("{place}: {why}."))
}

/// Reads version 2; `[]` reads as nothing.
pub fn read(json: &Value) -> Result<Option<RendezvousInfo>, Refusal> {
    let directives = json.as_array().ok_or_else(|| wrong("rvinfo", "it must be an array of arrays"))?;
    if directives.len() > MAX_DIRECTIVES {
        return Err(wrong("rvinfo", format!("it has more than {MAX_DIRECTIVES} directives")));
    }
    let mut all = Vec::new();
    for (index, directive) in directives.iter().enumerate() {
        let place = format!("rvinfo[{index}]");
        let parts = directive.as_array().ok_or_else(|| wrong(&place, "it must be an array of objects"))?;
        if parts.len() > MAX_INSTRUCTIONS {
            return Err(wrong(&place, format!("it has more than {MAX_INSTRUCTIONS} instructions")));
        }
        let mut instructions = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let place = format!("{place}[{number}]");
            let object = part.as_object().filter(|object| object.len() == 1);
            let pair = object.and_then(|object| object.iter().next());
            let (key, value) = pair.ok_or_else(|| wrong(&place, "it must be an object with one key"))?;
            instructions.push(instruction(&place, key, value)?);
        }
        check(&place, &instructions)?;
        all.push(instructions);
    }
    Ok((!all.is_empty()).then(|| RendezvousInfo::from_instructions(all)))
}

fn check(place: &str, instructions: &[Instruction]) -> Result<(), Refusal> {
    let host = |one: &Instruction| matches!(one, Instruction::Dns(_) | Instruction::IpAddress(_));
    if !instructions.iter().any(host) {
        return Err(wrong(place, "`dns` or `ip` must be given"));
    }
    for one in instructions {
        if let Instruction::Dns(name) = one {
            let directive = Directive { dns: Some(name.clone()), ..Directive::default() };
            directive.check().map_err(|error| wrong(place, error))?;
        }
    }
    Ok(())
}

fn instruction(place: &str, key: &str, value: &Value) -> Result<Instruction, Refusal> {
    let misfit = |what: &str| wrong(place, format!("`{key}` must be {what}"));
    let text = || value.as_str().map(str::to_owned).ok_or_else(|| misfit("text"));
    let port = || {
        let port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        port.ok_or_else(|| misfit("a number from 1 to 65535"))
    };
    let set = |instruction| match value {
        Value::Bool(true) => Ok(instruction),
        _ => Err(misfit("true, or left out")),
    };
    let digest = || -> Result<Hash, Refusal> {
        let bytes = value.as_str().and_then(|text| hex::decode(text).ok());
        let hash = bytes.and_then(|bytes| {
            let number = match bytes.len() {
                32 => -16,
                48 => -43,
                _ => return None,
            };
            let mut array = cbor::Writer::default();
            array.array(2).integer(number).bytes(&bytes);
            cbor::decode(&array.into_bytes()).ok()
        });
        hash.ok_or_else(|| misfit("a SHA-256 or SHA-384 hash in hexadecimal"))
    };
    Ok(match key {
        "dns" => Instruction::Dns(text()?),
        "ip" => {
            let ip = value.as_str().and_then(|ip| ip.parse::<std::net::IpAddr>().ok());
            Instruction::IpAddress(ip.ok_or_else(|| misfit("an address"))?.to_canonical())
        }
        "protocol" => {
            let known = PROTOCOLS.iter().find(|(name, _)| value.as_str() == Some(name));
            Instruction::Protocol(known.ok_or_else(|| misfit("http, https or the like"))?.1)
        }
        "medium" => {
            Instruction::Medium(medium(value.as_str().unwrap_or_default()).ok_or_else(|| misfit("a medium"))?)
        }
        "device_port" => Instruction::DevPort(port()?),
        "owner_port" => Instruction::OwnerPort(port()?),
        "wifi_ssid" => Instruction::WifiSsid(text()?),
        "wifi_pw" => Instruction::WifiPw(text()?),
        "dev_only" => set(Instruction::DevOnly)?,
        "owner_only" => set(Instruction::OwnerOnly)?,
        "rv_bypass" => set(Instruction::Bypass)?,
        "user_input" => set(Instruction::UserInput(Some(true)))?,
        "delay_seconds" => {
            let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
            Instruction::DelaySec(seconds.ok_or_else(|| misfit("a number of seconds"))?)
        }
        "sv_cert_hash" => Instruction::SvCertHash(digest()?),
        "cl_cert_hash" => Instruction::ClCertHash(digest()?),
        _ => return Err(wrong(place, format!("`{key}` is not known here"))),
    })
}

/// `wired_1` is the first of ten, as is `wifi_1`.
fn medium(name: &str) -> Option<u8> {
    let number = |text: &str| text.parse::<u8>().ok().filter(|number| (1..=9).contains(number));
    match name {
        "wired_all" => Some(20),
        "wifi_all" => Some(21),
        _ => match name.split_once('_')? {
            ("wired", one) => number(one).map(|one| one - 1),
            ("wifi", one) => number(one).map(|one| one + 9),
            _ => None,
        },
    }
}

fn medium_name(number: u8) -> Option<String> {
    match number {
        0..=8 => Some(format!("wired_{}", number + 1)),
        10..=18 => Some(format!("wifi_{}", number - 9)),
        20 => Some("wired_all".to_owned()),
        21 => Some("wifi_all".to_owned()),
        _ => None,
    }
}

/// Writes version 2. What has no word there is left out.
pub fn write(info: Option<&RendezvousInfo>) -> Value {
    let directives = info.map_or(&[][..], RendezvousInfo::directives);
    directives.iter().map(|directive| directive.iter().filter_map(shown).collect::<Value>()).collect()
}

fn shown(instruction: &Instruction) -> Option<Value> {
    let hash = |hash: &Hash| hex::encode(hash.digest());
    Some(match instruction {
        Instruction::DevOnly => json!({ "dev_only": true }),
        Instruction::OwnerOnly => json!({ "owner_only": true }),
        Instruction::Bypass => json!({ "rv_bypass": true }),
        Instruction::UserInput(_) => json!({ "user_input": true }),
        Instruction::IpAddress(ip) => json!({ "ip": ip.to_string() }),
        Instruction::DevPort(port) => json!({ "device_port": port }),
        Instruction::OwnerPort(port) => json!({ "owner_port": port }),
        Instruction::Dns(name) => json!({ "dns": name }),
        Instruction::SvCertHash(digest) => json!({ "sv_cert_hash": hash(digest) }),
        Instruction::ClCertHash(digest) => json!({ "cl_cert_hash": hash(digest) }),
        Instruction::WifiSsid(name) => json!({ "wifi_ssid": name }),
        Instruction::WifiPw(password) => json!({ "wifi_pw": password }),
        Instruction::Medium(number) => json!({ "medium": medium_name(*number)? }),
        Instruction::Protocol(protocol) => {
            json!({ "protocol": PROTOCOLS.iter().find(|(_, known)| known == protocol)?.0 })
        }
        Instruction::DelaySec(seconds) => json!({ "delay_seconds": seconds }),
        _ => return None,
    })
}

/// Reads version 1 into version 2.
pub fn from_version_1(json: &Value) -> Result<Value, Refusal> {
    let directives = json.as_array().ok_or_else(|| wrong("rvinfo", "it must be an array of objects"))?;
    let mut all = Vec::new();
    for (index, directive) in directives.iter().enumerate() {
        let place = format!("rvinfo[{index}]");
        let object = directive.as_object().ok_or_else(|| wrong(&place, "it must be an object"))?;
        let mut parts = Vec::new();
        for (key, value) in object {
            let number = value.as_str().filter(|_| key.ends_with("_port") || key == "delay_seconds");
            let value = match number {
                Some(text) => {
                    json!(text.parse::<u32>().map_err(|_| wrong(&place, format!("`{key}` is no number")))?)
                }
                None if value == &Value::Bool(false) => continue,
                None => value.clone(),
            };
            parts.push(json!({ key.as_str(): value }));
        }
        all.push(Value::Array(parts));
    }
    Ok(Value::Array(all))
}

/// Writes version 1.
pub fn to_version_1(info: Option<&RendezvousInfo>) -> Value {
    let flat = |directive: &Value| {
        let mut object = Map::new();
        for (key, value) in directive.as_array().into_iter().flatten().filter_map(Value::as_object).flatten() {
            let value = if key.ends_with("_port") { json!(value.to_string()) } else { value.clone() };
            object.insert(key.clone(), value);
        }
        Value::Object(object)
    };
    write(info).as_array().into_iter().flatten().map(flat).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_shown_in_its_order() {
        let all = json!([
            [{"dns": "rv.example"}, {"device_port": 8041}, {"protocol": "http"}, {"ip": "192.0.2.1"}, {"owner_port": 8042}],
            [{"ip": "192.0.2.2"}, {"protocol": "https"}, {"sv_cert_hash": "ab".repeat(32)}, {"cl_cert_hash": "cd".repeat(48)},
             {"medium": "wifi_all"}, {"medium": "wired_1"}, {"medium": "wifi_9"}, {"wifi_ssid": "factory"},
             {"wifi_pw": "secret"}, {"dev_only": true}, {"delay_seconds": 30}, {"rv_bypass": true}, {"user_input": true}],
        ]);
        let info = read(&all).unwrap().unwrap();
        assert_eq!(write(Some(&info)), all);
        // On the wire it is what everybody reads.
        let again: RendezvousInfo = cbor::decode(info.encoded()).unwrap();
        assert_eq!(write(Some(&again)), all);
        assert_eq!(read(&json!([])).unwrap(), None);
        assert_eq!(write(None), json!([]));
    }

    #[test]
    fn version_1_is_flat_with_ports_as_text() {
        let one = json!([{"dns": "rv", "device_port": "8041", "owner_port": "8041", "protocol": "http", "dev_only": false}]);
        let info = read(&from_version_1(&one).unwrap()).unwrap();
        let shown = to_version_1(info.as_ref());
        assert_eq!(shown, json!([{"dns": "rv", "device_port": "8041", "owner_port": "8041", "protocol": "http"}]));
        assert!(from_version_1(&json!([{"dns": "rv", "device_port": "x"}])).is_err());
        assert!(from_version_1(&json!({})).is_err() && from_version_1(&json!([1])).is_err());
    }

    #[test]
    fn what_would_strand_a_device_is_refused() {
        for wrong in [
            json!({}),
            json!([{}]),
            json!([[]]),
            json!([[{"protocol": "http"}, {"owner_port": 8080}]]),
            json!([[{"dns": "rv", "protocol": "http"}]]),
            json!([[{"dns": 1}]]),
            json!([[{"dns": "a".repeat(80)}]]),
            json!([[{"dns": "a/b"}]]),
            json!([[{"ip": "300.0.0.1"}]]),
            json!([[{"dns": "rv"}, {"protocol": "ftp"}]]),
            json!([[{"dns": "rv"}, {"device_port": "8041"}]]),
            json!([[{"dns": "rv"}, {"device_port": 0}]]),
            json!([[{"dns": "rv"}, {"device_port": 65536}]]),
            json!([[{"dns": "rv"}, {"dev_only": false}]]),
            json!([[{"dns": "rv"}, {"delay_seconds": -1}]]),
            json!([[{"dns": "rv"}, {"medium": "wired_10"}]]),
            json!([[{"dns": "rv"}, {"sv_cert_hash": "ab"}]]),
            json!([[{"dns": "rv"}, {"colour": "red"}]]),
            json!(vec![json!([{"dns": "rv"}]); 17]),
        ] {
            assert_eq!(read(&wrong).unwrap_err().problem().code(), "rvinfo", "{wrong}");
        }
    }
}
