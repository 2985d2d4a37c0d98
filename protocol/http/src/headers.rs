//! The headers of an answer: what it is, and the session token that the next message carries (FDO 1.1, HTTP transport).

use fdo_protocol::Error;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

pub(crate) const MESSAGE_TYPE: HeaderName = HeaderName::from_static("message-type");
pub(crate) const CBOR: HeaderValue = HeaderValue::from_static("application/cbor");

/// The type that the answer says it is; `None` without a readable `Message-Type`.
pub(crate) fn message_type(headers: &HeaderMap) -> Option<u8> {
    headers.get(MESSAGE_TYPE)?.to_str().ok()?.trim().parse().ok()
}

/// The newest session token, whatever its form: some peers leave `Bearer ` out.
pub(crate) fn token(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut token = headers.get(AUTHORIZATION).filter(|value| !value.is_empty())?.clone();
    token.set_sensitive(true);
    Some(token)
}

/// An absent type is tolerated, another one is not.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next());
    match essence {
        Some(essence) if essence.trim().eq_ignore_ascii_case("application/cbor") => Ok(()),
        _ => Err(Error::Malformed("the answer is not application/cbor")),
    }
}
