//! Serial numbers as people write them and as they are compared, and ranges of them.

use std::fmt;

/// Serials of one range.
const MAX_RANGE: usize = 100_000;

/// A serial number: printed as it was entered, compared in capitals without spaces and hyphens.
#[derive(Clone, Debug)]
pub struct Serial {
    text: String,
    canon: String,
}

/// Why a text is no serial number, or no range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    #[error("a serial number has 1 to 255 printable characters")]
    Length,
    #[error(
        "a serial number holds only letters, digits, spaces and the characters - . _ / : +, 1 to 64 of them without spaces and hyphens"
    )]
    Characters,
    #[error(
        "a range is written PREFIX-0001..PREFIX-0100: the same prefix, digits of the same length, the smaller first"
    )]
    Range,
    #[error("a range has at most {MAX_RANGE} serial numbers; split it")]
    RangeTooLong,
}

impl Serial {
    pub fn parse(text: &str) -> Result<Self, SerialError> {
        let text = text.trim();
        if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            return Err(SerialError::Length);
        }
        let mut canon = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                ' ' | '-' => {}
                c if c.is_ascii_alphanumeric() || "._/:+".contains(c) => canon.push(c.to_ascii_uppercase()),
                _ => return Err(SerialError::Characters),
            }
        }
        // X.520 has room for 64 characters, and the whole text goes into the IDevID's subject.
        if canon.is_empty() || text.len() > 64 {
            return Err(SerialError::Characters);
        }
        Ok(Self { text: text.to_owned(), canon })
    }

    /// The form by which serials are compared and found.
    pub fn canon(&self) -> &str {
        &self.canon
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Spells out `PREFIX-0001..PREFIX-0100`.
    pub fn range(text: &str) -> Result<Vec<Self>, SerialError> {
        let (first, last) = text.split_once("..").ok_or(SerialError::Range)?;
        let (first, last) = (first.trim(), last.trim());
        let (prefix, low) = split_number(first);
        let (other, high) = split_number(last);
        if prefix != other || low.len() != high.len() {
            return Err(SerialError::Range);
        }
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| SerialError::Range);
        let (from, to, width) = (number(low)?, number(high)?, low.len());
        if from > to {
            return Err(SerialError::Range);
        }
        if to - from >= MAX_RANGE as u64 {
            return Err(SerialError::RangeTooLong);
        }
        (from..=to).map(|n| Self::parse(&format!("{prefix}{n:0width$}"))).collect()
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    text.split_at(end)
}

impl PartialEq for Serial {
    fn eq(&self, other: &Self) -> bool {
        self.canon == other.canon
    }
}

impl Eq for Serial {}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn serials_compare_without_case_spaces_and_hyphens() {
        let serial = Serial::parse(" fl-00 01 ").unwrap();
        assert_eq!((serial.as_str(), serial.canon()), ("fl-00 01", "FL0001"));
        assert_eq!(serial, Serial::parse("FL0001").unwrap());
        assert_ne!(serial, Serial::parse("FL0002").unwrap());
        for wrong in ["", "  ", "- -", "a\nb", "a;b", "caf\u{e9}", &"x".repeat(65), &"x".repeat(256)] {
            assert!(Serial::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ranges_keep_their_width() {
        let range = Serial::range("FL-008..FL-011").unwrap();
        let texts: Vec<_> = range.iter().map(Serial::as_str).collect();
        assert_eq!(texts, ["FL-008", "FL-009", "FL-010", "FL-011"]);
        for wrong in ["FL-1", "FL-2..FL-1", "FL-1..XX-2", "FL-9..FL-10", "FL-..FL-", "FL-000001..FL-100001"] {
            assert!(Serial::range(wrong).is_err(), "{wrong}");
        }
    }
}
