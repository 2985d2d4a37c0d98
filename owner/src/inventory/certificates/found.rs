//! A certificate or a key that was found somewhere, ready to be listed.

use fdo_pki::Certificate;
use fdo_protocol::crypto::VerifyingKey;

use super::store::WITHOUT_END;
use super::{Listed, Source, Standing};
use crate::keys;

/// The longest text that is kept of a name; certificates of strangers may hold kilobytes.
const LONGEST: usize = 512;
/// Words that are searched.
const WORDS: usize = 48;
const WORD: usize = 64;

/// The device that a certificate belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holder<'a> {
    pub device_id: Option<&'a str>,
    pub serial: Option<&'a str>,
    pub guid: Option<&'a str>,
}

/// What was found, with its DER where no other table has it.
#[derive(Clone, Debug)]
pub struct Found {
    pub listed: Listed,
    pub(super) der: Option<Vec<u8>>,
}

impl Found {
    /// A certificate.
    pub fn certificate(source: Source, certificate: &Certificate, holder: Holder<'_>, now: u64) -> Self {
        let issuer = cut(&certificate.issuer());
        let issuer_name = certificate.issuer_common_name().map_or_else(|| issuer.clone(), cut);
        let endless = certificate.not_after() >= WITHOUT_END;
        Self {
            listed: Listed {
                fingerprint: hex::encode(certificate.fingerprint()),
                source,
                subject: cut(&certificate.subject()),
                issuer,
                issuer_name,
                serial: cut(certificate.serial()),
                not_before: certificate.not_before(),
                not_after: certificate.not_after().min(WITHOUT_END),
                key_type: certificate.key_description(),
                is_ca: certificate.is_ca(),
                standing: Standing::Active,
                reason: None,
                device_id: holder.device_id.map(str::to_owned),
                device_serial: holder.serial.map(cut),
                guid: holder.guid.map(str::to_owned),
                profile: None,
                name: None,
                first_seen: now,
                last_seen: now,
                attention: (!endless).then_some(0),
            },
            // The CA keeps those that it issued.
            der: (source != Source::Ldevid).then(|| certificate.der().to_vec()),
        }
    }

    /// A key that has no certificate here.
    pub fn key(source: Source, key: &VerifyingKey, name: &str, now: u64) -> Self {
        Self {
            listed: Listed {
                fingerprint: keys::fingerprint(key),
                source,
                subject: cut(name),
                issuer: String::new(),
                issuer_name: String::new(),
                serial: String::new(),
                not_before: 0,
                not_after: WITHOUT_END,
                key_type: key.key_type().to_string(),
                is_ca: false,
                standing: Standing::Active,
                reason: None,
                device_id: None,
                device_serial: None,
                guid: None,
                profile: None,
                name: Some(cut(name)),
                first_seen: now,
                last_seen: now,
                attention: None,
            },
            der: Some(key.spki_der().to_vec()),
        }
    }

    /// The same under a name that somebody gave it.
    #[must_use]
    pub fn named(mut self, name: Option<&str>) -> Self {
        self.listed.name = name.map(cut);
        self
    }

    /// Whether the chains of many devices lead to it.
    pub(super) fn is_shared(&self) -> bool {
        self.listed.source == Source::DeviceCa && self.listed.name.is_none()
    }

    /// What a search looks through.
    pub(super) fn words(&self) -> String {
        let listed = &self.listed;
        let texts =
            [Some(&listed.subject), listed.device_serial.as_ref(), listed.guid.as_ref(), listed.name.as_ref()];
        let mut found = Vec::new();
        for word in texts.into_iter().flatten().flat_map(|text| words(text)) {
            if !found.contains(&word) && found.len() < WORDS {
                found.push(word);
            }
        }
        found.join(" ")
    }
}

/// The words of a text: letters and digits, in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    let pieces = text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.to_lowercase().chars().take(WORD).collect()).collect()
}

fn cut(text: &str) -> String {
    let plain = |c: char| if c == '\0' { '\u{fffd}' } else { c };
    text.chars().take(LONGEST).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(words("CN=Gate-7, O=Ärzte\0"), ["cn", "gate", "7", "o", "ärzte"]);
        assert!(words("=+-").is_empty());
    }
}
