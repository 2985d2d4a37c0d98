//! The EST listener: `/.well-known/est[/label]/` and an operation. Bodies are base64, errors a sentence in plain text.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use actix_web::web::{self, Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use fdo_pki::encode_base64;
use fdo_service::host::PeerCertificates;
use zeroize::Zeroizing;

use super::{Enrolled, Enrolment, Refusal, record, report};
use crate::app::App;

/// The largest request.
const LIMIT: usize = 64 * 1024;
/// A whole body must arrive within this time, however steadily its bytes trickle.
const PATIENCE: Duration = Duration::from_secs(30);
const COLUMNS: usize = 64;
const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";
const BOUNDARY: &str = "estServerKeyGenerated";

/// The listener's routes.
pub fn configure(cfg: &mut web::ServiceConfig, app: &Arc<App>) {
    app.health.configure(cfg);
    cfg.app_data(Data::from(app.clone()))
        .service(web::resource("/.well-known/firstlight/report").route(web::post().to(report)))
        .service(web::resource("/.well-known/est/{operation}").to(unlabelled))
        .service(web::resource("/.well-known/est/{label}/{operation}").to(labelled))
        .default_service(web::to(nothing));
}

async fn nothing() -> HttpResponse {
    plain(&Refusal::not_found(
        "There is nothing here; EST is at /.well-known/est/ and an operation, such as cacerts.",
    ))
}

async fn report(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    match take_report(&app, &request, payload).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refusal) => plain(&refusal),
    }
}

async fn take_report(app: &App, request: &HttpRequest, payload: Payload) -> Result<(), Refusal> {
    app.limits.check_source(source(request), app.clock.now()).map_err(limited)?;
    let body = match tokio::time::timeout(PATIENCE, payload.to_bytes_limited(report::LIMIT)).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return Err(Refusal::bad_request("The body broke off.")),
        Ok(Err(_)) => return Err(Refusal::new(413, "The body has more than 8 KiB.")),
        Err(_) => return Err(Refusal::new(408, "The body came too slowly.")),
    };
    report::take(app, request.conn_data::<PeerCertificates>(), &body).await
}

fn limited<E>(_: E) -> Refusal {
    Refusal::too_often("Too many requests from this address; ask again later.")
}

fn source(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

async fn unlabelled(app: Data<App>, request: HttpRequest, payload: Payload, path: Path<String>) -> HttpResponse {
    serve(&app, &request, payload, None, &path).await
}

async fn labelled(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
    path: Path<(String, String)>,
) -> HttpResponse {
    let (label, operation) = path.into_inner();
    serve(&app, &request, payload, Some(&label), &operation).await
}

async fn serve(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    label: Option<&str>,
    operation: &str,
) -> HttpResponse {
    let source = source(request);
    match answer(app, request, payload, label, operation, source).await {
        Ok(response) => response,
        Err(refusal) => {
            let action = match operation {
                "simplereenroll" => Enrolment::Renewal.action(),
                _ => Enrolment::Simple.action(),
            };
            // A wrong path or method is nobody's deed.
            if matches!(operation, "simpleenroll" | "simplereenroll" | "serverkeygen")
                && !refusal.is_fault()
                && !matches!(refusal.status, 404 | 405 | 501)
            {
                record::refused(app, source, action, &refusal).await;
            }
            plain(&refusal)
        }
    }
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    label: Option<&str>,
    operation: &str,
    source: IpAddr,
) -> Result<HttpResponse, Refusal> {
    app.limits.check_source(source, app.clock.now()).map_err(limited)?;
    let method = match operation {
        "cacerts" | "csrattrs" => "GET",
        "simpleenroll" | "simplereenroll" | "serverkeygen" | "fullcmc" => "POST",
        _ => return Err(Refusal::not_found("There is no such EST operation.")),
    };
    if let Some(label) = label.filter(|label| !super::has_profile(app, label)) {
        let label: String = label.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(Refusal::not_found(format!("There is no certificate profile `{label}` here.")));
    }
    if request.method().as_str() != method {
        return Err(Refusal::new(405, format!("Use {method} for {operation}.")));
    }
    let peer = request.conn_data::<PeerCertificates>();
    let form = Form::of(app, request);
    match operation {
        "cacerts" => Ok(form.base64(CERTS_ONLY, &super::ca_certificates(app)?)),
        "csrattrs" => Ok(form.base64("application/csrattrs", &super::csr_attributes(app, label)?)),
        "fullcmc" => Err(Refusal::new(501, "Full CMC is not spoken here; use simpleenroll.")),
        "serverkeygen" => {
            let body = body(request, payload).await?;
            let made = super::generate_key(app, peer, label, &body).await?;
            form.key_and_certificate(&made.pkcs8, &super::certs_only(&made.certificate)?)
        }
        _ => {
            let body = body(request, payload).await?;
            let enrolment = if operation == "simplereenroll" { Enrolment::Renewal } else { Enrolment::Simple };
            match super::enrol(app, peer, label, enrolment, &body).await? {
                Enrolled::Certificate(certificate) => {
                    Ok(form.base64(CERTS_ONLY, &super::certs_only(&certificate)?))
                }
                Enrolled::Pending(seconds) => Ok(HttpResponse::Accepted()
                    .insert_header((RETRY_AFTER, seconds.to_string()))
                    .content_type("text/plain; charset=utf-8")
                    .body("The request waits for an approval; send the same again later.\n")),
            }
        }
    }
}

/// EST-15: PKCS#10 and nothing else, within limits.
async fn body(request: &HttpRequest, payload: Payload) -> Result<Bytes, Refusal> {
    let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = named.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/pkcs10") {
        return Err(Refusal::new(415, "Send a certification request with Content-Type: application/pkcs10."));
    }
    match tokio::time::timeout(PATIENCE, payload.to_bytes_limited(LIMIT)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Refusal::bad_request("The body broke off.")),
        Ok(Err(_)) => {
            Err(Refusal::new(413, "The body has more than 64 KiB; a certification request is far shorter."))
        }
        Err(_) => Err(Refusal::new(408, "The body came too slowly.")),
    }
}

