//! What other clients do over HTTP, and our services bear (FDO 1.1, HTTP transport): an empty `Authorization` on a first
//! message, one token kept for a whole protocol and sent without `Bearer `, header names in any case, each message sent
//! again byte for byte; and what they expect of the rendezvous directives.
#![allow(clippy::unwrap_used)]

use fdo_device::{Agent, Attempts, Channel, Onboarded, Policy, Transport, TransportError};
use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::crypto::KeyType;
use fdo_protocol::messages::{ErrorMessage, MessageType, Outbound};
use fdo_protocol::rendezvous_info::Instruction;
use fdo_protocol::{Guid, cbor, to0};
use fdo_tests::World;
use fdo_tests::world::certificates_of_devices;
use reqwest::header::AUTHORIZATION;
use serde_json::Value;

/// Which of them a client has.
#[derive(Clone, Copy)]
struct Habits {
    empty_authorization: bool,
    bearer: bool,
    title_case: bool,
    again: bool,
}

const CAREFUL: Habits = Habits { empty_authorization: false, bearer: true, title_case: false, again: false };
const ALL: [Habits; 3] = [
    Habits { empty_authorization: true, bearer: false, title_case: true, again: true },
    Habits { empty_authorization: true, ..CAREFUL },
    Habits { again: true, ..CAREFUL },
];

#[derive(Clone)]
struct Client {
    habits: Habits,
    http: reqwest::Client,
}

impl Client {
    fn new(habits: Habits) -> Self {
        let builder = reqwest::Client::builder().no_proxy();
        let builder = if habits.title_case { builder.http1_title_case_headers() } else { builder };
        Self { habits, http: builder.build().unwrap() }
    }

    fn talk(&self, base: &BaseUrl) -> Talk {
        Talk { client: self.clone(), base: base.to_string().trim_end_matches('/').to_owned(), token: None }
    }
}

impl Transport for Client {
    type Channel = Talk;

    fn open(&self, base: &BaseUrl, _: &ServerTrust) -> Result<Talk, TransportError> {
        Ok(self.talk(base))
    }
}

/// One run of a protocol; the token is that of the first reply.
struct Talk {
    client: Client,
    base: String,
    token: Option<String>,
}

/// Status, type, token and body.
type Answer = (u16, String, Option<String>, Vec<u8>);

impl Talk {
    async fn post(&self, message_type: u8, body: &[u8]) -> Answer {
        let url = format!("{}/fdo/101/msg/{message_type}", self.base);
        let request = self.client.http.post(url).header("content-type", "application/cbor");
        let request = request.header("message-type", message_type.to_string());
        let request = match &self.token {
            Some(token) => request.header(AUTHORIZATION, token),
            None if self.client.habits.empty_authorization => request.header(AUTHORIZATION, ""),
            None => request,
        };
        let answer = request.body(body.to_vec()).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, kind, token) = (answer.status().as_u16(), header("message-type"), header("authorization"));
        (status, kind.unwrap(), token, answer.bytes().await.unwrap().to_vec())
    }
}

impl Channel for Talk {
    async fn exchange(&mut self, request: &Outbound) -> Result<Vec<u8>, TransportError> {
        let number = request.message_type.number();
        let mut answer = self.post(number, &request.body).await;
        if self.client.habits.again {
            let second = self.post(number, &request.body).await;
            // A first message opens another session each time.
            assert!(request.message_type.is_first() || answer == second, "{:?}", request.message_type);
            answer = second;
        }
        let (status, kind, token, body) = answer;
        if status != 200 {
            return Err(fdo_protocol::Error::Peer(cbor::decode(&body)?).into());
        }
        assert_eq!(kind, (number + 1).to_string());
        let token = token.unwrap();
        let value = token.strip_prefix("Bearer ").unwrap().to_owned();
        let kept = if self.client.habits.bearer { token } else { value };
        assert_eq!(*self.token.get_or_insert(kept.clone()), kept, "the token of {kind} is another one");
        Ok(body)
    }

