//! Settings of the status listener: revocation lists, OCSP, and the CA certificates, over plain HTTP.

use serde::{Deserialize, Serialize};

use super::SettingError;

const HOUR: u64 = 3_600;

/// Where anybody learns which certificates are revoked. Plain HTTP, as RFC 5280 and RFC 6960 have it: what is served is
/// signed, and a verifier that had to verify a TLS server first would go round in circles.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusSettings {
    /// Address of the listener; an empty one for none.
    pub address: String,
    /// The URL that certificates name; `http://` and the address if absent. Needed where the address is not loopback.
    pub public_url: Option<String>,
    /// How long a CRL holds, in hours; a new one is signed at half of it.
    pub crl_hours: u64,
    /// How long an OCSP answer holds, in hours.
    pub ocsp_hours: u64,
    /// The most seconds that a cache between may keep an answer.
    pub cache_seconds: u64,
    /// How many signed OCSP answers are kept in memory.
    pub ocsp_answers: usize,
}

impl Default for StatusSettings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8046".to_owned(),
            public_url: None,
            crl_hours: 24,
            ocsp_hours: 12,
            cache_seconds: 300,
            ocsp_answers: 100_000,
        }
    }
}

impl StatusSettings {
    /// The URL that certificates name, without a slash at its end.
    pub fn url(&self) -> String {
        let own = || format!("http://{}", self.address);
        self.public_url.clone().unwrap_or_else(own).trim_end_matches('/').to_owned()
    }

    /// Whether anything is served under [`StatusSettings::url`], so that certificates may name it.
    pub fn is_served(&self) -> bool {
        !self.address.is_empty() || self.public_url.is_some()
    }

    /// How long a CRL holds, in seconds.
    pub fn crl_seconds(&self) -> u64 {
        self.crl_hours * HOUR
    }

    /// How long an OCSP answer holds, in seconds.
    pub fn ocsp_seconds(&self) -> u64 {
        self.ocsp_hours * HOUR
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        let exposed = !self.address.is_empty() && super::is_exposed(&self.address)?;
        match &self.public_url {
            None if exposed => return Err(SettingError::StatusUrl(self.address.clone())),
            Some(url) => {
                let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
                let bare = parsed.filter(|url| url.query().is_none() && url.fragment().is_none());
                if bare.is_none() || !url.is_ascii() || url.len() > 200 {
                    return Err(SettingError::StatusPublicUrl(url.clone()));
                }
            }
            None => {}
        }
        for (setting, value, least, most) in [
            ("status.crl_hours", self.crl_hours, 1, 24 * 366),
            ("status.ocsp_hours", self.ocsp_hours, 1, 24 * 31),
            ("status.cache_seconds", self.cache_seconds, 0, 24 * HOUR),
            ("status.ocsp_answers", self.ocsp_answers as u64, 1, 100_000_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(SettingError::Range { setting, value, least, most });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn certificates_name_the_public_url_or_the_address() {
        let mut settings = StatusSettings::default();
        settings.check().unwrap();
        assert_eq!(settings.url(), "http://127.0.0.1:8046");
        settings.public_url = Some("http://pki.example/".to_owned());
        settings.check().unwrap();
        assert_eq!(settings.url(), "http://pki.example");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let exposed = StatusSettings { address: "0.0.0.0:80".to_owned(), ..StatusSettings::default() };
        assert!(exposed.check().unwrap_err().to_string().contains("status.public_url"));
        for url in ["pki.example", "ldap://pki.example", "http://pki.example/?a", "http://pki.example/#b"] {
            let settings = StatusSettings { public_url: Some(url.to_owned()), ..StatusSettings::default() };
            assert!(settings.check().unwrap_err().to_string().contains("status.public_url"), "{url}");
        }
        let never = StatusSettings { crl_hours: 0, ..StatusSettings::default() };
        assert!(never.check().unwrap_err().to_string().contains("status.crl_hours"));
        StatusSettings { address: String::new(), ..StatusSettings::default() }.check().unwrap();
    }
}