/// How base64 is written for a client.
struct Form {
    wrap: bool,
}

impl Form {
    /// strongSwan reads one line only, libest lines of 64 columns only (EST-7).
    fn of(app: &App, request: &HttpRequest) -> Self {
        let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_libest = agent.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("libest"));
        Self { wrap: app.settings.est.wrap || is_libest }
    }

    fn text(&self, der: &[u8]) -> Zeroizing<String> {
        let line = Zeroizing::new(encode_base64(der));
        if self.wrap { lines(&line) } else { line }
    }

    fn base64(&self, content_type: &str, der: &[u8]) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, content_type))
            .insert_header((HeaderName::from_static("content-transfer-encoding"), "base64"))
            .body(self.text(der).as_str().to_owned())
    }

    /// EST-25: the key, then its certificate.
    fn key_and_certificate(&self, pkcs8: &[u8], certificate: &[u8]) -> Result<HttpResponse, Refusal> {
        let part = |content_type: &str, der: &[u8]| {
            let text = self.text(der);
            let end = if text.ends_with('\n') { "" } else { "\r\n" };
            Zeroizing::new(format!(
                "--{BOUNDARY}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}{end}",
                text.as_str()
            ))
        };
        let (key, certificate) = (part("application/pkcs8", pkcs8), part(CERTS_ONLY, certificate));
        let body = format!("{}{}--{BOUNDARY}--\r\n", key.as_str(), certificate.as_str());
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, format!("multipart/mixed; boundary={BOUNDARY}")))
            .insert_header(("Cache-Control", "no-store"))
            .body(body))
    }
}

fn lines(line: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(line.len() + line.len() / COLUMNS + 1));
    for (index, character) in line.chars().enumerate() {
        if index > 0 && index % COLUMNS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push('\n');
    text
}

fn plain(refusal: &Refusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponseBuilder::new(status);
    if let Some(seconds) = refusal.retry_after {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    match refusal.status {
        401 => {
            response.insert_header((WWW_AUTHENTICATE, "ClientCertificate realm=\"est\""));
        }
        405 => {
            let method = if refusal.sentence.contains("GET") { "GET" } else { "POST" };
            response.insert_header((ALLOW, method));
        }
        // What was not read of the body is not worth reading.
        413 | 408 => {
            response.force_close();
        }
        _ => {}
    }
    response.content_type("text/plain; charset=utf-8").body(format!("{}\n", refusal.sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_64_columns_and_an_end() {
        assert_eq!(lines("abc").as_str(), "abc\n");
        let long = "x".repeat(130);
        let text = lines(&long);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [64, 64, 2]);
        assert_eq!(lines(&"x".repeat(128)).lines().count(), 2);
    }
}
