//! What a certification request asks for beyond a certificate for its key: names, a challenge password, extensions
//! (RFC 2985, 5.4; RFC 7030, 3.5 and 4.2.2). Nothing of it enters a certificate; it is compared, refused or passed over.

use const_oid::db::{rfc4519, rfc5280, rfc5912};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::{Any, AnyRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;

use crate::asn1::{self, TbsCertificate};
use crate::name::text_of;
use crate::{Certificate, Error};

const WHAT: &str = "certification request";
const MOST_ATTRIBUTES: usize = 32;
const MOST_NAMES: usize = 64;
/// `extensionRequest` as Microsoft's tools write it.
const EXTENSION_REQUEST_MS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");
/// RFC 4108, 2.2.5, and RFC 7030, 4.4.1.2: the key that a server-made key shall be encrypted to.
const DECRYPT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.37");
const ASYMMETRIC_DECRYPT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.54");

/// A relative distinguished name: its attributes, as text, in one order.
type Rdn = Vec<(ObjectIdentifier, String)>;

/// An alternative name: its kind (the context tag) and its content, DNS names in lower case.
type AlternativeName = (u32, Vec<u8>);

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    subject: Vec<Rdn>,
    alternative_names: Option<Vec<AlternativeName>>,
    challenge_password: Option<String>,
    extensions: Vec<String>,
    encrypted_key: bool,
}

/// The part of a request for renewal that is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherName {
    /// The subject.
    Subject,
    /// The subject's alternative names.
    AlternativeNames,
}

impl Requested {
    pub(crate) fn parse(subject: &Any, attributes: Option<&Any>) -> Result<Self, Error> {
        let mut requested = Self { subject: rdns(subject)?, ..Self::default() };
        let Some(attributes) = attributes else { return Ok(requested) };
        let mut extensions = None;
        for (oid, values) in split(attributes).map_err(Error::der(WHAT))? {
            match oid {
                CHALLENGE_PASSWORD => {
                    requested.challenge_password = values.first().map(|value| text_of(value.into()));
                }
                EXTENSION_REQUEST | EXTENSION_REQUEST_MS => {
                    let [value] = values.as_slice() else {
                        return Err(Error::malformed(WHAT, "it asks for extensions in several lists"));
                    };
                    if extensions.is_some() {
                        return Err(Error::malformed(WHAT, "it asks for extensions in several lists"));
                    }
                    extensions = Some(value.decode_as::<Vec<Extension>>().map_err(Error::der(WHAT))?);
                }
                DECRYPT_KEY | ASYMMETRIC_DECRYPT_KEY => requested.encrypted_key = true,
                _ => {}
            }
        }
        for extension in extensions.unwrap_or_default() {
            if extension.extn_id != SubjectAltName::OID {
                requested.extensions.push(label(extension.extn_id));
            } else if requested.alternative_names.is_some() {
                return Err(Error::malformed(WHAT, "it has two lists of alternative names"));
            } else {
                let names = alternative_names(extension.extn_value.as_bytes()).map_err(Error::der(WHAT))?;
                requested.alternative_names = Some(names);
            }
        }
        if requested.alternative_names.as_ref().is_some_and(|names| names.len() > MOST_NAMES) {
            return Err(Error::malformed(WHAT, "it has too many alternative names"));
        }
        Ok(requested)
    }

    fn attribute(&self, wanted: ObjectIdentifier) -> impl Iterator<Item = &str> {
        self.subject.iter().flatten().filter(move |(oid, _)| *oid == wanted).map(|(_, text)| text.as_str())
    }

    /// The subject's `serialNumber` attributes.
    pub fn serial_numbers(&self) -> impl Iterator<Item = &str> {
        self.attribute(rfc4519::SERIAL_NUMBER)
    }