    async fn send_error(&self, error: &ErrorMessage) {
        self.post(MessageType::Error.number(), &cbor::encode(error)).await;
    }
}

fn agent(world: &World, name: &str, habits: Habits) -> Agent<Client> {
    let Agent { store, settings, clock, random, progress, .. } = world.device(name);
    Agent { transport: Client::new(habits), store, settings, clock, random, progress }
}

/// TO0 as a client with these habits does it, with the owner's own voucher and key.
async fn register(world: &World, guid: &Guid, habits: Habits) -> u32 {
    let app = &world.owner.as_ref().unwrap().app;
    let voucher = fdo_owner::vouchers::find_for_onboarding(&app.db, guid).await.unwrap().unwrap();
    let key = app.keys.owning(voucher.owner_key()).unwrap();
    let mut talk = Client::new(habits).talk(&world.rendezvous_url);
    let (request, state) = to0::owner::begin();
    let reply = talk.exchange(&request).await.unwrap();
    let addresses = world.owner_config.rv_to2_addr().unwrap();
    let (request, state) = state.hello_ack(&reply, &voucher, key, addresses, 3_600).unwrap();
    let reply = talk.exchange(&request).await.unwrap();
    state.accept_owner(&reply).unwrap()
}

#[tokio::test]
async fn every_protocol_bears_the_habits_of_other_clients() {
    let world = World::new().await;
    world.enrol().await;
    for (at, habits) in ALL.into_iter().enumerate() {
        let serial = format!("H-{at}");
        world.admit(&serial).await;
        let agent = agent(&world, &serial, habits);
        let born = agent.init(&world.birth(&serial, KeyType::P256)).await.unwrap();
        let report = world.buy(&[&serial]).await;
        assert_eq!(report["results"][0]["state"], "fulfilled", "{report}");
        assert!(register(&world, &born, habits).await > 0);

        let policy = Policy { attempts: Attempts::Limited(1), reonboard: false };
        let onboarded = agent.onboard(policy).await.unwrap();
        let Onboarded::Now { guid, next_guid, .. } = onboarded else { panic!("{onboarded:?}") };
        assert_eq!(guid, born);
        let device: Value = world.owner_api.get(&format!("/api/v1/devices/{serial}")).await.unwrap();
        assert_eq!(device["state"], "onboarded", "{device}");
        assert_eq!(device["guid"], next_guid.to_string(), "{device}");
    }
    // Nobody got two certificates for a message that came twice.
    let certificates = certificates_of_devices(&world.owner_api).await;
    assert_eq!(certificates.len(), ALL.len(), "{certificates:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_is_repeated_too() {
    let world = World::new().await;
    let mut talk = Client::new(ALL[0]).talk(&world.rendezvous_url);
    let (request, _) = fdo_protocol::to1::device::begin(Guid::from_bytes([7; 16]), KeyType::P256);
    for _ in 0..2 {
        let refused = talk.exchange(&request).await.unwrap_err();
        let TransportError::Protocol(fdo_protocol::Error::Peer(error)) = refused else { panic!("{refused}") };
        assert_eq!((error.code, error.previous), (6, 30));
    }
    world.stop().await;
}

/// Some devices take a directive without a protocol for TLS, and one with nothing but a delay for a failure to wait
/// after.
#[tokio::test]
async fn each_rendezvous_directive_names_its_protocol_and_an_address() {
    let world = World::new().await;
    world.admit("H-9").await;
    let agent = agent(&world, "H-9", CAREFUL);
    agent.init(&world.birth("H-9", KeyType::P256)).await.unwrap();
    let credential = agent.store.credential().unwrap();
    assert!(!credential.rv_info.is_empty());
    for directive in credential.rv_info.directives() {
        let says = |wanted: fn(&Instruction) -> bool| directive.iter().any(wanted);
        assert!(says(|instruction| matches!(instruction, Instruction::Protocol(_))), "{directive:?}");
        assert!(
            says(|instruction| matches!(instruction, Instruction::IpAddress(_) | Instruction::Dns(_))),
            "{directive:?}"
        );
    }
    world.stop().await;
}
