//! The map of `network-add` in its three layouts: the draft's table, the draft's examples and what Go programs send.
//! The type of a value tells which field it is, so all three are read without knowing the peer.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::WifiError;
use super::network::{AuthType, EapMethod, FastRoaming, Network, Secret, TrustLevel};
use crate::cbor::{Kind, Reader, Writer, decode};

/// Which layout to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// What Go programs read; one that follows the draft's table takes the trust level as absent.
    #[default]
    Go,
    /// The draft's table.
    Schema,
}

/// Numbers of the fields in the draft's table; the other layouts move those after the password.
struct Keys {
    eap_method: u64,
    ca_certificates: u64,
    trust: u64,
    fast_roaming: u64,
    hotspot2: u64,
    eap_username: u64,
    eap_password: u64,
}

impl Layout {
    fn keys(self) -> Keys {
        let moved = match self {
            Self::Go => 1,
            Self::Schema => 0,
        };
        Keys {
            eap_method: 5 - moved,
            ca_certificates: 6 - moved,
            trust: 7 - moved,
            fast_roaming: 8 - moved,
            hotspot2: 9 - moved,
            eap_username: 10 - moved,
            eap_password: 11 - moved,
        }
    }
}

pub(super) fn write(network: &Network, layout: Layout) -> Zeroizing<Vec<u8>> {
    let keys = layout.keys();
    let mut fields: BTreeMap<u64, Zeroizing<Vec<u8>>> = BTreeMap::new();
    let mut field = |key: u64, value: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::default();
        value(&mut writer);
        fields.insert(key, Zeroizing::new(writer.into_bytes()));
    };
    field(0, &|writer| {
        writer.text("1.0");
    });
    field(1, &|writer| {
        writer.text(&network.id);
    });
    field(2, &|writer| {
        match std::str::from_utf8(&network.ssid) {
            Ok(ssid) => writer.text(ssid),
            Err(_) => writer.bytes(&network.ssid),
        };
    });
    field(3, &|writer| {
        writer.unsigned(network.auth.number());
    });
    if let Some(password) = &network.password {
        field(4, &|writer| {
            writer.bytes(password.expose());
        });
    }
    if let Some(method) = network.eap_method {
        field(keys.eap_method, &|writer| {
            writer.unsigned(method.number());
        });
    }
    if !network.ca_certificates.is_empty() {
        field(keys.ca_certificates, &|writer| {
            writer.array(network.ca_certificates.len());
            for certificate in &network.ca_certificates {
                writer.bytes(certificate);
            }
        });
    }
    field(keys.trust, &|writer| {
        writer.unsigned(network.trust.number());
    });
    if let Some(roaming) = &network.fast_roaming {
        field(keys.fast_roaming, &|writer| {
            writer.value(roaming);
        });
    }
    if let Some(hotspot2) = &network.hotspot2 {
        field(keys.hotspot2, &|writer| {
            writer.raw(hotspot2);
        });
    }
    if let Some(user) = &network.eap_username {
        field(keys.eap_username, &|writer| {
            writer.text(user);
        });
    }
    if let Some(password) = &network.eap_password {
        field(keys.eap_password, &|writer| {
            writer.bytes(password.expose());
        });
    }
    let mut writer = Writer::default();
    writer.map(fields.len());
    for (key, value) in &fields {
        writer.unsigned(*key).raw(value);
    }
    Zeroizing::new(writer.into_bytes())
}

pub(super) fn read(item: &[u8]) -> Result<Network, WifiError> {
    let fields = fields(item).ok_or(WifiError::BadFormat)?;
    let required = |key: u64| fields.get(&key).copied().ok_or(WifiError::BadFormat);
    if let Some(version) = fields.get(&0) {
        let version: String = well_formed(decode(version))?;
        if !version.starts_with("1.") {
            return Err(WifiError::BadFormat);
        }
    }
    let auth = AuthType::from_number(number(required(3)?)?).ok_or(WifiError::UnsupportedAuth)?;
    let id = well_formed(decode(required(1)?))?;
    let ssid = octets(required(2)?)?.to_vec();
    let mut found = Found::default();
    for (key, value) in fields.range(4..=11) {
        found.place(*key, value, auth)?;
    }
    // A peer that loses integers has sent a method for certificates when it names no user.
    let default_method = auth == AuthType::Enterprise && found.eap_username.is_none();
    Ok(Network {
        id,
        ssid,
        auth,
        password: found.password,
        eap_method: found.eap_method.or(default_method.then_some(EapMethod::Tls)),
        ca_certificates: found.ca_certificates.unwrap_or_default(),
        trust: found.trust.unwrap_or(TrustLevel::OnboardOnly),
        fast_roaming: found.fast_roaming,
        hotspot2: found.hotspot2,
        eap_username: found.eap_username,
        eap_password: found.eap_password,
    })
}

