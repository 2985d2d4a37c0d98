//! Device CAs: one, a part of the list, and what became of an import.

use fdo_pki::Certificate;
use serde::{Deserialize, Serialize};

use super::page::{SortOrder, Window, WindowQuery};
use super::refusal::Refusal;
use super::timestamp;

/// Bytes of a body of certificates.
pub const MAX_BODY: usize = 1024 * 1024;

/// A trusted device CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateView {
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    pub pem: String,
    pub subject: String,
    pub issuer: String,
    pub not_before: String,
    pub not_after: String,
    pub created_at: String,
}

impl CertificateView {
    pub fn new(certificate: &Certificate, created: u64) -> Self {
        Self {
            fingerprint: hex::encode(certificate.fingerprint()),
            pem: fdo_pki::pem::encode_certificates(&[certificate.der()]).unwrap_or_default(),
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            not_before: timestamp(certificate.not_before()),
            not_after: timestamp(certificate.not_after()),
            created_at: timestamp(created),
        }
    }
}

/// A part of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificatePage {
    pub total: usize,
    pub limit: u64,
    pub offset: u64,
    pub certs: Vec<CertificateView>,
}

/// Which certificates, and in which order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateQuery {
    limit: Option<u64>,
    offset: Option<u64>,
    issuer: Option<String>,
    subject: Option<String>,
    search: Option<String>,
    validity_status: Option<ValidityStatus>,
    #[serde(default)]
    sort_by: SortBy,
    #[serde(default)]
    sort_order: SortOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ValidityStatus {
    Valid,
    Expired,
    NotYetValid,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SortBy {
    #[default]
    CreatedAt,
    NotBefore,
    NotAfter,
    Subject,
    Issuer,
}

impl CertificateQuery {
    /// The part of `all` that is asked for. There are few device CAs, so they are sorted and cut here.
    pub fn select(&self, mut all: Vec<(Certificate, u64)>, now: u64) -> Result<CertificatePage, Refusal> {
        let window: Window = WindowQuery { limit: self.limit, offset: self.offset }.window()?;
        all.retain(|(certificate, _)| self.fits(certificate, now));
        match self.sort_by {
            SortBy::CreatedAt => all.sort_by_key(|(_, created)| *created),
            SortBy::NotBefore => all.sort_by_key(|(certificate, _)| certificate.not_before()),
            SortBy::NotAfter => all.sort_by_key(|(certificate, _)| certificate.not_after()),
            SortBy::Subject => all.sort_by_cached_key(|(certificate, _)| certificate.subject()),
            SortBy::Issuer => all.sort_by_cached_key(|(certificate, _)| certificate.issuer()),
        }
        if self.sort_order == SortOrder::Desc {
            all.reverse();
        }
        let total = all.len();
        let certs =
            window.of(all).iter().map(|(certificate, at)| CertificateView::new(certificate, *at)).collect();
        Ok(CertificatePage { total, limit: window.limit, offset: window.offset, certs })
    }

    fn fits(&self, certificate: &Certificate, now: u64) -> bool {
        let (subject, issuer) = (certificate.subject(), certificate.issuer());
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let found = self.search.as_ref().is_none_or(|text| {
            let text = text.to_lowercase();
            subject.to_lowercase().contains(&text) || issuer.to_lowercase().contains(&text)
        });
        let (begun, over) = (certificate.not_before() <= now, certificate.not_after() < now);
        let status = self.validity_status.is_none_or(|wanted| match wanted {
            ValidityStatus::Valid => begun && !over,
            ValidityStatus::Expired => over,
            ValidityStatus::NotYetValid => !begun,
        });
        found && status && same(&self.subject, &subject) && same(&self.issuer, &issuer)
    }
}

/// What became of each certificate of a body.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CertificateImport {
    /// Blocks that are certificates.
    pub detected: usize,
    pub imported: usize,
    /// Known already, or expired.
    pub skipped: usize,
    /// Blocks that are none.
    pub malformed: usize,
    pub messages: Vec<String>,
    pub certs: Vec<CertificateView>,
}

impl CertificateImport {
    /// The CA certificates of a body that are not expired; what is not is told already.
    pub fn read(body: &[u8], now: u64) -> (Self, Vec<(usize, Certificate)>) {
        let (mut import, mut usable) = (Self::default(), Vec::new());
        for (position, block) in (1..).zip(blocks(&String::from_utf8_lossy(body))) {
            let parsed = fdo_pki::pem::decode_certificates(&block)
                .and_then(|certificates| Certificate::parse(certificates.first().map_or(&[][..], Vec::as_slice)));
            let certificate = match parsed {
                Ok(certificate) if certificate.is_ca() => certificate,
                Ok(_) => {
                    import.malformed += 1;
                    import.messages.push(format!("certificate {position} is not that of a CA"));
                    continue;
                }
                Err(error) => {
                    import.malformed += 1;
                    import.messages.push(format!("certificate {position} is malformed: {error}"));
                    continue;
                }
            };
            import.detected += 1;
            if certificate.not_after() < now {
                import.skip(position, &certificate, "it has expired");
            } else {
                usable.push((position, certificate));
            }
        }
        (import, usable)
    }

    /// One that was taken up.
    pub fn take(&mut self, position: usize, certificate: &Certificate, created: u64) {
        self.imported += 1;
        self.messages.push(format!("certificate {position} ({}) was imported", certificate.subject()));
        self.certs.push(CertificateView::new(certificate, created));
    }

    /// One that was not.
    pub fn skip(&mut self, position: usize, certificate: &Certificate, why: &str) {
        self.skipped += 1;
        self.messages.push(format!("certificate {position} ({}) was skipped: {why}", certificate.subject()));
    }
}

/// The PEM blocks of a text, each for itself; what is not one is left out.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in text.split("-----BEGIN ").skip(1) {
        let end = piece.find("-----END ").and_then(|at| piece[at + 9..].find("-----").map(|rest| at + 14 + rest));
        let block = end.map_or(piece, |end| &piece[..end]);
        found.push(format!("-----BEGIN {block}\n"));
    }
    found
}

/// The fingerprint in a path.
pub fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(text, &mut fingerprint).ok()?;
    Some(fingerprint)
}
