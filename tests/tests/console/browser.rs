//! A real browser: Chromium, headless, led over the WebDriver protocol (W3C WebDriver, section 7 onwards).

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fdo_tests::world::free_port;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An element is an object under this name.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take to show something: a hundred times what it takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    _profile: TempDir,
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Browser {
    /// None, with a message, where there is no Chromium; an error where `FDO_REQUIRE_BROWSER` wants one.
    pub async fn start() -> Option<Self> {
        let (Some(driver), Some(chromium)) = (program("chromedriver"), program("chromium")) else {
            assert!(std::env::var_os("FDO_REQUIRE_BROWSER").is_none(), "install chromium and chromium-driver");
            eprintln!("skipped: chromium and chromium-driver are not installed");
            return None;
        };
        let port = free_port();
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}"), http, _profile: profile };
        let user_data = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            &user_data,
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
        } } });
        // The driver listens when it does; each refusal is followed by a pause.
        for _ in 0..200 {
            let asked = browser.http.post(format!("{}/session", browser.session)).json(&capabilities).send().await;
            match asked {
                Ok(answer) => {
                    let answer: Value = answer.json().await.unwrap();
                    let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}"));
                    browser.session = format!("{}/session/{id}", browser.session);
                    return Some(browser);
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("chromedriver does not answer");
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.post(format!("{}/{path}", self.session)).json(body).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["value"].take()
    }

    pub async fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url })).await;
    }

    /// What a script in the page gives.
    pub async fn script(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// The first element that an XPath names, once there is one.
    pub async fn element(&self, xpath: &str) -> String {
        let wanted = json!({ "using": "xpath", "value": xpath });
        let tries = PATIENCE.as_millis() / 20;
        for _ in 0..tries {
            let found = self.command("element", &wanted).await;
            if let Some(id) = found[ELEMENT].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {xpath} in: {}", self.text().await);
    }

    pub async fn click(&self, xpath: &str) {
        let id = self.element(xpath).await;
        let answer = self.command(&format!("element/{id}/click"), &json!({})).await;
        assert!(answer.is_null(), "{xpath}: {answer}");
    }

    pub async fn enter(&self, xpath: &str, text: &str) {
        let id = self.element(xpath).await;
        self.command(&format!("element/{id}/value"), &json!({ "text": text })).await;
    }

    /// What a person reads.
    pub async fn text(&self) -> String {
        self.script("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a person can read this.
    pub async fn reads(&self, text: &str) {
        let tries = PATIENCE.as_millis() / 20;
        for _ in 0..tries {
            if self.text().await.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no \"{text}\" in: {}", self.text().await);
    }

    /// A picture of the page, in PNG.
    pub async fn picture(&self) -> Vec<u8> {
        use base64ct::Encoding as _;
        let answer = self.http.get(format!("{}/screenshot", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        base64ct::Base64::decode_vec(answer["value"].as_str().unwrap()).unwrap()
    }

    pub async fn close(self) {
        let _ = self.http.delete(&self.session).send().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver's browser is in its group, and would outlive it.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