/// The values under integer keys of zero and more; all others are unknown and ignored.
fn fields(item: &[u8]) -> Option<BTreeMap<u64, &[u8]>> {
    let mut reader = Reader::new(item).ok()?;
    let mut fields = BTreeMap::new();
    for _ in 0..reader.map_length().ok()? {
        let key: Option<u64> = decode(reader.raw().ok()?).ok();
        let value = reader.raw().ok()?;
        if let Some(key) = key {
            fields.insert(key, value);
        }
    }
    Some(fields)
}

#[derive(Default)]
struct Found {
    password: Option<Secret>,
    eap_method: Option<EapMethod>,
    ca_certificates: Option<Vec<Vec<u8>>>,
    trust: Option<TrustLevel>,
    fast_roaming: Option<FastRoaming>,
    hotspot2: Option<Vec<u8>>,
    eap_username: Option<String>,
    eap_password: Option<Secret>,
}

impl Found {
    fn place(&mut self, key: u64, value: &[u8], auth: AuthType) -> Result<(), WifiError> {
        let kind = well_formed(Reader::new(value))?.kind();
        let text = matches!(kind, Kind::Bytes | Kind::Text);
        match (key, kind) {
            (4, _) if text => once(&mut self.password, Secret::new(octets(value)?)),
            (4 | 5, Kind::Integer) if auth == AuthType::Enterprise => {
                let method = EapMethod::from_number(number(value)?).ok_or(WifiError::UnsupportedAuth)?;
                // No layout has a method under both numbers, whatever their values.
                match self.eap_method.replace(method) {
                    None => Ok(()),
                    Some(_) => Err(WifiError::InvalidNetwork),
                }
            }
            (4, Kind::Integer) => Err(WifiError::InvalidNetwork),
            (5..=7, Kind::Integer) => {
                let level = TrustLevel::from_number(number(value)?).ok_or(WifiError::InvalidNetwork)?;
                once(&mut self.trust, level)
            }
            (5 | 6, Kind::Array) => {
                let mut list = well_formed(Reader::new(value))?;
                let length = well_formed(list.array_length())?;
                let certificates = (0..length).map(|_| list.bytes().map(<[u8]>::to_vec)).collect();
                once(&mut self.ca_certificates, well_formed(certificates)?)
            }
            (7, Kind::Map) => once(&mut self.fast_roaming, well_formed(decode(value))?),
            (8, Kind::Map) if begins_with_bool(value) => once(&mut self.fast_roaming, well_formed(decode(value))?),
            (8 | 9, Kind::Map) => once(&mut self.hotspot2, value.to_vec()),
            (9, Kind::Text) => once(&mut self.eap_username, well_formed(decode(value))?),
            (10, Kind::Text) if self.eap_username.is_none() => {
                once(&mut self.eap_username, well_formed(decode(value))?)
            }
            (10 | 11, _) if text => once(&mut self.eap_password, Secret::new(octets(value)?)),
            _ => Err(WifiError::BadFormat),
        }
    }
}

/// Whether a map has a boolean under key 0, which makes it fast roaming and not Hotspot 2.0.
fn begins_with_bool(map: &[u8]) -> bool {
    let first = fields(map).and_then(|fields| fields.get(&0).copied());
    first.is_some_and(|value| decode::<bool>(value).is_ok())
}

fn once<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), WifiError> {
    if slot.as_ref().is_some_and(|earlier| *earlier != value) {
        return Err(WifiError::InvalidNetwork);
    }
    *slot = Some(value);
    Ok(())
}

fn well_formed<T, E>(result: Result<T, E>) -> Result<T, WifiError> {
    result.map_err(|_| WifiError::BadFormat)
}

fn number(item: &[u8]) -> Result<u64, WifiError> {
    well_formed(decode(item))
}

fn octets(item: &[u8]) -> Result<&[u8], WifiError> {
    let mut reader = well_formed(Reader::new(item))?;
    match reader.kind() {
        Kind::Text => well_formed(reader.text()).map(str::as_bytes),
        _ => well_formed(reader.bytes()),
    }
}
