//! The load of `--bin load`: real server processes on loopback, driven by the protocol's device side.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fdo_http::{BaseUrl, Client, Conversation, Settings};
use fdo_pki::{CaSubject, Certificate, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, Lifetime};
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType, SigningKey, VerifyingKey};
use fdo_protocol::messages::di::DeviceMfgInfo;
use fdo_protocol::rendezvous_info::{Directive, RvProtocol, RvTo2AddrEntry, Scheme};
use fdo_protocol::service_info::devmod::Devmod;
use fdo_protocol::service_info::{DEFAULT_SIZE, DeviceServiceInfo, Outbox, ServiceInfo};
use fdo_protocol::to2::device::{AfterEntry, DeviceSettings};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy};
use fdo_protocol::{DeviceCredential, FileSecrets, Guid, PublicKey, RendezvousInfo, RvTo2Addr, di, to0, to1, to2};
use fdo_service::cli::ApiClient;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::process::{Process, program};
use crate::world::{START, free_port};

/// How much.
#[derive(Clone, Copy)]
pub struct Plan {
    pub sessions: usize,
    pub concurrency: usize,
}

/// What came out.
pub struct Measurement {
    pub sessions: usize,
    /// CPU time of the server process per session, in microseconds.
    pub server_cpu_us: f64,
    pub per_second: f64,
}

/// A device that was born, with the voucher that its owner holds.
struct Sold {
    credential: DeviceCredential,
    key: SigningKey,
    secret: Zeroizing<Vec<u8>>,
    voucher: VerifiedVoucher,
}

impl Sold {
    fn secrets(&self) -> FileSecrets {
        FileSecrets::new(self.key.clone(), self.secret.clone())
    }
}

/// A maker in memory.
struct Maker {
    key: SigningKey,
    ca_key: SigningKey,
    ca: Vec<u8>,
    rng: ChaCha20Rng,
}

impl Maker {
    fn new(key_type: KeyType) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let key = SigningKey::generate(key_type, &mut rng).unwrap();
        let ca_key = SigningKey::generate(key_type, &mut rng).unwrap();
        let subject = CaSubject { common_name: "Load CA".into(), organization: None };
        let ca = fdo_pki::make_device_ca(&subject, &ca_key, Lifetime::years(20), START, &mut rng).unwrap();
        Self { key, ca_key, ca: ca.der().to_vec(), rng }
    }

    /// DI in memory, and the sale to `owner`. One entry, and no rendezvous for the owner to speak to.
    fn sell(&mut self, number: usize, owner: &VerifyingKey) -> Sold {
        let rng = &mut self.rng;
        let key = SigningKey::generate(self.key.key_type(), rng).unwrap();
        let serial = DeviceSerial::parse(&format!("LOAD-{number:05}")).unwrap();
        let csr = fdo_pki::build_csr(&key, None, &serial).unwrap();
        let issuer = Issuer::new(&Certificate::parse(&self.ca).unwrap()).unwrap();
        let subject = IdevidSubject { serial: serial.clone(), common_name: None, hardware: None };
        let idevid = IdevidProfile { organization: None, model: None }
            .prepare(&Csr::parse(&csr).unwrap().verify().unwrap(), &subject, &issuer, START, rng)
            .unwrap()
            .sign(&self.ca_key)
            .unwrap();
        let info = DeviceMfgInfo {
            key_type: self.key.key_type().into(),
            key_encoding: fdo_protocol::PublicKeyEncoding::X509,
            serial_number: serial.to_string(),
            device_info: "load".into(),
            csr: ByteString(csr),
        };
        let (_, device) = di::device::begin(info);
        let mut bypass = Directive::at(RvProtocol::Http, "127.0.0.1", 8043);
        bypass.bypass = true;
        let (credentials, maker) = di::manufacturer::set_credentials(di::manufacturer::Credentials {
            guid: Guid::random(rng),
            rv_info: RendezvousInfo::new(vec![bypass]),
            device_info: "load".into(),
            manufacturer_key: PublicKey::x509(self.key.verifying_key()),
            device_key_type: key.key_type(),
            certificates: vec![idevid.der().to_vec(), self.ca.clone()],
        })
        .unwrap();
        let secret = Zeroizing::new(vec![9; 48]);
        let secrets = FileSecrets::new(key.clone(), secret.clone());
        let (hmac, device) = device.set_credentials(&credentials.body, &secrets, secret.clone()).unwrap();
        let (voucher, done) = maker.set_hmac(&hmac.body).unwrap();
        let credential = device.done(&done.body).unwrap();
        let voucher = voucher.verify(&VerifyPolicy::default()).unwrap().extend(&self.key, owner).unwrap();
        Sold { credential, key, secret, voucher }
    }
}