    /// The subject's common names.
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.attribute(rfc4519::COMMON_NAME)
    }

    /// Alternative names that are text: DNS names, addresses of mail, URIs.
    pub fn alternative_texts(&self) -> impl Iterator<Item = &str> {
        let names = self.alternative_names.iter().flatten();
        names.filter(|(kind, _)| matches!(kind, 1 | 2 | 6)).filter_map(|(_, text)| std::str::from_utf8(text).ok())
    }

    /// `challengePassword` (RFC 7030, 3.5: the name of the TLS channel, or a secret of the CA's).
    #[must_use]
    pub fn challenge_password(&self) -> Option<&str> {
        self.challenge_password.as_deref()
    }

    /// Extensions other than alternative names, by name or number: whoever issues decides on them, not who asks.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Whether a key that the server makes shall be encrypted to a key that the device names (RFC 7030, 4.4.1).
    #[must_use]
    pub fn wants_encrypted_key(&self) -> bool {
        self.encrypted_key
    }

    /// What differs from the certificate that is to be renewed; names are compared decoded, whatever their encoding. A
    /// request without alternative names asks for those that there are.
    pub fn differs_from(&self, certificate: &Certificate) -> Result<Option<OtherName>, Error> {
        if self.subject != rdns(certificate.subject_der())? {
            return Ok(Some(OtherName::Subject));
        }
        let Some(asked) = &self.alternative_names else { return Ok(None) };
        Ok((*asked != of_certificate(certificate)?).then_some(OtherName::AlternativeNames))
    }
}

/// The bytes of the alternative names' extension in a certificate.
pub(crate) fn alternative_names_der(certificate: &Certificate) -> Result<Option<Vec<u8>>, Error> {
    const WHAT: &str = "certificate";
    let tbs: TbsCertificate = asn1::decode(WHAT, certificate.body(), crate::MAX_CERTIFICATE)?;
    let found = tbs.extensions.into_iter().flatten().find(|extension| extension.extn_id == SubjectAltName::OID);
    Ok(found.map(|extension| extension.extn_value.as_bytes().to_vec()))
}

/// The attribute that asks for these alternative names again.
pub(crate) fn ask_for_alternative_names(names: Vec<u8>) -> Result<Any, Error> {
    let encode = || {
        let extn_value = der::asn1::OctetString::new(names)?;
        let extension = Extension { extn_id: SubjectAltName::OID, critical: false, extn_value };
        let values = Any::new(Tag::Set, vec![extension].to_der()?)?.to_der()?;
        Any::new(Tag::Sequence, [EXTENSION_REQUEST.to_der()?, values].concat())?.to_der()
    };
    let attribute = encode().map_err(Error::encoding(WHAT))?;
    let tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    Any::new(tag, attribute).map_err(Error::encoding(WHAT))
}

fn of_certificate(certificate: &Certificate) -> Result<Vec<AlternativeName>, Error> {
    match alternative_names_der(certificate)? {
        Some(bytes) => alternative_names(&bytes).map_err(Error::der("certificate")),
        None => Ok(Vec::new()),
    }
}

/// The attributes of a request, each with its values.
fn split(attributes: &Any) -> Result<Vec<(ObjectIdentifier, Vec<Any>)>, der::Error> {
    let mut found = Vec::new();
    let mut reader = SliceReader::new(attributes.value())?;
    while !reader.is_finished() {
        if found.len() == MOST_ATTRIBUTES {
            return Err(der::ErrorKind::Overlength.into());
        }
        found.push(AnyRef::decode(&mut reader)?.sequence(|attribute| {
            let oid = ObjectIdentifier::decode(attribute)?;
            let set = AnyRef::decode(attribute)?;
            set.tag().assert_eq(Tag::Set)?;
            let (mut values, mut reader) = (Vec::new(), SliceReader::new(set.value())?);
            while !reader.is_finished() {
                values.push(Any::decode(&mut reader)?);
            }
            Ok::<_, der::Error>((oid, values))
        })?);
    }
    Ok(found)
}

fn rdns(name: &Any) -> Result<Vec<Rdn>, Error> {
    let walk = || {
        name.tag().assert_eq(Tag::Sequence)?;
        let (mut rdns, mut reader) = (Vec::new(), SliceReader::new(name.value())?);
        while !reader.is_finished() {
            let set = AnyRef::decode(&mut reader)?;
            set.tag().assert_eq(Tag::Set)?;
            let (mut rdn, mut pairs) = (Rdn::new(), SliceReader::new(set.value())?);
            while !pairs.is_finished() {
                rdn.push(AnyRef::decode(&mut pairs)?.sequence(|pair| {
                    let oid = ObjectIdentifier::decode(pair)?;
                    Ok::<_, der::Error>((oid, text_of(AnyRef::decode(pair)?)))
                })?);
            }
            rdn.sort();
            rdns.push(rdn);
        }
        Ok(rdns)
    };
    walk().map_err(Error::der(WHAT))
}

fn alternative_names(bytes: &[u8]) -> Result<Vec<AlternativeName>, der::Error> {
    let mut names = AnyRef::from_der(bytes)?.sequence(|reader| {
        let mut names = Vec::new();
        while !reader.is_finished() {
            let name = AnyRef::decode(reader)?;
            let kind = name.tag().number().value();
            let content = name.value().to_vec();
            names.push((kind, if kind == 2 { content.to_ascii_lowercase() } else { content }));
        }
        Ok::<_, der::Error>(names)
    })?;
    names.sort();
    Ok(names)
}

