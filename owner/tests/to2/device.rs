//! The device's side, message by message, so that a test can stop before any of them and send something else.

use fdo_protocol::cbor;
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{CipherSuite, KexSuite, KeyType, SigningKey};
use fdo_protocol::messages::{ErrorMessage, MessageType, Outbound};
use fdo_protocol::service_info::csr;
use fdo_protocol::service_info::devmod::Devmod;
use fdo_protocol::service_info::{
    Assembler, DeviceServiceInfo, DeviceTurn, Floor, Outbox, ServiceInfo, ServiceInfoKv, TurnLimits,
    negotiated_size, wifi,
};
use fdo_protocol::to2::device::{
    self, AfterEntry, DeviceSettings, ExpectDone2, ExpectOvNextEntry, ExpectReady, ExpectSetupDevice,
    ServiceInfoLoop,
};
use fdo_protocol::{DeviceCredential, FileSecrets};
use fdo_service::endpoint::{Conversation as _, Incoming};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::world::{Born, World};

/// How the device behaves.
#[derive(Clone)]
pub struct Manner {
    /// The service info size that it announces.
    pub size: Option<u16>,
    pub modules: Vec<String>,
    /// The certification request that it sends, if any.
    pub csr: Option<Vec<u8>>,
    /// Whether it asks for a key with it.
    pub wants_key: bool,
    pub allow_reuse: bool,
    /// What it asks for; the usual one for its key if none.
    pub cipher_suite: Option<CipherSuite>,
    /// How its commands end.
    pub exit_code: i64,
    /// The longest 68 that it sends.
    pub outbox: usize,
    /// What it says behind its introduction.
    pub also_says: Vec<ServiceInfoKv>,
    /// What it sends when it is asked for a file: the content, and the hash that it says it has.
    pub upload: Option<(Vec<u8>, [u8; 48])>,
}

impl Manner {
    pub fn new(world: &World) -> Self {
        let key = SigningKey::generate(KeyType::P256, &mut world.random.rng()).unwrap();
        Self {
            size: Some(16 * 1024),
            modules: ["devmod", wifi::MODULE, csr::MODULE].map(str::to_owned).to_vec(),
            csr: Some(request(&key)),
            wants_key: false,
            allow_reuse: false,
            cipher_suite: None,
            exit_code: 0,
            outbox: 16 * 1024,
            also_says: Vec::new(),
            upload: None,
        }
    }
}

/// A certification request that claims to be somebody else.
pub fn request(key: &SigningKey) -> Vec<u8> {
    fdo_pki::build_csr(key, Some("mallory"), &fdo_pki::DeviceSerial::parse("OTHER").unwrap()).unwrap()
}

/// What the device got.
#[derive(Default)]
pub struct Received {
    pub networks: Vec<String>,
    pub files: Vec<(String, Vec<u8>)>,
    pub commands: Vec<(String, Vec<String>)>,
    /// Keys that the owner made.
    pub keys: Vec<SigningKey>,
    pub urls: Vec<String>,
    pub payloads: Vec<(String, Vec<u8>)>,
    pub tokens: Vec<String>,
    pub certificates: Vec<Vec<u8>>,
    pub ca_certificates: Vec<Vec<u8>>,
    pub errors: Vec<u64>,
}

enum State {
    Entry(ExpectOvNextEntry),
    Setup(ExpectSetupDevice),
    Ready(ExpectReady),
    Loop(ServiceInfoLoop),
    Done(ExpectDone2),
}

/// A TO2 as the device leads it. `next` is the message that it would send now.
pub struct Talk<'a> {
    world: &'a World,
    born: Born,
    pub manner: Manner,
    rng: ChaCha20Rng,
    pub token: Option<String>,
    /// Over HTTP, instead of into the conversation.
    http: Option<fdo_http::Conversation>,
    pub next: Outbound,
    pub last_reply: Vec<u8>,
    /// 60 as it was sent.
    pub hello_device: Vec<u8>,
    /// 61, whose nonce some tests need.
    pub prove_ov_hdr: Vec<u8>,
    state: Option<State>,
    turn: DeviceTurn,
    pub outbox: Outbox,
    assembler: Assembler,
    /// The length of the file that is coming.
    pub awaited: u64,
    pub received: Received,
    pub credential: Option<DeviceCredential>,
}

