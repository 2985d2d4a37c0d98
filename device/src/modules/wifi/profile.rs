//! `fdo.wifi:network-add`: the three layouts in the field read into one checked profile (fsim-drafts, 2.1 and 9).

use std::collections::BTreeMap;

use fdo_pki::Certificate;
use fdo_protocol::cbor::{Kind, Reader};
use fdo_protocol::{Hash, HashType};
use zeroize::Zeroizing;

/// Why a network is not taken, with the module's error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// 1000 bad format, 1001 unsupported, 1002 no certificate, 1003 invalid.
    pub code: u16,
    /// For the log; never a secret.
    pub reason: &'static str,
}

const fn malformed(reason: &'static str) -> Refusal {
    Refusal { code: 1000, reason }
}

const fn invalid(reason: &'static str) -> Refusal {
    Refusal { code: 1003, reason }
}

/// How the network authenticates.
pub enum Security {
    /// Not at all.
    Open,
    /// WPA2 with a pass phrase of 8 to 63 printable characters.
    Wpa2Passphrase(Zeroizing<String>),
    /// WPA2 with a raw key, 64 hexadecimal digits.
    Wpa2Key(Zeroizing<String>),
    /// WPA3 with a password.
    Sae(Zeroizing<String>),
    /// WPA3-Enterprise.
    Enterprise(Enterprise),
}

/// The method of an enterprise network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EapMethod {
    /// With the device's LDevID.
    Tls,
    /// With a user name and password in a TLS tunnel, checked with MSCHAPv2.
    Peap,
    /// The same, with the password as it is.
    Ttls,
}

/// What an enterprise network needs.
pub struct Enterprise {
    /// The method.
    pub method: EapMethod,
    /// The CAs of the authentication server, DER.
    pub authorities: Vec<Vec<u8>>,
    /// User name, with PEAP and TTLS.
    pub username: Option<String>,
    /// Password, with PEAP and TTLS.
    pub password: Option<Zeroizing<String>>,
}

/// A network that may be written into a configuration.
pub struct Network {
    /// The owner's name for it, any text without control characters.
    pub id: String,
    /// 1 to 32 bytes.
    pub ssid: Vec<u8>,
    /// How it authenticates.
    pub security: Security,
    /// Whether it is to be kept after onboarding (trust level 1).
    pub keep: bool,
    /// Whether fast roaming is wanted.
    pub fast_roaming: bool,
}

impl Network {
    /// Reads the map of one `network-add`.
    pub fn decode(item: &[u8]) -> Result<Self, Refusal> {
        Fields::decode(item)?.check()
    }

    /// The part of file names: the owner's name where it is harmless, else a hash of it.
    pub fn file_id(&self) -> String {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=32).contains(&self.id.len()) && self.id.bytes().all(harmless) {
            return self.id.clone();
        }
        hex::encode(&Hash::of(HashType::Sha256, &[self.id.as_bytes()]).digest()[..8])
    }
}

/// The fields of a map under their meaning, whichever layout it came in.
#[derive(Default)]
struct Fields {
    version: Option<String>,
    id: Option<String>,
    ssid: Option<Vec<u8>>,
    auth: u64,
    password: Option<Zeroizing<String>>,
    eap_method: Option<u64>,
    authorities: Option<Vec<Vec<u8>>>,
    trust: Option<u64>,
    fast_roaming: Option<bool>,
    hotspot: bool,
    username: Option<String>,
    eap_password: Option<Zeroizing<String>>,
}

