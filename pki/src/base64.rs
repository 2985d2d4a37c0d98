//! Base64 as EST and `fdo.csr` carry it (RFC 8951, 3): one line out, any white space in.

use base64ct::{Base64, Encoding};

use crate::Error;

/// Base64 with padding, on one line.
#[must_use]
pub fn encode_base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Decodes base64 in which spaces, tabs and line ends may stand anywhere.
///
/// Refuses text that is longer than twice `limit` bytes before looking at it, and a result longer than `limit`.
pub fn decode_base64(text: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    const WHAT: &str = "base64";
    if text.len() > limit.saturating_mul(2).saturating_add(64) {
        return Err(Error::TooLarge { what: WHAT, limit });
    }
    let dense: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let dense = std::str::from_utf8(&dense).map_err(|_| Error::malformed(WHAT, "it is not text"))?;
    let bytes =
        Base64::decode_vec(dense).map_err(|_| Error::malformed(WHAT, "a character or the padding is wrong"))?;
    if bytes.len() > limit {
        return Err(Error::TooLarge { what: WHAT, limit });
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_ignored_and_none_is_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = encode_base64(&bytes);
        assert!(!text.contains(char::is_whitespace));
        let spread: String = text.chars().flat_map(|c| [c, '\r', '\n', ' ', '\t']).collect();
        assert_eq!(decode_base64(spread.as_bytes(), 1024).unwrap(), bytes);
    }

    #[test]
    fn wrong_characters_padding_and_size_are_refused() {
        for text in ["a", "ab=c", "****", "YQ", "YQ==="] {
            assert!(matches!(decode_base64(text.as_bytes(), 64), Err(Error::Malformed { .. })), "{text}");
        }
        assert!(matches!(decode_base64(&[b'A'; 400], 64), Err(Error::TooLarge { .. })));
        assert!(matches!(decode_base64(&[b'A'; 100], 64), Err(Error::TooLarge { .. })));
    }
}
