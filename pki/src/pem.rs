//! PEM (RFC 7468): certificates and requests as files; a private key where certificates belong is refused.

use der::pem::{LineEnding, encode_string};

use crate::{Error, MAX_CERTIFICATE, MAX_CSR, decode_base64};

/// Longest PEM text that is read, in bytes; far more than a bundle of CA certificates.
pub const MAX_PEM: usize = 1024 * 1024;
const WHAT: &str = "PEM";
const CERTIFICATE: &str = "CERTIFICATE";
const REQUEST: &str = "CERTIFICATE REQUEST";

/// Writes certificates as PEM, one block after the other.
pub fn encode_certificates<T: AsRef<[u8]>>(certificates: &[T]) -> Result<String, Error> {
    certificates.iter().map(|der| block(CERTIFICATE, der.as_ref())).collect()
}

/// Writes one certification request as PEM.
pub fn encode_csr(der: &[u8]) -> Result<String, Error> {
    block(REQUEST, der)
}

/// Reads the certificates of a PEM text (at least one, in its order) into DER; text between blocks is skipped.
pub fn decode_certificates(text: &str) -> Result<Vec<Vec<u8>>, Error> {
    let mut certificates = Vec::new();
    for block in blocks(text)? {
        match block.label {
            CERTIFICATE | "X509 CERTIFICATE" => {
                certificates.push(decode_base64(block.body.as_bytes(), MAX_CERTIFICATE)?);
            }
            label if label.contains("PRIVATE KEY") => {
                return Err(Error::malformed(WHAT, "a private key stands where only certificates belong"));
            }
            _ => return Err(Error::malformed(WHAT, "a block in it is no certificate")),
        }
    }
    if certificates.is_empty() {
        return Err(Error::malformed(WHAT, "there is no certificate in it"));
    }
    Ok(certificates)
}

/// Reads the one certification request of a PEM text into DER.
pub fn decode_csr(text: &str) -> Result<Vec<u8>, Error> {
    match blocks(text)?.as_slice() {
        [block] if matches!(block.label, REQUEST | "NEW CERTIFICATE REQUEST") => {
            decode_base64(block.body.as_bytes(), MAX_CSR)
        }
        _ => Err(Error::malformed(WHAT, "it must hold one certification request and nothing else")),
    }
}

fn block(label: &'static str, der: &[u8]) -> Result<String, Error> {
    encode_string(label, LineEnding::LF, der).map_err(|_| Error::malformed(WHAT, "it cannot be written"))
}

struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, Error> {
    const CUT: Error = Error::Malformed { what: WHAT, reason: "a block in it has no matching end" };
    if text.len() > MAX_PEM {
        return Err(Error::TooLarge { what: WHAT, limit: MAX_PEM });
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or(CUT)?;
        let (body, after) = after.split_once("-----END ").ok_or(CUT)?;
        rest = after.strip_prefix(label).and_then(|after| after.strip_prefix("-----")).ok_or(CUT)?;
        found.push(Block { label, body });
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn several_blocks_with_text_around_them_are_read_in_order() {
        let text = encode_certificates(&[&[0x30, 1, 2][..], &[0x30, 3]]).unwrap();
        let text = format!("subject: x\n{text}trailing\r\n").replace('\n', "\r\n");
        assert_eq!(decode_certificates(&text).unwrap(), [vec![0x30, 1, 2], vec![0x30, 3]]);
    }

    #[test]
    fn a_private_key_among_certificates_is_refused() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";
        let text = encode_certificates(&[[0x30, 0]]).unwrap() + key;
        let error = decode_certificates(&text).unwrap_err().to_string();
        assert!(error.contains("private key"), "{error}");
        assert!(decode_csr(key).is_err());
    }

    #[test]
    fn cut_and_empty_texts_are_refused() {
        let whole = encode_certificates(&[[0x30, 0]]).unwrap();
        for end in 0..whole.len() - 6 {
            assert!(decode_certificates(&whole[..end]).is_err(), "{end}");
        }
        assert!(decode_certificates("-----BEGIN A-----\n-----END B-----\n").is_err());
    }

    #[test]
    fn a_request_reads_back_and_stands_alone() {
        let text = encode_csr(&[0x30, 0]).unwrap();
        assert_eq!(decode_csr(&text).unwrap(), [0x30, 0]);
        assert!(decode_csr(&format!("{text}{text}")).is_err());
    }
}