/// The code of the message 255 that came instead.
pub type Refused = u16;

impl<'a> Talk<'a> {
    /// Before 60.
    pub async fn hello(world: &'a World, born: &Born, manner: &Manner) -> Result<Self, Refused> {
        let mut rng = world.random.rng();
        let key_type = born.voucher.owner_key().key_type();
        let settings = DeviceSettings {
            kex_suite: KexSuite::for_key(key_type),
            cipher_suite: manner.cipher_suite.unwrap_or(CipherSuite::for_key(key_type)),
            max_message_size: u16::MAX,
            max_service_info_size: manner.size,
            allow_reuse: manner.allow_reuse,
        };
        let secrets = born.secrets();
        let (hello, waiting) = device::begin(born.credential.clone(), None, &secrets, settings, &mut rng);
        let mut outbox = Outbox::new(manner.outbox);
        let text = |text: &str| Some(text.to_owned());
        let devmod = Devmod {
            active: true,
            os: text("Linux"),
            arch: text("x86_64"),
            version: text("6.1"),
            device: text("gateway\u{1b}[31m"),
            separator: text(";"),
            binary: text("elf"),
            modules: manner.modules.clone(),
            ..Devmod::default()
        };
        devmod.send(&mut outbox).unwrap();
        for kv in &manner.also_says {
            outbox.push_split(kv.clone());
        }
        let mut talk = Self {
            world,
            born: born.clone(),
            manner: manner.clone(),
            rng,
            token: None,
            http: world.base.as_ref().map(|base| world.client.conversation(base)),
            next: hello.clone(),
            last_reply: Vec::new(),
            hello_device: hello.body.clone(),
            prove_ov_hdr: Vec::new(),
            state: None,
            turn: DeviceTurn::new(TurnLimits::default()),
            outbox,
            assembler: Assembler::default(),
            awaited: 0,
            received: Received::default(),
            credential: None,
        };
        let reply = talk.send(hello.message_type.number(), hello.body).await?;
        talk.prove_ov_hdr.clone_from(&reply);
        let (request, waiting) = waiting.prove_ov_hdr(&reply, &secrets).unwrap();
        (talk.next, talk.state) = (request, Some(State::Entry(waiting)));
        Ok(talk)
    }

    /// Everything before the message of this number.
    pub async fn before(world: &'a World, born: &Born, manner: &Manner, number: u8) -> Self {
        let mut talk = Self::hello(world, born, manner).await.unwrap();
        while talk.next.message_type.number() != number {
            talk.step().await.unwrap();
        }
        talk
    }

    /// Sends anything in this session.
    pub async fn send(&mut self, message_type: u8, body: Vec<u8>) -> Result<Vec<u8>, Refused> {
        if let Some(run) = &mut self.http {
            let message_type = MessageType::from_number(message_type).unwrap();
            let answer = run.exchange(&Outbound { message_type, body }).await;
            return answer.map(Vec::from).map_err(|error| error.peer().unwrap().code);
        }
        let incoming = Incoming {
            message_type,
            body: body.into(),
            token: self.token.clone(),
            source: [127, 0, 0, 1].into(),
            correlation: 7,
        };
        match self.world.conversation.answer(incoming).await {
            Ok(outgoing) => {
                if let Some(token) = &self.token {
                    assert_eq!(Some(token), outgoing.token.as_ref(), "the token never changes");
                }
                self.token = outgoing.token;
                if outgoing.message_type == 255 {
                    return Err(cbor::decode::<ErrorMessage>(&outgoing.body).unwrap().code);
                }
                assert_eq!(outgoing.message_type, message_type + 1);
                Ok(outgoing.body)
            }
            Err(fault) => Err(fault.error().code().number()),
        }
    }

