//! Where devices look for their owner, as the settings say it: URLs, or tables that say more. What goes into vouchers can
//! never be changed in a device, so whatever would strand one is refused here.

use std::fmt;
use std::net::IpAddr;

use fdo_protocol::RendezvousInfo;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::SettingError;

/// More places than this do not fit the messages of small devices.
const MOST_PLACES: usize = 8;
/// A device that waits for longer than a day cannot be called back.
const MOST_SECONDS: u32 = 86_400;

/// An entry of `rendezvous`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A rendezvous for devices and owners.
    Url(String),
    /// One with conditions, or the owner itself.
    Conditional(ConditionalPlace),
}

/// A place, and who goes there when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionalPlace {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: String,
    /// An address that devices try when the name of the URL leads nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The port for owners, where it is not that of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_port: Option<u16>,
    /// How long a device waits when it had no luck here, before it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,
    /// The URL is the owner's: devices go there without asking a rendezvous.
    #[serde(default)]
    pub bypass: bool,
    /// Owners do not register here.
    #[serde(default)]
    pub device_only: bool,
    /// Devices do not ask here.
    #[serde(default)]
    pub owner_only: bool,
}

impl From<String> for Place {
    fn from(url: String) -> Self {
        Self::Url(url)
    }
}

impl From<&str> for Place {
    fn from(url: &str) -> Self {
        Self::Url(url.to_owned())
    }
}

impl<'de> Deserialize<'de> for Place {
    /// By hand, so that an error names the key that is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UrlOrTable;
        impl<'de> Visitor<'de> for UrlOrTable {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, or a table with `url`")
            }

            fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<Place, E> {
                Ok(Place::from(url))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Place, M::Error> {
                ConditionalPlace::deserialize(MapAccessDeserializer::new(map)).map(Place::Conditional)
            }
        }
        deserializer.deserialize_any(UrlOrTable)
    }
}

/// What goes into vouchers.
pub fn rendezvous_info(places: &[Place]) -> Result<RendezvousInfo, SettingError> {
    places.iter().map(directive).collect::<Result<_, _>>().and_then(checked)
}

/// The directives as a whole, when devices and owners can meet by them.
pub fn checked(directives: Vec<Directive>) -> Result<RendezvousInfo, SettingError> {
    if directives.is_empty() {
        return Err(SettingError::RendezvousEmpty);
    }
    if directives.len() > MOST_PLACES {
        return Err(SettingError::RendezvousCount(MOST_PLACES));
    }
    for (index, directive) in directives.iter().enumerate() {
        check_one(directive).map_err(|why| SettingError::RendezvousPlace(index + 1, why))?;
    }
    let mut for_devices = directives.iter().filter(|directive| !directive.owner_only).peekable();
    if for_devices.peek().is_none() {
        return Err(SettingError::RendezvousWithoutDevices);
    }
    let registers = |directive: &Directive| !directive.device_only && !directive.bypass;
    if for_devices.any(|directive| !directive.bypass) && !directives.iter().any(registers) {
        return Err(SettingError::RendezvousWithoutOwners);
    }
    Ok(RendezvousInfo::new(directives))
}

fn check_one(directive: &Directive) -> Result<(), &'static str> {
    if directive.dns.is_none() && directive.ip.is_none() {
        return Err("it names no place; a delay alone makes some devices wait for minutes each time");
    }
    if directive.check().is_err() {
        return Err("write http://HOST:PORT or https://HOST:PORT with a name of at most 79 bytes");
    }
    if !matches!(directive.protocol, Some(RvProtocol::Http | RvProtocol::Https)) {
        return Err("devices need to know whether it speaks http or https");
    }
    if directive.device_only && directive.owner_only {
        return Err("`device_only` and `owner_only` together leave nobody");
    }
    if directive.bypass && directive.owner_only {
        return Err("`bypass` is for devices: the owner does not register at itself");
    }
    if directive.bypass && directive.owner_port != directive.device_port {
        return Err("`owner_port` means nothing with `bypass`: the owner does not register at itself");
    }
    match directive.delay_seconds {
        Some(_) if directive.owner_only => Err("`delay_seconds` is for devices, and `owner_only` keeps them away"),
        Some(0) => Err("`delay_seconds` = 0 is taken for a mistake by some devices; leave it out"),
        Some(seconds) if seconds > MOST_SECONDS => {
            Err("`delay_seconds` is more than a day, and the device cannot be called back")
        }
        _ => Ok(()),
    }
}