struct Server {
    process: Process,
    url: BaseUrl,
    api: ApiClient,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, operators) = (free_port(), free_port());
        let data = directory.path().join("data");
        let (listen, operators) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{operators}"));
        let mut arguments =
            vec!["--data-dir", data.to_str().unwrap(), "serve", "--log", "warn", "--listen", &listen];
        arguments.extend(["--operators", &operators]);
        if name == "fdo-owner" {
            arguments.extend(["--status", "", "--est", ""]);
        }
        let prefix = name.to_uppercase().replace('-', "_");
        let limits = ["SOURCE", "GUID"].map(|limit| format!("{prefix}_LIMITS__{limit}_PER_SECOND"));
        let environment = limits.each_ref().map(|name| (name.as_str(), "0"));
        let process = Process::start(&program(name), &arguments, &environment, &directory.path().join("log"));
        let token = wait_for(&data.join("operator-token")).await;
        let api = ApiClient::new(&format!("http://{operators}"), Some(token.trim())).unwrap();
        let url: BaseUrl = format!("http://{listen}").parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(&listen).await.is_err() {
            assert!(Instant::now() < deadline, "{name} does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, url, api, _directory: directory }
    }
}

async fn wait_for(file: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return text;
        }
        assert!(Instant::now() < deadline, "{} does not appear", file.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn client() -> Client {
    Client::new(&Settings::default()).unwrap()
}

/// Runs `session(0..count)`, so many at a time, each worker on its own connection; gives CPU and wall time.
#[allow(clippy::cast_precision_loss)]
async fn drive<F, Fut>(server: &Server, plan: Plan, session: F) -> Measurement
where
    F: Fn(usize, Conversation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let session = Arc::new(session);
    let next = Arc::new(AtomicUsize::new(0));
    let before = server.process.cpu_nanoseconds();
    let started = Instant::now();
    let workers: Vec<_> = (0..plan.concurrency)
        .map(|_| {
            let (session, next, url, client) = (session.clone(), next.clone(), server.url.clone(), client());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= plan.sessions {
                        break;
                    }
                    session(number, client.conversation(&url)).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = server.process.cpu_nanoseconds() - before;
    Measurement {
        sessions: plan.sessions,
        server_cpu_us: cpu as f64 / plan.sessions as f64 / 1000.0,
        per_second: plan.sessions as f64 / seconds,
    }
}

/// TO1 of registered devices with a rendezvous of its own.
pub async fn measure_to1(key_type: KeyType, plan: Plan) -> Measurement {
    const DEVICES: usize = 64;
    let server = Server::start("fdo-rendezvous").await;
    let mut maker = Maker::new(key_type);
    let owner = SigningKey::generate(key_type, &mut maker.rng).unwrap();
    let address = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "127.0.0.1", 8043)]);
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let sold = maker.sell(number, owner.verifying_key());
        let mut run = client().conversation(&server.url);
        let (hello, state) = to0::owner::begin();
        let ack = run.exchange(&hello).await.unwrap();
        let (sign, state) = state.hello_ack(&ack, &sold.voucher, &owner, address.clone(), 86_400).unwrap();
        state.accept_owner(&run.exchange(&sign).await.unwrap()).unwrap();
        devices.push(sold);
    }
    let devices = Arc::new(devices);
    let session = move |number: usize, mut run: Conversation| {
        let devices = devices.clone();
        async move {
            let device = &devices[number % DEVICES];
            let (hello, state) = to1::device::begin(device.credential.guid, device.key.key_type());
            let ack = run.exchange(&hello).await.unwrap();
            let (prove, state) = state.hello_rv_ack(&ack, &device.secrets()).unwrap();
            state.rv_redirect(&run.exchange(&prove).await.unwrap()).unwrap();
        }
    };
    drive(&server, Plan { sessions: plan.concurrency * 4, ..plan }, session.clone()).await;
    drive(&server, plan, session).await
}