    /// Sends what comes next and takes the answer; false after 71.
    pub async fn step(&mut self) -> Result<bool, Refused> {
        let Outbound { message_type, body } = self.next.clone();
        let reply = self.send(message_type.number(), body).await?;
        self.last_reply.clone_from(&reply);
        self.take(&reply);
        Ok(self.state.is_some())
    }

    /// To the end.
    pub async fn finish(&mut self) -> Result<(), Refused> {
        while self.step().await? {}
        Ok(())
    }

    fn take(&mut self, reply: &[u8]) {
        let secrets = self.born.secrets();
        let state = match self.state.take().unwrap() {
            State::Entry(waiting) => match waiting.ov_next_entry(reply, &secrets, &mut self.rng).unwrap() {
                AfterEntry::Next(request, waiting) => (request, State::Entry(waiting)),
                AfterEntry::Prove(request, waiting) => (request, State::Setup(waiting)),
            },
            State::Setup(waiting) => {
                let setup = waiting.setup_device(reply).unwrap();
                let secret = match setup.is_reuse() {
                    true => self.born.secret.clone(),
                    false => Zeroizing::new(vec![9; setup.secret_length()]),
                };
                let next = FileSecrets::new(self.born.key.clone(), secret.clone());
                let (request, waiting) = setup.ready(&next, secret, &mut self.rng).unwrap();
                (request, State::Ready(waiting))
            }
            State::Ready(waiting) => {
                let (running, size) = waiting.ready(reply).unwrap();
                assert_eq!(size, Some(16 * 1024));
                self.speak(running)
            }
            State::Loop(mut running) => {
                let message = running.owner_service_info(reply).unwrap();
                let length = cbor::encode(&message).len();
                assert!(length <= negotiated_size(self.manner.size), "{length} bytes of service info");
                self.turn.receive(&message).unwrap();
                for kv in message.service_info.0 {
                    if let Some(kv) = self.assembler.accept(kv).unwrap() {
                        self.react(&kv);
                    }
                }
                if self.turn.is_done() {
                    let (request, credential, waiting) = running.done(&mut self.rng).unwrap();
                    self.credential = Some(credential);
                    (request, State::Done(waiting))
                } else {
                    self.speak(running)
                }
            }
            State::Done(waiting) => {
                waiting.done2(reply).unwrap();
                return;
            }
        };
        (self.next, self.state) = (state.0, Some(state.1));
    }

    fn speak(&mut self, running: ServiceInfoLoop) -> (Outbound, State) {
        let (list, more) = match self.turn.may_speak() {
            true => self.outbox.fill(),
            false => (ServiceInfo::empty(), false),
        };
        let floor = if more { Floor::Keep } else { Floor::Yield };
        let message = self.turn.send(list, floor).unwrap();
        let request = running.device_service_info(&message, &mut self.rng).unwrap();
        (request, State::Loop(running))
    }

    /// A 68 of our own making, in the tunnel of this session.
    pub fn sealed(&mut self, message: &DeviceServiceInfo) -> Outbound {
        let Some(State::Loop(running)) = &self.state else { panic!("no tunnel for service info yet") };
        running.device_service_info(message, &mut self.rng).unwrap()
    }

    /// The nonce of 61.
    pub fn nonce(&self) -> [u8; 16] {
        let nonce = Sign1::from_bytes(&self.prove_ov_hdr).unwrap().unprotected(256).unwrap();
        nonce[1..].try_into().unwrap()
    }
}

/// TO2 from 60 to 71.
pub async fn onboard(world: &World, born: &Born, manner: &Manner) -> Result<(Born, Received), Refused> {
    let mut talk = Talk::hello(world, born, manner).await?;
    talk.finish().await?;
    Ok((born.with(talk.credential.take().unwrap()), talk.received))
}
