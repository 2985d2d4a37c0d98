//! The vouchers in one stream of bytes, one after the other.

use std::io::{self, BufRead, Read};

use base64ct::{Base64, Encoding};

/// The largest voucher that is read; far beyond 255 entries.
const MAX_VOUCHER: usize = 1024 * 1024;
/// The same in base64 with its line ends.
const MAX_BLOCK: usize = MAX_VOUCHER * 2;
const BEGIN: &str = "-----BEGIN OWNERSHIP VOUCHER-----";
const END: &str = "-----END OWNERSHIP VOUCHER-----";

/// Something that a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// In CBOR, not looked at yet.
    Voucher(Vec<u8>),
    /// Meant to be a voucher, and none.
    Malformed(&'static str),
    /// It was passed over.
    PrivateKey,
}

/// Gives the pieces of a file to `take`, which ends the reading by false. What is neither PEM nor CBOR has no pieces.
pub(super) fn pieces(file: &mut impl BufRead, take: &mut dyn FnMut(Piece) -> bool) -> io::Result<()> {
    if file.fill_buf()?.first() == Some(&0x85) {
        let mut cbor = Vec::new();
        file.take(MAX_VOUCHER as u64 + 1).read_to_end(&mut cbor)?;
        let too_long = cbor.len() > MAX_VOUCHER;
        take(if too_long { Piece::Malformed("it is longer than 1 MiB") } else { Piece::Voucher(cbor) });
        return Ok(());
    }
    let (mut line, mut block) = (Vec::new(), None::<String>);
    loop {
        line.clear();
        let length = file.take(MAX_BLOCK as u64).read_until(b'\n', &mut line)?;
        if length == 0 {
            if block.is_some() {
                take(Piece::Malformed("a PEM block without its end"));
            }
            return Ok(());
        }
        // What is no text is no PEM either.
        let Ok(text) = std::str::from_utf8(&line) else { return Ok(()) };
        let goes_on = match block.take() {
            None => match text.find(BEGIN) {
                Some(start) => {
                    block = Some(text[start + BEGIN.len()..].to_owned());
                    true
                }
                None if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") => {
                    take(Piece::PrivateKey)
                }
                None => true,
            },
            Some(begun) => match text.find(END) {
                Some(end) => take(decoded(&(begun + &text[..end]))),
                None if begun.len() + text.len() > MAX_BLOCK => {
                    take(Piece::Malformed("a PEM block of more than 2 MiB"));
                    false
                }
                None => {
                    block = Some(begun + text);
                    true
                }
            },
        };
        if !goes_on {
            return Ok(());
        }
    }
}

fn decoded(block: &str) -> Piece {
    let base64: String = block.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Base64::decode_vec(&base64).map_or(Piece::Malformed("a PEM block that is not base64"), Piece::Voucher)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(file: &[u8]) -> Vec<Piece> {
        let mut found = Vec::new();
        let take = &mut |piece| {
            found.push(piece);
            true
        };
        // A small buffer, so that lines lie across its ends.
        pieces(&mut io::BufReader::with_capacity(7, file), take).unwrap();
        found
    }

    #[test]
    fn every_form_in_the_field_is_read_and_keys_are_passed_over() {
        let voucher = || Piece::Voucher(b"\x85voucher".to_vec());
        assert_eq!(of(b"\x85voucher"), [voucher()]);
        let body = Base64::encode_string(b"\x85voucher");
        let lf = format!("{BEGIN}\n{}\n{}\n{END}\n", &body[..4], &body[4..]);
        let crlf = lf.replace('\n', "\r\n");
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let all = format!("\u{feff}Subject: a device\n{lf}\n{crlf}{key}{}", lf.trim_end());
        assert_eq!(of(all.as_bytes()), [voucher(), voucher(), Piece::PrivateKey, voucher()]);
        assert!(of(b"").is_empty() && of(b"a README\n").is_empty() && of(&[0xff; 100]).is_empty());
    }

    #[test]
    fn what_is_broken_is_told_and_does_not_hide_the_rest() {
        let good = format!("{BEGIN}\n{}\n{END}\n", Base64::encode_string(b"x"));
        let file = format!("{BEGIN}\n???\n{END}\n{good}{BEGIN}\nAAAA\n");
        let [bad, one, cut] = of(file.as_bytes()).try_into().unwrap();
        assert!(matches!((&bad, &cut), (Piece::Malformed(_), Piece::Malformed(_))));
        assert_eq!(one, Piece::Voucher(b"x".to_vec()));
        let endless = format!("{BEGIN}\n{}", "A".repeat(3 * 1024 * 1024));
        assert_eq!(of(endless.as_bytes()), [Piece::Malformed("a PEM block of more than 2 MiB")]);
        let mut long = vec![0x85];
        long.resize(MAX_VOUCHER + 1, 0);
        assert_eq!(of(&long), [Piece::Malformed("it is longer than 1 MiB")]);
    }
}
