//! A message to a webhook: JSON, signed with HMAC-SHA256 over time and body.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fdo_service::outbound::Guard;
use fdo_service::webhook::Webhook;
use reqwest::Url;
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(10);

/// Posts a message; any 2xx is an arrival.
pub(super) async fn send(
    guard: &Guard,
    url: &str,
    secret: Option<Zeroizing<Vec<u8>>>,
    body: &str,
    now: u64,
) -> Result<(), String> {
    check(guard, url).await?;
    let webhook = Webhook { url: url.to_owned(), secret, patience: PATIENCE };
    let answer = webhook.post(guard, body.as_bytes().to_vec(), now).await.map_err(|error| error.to_string())?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(format!("the webhook answers {status}")),
    }
}

/// Subjects, serials and GUIDs go in the clear inside the own network only.
async fn check(guard: &Guard, url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    if parsed.scheme() == "https" {
        return Ok(());
    }
    let host = parsed.host_str().ok_or("the URL has no host")?;
    let port = parsed.port_or_known_default().ok_or("the URL has no port")?;
    let addresses = guard.resolve(host, port).await.map_err(|error| error.to_string())?;
    match addresses.iter().all(is_inside) {
        true => Ok(()),
        false => Err("beyond the own network a webhook needs https://".to_owned()),
    }
}

fn is_inside(address: &SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}
