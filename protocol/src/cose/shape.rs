//! What is checked of a COSE object before `coset` reads it: its headers must be well formed, and free of
//! countersignatures, each of which may hold headers with the next one, without an end.

use crate::cbor::{Kind, Reader};
use crate::error::Error;

/// The labels under which one COSE object may lie in the headers of another (RFC 9052, RFC 9338).
const COUNTERSIGNATURES: [i64; 4] = [7, 9, 11, 12];

/// Checks a tagged object whose first two elements are its headers.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(bytes)?;
    reader.tag()?;
    check_headers(&mut reader)
}

/// Checks such an object where it has no tag.
pub(super) fn check_untagged(bytes: &[u8]) -> Result<(), Error> {
    check_headers(&mut Reader::new(bytes)?)
}

fn check_headers(reader: &mut Reader<'_>) -> Result<(), Error> {
    if reader.array_length()? < 2 {
        return Err(Error::Malformed("not a COSE object"));
    }
    let protected = reader.bytes()?;
    if !protected.is_empty() {
        check_map(&mut Reader::new(protected)?)?;
    }
    check_map(reader)
}

fn check_map(reader: &mut Reader<'_>) -> Result<(), Error> {
    for _ in 0..reader.map_length()? {
        if reader.kind() == Kind::Integer {
            if COUNTERSIGNATURES.contains(&reader.integer()?) {
                return Err(Error::Malformed("countersignatures are not part of FDO"));
            }
        } else {
            reader.raw()?;
        }
        reader.raw()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::Writer;
    use crate::cose::Sign1;
    use crate::crypto::{CipherSuite, SharedSecret};
    use zeroize::Zeroizing;

    /// Headers within countersignatures within headers, `depth` times.
    fn nested(depth: usize) -> Vec<u8> {
        (0..depth).fold(Vec::new(), |inner, _| {
            let mut writer = Writer::default();
            writer.map(1).integer(7).array(3).bytes(&inner).map(0).bytes(&[]);
            writer.into_bytes()
        })
    }

    fn object(tag: u64, protected: &[u8], unprotected: &[u8], rest: usize) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.tag(tag).array(2 + rest).bytes(protected).raw(unprotected);
        for _ in 0..rest {
            writer.bytes(&[1]);
        }
        writer.into_bytes()
    }

    /// A stack that a few hundred levels would overflow.
    fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(256 * 1024).spawn(test).unwrap().join().unwrap();
    }

    #[test]
    fn nested_countersignatures_are_refused_before_they_are_followed() {
        on_a_small_stack(|| {
            let deep = nested(5_000);
            let tunnel =
                SharedSecret::new(Zeroizing::new(vec![1; 32]), Zeroizing::default()).derive(CipherSuite::A128Gcm);
            for (protected, unprotected) in [(&deep[..], &[0xa0][..]), (&[][..], &nested(1)[..])] {
                let signed = Sign1::from_bytes(&object(18, protected, unprotected, 2));
                assert!(matches!(signed, Err(Error::Malformed(_))));
                let sealed = tunnel.open(&object(16, protected, unprotected, 1));
                assert!(matches!(sealed, Err(Error::Malformed(_))));
            }
        });
    }

    #[test]
    fn protected_bytes_that_are_no_map_are_refused() {
        for protected in [&[0x80][..], &[0xa1, 0x01], &[0xa2, 1, 1, 1, 1], &[0xbf, 0xff]] {
            assert!(check(&object(18, protected, &[0xa0], 2)).is_err());
        }
        assert!(check(&object(18, &[0xa1, 0x01, 0x26], &[0xa0], 2)).is_ok());
    }
}
