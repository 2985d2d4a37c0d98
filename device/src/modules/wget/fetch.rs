//! One GET with its redirects: to addresses that may be called, of a bounded size, in a bounded time.

use std::time::Duration;

use fdo_http::{ServerTrust, client_config};
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use sha2::{Digest as _, Sha384};

use super::WgetSettings;
use crate::modules::files::FilesDirectory;

/// More redirects than this are not followed.
const MAX_REDIRECTS: usize = 5;
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

/// A file that is in its place.
pub struct Fetched {
    pub name: String,
    pub length: u64,
}

/// Fetches a file and puts it into its place.
pub async fn fetch(
    settings: WgetSettings,
    directory: FilesDirectory,
    url: String,
    name: Option<String>,
    sha384: Option<[u8; 48]>,
) -> Result<Fetched, String> {
    let limit = settings.time_limit;
    let whole = async {
        let url = parse(&url)?;
        if url.scheme() == "http" && sha384.is_none() && !settings.unverified {
            return Err("http without a SHA-384 is nobody's word; use https or give the hash".to_owned());
        }
        let name = name.or_else(|| last_part(&url)).ok_or("the URL names no file")?;
        // A name that cannot be used is told before anything is fetched.
        let mut file = directory.create(&name, "wget")?;
        let mut response = follow(&settings, url).await?;
        let too_long = || format!("it is larger than {} bytes", settings.limit);
        if response.content_length().is_some_and(|length| length > settings.limit) {
            return Err(too_long());
        }
        let mut hash = Sha384::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| text(&error))? {
            if file.length().saturating_add(chunk.len() as u64) > settings.limit {
                return Err(too_long());
            }
            hash.update(&chunk);
            file.write(&chunk)?;
        }
        if sha384.is_some_and(|expected| expected != hash.finalize().as_slice()) {
            return Err("its SHA-384 is not the announced one".to_owned());
        }
        let length = file.publish()?;
        Ok(Fetched { name, length })
    };
    let late = |_| Err(format!("it took more than {} seconds", limit.as_secs()));
    tokio::time::timeout(limit, whole).await.unwrap_or_else(late)
}

/// The answer at the end of the redirects, which stay within their scheme. Each address is checked, and the one that
/// was checked is the one that is called.
async fn follow(settings: &WgetSettings, mut url: Url) -> Result<Response, String> {
    for _ in 0..=MAX_REDIRECTS {
        let response = get(settings, &url).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Err(format!("the server answered {status}"));
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let next = location.and_then(|location| url.join(location).ok()).ok_or("a redirect to nowhere")?;
        let next = parse(next.as_str())?;
        if next.scheme() != url.scheme() {
            return Err("a redirect to another scheme".to_owned());
        }
        url = next;
    }
    Err(format!("more than {MAX_REDIRECTS} redirects"))
}

async fn get(settings: &WgetSettings, url: &Url) -> Result<Response, String> {
    let host = url.host_str().ok_or("the URL has no host")?;
    let port = url.port_or_known_default().ok_or("the URL has no port")?;
    let addresses = settings.guard.resolve(host, port).await.map_err(|error| error.to_string())?;
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .resolve_to_addrs(host, &addresses)
        .user_agent(concat!("firstlight-device/", env!("CARGO_PKG_VERSION")));
    let trust = match (&settings.authority, url.scheme()) {
        (Some(authority), "https") => Some(ServerTrust::Authority(authority.clone())),
        (None, "https") => None,
        // No TLS: a device without any CA certificates fetches all the same.
        _ => Some(ServerTrust::Any),
    };
    if let Some(trust) = trust {
        builder = builder.tls_backend_preconfigured(client_config(&trust).map_err(|error| error.to_string())?);
    }
    let client = builder.build().map_err(|error| text(&error))?;
    client.get(url.clone()).send().await.map_err(|error| text(&error))
}

/// A URL for logs and for people: a password, a signature or a token in it is left out.
pub(super) fn without_secrets(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "what is not a URL".to_owned() };
    let stripped = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    if stripped.is_err() { url.scheme().to_owned() } else { url.into() }
}

fn parse(url: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https are fetched".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a password in it".to_owned());
    }
    Ok(url)
}

/// The last part of the path, as it is written.
fn last_part(url: &Url) -> Option<String> {
    url.path_segments()?.next_back().filter(|part| !part.is_empty()).map(str::to_owned)
}

/// An error with its causes and without the URL, which the owner knows.
fn text(error: &reqwest::Error) -> String {
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut last = None;
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(
        || if error.is_timeout() { "no answer in time".to_owned() } else { "no answer".to_owned() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        let shown = without_secrets("https://me:hidden@files.example/a/b.bin?token=hidden#hidden");
        assert_eq!(shown, "https://files.example/a/b.bin");
        for odd in ["hidden", "mailto:hidden@example.com?hidden", "data:,hidden"] {
            assert!(!without_secrets(odd).contains("hidden"), "{odd}");
        }
    }
}
