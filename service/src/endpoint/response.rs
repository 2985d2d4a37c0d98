//! Builds the HTTP response of a message, with header names written as the strictest client compares them.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::{ERROR, Outgoing};

const MESSAGE_TYPE: HeaderName = HeaderName::from_static("message-type");
const CBOR: HeaderValue = HeaderValue::from_static("application/cbor");

/// 200 with the reply; 500 where the reply is message 255.
pub(super) fn of(outgoing: Outgoing) -> HttpResponse {
    let status = if outgoing.message_type == ERROR { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    let mut response = HttpResponseBuilder::new(status).body(outgoing.body);
    let head = response.head_mut();
    head.set_camel_case_headers(true);
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, CBOR);
    headers.insert(MESSAGE_TYPE, HeaderValue::from(u16::from(outgoing.message_type)));
    if let Some(token) = outgoing.token
        && let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        headers.insert(AUTHORIZATION, value);
    }
    response
}

/// The answer to a received message 255.
pub(super) fn empty() -> HttpResponse {
    let mut response = HttpResponse::Ok().finish();
    response.head_mut().set_camel_case_headers(true);
    response
}

/// Ends the connection behind a response whose request was not read to its end.
pub(super) fn closing(mut response: HttpResponse, close: bool) -> HttpResponse {
    if close {
        response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    response
}
