//! One process of go-fdo-server: its start on a port of its own with SQLite, its log, its management calls.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use fdo_tests::process::Process;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use super::credentials::text;
use super::files::until;

/// What go-fdo-server lets through is two management calls a second.
const AGAIN: Duration = Duration::from_millis(500);
const TIMES: usize = 60;

/// A service that runs.
pub struct Server {
    pub url: String,
    http: Client,
    log: PathBuf,
    /// What of the log was read, and how far that is.
    seen: Mutex<(String, u64)>,
    /// Two TO2 at once may end its owner: both write to a map that nothing guards.
    pub turn: Mutex<()>,
    _process: Process,
}

/// The program, and where its processes keep their files.
#[derive(Clone, Debug)]
pub struct Program {
    pub program: PathBuf,
    pub directory: PathBuf,
}

impl Program {
    /// `manufacturing`, `rendezvous` or `owner`, when it listens; it ends with this process.
    pub async fn start(
        &self,
        name: &str,
        service: &str,
        arguments: &[&str],
        config: &Value,
    ) -> anyhow::Result<Server> {
        let [log, database, settings] =
            ["log", "db", "toml"].map(|end| self.directory.join(format!("{name}.{end}")));
        // Nothing is lost that anybody needs after a crash.
        let dsn = format!("file:{}?_sync=0&_busy_timeout=20000", text(&database)?);
        // An empty one too: without it those of the machine would count.
        std::fs::write(&settings, toml::to_string(config)?)?;
        let mut all = vec!["--pdeathsig", "KILL", "--", text(&self.program)?, service, "127.0.0.1:0"];
        all.extend([
            "--log-level",
            "debug",
            "--db-type",
            "sqlite",
            "--db-dsn",
            &dsn,
            "--config",
            text(&settings)?,
        ]);
        all.extend(arguments);
        let mut process = Process::start(Path::new("setpriv"), &all, &[], &log);
        let what = format!("go-fdo-server's {name}");
        let listening = until(&what, || {
            let ended = process.0.try_wait().ok().flatten().is_some();
            std::future::ready(address(&log).map(Some).or(ended.then_some(None)))
        });
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        let Some(url) = listening.await.with_context(told)? else {
            let told = told();
            let lines: Vec<_> = told.lines().filter(|line| line.starts_with("Error: ")).collect();
            bail!("go-fdo-server's {service} does not start: {}", lines.join(" "));
        };
        let http = Client::builder().no_proxy().build()?;
        Ok(Server { url, http, log, seen: Mutex::default(), turn: Mutex::default(), _process: process })
    }
}

/// Where it listens, once it says so.
fn address(log: &Path) -> Option<String> {
    let told = std::fs::read_to_string(log).ok()?;
    let (_, rest) = told.split_once("INFO: Listening\n")?;
    let address = rest.lines().next()?.trim().strip_prefix("local: ")?;
    rest.contains('\n').then(|| format!("http://{address}"))
}

/// What a management call was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// The media type.
    pub kind: String,
    pub body: String,
}

/// Makes a management call, and again where it comes too soon.
pub async fn call(
    http: &Client,
    method: Method,
    url: &str,
    accept: Option<&str>,
    body: &str,
) -> anyhow::Result<Answer> {
    for _ in 0..TIMES {
        let mut request = http.request(method.clone(), url).body(body.to_owned());
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = request.send().await.with_context(|| url.to_owned())?;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_owned();
        return Ok(Answer { status: answer.status(), kind, body: answer.text().await? });
    }
    bail!("{url}: too many requests, for ever")
}

impl Server {
    /// A management call that must succeed.
    pub async fn send(&self, method: Method, path: &str, body: &str) -> anyhow::Result<String> {
        let answer = call(&self.http, method, &format!("{}{path}", self.url), None, body).await?;
        if !answer.status.is_success() {
            bail!("go-fdo-server: {path}: {}: {}", answer.status, answer.body.trim());
        }
        Ok(answer.body)
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.send(Method::GET, path, "").await
    }

    /// Waits until its log has said this.
    pub async fn says(&self, lines: &[&str]) -> anyhow::Result<()> {
        let text = lines.join("\n  ");
        until(&format!("go-fdo-server's log: {text}"), || async {
            let mut seen = self.seen.lock().await;
            if seen.0.contains(&text) {
                return Some(());
            }
            let mut file = std::fs::File::open(&self.log).ok()?;
            file.seek(SeekFrom::Start(seen.1)).ok()?;
            let mut more = Vec::new();
            seen.1 += file.read_to_end(&mut more).ok()? as u64;
            seen.0.push_str(&String::from_utf8_lossy(&more));
            let found = seen.0.contains(&text).then_some(());
            drop(seen);
            if found.is_none() {
                tokio::time::sleep(AGAIN).await;
            }
            found
        })
        .await
    }

    /// All that it has said.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }
}
