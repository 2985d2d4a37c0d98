//! Where devices find their owner: `[{"protocol", "dns", "ip", "port"}]`, the ports of version 1 as text.

use std::net::IpAddr;

use fdo_protocol::rendezvous_info::{RvTo2Addr, RvTo2AddrEntry, TransportProtocol};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// One place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressView {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    port: Port,
    protocol: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

/// Which version's form is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// Reads either form; `[]` reads as nothing.
pub fn read(views: &[AddressView]) -> Result<Option<RvTo2Addr>, Refusal> {
    let wrong = |index: usize, why: &str| Refusal::bad_request("rvto2addr", format!("address {index}: {why}."));
    let mut entries = Vec::new();
    for (index, view) in views.iter().enumerate() {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let ip = filled(&view.ip).map(|ip| ip.parse::<IpAddr>()).transpose();
        let ip = ip.map_err(|_| wrong(index, "`ip` is no address"))?;
        let dns = filled(&view.dns);
        if dns
            .as_ref()
            .is_some_and(|dns| dns.len() > 253 || dns.chars().any(|c| c.is_whitespace() || c.is_control()))
        {
            return Err(wrong(index, "`dns` is no name"));
        }
        if ip.is_none() && dns.is_none() {
            return Err(wrong(index, "`dns` or `ip` must be given"));
        }
        let port = match &view.port {
            Port::Number(port) => Some(*port),
            Port::Text(text) => text.parse().ok(),
        };
        let port = port.filter(|port| *port > 0).ok_or_else(|| wrong(index, "`port` is from 1 to 65535"))?;
        let protocol = match view.protocol.as_str() {
            "http" => TransportProtocol::Http,
            "https" | "rest" => TransportProtocol::Https,
            "tcp" => TransportProtocol::Tcp,
            "tls" => TransportProtocol::Tls,
            "coap" | "coap+tcp" => TransportProtocol::Coap,
            _ => return Err(wrong(index, "`protocol` is http or https (or rest, tcp, tls, coap)")),
        };
        entries.push(RvTo2AddrEntry { ip, dns, port, protocol });
    }
    Ok((!entries.is_empty()).then_some(RvTo2Addr(entries)))
}

/// Writes one form.
pub fn write(addresses: Option<&RvTo2Addr>, version: Version) -> Vec<AddressView> {
    let entries = addresses.map_or(&[][..], |addresses| &addresses.0);
    let view = |entry: &RvTo2AddrEntry| AddressView {
        dns: entry.dns.clone(),
        ip: entry.ip.map(|ip| ip.to_canonical().to_string()),
        port: match version {
            Version::One => Port::Text(entry.port.to_string()),
            Version::Two => Port::Number(entry.port),
        },
        protocol: match entry.protocol {
            TransportProtocol::Http => "http",
            TransportProtocol::Https => "https",
            TransportProtocol::Tcp => "tcp",
            TransportProtocol::Tls => "tls",
            TransportProtocol::Coap | TransportProtocol::Coaps => "coap",
        }
        .to_owned(),
    };
    entries.iter().map(view).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Option<RvTo2Addr>, Refusal> {
        read(&serde_json::from_str::<Vec<AddressView>>(json).unwrap())
    }

    #[test]
    fn both_forms_are_read_and_written() {
        let two = r#"[{"dns":"owner","ip":"127.0.0.1","port":8043,"protocol":"http"}]"#;
        let addresses = parse(two).unwrap();
        assert_eq!(serde_json::to_string(&write(addresses.as_ref(), Version::Two)).unwrap(), two);
        let one = two.replace("8043", "\"8043\"");
        assert_eq!(parse(&one).unwrap(), addresses);
        assert_eq!(serde_json::to_string(&write(addresses.as_ref(), Version::One)).unwrap(), one);
        assert!(parse("[]").unwrap().is_none());
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for wrong in [
            r#"[{"port":1,"protocol":"http"}]"#,
            r#"[{"dns":"","ip":"","port":1,"protocol":"http"}]"#,
            r#"[{"ip":"x","port":1,"protocol":"http"}]"#,
            r#"[{"dns":"a b","port":1,"protocol":"http"}]"#,
            r#"[{"dns":"a","port":0,"protocol":"http"}]"#,
            r#"[{"dns":"a","port":"http","protocol":"http"}]"#,
            r#"[{"dns":"a","port":1,"protocol":"ftp"}]"#,
        ] {
            assert_eq!(parse(wrong).unwrap_err().problem().code(), "rvto2addr", "{wrong}");
        }
    }
}
