//! The answer to `serverkeygen-req`: a multipart body with a key in PKCS#8 and the certificate for it (RFC 7030, 4.4.2;
//! the boundary is the word `fdo`).

use zeroize::Zeroizing;

use super::EstBody;
use crate::error::Error;

const DELIMITER: &str = "--fdo";

/// A key that the owner made, and the certificate for it. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey {
    /// PKCS#8 in DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// The certificate, or certificates only in PKCS#7, in DER.
    pub certificate: Vec<u8>,
}

impl ServerKey {
    /// The body.
    pub fn to_text(&self) -> Zeroizing<String> {
        let (key, certificate) = (EstBody::from_der(&self.pkcs8), EstBody::from_der(&self.certificate));
        let mut text = Zeroizing::new(String::with_capacity(key.text().len() + certificate.text().len() + 256));
        for (kind, body) in [("application/pkcs8", &key), ("application/pkix-cert", &certificate)] {
            for line in [DELIMITER, "\r\nContent-Type: ", kind, "\r\nContent-Transfer-Encoding: base64\r\n\r\n"] {
                text.push_str(line);
            }
            text.push_str(body.text());
            text.push_str("\r\n");
        }
        text.push_str(DELIMITER);
        text.push_str("--\r\n");
        text
    }

    /// Reads a body; its parts may come in either order, with lines that end in any way.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless there is exactly one key and one certificate.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mut key, mut certificate) = (None, None);
        let mut parts = text.split(DELIMITER);
        // What stands before the first delimiter means nothing.
        parts.next();
        let mut ended = false;
        for part in parts {
            if part.starts_with("--") {
                ended = true;
                break;
            }
            let (kind, body) = read(part)?;
            let slot = if kind.eq_ignore_ascii_case("application/pkcs8") {
                &mut key
            } else if kind.to_ascii_lowercase().starts_with("application/pk") {
                &mut certificate
            } else {
                continue;
            };
            if slot.replace(body.der()?).is_some() {
                return Err(Error::Malformed("more than one key or certificate"));
            }
        }
        match (key, certificate, ended) {
            (Some(pkcs8), Some(certificate), true) => Ok(Self { pkcs8, certificate: certificate.to_vec() }),
            _ => Err(Error::Malformed("not a key with its certificate")),
        }
    }
}

/// The media type of a part without its parameters, and its content.
fn read(part: &str) -> Result<(&str, EstBody), Error> {
    let malformed = Error::Malformed("a part of a multipart body");
    // The line that the delimiter ends.
    let (_, part) = part.split_once('\n').ok_or(malformed.clone())?;
    let mut rest = part;
    let mut kind = "";
    loop {
        let (line, after) = rest.split_once('\n').ok_or(malformed.clone())?;
        rest = after;
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            return Ok((kind, EstBody::from_text(rest.to_owned())));
        }
        let (name, value) = line.split_once(':').ok_or(malformed.clone())?;
        if name.trim().eq_ignore_ascii_case("content-type") {
            kind = value.split(';').next().unwrap_or_default().trim();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn both() -> ServerKey {
        ServerKey { pkcs8: Zeroizing::new(b"0key".to_vec()), certificate: b"0certificate".to_vec() }
    }

    #[test]
    fn a_body_comes_back_however_its_lines_end() {
        let text = both().to_text();
        assert!(
            text.starts_with("--fdo\r\nContent-Type: application/pkcs8\r\n") && text.ends_with("\r\n--fdo--\r\n")
        );
        assert!(ServerKey::parse(&text).unwrap() == both());
        assert!(ServerKey::parse(&text.replace("\r\n", "\n")).unwrap() == both());
        let swapped = concat!(
            "preamble\r\n--fdo\r\ncontent-type: application/pkcs7-mime; smime-type=certs-only\r\n\r\nMGNl\r\ncnRp",
            "ZmljYXRl\r\n--fdo\r\nContent-Type: text/plain\r\n\r\nhello\r\n--fdo\r\nContent-Type:application/pkcs8",
            "\r\n\r\nMGtleQ==\r\n--fdo--"
        );
        assert!(ServerKey::parse(swapped).unwrap() == both());
    }

    #[test]
    fn half_a_body_is_malformed() {
        let text = both().to_text();
        let key_only = text.split("--fdo\r\nContent-Type: application/pkix").next().unwrap();
        for broken in [
            "",
            "--fdo--",
            key_only,
            &format!("{key_only}--fdo--"),
            &text.replace("--fdo--", ""),
            &text.replace("application/pkix-cert", "application/pkcs8"),
            &text.replace("\r\n\r\n", "\r\n"),
            &text.replace("MGtleQ", "%%"),
        ] {
            assert!(ServerKey::parse(broken).is_err(), "{broken}");
        }
    }
}