/// Starts an owner and hands it vouchers.
async fn owner_with_devices(key_type: KeyType, count: usize) -> (Server, Vec<Sold>) {
    let server = Server::start("fdo-owner").await;
    let keys: Value = server.api.get("/api/v1/keys").await.unwrap();
    let key = keys.as_array().or_else(|| keys["items"].as_array()).unwrap();
    let key = key.iter().find(|key| key["key_type"] == key_type.to_string()).unwrap();
    let key = public_key(key["public_key"].as_str().unwrap());
    let mut maker = Maker::new(key_type);
    let mut devices = Vec::new();
    while devices.len() < count {
        let batch: Vec<Sold> =
            (devices.len()..count.min(devices.len() + 100)).map(|number| maker.sell(number, &key)).collect();
        let pem: String = batch.iter().map(|sold| sold.voucher.to_pem()).collect();
        let path = "/api/v1/vouchers?allow_untrusted=true";
        let _: Value = server.api.post_bytes(path, "application/x-pem-file", pem.into_bytes()).await.unwrap();
        devices.extend(batch);
    }
    (server, devices)
}

fn public_key(pem: &str) -> VerifyingKey {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    VerifyingKey::from_spki_der(&fdo_pki::decode_base64(base64.as_bytes(), 1024).unwrap()).unwrap()
}

/// TO2 of devices with one-entry vouchers, without certificates, to the durable end.
pub async fn measure_to2(key_type: KeyType, plan: Plan) -> Measurement {
    let warm_up = plan.concurrency * 4;
    let (server, devices) = owner_with_devices(key_type, plan.sessions + warm_up).await;
    let devices = Arc::new(devices);
    let from = |offset: usize| {
        let devices = devices.clone();
        move |number: usize, mut run: Conversation| {
            let devices = devices.clone();
            async move { onboard(&devices[offset + number], &mut run).await }
        }
    };
    drive(&server, Plan { sessions: warm_up, ..plan }, from(0)).await;
    drive(&server, plan, from(warm_up)).await
}

fn settings(key_type: KeyType) -> DeviceSettings {
    DeviceSettings {
        kex_suite: KexSuite::for_key(key_type),
        cipher_suite: CipherSuite::for_key(key_type),
        max_message_size: u16::MAX,
        max_service_info_size: None,
        allow_reuse: false,
    }
}

/// A device that offers no module which this owner uses.
fn devmod() -> Devmod {
    let text = |text: &str| Some(text.to_owned());
    Devmod {
        os: text("linux"),
        arch: text("x86_64"),
        version: text("1"),
        device: text("load"),
        separator: text(";"),
        binary: text("x86_64"),
        modules: vec!["fido_alliance".into()],
        ..Devmod::default()
    }
}

/// 60 to 65, and then on to 71.
async fn onboard(device: &Sold, run: &mut Conversation) {
    let secrets = device.secrets();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let rng = &mut rng;
    let state = prove(device, run, rng).await;
    let (ready, state) = state.ready(&secrets, device.secret.clone(), rng).unwrap();
    let (mut state, _) = state.ready(&run.exchange(&ready).await.unwrap()).unwrap();
    let mut outbox = Outbox::new(DEFAULT_SIZE);
    devmod().send(&mut outbox).unwrap();
    let (mut service_info, is_more) = outbox.fill();
    assert!(!is_more);
    loop {
        let info = DeviceServiceInfo { is_more: false, service_info };
        let info = state.device_service_info(&info, rng).unwrap();
        let answer = state.owner_service_info(&run.exchange(&info).await.unwrap()).unwrap();
        if answer.is_done {
            break;
        }
        service_info = ServiceInfo::empty();
    }
    let (done, _, state) = state.done(rng).unwrap();
    state.done2(&run.exchange(&done).await.unwrap()).unwrap();
}

async fn prove(device: &Sold, run: &mut Conversation, rng: &mut ChaCha20Rng) -> to2::device::SetUp {
    let secrets = device.secrets();
    let (hello, state) =
        to2::device::begin(device.credential.clone(), None, &secrets, settings(device.key.key_type()), rng);
    let (mut request, mut state) = state.prove_ov_hdr(&run.exchange(&hello).await.unwrap(), &secrets).unwrap();
    loop {
        match state.ov_next_entry(&run.exchange(&request).await.unwrap(), &secrets, rng).unwrap() {
            AfterEntry::Next(next, waiting) => (request, state) = (next, waiting),
            AfterEntry::Prove(prove, waiting) => {
                return waiting.setup_device(&run.exchange(&prove).await.unwrap()).unwrap();
            }
        }
    }
}

/// Holds so many proven sessions at once; gives their number and the owner's peak memory in KiB.
pub async fn sessions_in_memory(key_type: KeyType, count: usize) -> (usize, u64) {
    let (server, devices) = owner_with_devices(key_type, count).await;
    let client = client();
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let mut parked = Vec::new();
    for device in &devices {
        let mut run = client.conversation(&server.url);
        parked.push((prove(device, &mut run, &mut rng).await, run));
    }
    (parked.len(), server.process.peak_memory())
}
