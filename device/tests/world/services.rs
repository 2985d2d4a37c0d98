//! The three services, each no more than the protocol's own state machines.

use std::collections::VecDeque;

use fdo_protocol::cbor::{self, Reader};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::{EtmForm, KeyType, SigningKey, Tunnel};
use fdo_protocol::di::manufacturer::{Credentials, ExpectSetHmac, app_start, set_credentials};
use fdo_protocol::messages::to0::To1dBlob;
use fdo_protocol::messages::{ErrorMessage, Outbound};
use fdo_protocol::rendezvous_info::{Directive, RvProtocol, RvTo2AddrEntry, Scheme};
use fdo_protocol::service_info::{Assembler, Floor, OwnerTurn, ServiceInfo, ServiceInfoKv, TurnLimits};
use fdo_protocol::to1::rendezvous::ExpectProveToRv;
use fdo_protocol::to2::owner::{self, AfterServiceInfo, OwnerSettings, Session};
use fdo_protocol::voucher::{VerifiedVoucher, VerifyPolicy};
use fdo_protocol::{Error, Guid, Hash, HashType, PublicKey, RendezvousInfo, RvTo2Addr, to1};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::issuing::Authority;

/// What the network does to an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Arrives,
    RequestLost,
    ReplyLost,
}

pub type Forgery = Box<dyn FnMut(&mut Services, Vec<u8>) -> Vec<u8> + Send>;

/// How DER becomes an item.
pub type Writing = fn(&[u8]) -> Vec<u8>;

pub struct Services {
    pub rng: ChaCha20Rng,
    pub manufacturer: SigningKey,
    pub owner: SigningKey,
    pub device_ca: Authority,
    pub owner_ca: Authority,
    pub rv_info: RendezvousInfo,
    /// Every voucher that the owner would answer to.
    pub vouchers: Vec<VerifiedVoucher>,
    pub reuse: bool,
    /// Whether the owner offers suites that encrypt and then authenticate, and in which form.
    pub encrypt_then_mac: Option<EtmForm>,
    /// Whether a new credential keeps the GUID; its rendezvous is another port then, lest it be no new one.
    pub keeps_guid: bool,
    /// The size of messages that the owner announces.
    pub size: Option<u16>,
    /// What the owner says, a list a turn; it is done after the last.
    pub script: VecDeque<Vec<ServiceInfoKv>>,
    pub turns: VecDeque<Vec<ServiceInfoKv>>,
    /// Whether it answers requests for certificates.
    pub issues: bool,
    /// How the owner writes DER in an answer.
    pub est: Writing,
    pub session: Option<Session>,
    turn: OwnerTurn,
    assembler: Assembler,
    /// The longest list of service info in one message of the device, in bytes.
    pub longest: usize,
    /// What the device said in service info, in the last TO2, each value whole.
    pub said: Vec<ServiceInfoKv>,
    pub received: Vec<(u8, String)>,
    pub errors: Vec<ErrorMessage>,
    /// Whether a serial that has a voucher is refused to every key but the voucher's.
    pub one_birth: bool,
    pub down: Vec<String>,
    /// A request number and what happens to it, once.
    pub accident: Option<(u8, Fate)>,
    /// A reply number and what becomes of its body.
    pub forgery: Option<(u8, Forgery)>,
    born: Option<ExpectSetHmac>,
    asked: Option<ExpectProveToRv>,
}

