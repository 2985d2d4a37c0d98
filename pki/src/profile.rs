//! What a profile can say: attributes of the subject, alternative names, uses of the key (RFC 5280, 4.1.2.6 and 4.2.1).

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use der::asn1::Ia5String;
use x509_cert::ext::pkix::name::GeneralName;

use crate::template::{Facts, plain};
use crate::{Error, ServerName, Template};

/// `id-kp`, below which the standard uses stand.
const ID_KP: &str = "1.3.6.1.5.5.7.3.";
const ID_KP_IPSEC_IKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17");
/// `anyExtendedKeyUsage`
const ANY: &str = "2.5.29.37.0";

/// An attribute of the subject that a profile may set; the serial number is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectAttribute {
    /// `CN`
    CommonName,
    /// `O`
    Organization,
    /// `OU`
    OrganizationalUnit,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Signatures, as of TLS.
    DigitalSignature,
    /// Signatures that commit to a content.
    ContentCommitment,
    /// Wrapping keys; RSA only.
    KeyEncipherment,
    /// Key agreement; elliptic curves only.
    KeyAgreement,
}

/// What a certificate may be used for, beyond signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedKeyUse {
    /// To log in to TLS servers.
    ClientAuth,
    /// To be a TLS server itself.
    ServerAuth,
    /// IPsec (RFC 4945).
    IpsecIke,
    /// Whatever the owner has an OID for. None below `id-kp`, where responders and registration authorities are made.
    Other(ObjectIdentifier),
}

/// An alternative name of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameTemplate {
    /// A URI; what placeholders stand for is percent-encoded.
    Uri(Template),
    /// A DNS name.
    Dns(Template),
}

impl SubjectAttribute {
    const ALL: [(Self, &str); 3] =
        [(Self::CommonName, "CN"), (Self::Organization, "O"), (Self::OrganizationalUnit, "OU")];
}

impl KeyUse {
    const ALL: [(Self, &str); 4] = [
        (Self::DigitalSignature, "digitalSignature"),
        (Self::ContentCommitment, "contentCommitment"),
        (Self::KeyEncipherment, "keyEncipherment"),
        (Self::KeyAgreement, "keyAgreement"),
    ];
}

impl ExtendedKeyUse {
    const ALL: [(Self, &str); 3] =
        [(Self::ClientAuth, "clientAuth"), (Self::ServerAuth, "serverAuth"), (Self::IpsecIke, "ipsecIKE")];

    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ClientAuth => ID_KP_CLIENT_AUTH,
            Self::ServerAuth => ID_KP_SERVER_AUTH,
            Self::IpsecIke => ID_KP_IPSEC_IKE,
            Self::Other(oid) => oid,
        }
    }
}

fn named<T: Copy>(all: &[(T, &str)], text: &str) -> Option<T> {
    all.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(value, _)| *value)
}

fn name_of<T: Copy + PartialEq>(all: &[(T, &'static str)], value: T) -> &'static str {
    all.iter().find(|(known, _)| *known == value).map_or("", |(_, name)| name)
}

impl FromStr for SubjectAttribute {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let reason = "use CN, O or OU; the serialNumber is always there";
        named(&Self::ALL, text).ok_or(Error::InvalidField { field: "subject attribute", reason })
    }
}

impl FromStr for KeyUse {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let reason = "use digitalSignature, contentCommitment, keyEncipherment or keyAgreement";
        named(&Self::ALL, text).ok_or(Error::InvalidField { field: "key usage", reason })
    }
}

impl FromStr for ExtendedKeyUse {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(known) = named(&Self::ALL, text) {
            return Ok(known);
        }
        let reason =
            "use clientAuth, serverAuth, ipsecIKE, or an OID of your own; no other of PKIX, and not \"any\"";
        let refused = Error::InvalidField { field: "extended key usage", reason };
        match text.parse() {
            Ok(oid) if !text.starts_with(ID_KP) && text != ANY => Ok(Self::Other(oid)),
            _ => Err(refused),
        }
    }
}

impl FromStr for NameTemplate {
    type Err = Error;

    /// `uri:` or `dns:`, then the template.
    fn from_str(text: &str) -> Result<Self, Error> {
        let reason = "write uri: or dns: before it";
        match text.split_once(':') {
            Some(("uri", template)) if template.contains(':') && template.is_ascii() => {
                Ok(Self::Uri(template.parse()?))
            }
            Some(("uri", _)) => {
                let reason = "a URI has a scheme, as in uri:urn:example:{serial}, and is ASCII";
                Err(Error::InvalidField { field: "alternative name", reason })
            }
            Some(("dns", template)) => Ok(Self::Dns(template.parse()?)),
            _ => Err(Error::InvalidField { field: "alternative name", reason }),
        }
    }
}

impl NameTemplate {
    /// The template.
    #[must_use]
    pub fn template(&self) -> &Template {
        match self {
            Self::Uri(template) | Self::Dns(template) => template,
        }
    }

    pub(crate) fn fill(&self, facts: Facts<'_>, escape: fn(&str) -> String) -> Result<Option<GeneralName>, Error> {
        match self {
            Self::Uri(template) => {
                let Some(text) = template.fill(facts, escape) else { return Ok(None) };
                let uri = Ia5String::new(&text).map_err(Error::encoding("alternative name"))?;
                Ok(Some(GeneralName::UniformResourceIdentifier(uri)))
            }
            Self::Dns(template) => {
                template.fill(facts, plain).map(|text| ServerName::Dns(text).general_name()).transpose()
            }
        }
    }
}

impl fmt::Display for SubjectAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Self::ALL, *self))
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Self::ALL, *self))
    }
}

impl fmt::Display for ExtendedKeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(oid) => oid.fmt(f),
            known => f.write_str(name_of(&Self::ALL, *known)),
        }
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(template) => write!(f, "uri:{template}"),
            Self::Dns(template) => write!(f, "dns:{template}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_would_make_a_device_more_than_a_device_is_refused() {
        for oid in ["1.3.6.1.5.5.7.3.9", "1.3.6.1.5.5.7.3.28", "2.5.29.37.0", "ocspSigning", "any"] {
            assert!(oid.parse::<ExtendedKeyUse>().is_err(), "{oid}");
        }
        for oid in ["1.3.6.1.4.1.32473.1", "clientAuth", "ipsecIKE"] {
            assert_eq!(oid.parse::<ExtendedKeyUse>().unwrap().to_string(), oid);
        }
        assert!("serialNumber".parse::<SubjectAttribute>().is_err());
        assert!("keyCertSign".parse::<KeyUse>().is_err());
    }

    #[test]
    fn alternative_names_have_a_kind() {
        for text in ["dns:{serial}.example", "uri:urn:acme:{guid}"] {
            assert_eq!(text.parse::<NameTemplate>().unwrap().to_string(), text);
        }
        for text in ["ip:10.0.0.1", "uri:nothing", "{serial}", "dns:"] {
            assert!(text.parse::<NameTemplate>().is_err(), "{text}");
        }
    }
}
