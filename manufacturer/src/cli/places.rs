//! Parts of URLs: what people type becomes one segment of a path, or one value of a query.

use std::fmt::Write as _;

/// Percent-encodes all but unreserved characters (RFC 3986).
pub fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_characters_are_escaped() {
        assert_eq!(segment("FL-1"), "FL-1");
        assert_eq!(segment("a/b c?\u{e9}"), "a%2Fb%20c%3F%C3%A9");
    }
}
