//! DIDs of organisations (section 6): `did:web`, whose document lies on a web server, and `did:key`, which is a key.

mod document;
mod resolve;

use std::fmt;
use std::str::FromStr;

use fdo_protocol::crypto::{Curve, VerifyingKey};

pub use document::Document;
pub use resolve::resolve;

use super::client::CallError;

/// Where a document lies below a host.
pub const WELL_KNOWN: &str = "/.well-known/did.json";
/// The varints of the multicodec table.
const MULTICODEC_P256: [u8; 2] = [0x80, 0x24];
const MULTICODEC_P384: [u8; 2] = [0x81, 0x24];

/// Why a DID does not lead to a key.
#[derive(Debug, thiserror::Error)]
pub enum DidError {
    #[error("`{0}` is no did:web or did:key")]
    Syntax(String),
    #[error("the key in the DID is not P-256 or P-384: {0}")]
    Key(String),
    #[error("the DID document does not hold: {0}")]
    Document(&'static str),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A DID that can be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// `did:web:host[:path..]`, and the URL of its document.
    Web { text: String, url: String },
    /// `did:key:z..`
    Key { text: String, key: VerifyingKey },
}

impl Did {
    /// The `did:web` of a host and port.
    pub fn web(host: &str, port: Option<u16>) -> String {
        let port = port.map(|port| format!("%3A{port}")).unwrap_or_default();
        format!("did:web:{host}{port}")
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Web { text, .. } | Self::Key { text, .. }) = self;
        f.write_str(text)
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        let syntax = || DidError::Syntax(super::said(text, 200));
        if text.len() > 1000 {
            return Err(syntax());
        }
        if let Some(key) = text.strip_prefix("did:key:") {
            let bytes = key.strip_prefix('z').and_then(|base58| bs58::decode(base58).into_vec().ok());
            return Ok(Self::Key { text: text.to_owned(), key: multicodec(&bytes.ok_or_else(syntax)?)? });
        }
        let rest = text.strip_prefix("did:web:").ok_or_else(syntax)?;
        let mut parts = rest.split(':');
        let host = parts.next().unwrap_or_default().replace("%3A", ":").replace("%3a", ":");
        let host_fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        let path: Vec<&str> = parts.collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let path_fits =
            path.iter().all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain));
        if host.is_empty() || !host.chars().all(host_fits) || host.matches(':').count() > 1 || !path_fits {
            return Err(syntax());
        }
        let place = if path.is_empty() { WELL_KNOWN.to_owned() } else { format!("/{}/did.json", path.join("/")) };
        Ok(Self::Web { text: text.to_owned(), url: format!("https://{host}{place}") })
    }
}

fn multicodec(bytes: &[u8]) -> Result<VerifyingKey, DidError> {
    let (codec, point) = bytes.split_first_chunk::<2>().ok_or_else(|| DidError::Key("it is too short".into()))?;
    let (curve, length) = match *codec {
        MULTICODEC_P256 => (Curve::P256, 33),
        MULTICODEC_P384 => (Curve::P384, 49),
        _ => return Err(DidError::Key("it is of another type".into())),
    };
    if point.len() != length {
        return Err(DidError::Key("it is not a compressed point".into()));
    }
    VerifyingKey::from_point(curve, point).map_err(|error| DidError::Key(error.to_string()))
}

/// The `did:key` of a key on an elliptic curve.
pub fn did_key(key: &VerifyingKey) -> Option<String> {
    let codec = match key.key_type().curve()? {
        Curve::P256 => MULTICODEC_P256,
        Curve::P384 => MULTICODEC_P384,
    };
    let coordinates = key.point()?.get(1..)?;
    let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
    let sign = 2 + (y.last()? & 1);
    let bytes = [&codec[..], &[sign], x].concat();
    Some(format!("did:key:z{}", bs58::encode(bytes).into_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::random::Random;
    use fdo_protocol::crypto::{KeyType, SigningKey};

    #[test]
    fn did_web_becomes_a_url() {
        let url = |text: &str| match text.parse::<Did>() {
            Ok(Did::Web { url, .. }) => Some(url),
            _ => None,
        };
        assert_eq!(url("did:web:a.example").unwrap(), "https://a.example/.well-known/did.json");
        assert_eq!(url("did:web:a.example%3A8045").unwrap(), "https://a.example:8045/.well-known/did.json");
        assert_eq!(url("did:web:a.example:b:c").unwrap(), "https://a.example/b/c/did.json");
        for wrong in [
            "did:web:",
            "did:web:a/b",
            "did:web:a@b",
            "did:web:a:..:b",
            "did:web:a::b",
            "did:web:a%3A1%3A2",
            "did:ion:x",
            "https://a",
        ] {
            assert!(url(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn did_key_is_a_key() {
        // A public example of the did:key method's specification.
        let example: Did = "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169".parse().unwrap();
        let Did::Key { key, text } = example else { panic!("no key") };
        assert_eq!((key.key_type(), did_key(&key).unwrap()), (KeyType::P256, text));
        for key_type in [KeyType::P256, KeyType::P384] {
            let key = SigningKey::generate(key_type, &mut Random::seeded(4).rng()).unwrap();
            let text = did_key(key.verifying_key()).unwrap();
            let parsed: Did = text.parse().unwrap();
            assert_eq!(parsed, Did::Key { text, key: key.verifying_key().clone() });
        }
        for wrong in ["did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "did:key:z", "did:key:u00"] {
            assert!(wrong.parse::<Did>().is_err(), "{wrong}");
        }
    }
}
