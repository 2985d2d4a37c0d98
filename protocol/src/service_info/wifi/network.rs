//! A Wi-Fi network as an owner describes it, and the rules that it must keep before a device writes it down.

use std::fmt;

use subtle::ConstantTimeEq;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::BasicConstraints;
use zeroize::Zeroizing;

use super::WifiError;
use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;

/// The longest identifier of a network, in bytes.
const MAX_ID: usize = 255;
/// The longest identity or password of EAP, in bytes.
const MAX_EAP_TEXT: usize = 253;
/// How many server certificates a network may pin.
const MAX_CA_CERTIFICATES: usize = 16;

/// A password. Wiped when dropped, not shown, compared in constant time.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Its bytes, to be written where they are needed and nowhere else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// `auth_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// 0
    Open,
    /// 1: WPA2 with a pass phrase or a key.
    Wpa2Psk,
    /// 2: WPA3 with a pass phrase (SAE).
    Wpa3Psk,
    /// 3: EAP.
    Enterprise,
}

impl AuthType {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The type with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Open, Self::Wpa2Psk, Self::Wpa3Psk, Self::Enterprise]
            .into_iter()
            .find(|known| known.number() == number)
    }
}

/// `eap_method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EapMethod {
    /// 0: a client certificate.
    Tls,
    /// 1: a password inside TLS.
    Peap,
    /// 2: a password inside TLS.
    Ttls,
}

impl EapMethod {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The method with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Tls, Self::Peap, Self::Ttls].into_iter().find(|known| known.number() == number)
    }
}

/// `trust_level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustLevel {
    /// 0: for onboarding only; the device drops the network afterwards.
    OnboardOnly,
    /// 1: the device's network from now on.
    FullAccess,
}

impl TrustLevel {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The level with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::OnboardOnly, Self::FullAccess].into_iter().find(|known| known.number() == number)
    }
}

/// `fast_roaming` (802.11r).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastRoaming {
    /// Whether to use it.
    pub enabled: bool,
    /// The mobility domain, if it is fixed.
    pub mobility_domain: Option<[u8; 2]>,
}

/// One network. Nothing of it is checked until [`Network::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// `network_id`: the owner's name for it.
    pub id: String,
    /// The name on the air, 1 to 32 bytes of any kind.
    pub ssid: Vec<u8>,
    /// How to get in.
    pub auth: AuthType,
    /// The pass phrase, or for WPA2 64 hexadecimal digits of the key.
    pub password: Option<Secret>,
    /// The EAP method of an enterprise network.
    pub eap_method: Option<EapMethod>,
    /// Certificates, in DER, that the authentication server's must chain to.
    pub ca_certificates: Vec<Vec<u8>>,
    /// What the network is for.
    pub trust: TrustLevel,
    /// Fast roaming.
    pub fast_roaming: Option<FastRoaming>,
    /// Hotspot 2.0 settings, kept as they came.
    pub hotspot2: Option<Vec<u8>>,
    /// The identity for EAP.
    pub eap_username: Option<String>,
    /// The password for PEAP and TTLS.
    pub eap_password: Option<Secret>,
}

impl Network {
    /// A network with this name and a pass phrase, trusted fully.
    pub fn with_password(id: &str, ssid: &[u8], auth: AuthType, password: &[u8]) -> Self {
        Self {
            id: id.to_owned(),
            ssid: ssid.to_vec(),
            auth,
            password: Some(Secret::new(password)),
            eap_method: None,
            ca_certificates: Vec::new(),
            trust: TrustLevel::FullAccess,
            fast_roaming: None,
            hotspot2: None,
            eap_username: None,
            eap_password: None,
        }
    }

    /// Checks every rule; an owner does so when a network is entered, a device before it writes anything.
    ///
    /// # Errors
    /// [`WifiError::InvalidNetwork`] for a broken rule.
    pub fn check(&self) -> Result<(), WifiError> {
        let plain = |text: &str, limit: usize| text.len() <= limit && !text.chars().any(char::is_control);
        let name = (1..=32).contains(&self.ssid.len()) && !self.id.is_empty() && plain(&self.id, MAX_ID);
        let secret = self.password.as_ref().map(Secret::expose);
        let eap = self.eap_method.is_some()
            || !self.ca_certificates.is_empty()
            || self.eap_username.is_some()
            || self.eap_password.is_some();
        let access = match self.auth {
            AuthType::Open => secret.is_none() && !eap,
            AuthType::Wpa2Psk => secret.is_some_and(is_wpa2_secret) && !eap,
            AuthType::Wpa3Psk => secret.is_some_and(is_sae_secret) && !eap,
            AuthType::Enterprise => secret.is_none() && self.eap_holds(plain),
        };
        if name && access { Ok(()) } else { Err(WifiError::InvalidNetwork) }
    }