impl Fields {
    fn decode(item: &[u8]) -> Result<Self, Refusal> {
        let entries = entries(item)?;
        let auth = entries.get(&3).ok_or(malformed("no authentication type"))?;
        let auth = unsigned(auth)?;
        let mut fields = Self { auth, ..Self::default() };
        let enterprise = auth == 3;
        for (key, value) in entries {
            match (key, value.kind()) {
                (0, Kind::Text) => fields.version = Some(text(&value)?),
                (1, Kind::Text) => fields.id = Some(text(&value)?),
                (2, Kind::Text) => fields.ssid = Some(text(&value)?.into_bytes()),
                (2, Kind::Bytes) => fields.ssid = Some(bytes(&value)?.to_vec()),
                (0..=2, _) => return Err(malformed("version, name or SSID of a wrong type")),
                (4, Kind::Bytes | Kind::Text) => fields.password = Some(secret(&value)?),
                (4, Kind::Integer) if enterprise => once(&mut fields.eap_method, unsigned(&value)?)?,
                (5, Kind::Integer) if enterprise => {
                    if fields.eap_method.is_some() {
                        return Err(invalid("two EAP methods"));
                    }
                    fields.eap_method = Some(unsigned(&value)?);
                }
                (5, Kind::Integer) => once(&mut fields.trust, unsigned(&value)?)?,
                (5 | 6, Kind::Array) => once(&mut fields.authorities, certificates(&value)?)?,
                (6 | 7, Kind::Integer) => once(&mut fields.trust, unsigned(&value)?)?,
                (7 | 8, Kind::Map) => match roaming(&value)? {
                    Some(enabled) => once(&mut fields.fast_roaming, enabled)?,
                    None => fields.hotspot = true,
                },
                (9, Kind::Map) => fields.hotspot = true,
                (9, Kind::Text) => once(&mut fields.username, text(&value)?)?,
                (10, Kind::Text) if fields.username.is_none() => fields.username = Some(text(&value)?),
                (10 | 11, Kind::Text | Kind::Bytes) => once(&mut fields.eap_password, secret(&value)?)?,
                (4..=11, _) => return Err(malformed("a field of a wrong type")),
                _ => {}
            }
        }
        Ok(fields)
    }

    fn check(self) -> Result<Network, Refusal> {
        if self.version.is_some_and(|version| version != "1" && !version.starts_with("1.")) {
            return Err(malformed("another version than 1"));
        }
        if self.hotspot {
            return Err(Refusal { code: 1001, reason: "Hotspot 2.0" });
        }
        let id = self.id.ok_or(malformed("no name"))?;
        if id.is_empty() || id.len() > 255 || has_control(&id) {
            return Err(invalid("an empty or unprintable name"));
        }
        let ssid = self.ssid.ok_or(malformed("no SSID"))?;
        if !(1..=32).contains(&ssid.len()) {
            return Err(invalid("an SSID has 1 to 32 bytes"));
        }
        let secret = || self.password.clone().ok_or(invalid("no password"));
        let security = match self.auth {
            0 => Security::Open,
            1 => wpa2(secret()?)?,
            2 => sae(secret()?)?,
            3 => Security::Enterprise(Enterprise {
                method: eap_method(self.eap_method)?,
                authorities: self.authorities.clone().ok_or(invalid("no CA for an enterprise network"))?,
                username: self.username.clone(),
                password: self.eap_password.clone(),
            }),
            _ => return Err(Refusal { code: 1001, reason: "unknown authentication type" }),
        };
        if matches!(security, Security::Open | Security::Enterprise(_)) && self.password.is_some() {
            return Err(invalid("a password where none belongs"));
        }
        if let Security::Enterprise(enterprise) = &security {
            enterprise.check()?;
        }
        let keep = match self.trust.unwrap_or(0) {
            0 => false,
            1 => true,
            _ => return Err(invalid("unknown trust level")),
        };
        Ok(Network { id, ssid, security, keep, fast_roaming: self.fast_roaming.unwrap_or(false) })
    }
}

impl Enterprise {
    fn check(&self) -> Result<(), Refusal> {
        if self.authorities.is_empty() {
            return Err(invalid("no CA for an enterprise network"));
        }
        for der in &self.authorities {
            let authority = Certificate::parse(der).map_err(|_| invalid("a CA that is no certificate"))?;
            if !authority.is_ca() {
                return Err(invalid("a CA certificate that is none"));
            }
        }
        if self.username.as_deref().is_some_and(|name| name.is_empty() || has_control(name))
            || self.password.as_deref().is_some_and(|password| has_control(password))
        {
            return Err(invalid("an unprintable user name or password"));
        }
        if self.method != EapMethod::Tls && (self.username.is_none() || self.password.is_none()) {
            return Err(invalid("PEAP and TTLS need a user name and a password"));
        }
        Ok(())
    }
}

