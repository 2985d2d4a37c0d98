//! A client of the operator API: bearer token, JSON, and errors that say what to do next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::progress;
use crate::operators::TOKEN_FILE;
use crate::paging::Page;
use crate::problem::Problem;
use crate::secret_file::{self, SecretFileError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Long, because a claim of many serials or an upload of many vouchers takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);
/// A file of any size over any line.
const ANY_SIZE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// How much of a file is read at a time.
const PART: usize = 64 * 1024;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("cannot reach {url}: {source}; is the service running, and is --api (or FDO_API) right?")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("{} [{}, request {}]", .0.detail(), .0.code(), .0.request_id())]
    Refused(Problem),
    #[error("the service answered {status} without an explanation; is --api an operator listener?")]
    Status { status: u16 },
    #[error("the service's answer is not what was expected: {0}; are both of the same version?")]
    Answer(String),
    #[error("no operator token: set FDO_TOKEN, or run this where {0} can be read")]
    NoToken(PathBuf),
    #[error("the operator token does not fit a header; check FDO_TOKEN")]
    BadToken,
    #[error("--api {0} is not a http:// or https:// URL")]
    BadUrl(String),
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error("cannot write the file: {0}")]
    Write(std::io::Error),
    #[error("cannot write to standard output: {0}")]
    Stdout(std::io::Error),
}

/// The operator token: as given (`--token`, `FDO_TOKEN`), else from the data directory.
pub fn token(data_dir: &Path, given: Option<&str>) -> Result<Zeroizing<String>, CliError> {
    if let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) {
        return Ok(Zeroizing::new(given.to_owned()));
    }
    let path = data_dir.join(TOKEN_FILE);
    let bytes = secret_file::find(&path)?.ok_or_else(|| CliError::NoToken(path))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| CliError::BadToken)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Speaks to one service's operator API.
pub struct ApiClient {
    base: String,
    token: Option<Zeroizing<String>>,
    client: Client,
}

impl ApiClient {
    /// `base` is like `http://127.0.0.1:8044`.
    pub fn new(base: &str, token: Option<&str>) -> Result<Self, CliError> {
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(CliError::BadUrl(base.to_owned()));
        }
        // reqwest and rustls need one process-wide provider; a second installation is refused, which is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| CliError::Unreachable { url: base.to_owned(), source })?;
        let token = token.map(|token| Zeroizing::new(token.to_owned()));
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token, client })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        json(self.send(Method::GET, path, |request| request).await?).await
    }

    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        json(self.send(Method::POST, path, |request| request.json(body)).await?).await
    }

    pub async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        json(self.send(Method::PUT, path, |request| request.json(body)).await?).await
    }

    pub async fn patch<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        json(self.send(Method::PATCH, path, |request| request.json(body)).await?).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.send(Method::DELETE, path, |request| request).await.map(|_| ())
    }

    /// An upload of any size, streamed, with a progress bar where somebody looks.
    pub async fn put_file<T: DeserializeOwned>(
        &self,
        path: &str,
        file: tokio::fs::File,
        length: u64,
    ) -> Result<T, CliError> {
        let bar = progress::bytes(length, "sending");
        let shown = bar.clone();
        let parts = futures_util::stream::try_unfold(file, |mut file| async {
            let mut part = vec![0; PART];
            let read = file.read(&mut part).await?;
            part.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then_some((part, file)))
        });
        let parts = parts.inspect_ok(move |part| shown.inc(part.len() as u64));
        let body = reqwest::Body::wrap_stream(parts);
        let sized = |request: RequestBuilder| {
            request
                .header("content-type", "application/octet-stream")
                .header("content-length", length)
                .timeout(ANY_SIZE_TIMEOUT)
                .body(body)
        };
        let response = self.send(Method::PUT, path, sized).await;
        bar.finish_and_clear();
        json(response?).await
    }

    /// A download of any size, written as it comes; gives its length.
    pub async fn get_file(&self, path: &str, into: &mut tokio::fs::File) -> Result<u64, CliError> {
        let mut response = self.send(Method::GET, path, |request| request.timeout(ANY_SIZE_TIMEOUT)).await?;
        let bar = progress::bytes(response.content_length().unwrap_or_default(), "receiving");
        let mut length = 0;
        while let Some(part) = response.chunk().await.map_err(|error| CliError::Answer(error.to_string()))? {
            into.write_all(&part).await.map_err(CliError::Write)?;
            length += part.len() as u64;
            bar.inc(part.len() as u64);
        }
        into.flush().await.map_err(CliError::Write)?;
        bar.finish_and_clear();
        Ok(length)
    }

    /// A list of any length, written as it comes, with a bar over its rows, whose number a header tells; gives its bytes.
    pub async fn get_rows(
        &self,
        path: &str,
        rows_header: &str,
        into: &mut tokio::fs::File,
    ) -> Result<u64, CliError> {
        let mut response = self.send(Method::GET, path, |request| request.timeout(ANY_SIZE_TIMEOUT)).await?;
        let rows = response.headers().get(rows_header).and_then(|value| value.to_str().ok()?.parse().ok());
        let bar = progress::bar(rows.unwrap_or_default(), "receiving");
        let mut length = 0;
        while let Some(part) = response.chunk().await.map_err(|error| CliError::Answer(error.to_string()))? {
            into.write_all(&part).await.map_err(CliError::Write)?;
            length += part.len() as u64;
            bar.inc(part.iter().filter(|byte| **byte == b'\n').count() as u64);
        }
        into.flush().await.map_err(CliError::Write)?;
        bar.finish_and_clear();
        Ok(length)
    }

    /// A download.
    pub async fn get_bytes(&self, path: &str, accept: &str) -> Result<Vec<u8>, CliError> {
        let response = self.send(Method::GET, path, |request| request.header("accept", accept)).await?;
        response.bytes().await.map(|bytes| bytes.to_vec()).map_err(|error| CliError::Answer(error.to_string()))
    }

    /// An upload.
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<T, CliError> {
        json(
            self.send(Method::POST, path, |request| request.header("content-type", content_type).body(body))
                .await?,
        )
        .await
    }

    /// All items of a paged list.
    pub async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CliError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page: Page<T> = self.page(path, cursor.as_deref()).await?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    /// One page of a list: the first, or the one that an earlier page's `next` leads to.
    pub async fn page<T: DeserializeOwned>(&self, path: &str, cursor: Option<&str>) -> Result<Page<T>, CliError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        self.get(&format!("{path}{separator}limit=1000{after}")).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, CliError> {
        let url = format!("{}/{}", self.base, path.trim_start_matches('/'));
        let mut request = with(self.client.request(method, &url));
        if let Some(token) = &self.token {
            let mut value = reqwest::header::HeaderValue::from_str(&format!("Bearer {}", token.as_str()))
                .map_err(|_| CliError::BadToken)?;
            value.set_sensitive(true);
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        let unreachable = |source: reqwest::Error| CliError::Unreachable { url, source: source.without_url() };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        match response.json::<Problem>().await {
            Ok(problem) => Err(CliError::Refused(problem)),
            Err(_) => Err(CliError::Status { status }),
        }
    }
}

/// The body as JSON; an empty one reads as null, so that `()` fits a 204.
async fn json<T: DeserializeOwned>(response: Response) -> Result<T, CliError> {
    let bytes = response.bytes().await.map_err(|error| CliError::Answer(error.to_string()))?;
    let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| CliError::Answer(error.to_string()))
}
