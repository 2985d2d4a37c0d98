//! Voucher files: PEM blocks as every peer writes them (any line length and ending), or raw CBOR.

use base64ct::{Base64, Encoding};

use crate::error::{Error, VoucherFault};

const BEGIN: &str = "-----BEGIN OWNERSHIP VOUCHER-----";
const END: &str = "-----END OWNERSHIP VOUCHER-----";

/// The CBOR of each voucher in a file; blocks with other labels, such as a private key, are passed over.
pub(super) fn blocks(file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    if file.first() == Some(&0x85) {
        return Ok(vec![file.to_vec()]);
    }
    let malformed = |why| Error::Voucher(VoucherFault::Malformed(why));
    let text = std::str::from_utf8(file).map_err(|_| malformed("neither PEM nor CBOR"))?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let body = &rest[start + BEGIN.len()..];
        let end = body.find(END).ok_or(malformed("a PEM block without its end"))?;
        let base64: String = body[..end].chars().filter(|c| !c.is_ascii_whitespace()).collect();
        found.push(Base64::decode_vec(&base64).map_err(|_| malformed("a PEM block that is not base64"))?);
        rest = &body[end + END.len()..];
    }
    if found.is_empty() { Err(malformed("no OWNERSHIP VOUCHER block in the file")) } else { Ok(found) }
}

/// One block, 64 columns, LF.
pub(super) fn encode(voucher: &[u8]) -> String {
    let base64 = Base64::encode_string(voucher);
    let mut pem = format!("{BEGIN}\n");
    for (index, c) in base64.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push('\n');
    pem.push_str(END);
    pem.push('\n');
    pem
}
