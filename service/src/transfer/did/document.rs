//! A DID document: which keys an organisation has, where it takes vouchers and where it gives them.

use base64ct::{Base64UrlUnpadded, Encoding};
use fdo_protocol::PublicKey;
use fdo_protocol::crypto::{Curve, VerifyingKey};
use serde_json::{Value, json};

use super::DidError;

/// More keys than this are not read.
const MOST_KEYS: usize = 32;
const RECIPIENT: &str = "FDOVoucherRecipient";
const HOLDER: &str = "FDOVoucherHolder";

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub id: String,
    /// The first one signs KeyAuth's challenges.
    pub keys: Vec<VerifyingKey>,
    pub push_root: Option<String>,
    pub pull_root: Option<String>,
}

impl Document {
    /// As it is served.
    pub fn to_json(&self) -> Value {
        let methods: Vec<Value> =
            self.keys.iter().enumerate().filter_map(|(index, key)| method(&self.id, index + 1, key)).collect();
        let names: Vec<Value> = methods.iter().map(|method| method["id"].clone()).collect();
        let services: Vec<Value> =
            [("voucher-recipient", RECIPIENT, &self.push_root), ("voucher-holder", HOLDER, &self.pull_root)]
                .into_iter()
                .filter_map(|(name, kind, root)| {
                    let endpoint = root.as_ref()?;
                    Some(json!({ "id": format!("{}#{name}", self.id), "type": kind, "serviceEndpoint": endpoint }))
                })
                .collect();
        json!({
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/jws-2020/v1",
                "https://fidoalliance.org/ns/fdo/v1",
            ],
            "id": self.id,
            "verificationMethod": methods,
            "authentication": names,
            "assertionMethod": names,
            "service": services,
        })
    }

    /// Reads a document that was served for `id`.
    pub fn parse(id: &str, bytes: &[u8]) -> Result<Self, DidError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| DidError::Document("it is no JSON"))?;
        if value["id"] != id {
            return Err(DidError::Document("it is of another DID"));
        }
        let methods = value["verificationMethod"].as_array().ok_or(DidError::Document("it has no keys"))?;
        let of_subject = |method: &&Value| method["controller"].as_str().is_none_or(|controller| controller == id);
        let keys: Vec<VerifyingKey> = methods
            .iter()
            .take(MOST_KEYS)
            .filter(of_subject)
            .filter_map(|method| key(&method["publicKeyJwk"]))
            .collect();
        if keys.is_empty() {
            return Err(DidError::Document("it has no key that can be used here"));
        }
        let services = value["service"].as_array().map(Vec::as_slice).unwrap_or_default();
        let endpoint = |kind: &str, older: &str| {
            let service = services.iter().find(|service| service["type"] == kind);
            let named =
                service.map_or(&value["fido-device-onboarding"][older], |service| &service["serviceEndpoint"]);
            named.as_str().filter(|url| url.starts_with("https://") && url.len() <= 1000).map(str::to_owned)
        };
        Ok(Self {
            id: id.to_owned(),
            keys,
            push_root: endpoint(RECIPIENT, "voucherRecipientURL"),
            pull_root: endpoint(HOLDER, "voucherHolderURL"),
        })
    }
}

/// Only keys on elliptic curves are told: a JWK of RSA is read, not written.
fn method(id: &str, number: usize, key: &VerifyingKey) -> Option<Value> {
    let coordinates = key.point()?.get(1..)?;
    let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
    let crv = match key.key_type().curve()? {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
    };
    let name = PublicKey::x509(key).fingerprint().map(hex::encode).unwrap_or_default();
    Some(json!({
        "id": format!("{id}#key-{number}"),
        "type": "JsonWebKey2020",
        "controller": id,
        "publicKeyJwk": {
            "kty": "EC",
            "crv": crv,
            "x": Base64UrlUnpadded::encode_string(x),
            "y": Base64UrlUnpadded::encode_string(y),
            "kid": name,
            "use": "sig",
        },
    }))
}

/// A key that we can use; others are passed over.
fn key(jwk: &Value) -> Option<VerifyingKey> {
    let number = |name: &str| Base64UrlUnpadded::decode_vec(jwk[name].as_str()?).ok();
    if jwk["kty"] == "RSA" {
        return VerifyingKey::from_rsa(&number("n")?, &number("e")?).ok();
    }
    let (curve, length): (_, usize) = match (jwk["kty"].as_str()?, jwk["crv"].as_str()?) {
        ("EC", "P-256") => (Curve::P256, 32),
        ("EC", "P-384") => (Curve::P384, 48),
        _ => return None,
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = number(name)?;
        // Some writers drop leading zeros.
        point.resize(point.len() + length.checked_sub(coordinate.len())?, 0);
        point.extend_from_slice(&coordinate);
    }
    VerifyingKey::from_point(curve, &point).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::random::Random;
    use fdo_protocol::crypto::{KeyType, SigningKey};

    fn document() -> Document {
        let key = |key_type| SigningKey::generate(key_type, &mut Random::seeded(5).rng()).unwrap();
        Document {
            id: "did:web:a.example".into(),
            keys: [KeyType::P256, KeyType::P384].map(|t| key(t).verifying_key().clone()).to_vec(),
            push_root: Some("https://a.example/api/v1/vouchers".into()),
            pull_root: None,
        }
    }

    #[test]
    fn what_is_served_is_read_again() {
        let document = document();
        let bytes = serde_json::to_vec(&document.to_json()).unwrap();
        assert_eq!(Document::parse("did:web:a.example", &bytes).unwrap(), document);
        assert!(matches!(Document::parse("did:web:b.example", &bytes), Err(DidError::Document(_))));
    }

    #[test]
    fn keys_that_do_not_hold_are_passed_over_and_none_is_refused() {
        let document = document();
        let mut json = document.to_json();
        json["verificationMethod"][0]["publicKeyJwk"]["x"] = "AAAA".into();
        json["verificationMethod"].as_array_mut().unwrap().push(json!({ "controller": "did:web:b" }));
        let parse = |json: &Value| Document::parse("did:web:a.example", &serde_json::to_vec(json).unwrap());
        assert_eq!(parse(&json).unwrap().keys, document.keys[1..]);
        json["service"][0]["serviceEndpoint"] = "http://a.example".into();
        assert_eq!(parse(&json).unwrap().push_root, None, "not https");
        json["verificationMethod"][1]["controller"] = "did:web:thief".into();
        assert!(parse(&json).is_err());
    }
}