fn eap_method(number: Option<u64>) -> Result<EapMethod, Refusal> {
    match number {
        // Peers that drop the field mean TLS.
        None | Some(0) => Ok(EapMethod::Tls),
        Some(1) => Ok(EapMethod::Peap),
        Some(2) => Ok(EapMethod::Ttls),
        Some(_) => Err(Refusal { code: 1001, reason: "unknown EAP method" }),
    }
}

fn wpa2(secret: Zeroizing<String>) -> Result<Security, Refusal> {
    if secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Security::Wpa2Key(secret));
    }
    // Anything else would end the line it is written on, or mean another pass phrase there.
    if (8..=63).contains(&secret.len()) && secret.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Ok(Security::Wpa2Passphrase(secret));
    }
    Err(invalid("a WPA2 pass phrase has 8 to 63 printable ASCII characters"))
}

fn sae(secret: Zeroizing<String>) -> Result<Security, Refusal> {
    if (1..=63).contains(&secret.len()) && !has_control(&secret) {
        Ok(Security::Sae(secret))
    } else {
        Err(invalid("a WPA3 password has 1 to 63 bytes and no control characters"))
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn once<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if slot.as_ref().is_some_and(|earlier| *earlier != value) {
        return Err(invalid("a field twice with different values"));
    }
    *slot = Some(value);
    Ok(())
}

/// The pairs with keys of 0 and more; negative keys and keys of other types are somebody's extensions.
fn entries(item: &[u8]) -> Result<BTreeMap<u64, Reader<'_>>, Refusal> {
    const WRONG: Refusal = malformed("not a map");
    let mut reader = Reader::new(item).map_err(|_| WRONG)?;
    let mut entries = BTreeMap::new();
    for _ in 0..reader.map_length().map_err(|_| WRONG)? {
        let is_integer = reader.kind() == Kind::Integer;
        let key = reader.raw().map_err(|_| WRONG)?;
        let value = reader.raw().map_err(|_| WRONG)?;
        let number = Reader::new(key).and_then(|mut key| key.unsigned());
        if let (true, Ok(number)) = (is_integer, number) {
            entries.insert(number, Reader::new(value).map_err(|_| WRONG)?);
        }
    }
    Ok(entries)
}

fn unsigned(value: &Reader<'_>) -> Result<u64, Refusal> {
    value.clone().unsigned().map_err(|_| malformed("not a number"))
}

fn text(value: &Reader<'_>) -> Result<String, Refusal> {
    value.clone().text().map(str::to_owned).map_err(|_| malformed("not a text"))
}

fn bytes<'a>(value: &Reader<'a>) -> Result<&'a [u8], Refusal> {
    value.clone().bytes().map_err(|_| malformed("not bytes"))
}

/// Passwords come as bytes or as text.
fn secret(value: &Reader<'_>) -> Result<Zeroizing<String>, Refusal> {
    if value.kind() == Kind::Text {
        return text(value).map(Zeroizing::new);
    }
    let bytes = bytes(value)?;
    std::str::from_utf8(bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| invalid("a password that is no text"))
}

fn certificates(value: &Reader<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
    const WRONG: Refusal = malformed("CA certificates are a list of byte strings");
    let mut reader = value.clone();
    let length = reader.array_length().map_err(|_| WRONG)?;
    if length > fdo_pki::MAX_CHAIN {
        return Err(invalid("more than 8 CA certificates"));
    }
    (0..length).map(|_| reader.bytes().map(<[u8]>::to_vec).map_err(|_| WRONG)).collect()
}

/// A map whose key 0 is a boolean is fast roaming; any other is Hotspot 2.0.
fn roaming(value: &Reader<'_>) -> Result<Option<bool>, Refusal> {
    const WRONG: Refusal = malformed("fast roaming");
    let mut reader = value.clone();
    for _ in 0..reader.map_length().map_err(|_| WRONG)? {
        let key = Reader::new(reader.raw().map_err(|_| WRONG)?).and_then(|mut key| key.unsigned());
        if key == Ok(0) && reader.kind() == Kind::Bool {
            return reader.bool().map(Some).map_err(|_| WRONG);
        }
        reader.raw().map_err(|_| WRONG)?;
    }
    Ok(None)
}