    fn eap_holds(&self, plain: impl Fn(&str, usize) -> bool) -> bool {
        let user = self.eap_username.as_deref();
        let user_holds = user.is_none_or(|user| !user.is_empty() && plain(user, MAX_EAP_TEXT));
        let password = self.eap_password.as_ref().map(Secret::expose);
        let password_holds = password.is_none_or(|password| {
            (1..=MAX_EAP_TEXT).contains(&password.len()) && !password.iter().any(u8::is_ascii_control)
        });
        let complete = match self.eap_method {
            None => false,
            Some(EapMethod::Tls) => true,
            Some(EapMethod::Peap | EapMethod::Ttls) => user.is_some() && password.is_some(),
        };
        let anchors = (1..=MAX_CA_CERTIFICATES).contains(&self.ca_certificates.len())
            && self.ca_certificates.iter().all(|der| is_ca(der));
        complete && user_holds && password_holds && anchors
    }
}

/// 8 to 63 printable characters, or the key itself in hexadecimal.
fn is_wpa2_secret(secret: &[u8]) -> bool {
    let phrase = (8..=63).contains(&secret.len()) && secret.iter().all(|byte| (0x20..0x7f).contains(byte));
    phrase || secret.len() == 64 && secret.iter().all(u8::is_ascii_hexdigit)
}

fn is_sae_secret(secret: &[u8]) -> bool {
    (1..=63).contains(&secret.len()) && !secret.iter().any(u8::is_ascii_control)
}

fn is_ca(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else {
        return false;
    };
    let constraints = certificate.tbs_certificate().get_extension::<BasicConstraints>();
    matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))))
}

/// The form in which an owner stores a network or seals it into a session; devices never see it.
impl Encode for Network {
    fn encode_into(&self, writer: &mut Writer) {
        writer.bytes(&super::layout::write(self, super::Layout::Schema));
    }
}

impl Decode for Network {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        super::layout::read(reader.bytes()?).map_err(|_| Error::Malformed("a stored network"))
    }
}

impl Encode for FastRoaming {
    fn encode_into(&self, writer: &mut Writer) {
        writer.map(1 + usize::from(self.mobility_domain.is_some()));
        writer.unsigned(0).bool(self.enabled);
        if let Some(domain) = &self.mobility_domain {
            writer.unsigned(1).bytes(domain);
        }
    }
}

impl Decode for FastRoaming {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut roaming = Self { enabled: false, mobility_domain: None };
        for _ in 0..reader.map_length()? {
            match reader.integer()? {
                0 => roaming.enabled = reader.bool()?,
                1 => {
                    let domain = reader.bytes()?.try_into();
                    roaming.mobility_domain =
                        Some(domain.map_err(|_| Error::Malformed("a mobility domain has 2 bytes"))?);
                }
                _ => {
                    reader.raw()?;
                }
            }
        }
        Ok(roaming)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::{decode, encode};

    fn psk(secret: &[u8]) -> Result<(), WifiError> {
        Network::with_password("corp", b"corp", AuthType::Wpa2Psk, secret).check()
    }

    #[test]
    fn pass_phrases_have_their_limits() {
        for good in ["12345678", "\"\\# =;", &"f".repeat(64)] {
            let good = format!("{good:8}");
            assert_eq!(psk(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["1234567", "line\nbreak", "umlaut-ä-8", &"g".repeat(64), &"f".repeat(65)] {
            assert_eq!(psk(bad.as_bytes()), Err(WifiError::InvalidNetwork), "{bad}");
        }
        let sae = |secret: &[u8]| Network::with_password("c", b"c", AuthType::Wpa3Psk, secret).check();
        assert_eq!(sae("ä".as_bytes()), Ok(()));
        assert_eq!(sae(b""), Err(WifiError::InvalidNetwork));
        assert_eq!(sae(&[b'x'; 64]), Err(WifiError::InvalidNetwork));
        assert_eq!(sae(b"nul\0"), Err(WifiError::InvalidNetwork));
    }

    #[test]
    fn names_have_their_limits() {
        let named =
            |id: &str, ssid: &[u8]| Network::with_password(id, ssid, AuthType::Wpa2Psk, b"12345678").check();
        assert_eq!(named("x", &[0xff; 32]), Ok(()));
        assert_eq!(named("x", b"a\n\"\\="), Ok(()));
        assert!(named("x", &[]).is_err());
        assert!(named("x", &[1; 33]).is_err());
        assert!(named("", b"x").is_err());
        assert!(named("a\nb", b"x").is_err());
    }

    #[test]
    fn secrets_are_not_shown_and_storage_gives_the_same() {
        let mut network = Network::with_password("c", &[0xff, 1], AuthType::Wpa2Psk, b"top secret");
        network.fast_roaming = Some(FastRoaming { enabled: true, mobility_domain: Some([1, 2]) });
        assert!(!format!("{network:?}").contains("top secret"));
        let stored = encode(&network);
        assert_eq!(decode::<Network>(&stored).unwrap(), network);
        network.auth = AuthType::Open;
        assert!(network.check().is_err());
        network.password = None;
        assert!(network.check().is_ok());
    }
}
