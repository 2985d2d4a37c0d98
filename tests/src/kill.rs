//! Services that a test kills, and devices whose conversations break where the test says.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fdo_device::{Agent, Channel, HttpTransport, Transport, TransportError};
use fdo_http::{BaseUrl, Conversation, Retry, ServerTrust, Settings};
use fdo_protocol::messages::{ErrorMessage, Outbound};
use serde::Serialize;

use crate::process::{Process, program};
use crate::world::World;

/// A service in a process of its own, on the data directory that it had within the test's process.
#[derive(Clone)]
pub struct Service {
    name: &'static str,
    /// Where all its listeners will be.
    addresses: Vec<String>,
    folder: PathBuf,
    process: Arc<Mutex<Option<Process>>>,
}

impl Service {
    /// Starts it with these settings.
    pub async fn start(world: &World, name: &'static str, config: &impl Serialize) -> Self {
        let folder = world.directory.path().to_owned();
        let settings = serde_json::to_value(config).unwrap();
        std::fs::write(folder.join(format!("{name}.json")), settings.to_string()).unwrap();
        let listeners = ["listen", "operators", "claims"].map(|listener| settings[listener]["address"].as_str());
        let addresses = listeners.into_iter().flatten().map(ToOwned::to_owned).collect();
        let service = Self { name, addresses, folder, process: Arc::default() };
        service.restart().await;
        service
    }

    /// SIGKILL.
    pub fn kill(&self) {
        let process = self.process.lock().unwrap().take();
        process.expect("the service runs").kill();
    }

    /// Starts it again as it was.
    pub async fn restart(&self) {
        let file = |ending: &str| self.folder.join(format!("{}{ending}", self.name));
        let (settings, data_dir, log) = (file(".json"), file(""), file(".log"));
        let arguments = [self.name, settings.to_str().unwrap(), data_dir.to_str().unwrap()];
        let process = Process::start(&program("service"), &arguments, &[], &log);
        *self.process.lock().unwrap() = Some(process);
        let deadline = Instant::now() + Duration::from_secs(60);
        for address in &self.addresses {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                let told = || std::fs::read_to_string(&log).unwrap_or_default();
                assert!(Instant::now() < deadline, "{} does not listen: {}", self.name, told());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// When the service is killed, counted in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before this request is sent.
    Before(u8),
    /// So long after this request was sent; its reply is lost if there was one.
    While(u8, Duration),
    /// When the service has answered this request, but nobody has read the answer.
    ReplyLost(u8),
    /// When the answer to this request has been read.
    After(u8),
}

impl Moment {
    fn request(self) -> u8 {
        match self {
            Self::Before(number) | Self::While(number, _) | Self::ReplyLost(number) | Self::After(number) => {
                number
            }
        }
    }
}

/// HTTP whose peer is killed at a moment, once.
#[derive(Clone)]
pub struct KillingTransport {
    inner: HttpTransport,
    service: Service,
    moment: Arc<Mutex<Option<Moment>>>,
}

/// The same device, whose peer is killed at this moment. Nothing is sent twice within a try.
pub fn with_kill(agent: &Agent<HttpTransport>, service: &Service, moment: Moment) -> Agent<KillingTransport> {
    let inner = HttpTransport::new(Settings { retry: Retry::NEVER, ..Settings::default() }).unwrap();
    let moment = Arc::new(Mutex::new(Some(moment)));
    Agent {
        transport: KillingTransport { inner, service: service.clone(), moment },
        store: agent.store.clone(),
        settings: agent.settings.clone(),
        clock: agent.clock.clone(),
        random: agent.random.clone(),
        progress: None,
    }
}

impl KillingTransport {
    /// Whether the moment has come.
    pub fn has_killed(&self) -> bool {
        self.moment.lock().unwrap().is_none()
    }
}

/// A run of it.
pub struct KillingChannel {
    inner: Conversation,
    transport: KillingTransport,
}

impl Transport for KillingTransport {
    type Channel = KillingChannel;

    fn open(&self, base: &BaseUrl, trust: &ServerTrust) -> Result<KillingChannel, TransportError> {
        Ok(KillingChannel { inner: self.inner.open(base, trust)?, transport: self.clone() })
    }
}

impl Channel for KillingChannel {
    async fn exchange(&mut self, request: &Outbound) -> Result<Vec<u8>, TransportError> {
        let number = request.message_type.number();
        let moment = self.transport.moment.lock().unwrap().take_if(|moment| moment.request() == number);
        let service = self.transport.service.clone();
        let lost = || TransportError::Unreachable("the service was killed".into());
        match moment {
            None => Channel::exchange(&mut self.inner, request).await,
            Some(Moment::Before(_)) => {
                service.kill();
                Err(lost())
            }
            Some(Moment::While(_, delay)) => {
                let killed = async {
                    tokio::time::sleep(delay).await;
                    service.kill();
                };
                let _ = tokio::join!(Channel::exchange(&mut self.inner, request), killed);
                Err(lost())
            }
            Some(Moment::ReplyLost(_)) => {
                Channel::exchange(&mut self.inner, request).await?;
                service.kill();
                Err(lost())
            }
            Some(Moment::After(_)) => {
                let reply = Channel::exchange(&mut self.inner, request).await?;
                service.kill();
                Ok(reply)
            }
        }
    }

    async fn send_error(&self, error: &ErrorMessage) {
        Channel::send_error(&self.inner, error).await;
    }
}
