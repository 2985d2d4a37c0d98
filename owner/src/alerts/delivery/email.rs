//! A message as a mail, over SMTP.

use std::time::Duration;

use fdo_service::outbound::Guard;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Event, Message};
use crate::alerts::targets::{Address, Encryption, server_address};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Hands a mail to the server; it has arrived when the server takes it.
pub(super) async fn send(
    guard: &Guard,
    address: &Address,
    password: Option<&[u8]>,
    message: &Message,
) -> Result<(), String> {
    let Address::Email { server, encryption, username, from, to } = address else {
        return Err("this target is no mail box".to_owned());
    };
    let (host, port) = server_address(server).map_err(|error| error.to_string())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = guard.resolve(host, port).await.map_err(|error| error.to_string())?;
    // By the address that was checked; TLS is for the name all the same.
    let checked = addresses.first().ok_or("the mail server has no address")?;
    let tls = || TlsParameters::new(bare.to_owned()).map_err(|error| error.to_string());
    let tls = match encryption {
        Encryption::Starttls => Tls::Required(tls()?),
        Encryption::Tls => Tls::Wrapper(tls()?),
        Encryption::None => Tls::None,
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(checked.ip().to_string())
        .port(port)
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if let (Some(user), Some(password)) = (username, password) {
        let password = String::from_utf8_lossy(password).into_owned();
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    let mail = mail(from, to, message)?;
    transport.build().send(mail).await.map(|_| ()).map_err(|error| format!("the mail server: {error}"))
}

fn mail(from: &str, to: &[String], message: &Message) -> Result<Mail, String> {
    let alert = &message.alert;
    let severity = if message.event == Event::Closed { "over" } else { alert.severity.name() };
    let mut builder = Mail::builder()
        .from(from.parse().map_err(|error| format!("from: {error}"))?)
        // The same each time that it is sent, so that mail boxes can drop the second.
        .message_id(Some(format!("<{}@firstlight>", message.id)))
        .date(std::time::UNIX_EPOCH + Duration::from_secs(message.created))
        .subject(format!("[Firstlight {severity}] {}", line(&alert.title)));
    for recipient in to {
        builder = builder.to(recipient.parse().map_err(|error| format!("to: {error}"))?);
    }
    builder.header(ContentType::TEXT_PLAIN).body(text(message)).map_err(|error| error.to_string())
}

fn text(message: &Message) -> String {
    let alert = &message.alert;
    let said = match message.event {
        Event::Opened => "This needs attention:",
        Event::Reminder => "This still needs attention:",
        Event::Closed => "This is over:",
        Event::Test => "Nothing needs attention:",
    };
    let mut text = format!("{said}\r\n\r\n{}\r\n\r\n", line(&alert.title));
    for (name, value) in [
        ("kind", alert.kind.to_string()),
        ("severity", alert.severity.to_string()),
        ("device", alert.device_serial.clone().unwrap_or_default()),
        ("subject", alert.subject.clone()),
        ("opened", at(alert.opened)),
        ("closed", alert.closed.map(at).unwrap_or_default()),
        ("alert", alert.id.clone()),
        ("message", message.id.clone()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{name}: {}\r\n", line(&value)));
        }
    }
    let first = alert.detail.get("first").and_then(|first| first.as_array());
    for one in first.into_iter().flatten() {
        let title = one.get("title").and_then(|title| title.as_str()).unwrap_or_default();
        text.push_str(&format!("- {}\r\n", line(title)));
    }
    text
}

/// Names come from devices: they stay on their line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn at(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}