/// One directive with address, ports and protocol: some devices skip those that lack one.
fn directive(place: &Place) -> Result<Directive, SettingError> {
    let plain;
    let place = match place {
        Place::Url(url) => {
            plain = ConditionalPlace { url: url.clone(), ..ConditionalPlace::default() };
            &plain
        }
        Place::Conditional(place) => place,
    };
    let wrong = || SettingError::Rendezvous(place.url.clone());
    let (scheme, rest) = place.url.split_once("://").ok_or_else(wrong)?;
    let (protocol, default_port) = match scheme {
        "http" => (RvProtocol::Http, 80),
        "https" => (RvProtocol::Https, 443),
        _ => return Err(wrong()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (authority, default_port),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let at = Directive::at(protocol, host, port);
    at.check().map_err(|_| wrong())?;
    if place.ip.is_some() && at.ip.is_some() {
        return Err(SettingError::RendezvousTwoAddresses(place.url.clone()));
    }
    Ok(Directive {
        ip: at.ip.or(place.ip),
        owner_port: place.owner_port.or(at.owner_port),
        delay_seconds: place.delay_seconds,
        bypass: place.bypass,
        device_only: place.device_only,
        owner_only: place.owner_only,
        ..at
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fdo_protocol::rendezvous_info::{HopAddress, Instruction};

    fn places(toml: &str) -> Result<Vec<Place>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let config =
            fdo_service::host::config::load::<crate::config::Config>(Some(file.path()), "FDO_RV_TEST_", &());
        config.map(|config| config.rendezvous.unwrap()).map_err(|error| error.to_string())
    }

    fn told(toml: &str) -> Result<RendezvousInfo, String> {
        rendezvous_info(&places(toml)?).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_that_directives_can_say_is_said_by_settings() {
        let info = told(
            r#"rendezvous = [
                { url = "http://owner.local:8043", bypass = true, delay_seconds = 30 },
                "https://rv.example.com",
                { url = "http://inside.example:8041", ip = "10.0.0.5", device_only = true },
                { url = "http://outside.example:8041", owner_only = true, owner_port = 9041 },
            ]"#,
        )
        .unwrap();
        let urls = |hops: Vec<fdo_protocol::rendezvous_info::Hop>| -> Vec<String> {
            hops.iter().flat_map(|hop| &hop.addresses).map(HopAddress::url).collect()
        };
        assert_eq!(
            urls(info.device_hops()),
            [
                "http://owner.local:8043",
                "https://rv.example.com:443",
                "http://inside.example:8041",
                "http://10.0.0.5:8041"
            ]
        );
        assert_eq!(urls(info.owner_hops()), ["https://rv.example.com:443", "http://outside.example:9041"]);
        assert_eq!(info.device_hops()[0].delay_seconds, Some(30));
        // No directive that only waits or lacks a protocol; no Wi-Fi, no question to people, no other mechanism.
        for directive in info.directives() {
            assert!(directive.iter().any(|one| matches!(one, Instruction::Protocol(_))));
            assert!(directive.iter().any(|one| matches!(one, Instruction::Dns(_) | Instruction::IpAddress(_))));
            assert!(directive.iter().all(|one| !matches!(one.variable(), 8..=10 | 15)));
        }
    }

    #[test]
    fn what_would_strand_a_device_is_refused_by_name() {
        let table = |members: &str| format!("rendezvous = [\"http://rv\", {{ {members} }}]");
        for (toml, said) in [
            ("rendezvous = []".to_owned(), "empty"),
            (table("url = \"http://a\", delay_seconds = 0"), "entry 2: `delay_seconds` = 0"),
            (table("url = \"http://a\", delay_seconds = 90000"), "more than a day"),
            (table("url = \"http://a\", device_only = true, owner_only = true"), "leave nobody"),
            (table("url = \"http://a\", bypass = true, owner_only = true"), "`bypass` is for devices"),
            (table("url = \"http://a\", bypass = true, owner_port = 1"), "register at itself"),
            (table("url = \"http://a\", owner_only = true, delay_seconds = 5"), "keeps them away"),
            (table("url = \"http://10.0.0.1\", ip = \"10.0.0.2\""), "two addresses"),
            (table("delay_seconds = 5"), "url"),
            (table("url = \"http://a\", wifi = \"x\""), "wifi"),
            (table("url = \"ftp://a\""), "ftp://a"),
            (format!("rendezvous = [\"http://{}\"]", "a".repeat(80)), "79 bytes"),
            ("rendezvous = [{ url = \"http://a\", owner_only = true }]".to_owned(), "no device"),
            ("rendezvous = [{ url = \"http://a\", device_only = true }]".to_owned(), "no owner"),
            (format!("rendezvous = [{}]", "\"http://a\",".repeat(9)), "at most 8"),
        ] {
            let error = told(&toml).unwrap_err();
            assert!(error.contains(said), "{toml}: {error}");
        }
        assert!(told("rendezvous = [{ url = \"http://a\", bypass = true }]").is_ok(), "the owner alone will do");
        let delay = Directive { delay_seconds: Some(5), ..Directive::default() };
        assert!(checked(vec![Directive::at(RvProtocol::Http, "a", 1), delay]).is_err());
        let untold = Directive { protocol: None, ..Directive::at(RvProtocol::Http, "a", 1) };
        assert!(checked(vec![untold]).is_err());
    }
}
