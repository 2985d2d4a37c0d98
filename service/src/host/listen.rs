//! Runs listeners until told to stop: a device listener speaks FDO, an operator listener serves people and scripts.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use rustls::ServerConfig;
use tokio::task::JoinHandle;

use super::{client_certificates, shutdown};
use crate::compat::{as_the_named_operator, refusal};
use crate::operators::require::known_operators_only;
use crate::problem;

/// A client has this long to send a request's head; the endpoint limits the body's time itself.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const GRACE_SECONDS: u64 = 10;

type Configure = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// One address that a service listens on.
pub struct Listener {
    name: &'static str,
    address: String,
    kind: Kind,
    tls: Option<ServerConfig>,
    workers: Option<usize>,
    configure: Configure,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Device,
    Operator,
    Compat,
    Enrolment,
}

impl Listener {
    /// For devices and other services.
    pub fn device(
        name: &'static str,
        address: &str,
        configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, address, Kind::Device, configure)
    }

    /// For operators: errors are problem+json, and an address that is not loopback needs TLS.
    pub fn operator(
        name: &'static str,
        address: &str,
        configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, address, Kind::Operator, configure).workers(1)
    }

    /// For scripts without a token: on loopback only, and every request acts as one named operator.
    pub fn compat(
        name: &'static str,
        address: &str,
        configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, address, Kind::Compat, configure).workers(1)
    }

    /// For EST clients, by TLS that asks for client certificates ([`client_certificates::server_config`]); routes find
    /// [`PeerCertificates`](super::PeerCertificates) with the connection. Names of headers are written in title case.
    pub fn enrolment(
        name: &'static str,
        address: &str,
        tls: ServerConfig,
        configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, address, Kind::Enrolment, configure).tls(tls)
    }

    fn new(
        name: &'static str,
        address: &str,
        kind: Kind,
        configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    ) -> Self {
        Self { name, address: address.to_owned(), kind, tls: None, workers: None, configure: Arc::new(configure) }
    }

    /// Speaks TLS, where there is a configuration for it.
    #[must_use]
    pub fn tls(mut self, config: impl Into<Option<ServerConfig>>) -> Self {
        self.tls = config.into();
        self
    }

    /// Worker threads of this listener instead of the host's number.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    fn bind(&self) -> Result<TcpListener, HostError> {
        let io = |source| HostError::Bind { name: self.name, address: self.address.clone(), source };
        let addresses: Vec<SocketAddr> = self.address.to_socket_addrs().map_err(io)?.collect();
        let exposed = addresses.iter().any(|address| !address.ip().is_loopback());
        if self.kind == Kind::Operator && exposed && self.tls.is_none() {
            return Err(HostError::Exposed { name: self.name, address: self.address.clone() });
        }
        if self.kind == Kind::Compat && exposed {
            return Err(HostError::NotLoopback { name: self.name, address: self.address.clone() });
        }
        let listener = TcpListener::bind(addresses.as_slice()).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        Ok(listener)
    }

    fn run(self, socket: TcpListener, workers: usize) -> Result<actix_web::dev::Server, std::io::Error> {
        let configure = self.configure;
        // The kinds are different types of App; a macro keeps their settings the same.
        macro_rules! serve {
            ($app:expr) => {{
                let server = HttpServer::new($app)
                    .workers(workers)
                    .client_request_timeout(HEAD_TIMEOUT)
                    .client_disconnect_timeout(Duration::from_secs(2))
                    .keep_alive(KEEP_ALIVE)
                    .tcp_nodelay(true)
                    .on_connect(client_certificates::keep)
                    .shutdown_timeout(GRACE_SECONDS)
                    .disable_signals();
                match self.tls {
                    Some(tls) => server.listen_rustls_0_23(socket, tls)?,
                    None => server.listen(socket)?,
                }
                .run()
            }};
        }
        Ok(match self.kind {
            Kind::Device => serve!(move || App::new().configure(|cfg| configure(cfg))),
            Kind::Enrolment => {
                serve!(move || App::new().wrap(from_fn(in_title_case)).configure(|cfg| configure(cfg)))
            }
            Kind::Compat => {
                serve!(move || {
                    App::new()
                        .wrap(from_fn(as_the_named_operator))
                        .wrap(from_fn(refusal::in_every_error))
                        .configure(|cfg| configure(cfg))
                })
            }
            Kind::Operator => {
                serve!(move || {
                    App::new()
                        .wrap(from_fn(known_operators_only))
                        .wrap(from_fn(problem::in_every_error))
                        .configure(|cfg| configure(cfg))
                })
            }
        })
    }
}

