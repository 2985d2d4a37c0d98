//! A relay between a device and a service: HTTP/1.1 passed on as it comes, each exchange kept, and, where a test wants
//! it, the first reply to a message lost and a refusal with HTTP 500 handed over in its place.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fdo_http::BaseUrl;
use fdo_protocol::ErrorCode;
use fdo_protocol::cbor;
use fdo_protocol::messages::ErrorMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What a device asked and what it was handed.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub message_type: u8,
    /// The request's `Authorization`, if it had one.
    pub authorization: Option<String>,
    pub request: Vec<u8>,
    /// What the service answered.
    pub status: u16,
    pub reply: Vec<u8>,
    /// Whether the device was handed a refusal instead.
    pub is_lost: bool,
}

impl Exchange {
    /// The service's message 255, if that was its answer.
    pub fn error(&self) -> Option<ErrorMessage> {
        if self.status == 200 { None } else { cbor::decode(&self.reply).ok() }
    }
}

#[derive(Default)]
struct State {
    target: Option<SocketAddr>,
    to_lose: BTreeSet<u8>,
    exchanges: Vec<Exchange>,
}

/// One relay; its clones are the same one.
#[derive(Clone)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _task: Arc<Task>,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// Listens on a port of its own; where it leads is said later.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, state) = (listener.local_addr()?, Arc::new(Mutex::new(State::default())));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                tokio::spawn(serve(device, shared.clone()));
            }
        });
        Ok(Self { address, state, _task: Arc::new(Task(task.abort_handle())) })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn lead_to(&self, service: &BaseUrl) -> Result<(), String> {
        let url = service.to_string();
        let address = url.trim_start_matches("http://").trim_end_matches('/').parse();
        lock(&self.state).target = Some(address.map_err(|error| format!("{url}: {error}"))?);
        Ok(())
    }

    /// Each of these messages reaches the service, but its first reply is lost.
    pub fn lose_first_reply(&self, messages: &[u8]) {
        lock(&self.state).to_lose = messages.iter().copied().collect();
    }

    /// What was said about the messages from `first` to `last`, in order.
    pub fn exchanges(&self, first: u8, last: u8) -> Vec<Exchange> {
        let exchanges = &lock(&self.state).exchanges;
        exchanges.iter().filter(|exchange| (first..=last).contains(&exchange.message_type)).cloned().collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The requests of one connection, one after another.
async fn serve(mut device: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let target = lock(&state).target.ok_or_else(|| io::Error::other("the relay leads nowhere yet"))?;
    let mut service = TcpStream::connect(target).await?;
    while let Some(request) = Part::read(&mut device).await? {
        service.write_all(&request.bytes()).await?;
        let reply = Part::read(&mut service).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let handed = keep(&state, &request, reply);
        device.write_all(&handed).await?;
    }
    Ok(())
}

fn keep(state: &Mutex<State>, request: &Part, reply: Part) -> Vec<u8> {
    let message_type = request.header("message-type").and_then(|value| value.parse().ok()).unwrap_or_default();
    let status = reply.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let mut state = lock(state);
    let is_lost = state.to_lose.remove(&message_type);
    let handed = if is_lost { refusal(message_type) } else { reply.bytes() };
    state.exchanges.push(Exchange {
        message_type,
        authorization: request.header("authorization").map(str::to_owned),
        request: request.body.clone(),
        status,
        reply: reply.body,
        is_lost,
    });
    handed
}

/// What a service says that had a fault of its own.
fn refusal(message_type: u8) -> Vec<u8> {
    let body = cbor::encode(&ErrorMessage::new(ErrorCode::Internal, message_type, 0, 0));
    let head = format!(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/cbor\r\nMessage-Type: 255\r\nAuthorization: \
         \r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// A request or a response: the head with its empty line, and the body.
struct Part {
    head: String,
    body: Vec<u8>,
}

impl Part {
    /// `None` where the connection has ended.
    async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).await? == 0 {
                return Ok(None);
            }
            head.extend_from_slice(&byte);
        }
        let mut part = Self { head: String::from_utf8(head).map_err(io::Error::other)?, body: Vec::new() };
        let length = part.header("content-length").unwrap_or("0").parse().map_err(io::Error::other)?;
        part.body = vec![0; length];
        stream.read_exact(&mut part.body).await?;
        Ok(Some(part))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.into_iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}