impl Services {
    pub fn new(key_type: KeyType) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let manufacturer = SigningKey::generate(key_type, &mut rng).unwrap();
        let owner = SigningKey::generate(key_type, &mut rng).unwrap();
        Self {
            device_ca: Authority::new("Devices", key_type, &mut rng),
            owner_ca: Authority::new("Owner", key_type, &mut rng),
            rng,
            manufacturer,
            owner,
            rv_info: RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "rv.example", 8041)]),
            vouchers: Vec::new(),
            reuse: false,
            encrypt_then_mac: None,
            keeps_guid: false,
            size: None,
            script: VecDeque::new(),
            turns: VecDeque::new(),
            issues: true,
            est: |der| cbor::encode(fdo_pki::encode_base64(der).as_str()),
            session: None,
            turn: OwnerTurn::new(TurnLimits::default()),
            assembler: Assembler::default(),
            longest: 0,
            said: Vec::new(),
            received: Vec::new(),
            errors: Vec::new(),
            one_birth: false,
            down: Vec::new(),
            accident: None,
            forgery: None,
            born: None,
            asked: None,
        }
    }

    pub fn fate(&mut self, number: u8) -> Fate {
        self.accident.filter(|(at, _)| *at == number).map_or(Fate::Arrives, |(_, fate)| fate)
    }

    pub fn forged(&mut self, number: u8, body: Vec<u8>) -> Vec<u8> {
        match self.forgery.take() {
            Some((at, mut forgery)) if at == number => {
                let body = forgery(self, body);
                self.forgery = Some((at, forgery));
                body
            }
            other => {
                self.forgery = other;
                body
            }
        }
    }

    pub fn answer(&mut self, request: &Outbound) -> Result<Vec<u8>, Error> {
        let body = request.body.as_slice();
        let reply = match request.message_type.number() {
            10 => self.app_start(body)?,
            12 => {
                let (voucher, reply) = self.born.take().unwrap().set_hmac(body)?;
                let voucher = voucher.verify(&VerifyPolicy::default())?;
                self.vouchers = vec![voucher.extend(&self.manufacturer, self.owner.verifying_key())?];
                reply
            }
            30 => {
                let hello = to1::rendezvous::hello_rv(body)?;
                self.find(hello.guid)?;
                let (reply, state) = to1::rendezvous::hello_rv_ack(&hello, &mut self.rng);
                self.asked = Some(state);
                reply
            }
            32 => {
                let proof = self.asked.take().unwrap().prove_to_rv(body)?;
                let proof = proof.verify(self.vouchers[0].device_key())?;
                to1::rendezvous::rv_redirect(&proof, self.to1d(&self.owner).bytes())
            }
            60 => {
                let hello = owner::hello_device(body)?;
                let settings = OwnerSettings {
                    reuse: self.reuse,
                    max_service_info_size: self.size,
                    encrypt_then_mac: self.encrypt_then_mac,
                    ..OwnerSettings::default()
                };
                let voucher = self.find(hello.guid)?.clone();
                let (reply, state) = owner::begin(&hello, &voucher, &self.owner, &settings, &mut self.rng)?;
                self.session = Some(Session::ExpectEntryOrProof(state));
                reply
            }
            number => self.to2(number, body)?,
        };
        Ok(reply.body)
    }

    fn app_start(&mut self, body: &[u8]) -> Result<Outbound, Error> {
        let info = app_start(body)?;
        let csr = fdo_pki::Csr::parse(&info.csr.0).unwrap().verify().unwrap();
        let another = |voucher: &VerifiedVoucher| voucher.device_key() != csr.public_key();
        if self.one_birth && self.vouchers.first().is_some_and(another) {
            return Err(Error::Rejected("this serial number is not admitted"));
        }
        let (reply, state) = set_credentials(Credentials {
            guid: Guid::random(&mut self.rng),
            rv_info: self.rv_info.clone(),
            device_info: info.device_info,
            manufacturer_key: PublicKey::x509(self.manufacturer.verifying_key()),
            device_key_type: self.manufacturer.key_type(),
            certificates: self.device_ca.idevid(&info.csr, &info.serial_number, &mut self.rng),
        })?;
        self.born = Some(state);
        Ok(reply)
    }

    fn find(&self, guid: Guid) -> Result<&VerifiedVoucher, Error> {
        self.vouchers.iter().find(|voucher| voucher.guid() == guid).ok_or(Error::NotFound("voucher"))
    }

    pub fn to1d(&self, key: &SigningKey) -> Sign1 {
        let rv_to2_addr = RvTo2Addr(vec![RvTo2AddrEntry::at(Scheme::Http, "owner.example", 8043)]);
        let blob = To1dBlob { rv_to2_addr, to0d_hash: Hash::of(HashType::Sha256, &[b"to0d"]) };
        Sign1::sign(cbor::encode(&blob), &[], key, &[]).unwrap()
    }

    fn to2(&mut self, number: u8, body: &[u8]) -> Result<Outbound, Error> {
        let (reply, next) = match (self.session.take(), number) {
            (Some(Session::ExpectEntryOrProof(state)), 62) => {
                let (reply, state) = state.get_ov_next_entry(body)?;
                (reply, Session::ExpectEntryOrProof(state))
            }
            (Some(Session::ExpectEntryOrProof(state)), 64) => {
                let fresh = Guid::random(&mut self.rng);
                let guid = if self.keeps_guid { self.vouchers[0].guid() } else { fresh };
                if self.keeps_guid {
                    let port = u16::try_from(self.received.len()).unwrap();
                    self.rv_info = RendezvousInfo::new(vec![Directive::at(RvProtocol::Http, "rv.example", port)]);
                }
                let (reply, state) = state.prove_device(body, &self.owner, &self.rv_info, guid, &mut self.rng)?;
                (reply, Session::ExpectReady(state))
            }
            (Some(Session::ExpectReady(state)), 66) => {
                let (reply, state, _) = state.ready(body, &mut self.rng)?;
                (self.turn, self.assembler) = (OwnerTurn::new(TurnLimits::default()), Assembler::default());
                (self.turns, self.said) = (self.script.clone(), Vec::new());
                (reply, Session::ExpectServiceInfo(state))
            }
            (Some(Session::ExpectServiceInfo(mut state)), 68) => {
                let message = state.device_service_info(body)?;
                self.turn.receive(&message)?;
                self.longest = self.longest.max(cbor::encode(&message.service_info).len());
                let mut said = Vec::new();
                for kv in message.service_info.0 {
                    said.extend(self.assembler.accept(kv)?);
                }
                // Answers come before what the owner wants to say itself.
                let answers = Some(self.issued(&said)).filter(|answers| !answers.is_empty());
                answers.into_iter().for_each(|answers| self.turns.push_front(answers));
                self.said.extend(said);
                let message = if !self.turn.may_speak() {
                    self.turn.reply(ServiceInfo::empty(), Floor::Yield)?
                } else if let Some(list) = self.turns.pop_front() {
                    self.turn.reply(ServiceInfo(list), Floor::Yield)?
                } else {
                    self.turn.finish()?
                };
                let (reply, next) = state.owner_service_info(&message, &mut self.rng)?;
                let next = match next {
                    AfterServiceInfo::Continue(state) => Session::ExpectServiceInfo(state),
                    AfterServiceInfo::Finish(state) => Session::ExpectDone(state),
                };
                (reply, next)
            }
            (Some(Session::ExpectDone(state)), 70) => {
                // The forgeries of 71 need the tunnel.
                let bytes = cbor::encode(&Session::ExpectDone(state));
                let Ok(Session::ExpectDone(state)) = cbor::decode(&bytes) else { panic!() };
                let (completed, reply) = state.done(body, &mut self.rng)?;
                self.session = Some(cbor::decode(&bytes).unwrap());
                if let Some(replacement) = completed.replacement {
                    let old = self.find(completed.guid)?.clone();
                    let voucher = old.replace(replacement.ov_header, replacement.hmac)?;
                    let voucher = voucher.extend(&self.owner, self.owner.verifying_key())?;
                    // The old GUID may come back until the new one was seen.
                    self.vouchers = vec![voucher, old];
                }
                return Ok(reply);
            }
            (_, received) => return Err(Error::OutOfSequence { received }),
        };
        self.session = Some(next);
        Ok(reply)
    }

    fn issued(&mut self, said: &[ServiceInfoKv]) -> Vec<ServiceInfoKv> {
        let mut answers = Vec::new();
        for kv in said.iter().filter(|kv| self.issues && kv.module() == "fdo.csr") {
            if kv.message() == "cacerts-req" {
                let der = fdo_pki::pkcs7::build_certs_only(&[self.owner_ca.certificate()]).unwrap();
                answers.push(ServiceInfoKv::from_item("fdo.csr:cacerts-res".into(), (self.est)(&der)));
            }
            if kv.message() == "simpleenroll-req" {
                let csr: String = cbor::decode(&kv.value).unwrap();
                let guid = self.session.as_ref().and_then(Session::next_guid);
                let der =
                    self.owner_ca.ldevid(csr.as_bytes(), guid.unwrap_or(Guid::from_bytes([1; 16])), &mut self.rng);
                answers.push(ServiceInfoKv::from_item("fdo.csr:simpleenroll-res".into(), (self.est)(&der)));
            }
        }
        answers
    }

    /// The keys of the tunnel, for an owner that says wrong things in it.
    pub fn tunnel(&self) -> Tunnel {
        let bytes = cbor::encode(self.session.as_ref().unwrap());
        let mut reader = Reader::new(&bytes).unwrap();
        reader.array(2).unwrap();
        reader.unsigned().unwrap();
        reader.array_length().unwrap();
        reader.array_length().unwrap();
        (0..4).for_each(|_| {
            reader.raw().unwrap();
        });
        cbor::decode(reader.raw().unwrap()).unwrap()
    }
}