/// libest compares the names of headers letter by letter.
async fn in_title_case(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut response = next.call(request).await?;
    response.response_mut().head_mut().set_camel_case_headers(true);
    Ok(response)
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot listen on {address} (listener `{name}`): {source}")]
    Bind { name: &'static str, address: String, source: std::io::Error },
    #[error(
        "listener `{name}` would serve operators on {address} without TLS; set its `certificate` and `key`, or bind it to 127.0.0.1"
    )]
    Exposed { name: &'static str, address: String },
    #[error("listener `{name}` asks nobody for a token, so it must be on loopback, and {address} is not")]
    NotLoopback { name: &'static str, address: String },
    #[error("cannot start listener `{name}`: {source}")]
    Start { name: &'static str, source: std::io::Error },
}

/// Starts listeners.
#[derive(Default)]
pub struct Host {
    workers: Option<usize>,
}

impl Host {
    pub fn new() -> Self {
        Self::default()
    }

    /// Worker threads per device listener; `None` takes one per core.
    #[must_use]
    pub fn workers(mut self, workers: Option<usize>) -> Self {
        self.workers = workers;
        self
    }

    /// Binds all addresses, then serves. Must be called inside a tokio runtime.
    pub async fn start(self, listeners: Vec<Listener>) -> Result<Running, HostError> {
        // rustls wants one provider a process; a second installation is refused, which is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let default =
            self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let mut bound = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let socket = listener.bind()?;
            bound.push((listener, socket));
        }
        let mut running = Running { addresses: Vec::new(), names: Vec::new(), servers: Vec::new() };
        for (listener, socket) in bound {
            let name = listener.name;
            let start = |source| HostError::Start { name, source };
            let address = socket.local_addr().map_err(start)?;
            let workers = listener.workers.unwrap_or(default).max(1);
            let scheme = if listener.tls.is_some() { "https" } else { "http" };
            let server = listener.run(socket, workers).map_err(start)?;
            let handle = server.handle();
            running.servers.push((handle, tokio::spawn(server)));
            running.addresses.push(address);
            running.names.push(name);
            tracing::info!(listener = name, %address, scheme, workers, "listening");
        }
        Ok(running)
    }
}

/// Listeners that serve until they are stopped.
pub struct Running {
    /// The bound addresses in the order in which the listeners were given.
    pub addresses: Vec<SocketAddr>,
    names: Vec<&'static str>,
    servers: Vec<(ServerHandle, JoinHandle<std::io::Result<()>>)>,
}

impl Running {
    /// The bound address of a listener by its name.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.names.iter().position(|candidate| *candidate == name).map(|index| self.addresses[index])
    }

    /// Stops accepting, lets running requests end (up to 10 s), and returns.
    pub async fn stop(self) {
        futures_util::future::join_all(self.servers.iter().map(|(handle, _)| handle.stop(true))).await;
        for (_, task) in self.servers {
            if let Ok(Err(error)) = task.await {
                tracing::error!(%error, "a listener ended with an error");
            }
        }
    }

    /// Stops at once, dropping running requests; for tests of a sudden end.
    pub async fn kill(self) {
        futures_util::future::join_all(self.servers.iter().map(|(handle, _)| handle.stop(false))).await;
    }

    /// Serves until SIGTERM or SIGINT, then stops gracefully.
    pub async fn until_signal(self) {
        shutdown::signal().await;
        tracing::info!("stopping");
        self.stop().await;
    }
}