fn label(oid: ObjectIdentifier) -> String {
    let name = match oid {
        rfc5280::ID_CE_KEY_USAGE => "keyUsage",
        rfc5280::ID_CE_EXT_KEY_USAGE => "extendedKeyUsage",
        rfc5280::ID_CE_BASIC_CONSTRAINTS => "basicConstraints",
        rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER => "subjectKeyIdentifier",
        rfc5912::ID_CE_CERTIFICATE_POLICIES => "certificatePolicies",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        CaSubject, Csr, DeviceSerial, Issuer, LdevidProfile, LdevidSubject, Lifetime, build_csr, build_renewal,
    };
    use fdo_protocol::Guid;
    use fdo_protocol::crypto::{KeyType, SigningKey};
    use rand_core::SeedableRng;

    const NOW: u64 = 1_790_000_000;

    fn issued(guid: Guid) -> (Certificate, SigningKey) {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(5);
        let subject = CaSubject { common_name: "CA".to_owned(), organization: None };
        let (ca, key) = (key(&mut rng), key(&mut rng));
        let root = crate::make_root(&subject, &ca, Lifetime::years(1), NOW, &mut rng).unwrap();
        let csr = Csr::parse(&build_csr(&key, None, &DeviceSerial::parse("SN-1").unwrap()).unwrap()).unwrap();
        let device =
            LdevidSubject { serial: Some(DeviceSerial::parse("SN-1").unwrap()), ..LdevidSubject::new(guid) };
        let issuer = Issuer::new(&root.certificate().unwrap()).unwrap();
        let profile = LdevidProfile { organization: Some("Acme".to_owned()), ..LdevidProfile::default() };
        let prepared = profile.prepare(&csr.verify().unwrap(), &device, &issuer, NOW, &mut rng).unwrap();
        (prepared.sign(&ca).unwrap().certificate().unwrap(), key)
    }

    fn key(rng: &mut rand_chacha::ChaCha20Rng) -> SigningKey {
        SigningKey::generate(KeyType::P256, rng).unwrap()
    }

    #[test]
    fn a_renewal_asks_for_the_same_names_and_another_request_does_not() {
        let (certificate, key) = issued(Guid::from_bytes([1; 16]));
        let (other, _) = issued(Guid::from_bytes([2; 16]));
        let requested = |der: &[u8]| Csr::parse(der).unwrap().verify().unwrap().requested().unwrap();
        let renewal = requested(&build_renewal(&key, &certificate).unwrap());
        assert_eq!(renewal.differs_from(&certificate).unwrap(), None);
        assert_eq!(renewal.differs_from(&other).unwrap(), Some(OtherName::AlternativeNames));
        assert_eq!(renewal.alternative_texts().collect::<Vec<_>>(), certificate.uris());
        let plain = requested(&build_csr(&key, Some("x"), &DeviceSerial::parse("SN-1").unwrap()).unwrap());
        assert_eq!(plain.differs_from(&certificate).unwrap(), Some(OtherName::Subject));
        assert_eq!(plain.serial_numbers().collect::<Vec<_>>(), ["SN-1"]);
        assert_eq!(plain.common_names().collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn the_order_in_a_set_and_the_type_of_a_text_do_not_count() {
        let text = |tag, text: &str| Any::new(tag, text.as_bytes()).unwrap().to_der().unwrap();
        let pair = |oid: ObjectIdentifier, value: Vec<u8>| {
            Any::new(Tag::Sequence, [oid.to_der().unwrap(), value].concat()).unwrap().to_der().unwrap()
        };
        let name = |pairs: [Vec<u8>; 2]| {
            let set = Any::new(Tag::Set, pairs.concat()).unwrap().to_der().unwrap();
            rdns(&Any::new(Tag::Sequence, set).unwrap()).unwrap()
        };
        let cn = |tag| pair(rfc4519::COMMON_NAME, text(tag, "A"));
        let sn = |value| pair(rfc4519::SERIAL_NUMBER, text(Tag::PrintableString, value));
        let one = name([cn(Tag::Utf8String), sn("1")]);
        assert_eq!(one, name([sn("1"), cn(Tag::PrintableString)]));
        assert_ne!(one, name([sn("2"), cn(Tag::PrintableString)]));
    }
}
