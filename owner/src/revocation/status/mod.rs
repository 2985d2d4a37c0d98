//! What anybody may fetch by plain HTTP: CRLs, OCSP answers and CA certificates, under the URLs that certificates name.

pub mod routes;

use crate::app::App;

/// The longest body that is read, in bytes: that of an OCSP request.
pub const MAX_BODY: usize = fdo_pki::ocsp::MAX_REQUEST;

/// Where the list of a shard is, byte for byte as its certificates name it.
pub fn shard_url(app: &App, authority: &str, shard: u8) -> String {
    format!("{}/crl/{authority}/{shard}.crl", app.settings.status.url())
}

/// How long a cache may keep what holds until `until`: never beyond that.
fn cache_seconds(app: &App, now: u64, until: u64) -> u64 {
    app.settings.status.cache_seconds.min(until.saturating_sub(now).saturating_sub(1))
}

/// Whether one of the tags of an `If-None-Match` is this one.
fn matches(header: &str, tag: &str) -> bool {
    header
        .split(',')
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.trim_start_matches("W/").trim_matches('"') == tag)
}

/// The bytes of a request that stands in a path: base64 with `+`, `/` and `=` escaped or not, behind any slashes that a
/// client put in front.
fn request_in_path(path: &str) -> Option<Vec<u8>> {
    if path.len() > 3 * MAX_BODY {
        return None;
    }
    let text = unescaped(path)?;
    fdo_pki::decode_base64(text.trim_start_matches('/').as_bytes(), MAX_BODY).ok()
}

fn unescaped(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut text = String::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            text.push(byte.is_ascii().then_some(char::from(byte))?);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        text.push(byte.is_ascii().then_some(char::from(byte))?);
    }
    Some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_a_path_is_read_however_it_is_escaped() {
        let der: Vec<u8> = [&[0x30][..], &[0xff; 5], &[0xfb, 0xef, 0xbe, 0]].concat();
        let plain = fdo_pki::encode_base64(&der);
        assert!(plain.contains('+') && plain.contains("//") && plain.contains('='), "{plain}");
        let escaped = plain.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        for path in [plain.clone(), escaped.clone(), format!("/{plain}"), format!("//{escaped}")] {
            assert_eq!(request_in_path(&path).unwrap(), der, "{path}");
        }
        assert_eq!(request_in_path(&escaped.replace("%2B", "%2b").replace("%2F", "%2f")).unwrap(), der);
        for wrong in ["%", "%2", "%zz", "MP*", "M\u{e9}", "%c3%a9"] {
            assert!(request_in_path(wrong).is_none(), "{wrong}");
        }
        assert!(request_in_path(&"A".repeat(4 * MAX_BODY)).is_none());
    }

    #[test]
    fn one_of_several_tags_matches() {
        for header in ["\"ab\"", "W/\"ab\"", "\"x\", \"ab\"", "*"] {
            assert!(matches(header, "ab"), "{header}");
        }
        assert!(!matches("\"abc\"", "ab") && !matches("", "ab"));
    }
}
