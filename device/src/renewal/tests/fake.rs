//! An owner's EST service in memory, with accidents, and a device that was onboarded by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use fdo_http::{BaseUrl, ServerTrust};
use fdo_pki::{
    CaSubject, Certificate, Csr, DeviceSerial, IdevidProfile, IdevidSubject, Issuer, LdevidProfile, LdevidSubject,
    Lifetime, make_device_ca,
};
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::{KeyType, SigningKey};
use fdo_protocol::messages::{ErrorMessage, Outbound};
use fdo_protocol::service_info::est::RenewalSource;
use fdo_protocol::{DeviceCredential, Guid, Hash, HashType, RendezvousInfo};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

use crate::agent::Agent;
use crate::clock::Clock;
use crate::config::Config;
use crate::est::{Answer, EstError, EstTransport, Request};
use crate::random::Random;
use crate::renewal::Renewer;
use crate::store::{Directory, NamedFile, Pending, Status, Store};
use crate::transport::{Channel, Transport, TransportError};

pub const NOW: u64 = 1_795_478_400;
pub const DAY: u64 = 24 * 60 * 60;
pub const SERIAL: &str = "FL-0001";
const GUID: [u8; 16] = [7; 16];

/// What happens to a request for a certificate.
#[derive(Clone)]
pub enum Fate {
    RequestLost,
    ReplyLost,
    Answers(u16, Option<&'static str>, &'static str),
    /// The certificate is changed on the way.
    Forged(fn(&mut Owner, &[u8]) -> Vec<u8>),
}

/// A CA with its key.
pub struct Authority {
    key: SigningKey,
    pub certificate: Vec<u8>,
}

impl Authority {
    fn new(name: &str, rng: &mut ChaCha20Rng) -> Self {
        let key = SigningKey::generate(KeyType::P256, rng).unwrap();
        let subject = CaSubject { common_name: name.to_owned(), organization: None };
        let issued = make_device_ca(&subject, &key, Lifetime::years(20), NOW - DAY, rng).unwrap();
        Self { certificate: issued.der().to_vec(), key }
    }
}

/// The owner, as far as EST shows it.
pub struct Owner {
    pub rng: ChaCha20Rng,
    /// Those that it ever had; the last one issues.
    pub authorities: Vec<Authority>,
    /// The CAs that `cacerts` names.
    pub shown: Vec<Vec<u8>>,
    /// Which of them its TLS certificate is under.
    pub serves_under: usize,
    pub life: u64,
    pub grace: u64,
    /// Whether the service can be reached.
    pub is_up: bool,
    /// Sentences with which it refuses, by operation.
    pub refuses: BTreeMap<&'static str, &'static str>,
    pub fates: VecDeque<Fate>,
    pub issued: Vec<Vec<u8>>,
    answered: BTreeMap<Vec<u8>, Vec<u8>>,
    keys: BTreeSet<Vec<u8>>,
    /// Operation and time of each request that arrived.
    pub asked: Vec<(String, u64)>,
    pub reports: Vec<serde_json::Value>,
    idevid: Vec<u8>,
}

impl Owner {
    pub fn issue(&mut self, csr: &[u8], now: u64, profile: &LdevidProfile, guid: [u8; 16]) -> Vec<u8> {
        let csr = Csr::from_any(csr).unwrap().verify().unwrap();
        let authority = self.authorities.last().unwrap();
        let issuer = Issuer::new(&Certificate::parse(&authority.certificate).unwrap()).unwrap();
        let subject = LdevidSubject {
            serial: Some(DeviceSerial::parse(SERIAL).unwrap()),
            ..LdevidSubject::new(Guid::from_bytes(guid))
        };
        let tbs = profile.prepare(&csr, &subject, &issuer, now, &mut self.rng).unwrap();
        tbs.sign(&authority.key).unwrap().der().to_vec()
    }

    fn certify(&mut self, csr: &[u8], now: u64) -> Vec<u8> {
        if let Some(certificate) = self.answered.get(csr) {
            return certificate.clone();
        }
        let key = Csr::from_any(csr).unwrap().verify().unwrap().public_key().spki_der().to_vec();
        assert!(self.keys.insert(key), "a key is asked for twice");
        let profile = LdevidProfile { validity_seconds: self.life, ..LdevidProfile::default() };
        let certificate = self.issue(csr, now, &profile, GUID);
        self.answered.insert(csr.to_vec(), certificate.clone());
        self.issued.push(certificate.clone());
        certificate
    }

    /// Another CA, which issues from now on.
    pub fn add_authority(&mut self) {
        let name = format!("Owner {}", self.authorities.len() + 1);
        let next = Authority::new(&name, &mut self.rng);
        self.shown.push(next.certificate.clone());
        self.authorities.push(next);
    }

    fn answer(&mut self, request: &Request<'_>) -> Result<Answer, EstError> {
        let operation = request.url.rsplit('/').next().unwrap_or_default().to_owned();
        if !self.is_up {
            return Err(EstError::Unreachable("nobody there".into()));
        }
        let server = &self.authorities[self.serves_under].certificate;
        if !request.trust.contains(server) {
            return Err(EstError::NotTrusted("unknown issuer".into()));
        }
        self.asked.push((operation.clone(), request.now));
        let ok = |body: Vec<u8>| Ok(Answer { status: 200, body, ..Answer::default() });
        let wrapped = |list: &[Vec<u8>]| fdo_pki::pkcs7::encode_certs_only(list).unwrap().into_bytes();
        if operation == "cacerts" {
            return ok(wrapped(&self.shown));
        }
        let (_, body) = request.body.as_ref().unwrap();
        let asker = request.identity.unwrap().chain[0].clone();
        if operation == "report" {
            self.reports.push(serde_json::from_slice(body).unwrap());
            return ok(Vec::new());
        }
        let refused = |status, why: &str| Ok(Answer { status, body: why.into(), ..Answer::default() });
        if let Some(why) = self.refuses.get(operation.as_str()) {
            return refused(403, why);
        }
        match operation.as_str() {
            "simpleenroll" if asker != self.idevid => return refused(403, "not a certificate of birth"),
            "simplereenroll" => {
                if !self.issued.contains(&asker) {
                    return refused(403, "not a certificate of ours");
                }
                if request.now > Certificate::parse(&asker).unwrap().not_after() + self.grace {
                    return refused(403, "it expired too long ago");
                }
            }
            _ => {}
        }
        match self.fates.pop_front() {
            Some(Fate::RequestLost) => Err(EstError::Unreachable("lost".into())),
            Some(Fate::ReplyLost) => {
                self.certify(body, request.now);
                Err(EstError::Unreachable("lost".into()))
            }
            Some(Fate::Answers(status, retry, text)) => Ok(Answer {
                status,
                retry_after: retry.map(str::to_owned),
                date: None,
                body: text.as_bytes().to_vec(),
            }),
            Some(Fate::Forged(forge)) => {
                let forged = forge(self, body);
                ok(wrapped(&[forged]))
            }
            None => ok(wrapped(&[self.certify(body, request.now)])),
        }
    }
}

/// The way to that owner.
#[derive(Clone)]
pub struct Line(pub Arc<Mutex<Owner>>);

impl EstTransport for Line {
    async fn send(&self, request: &Request<'_>) -> Result<Answer, EstError> {
        self.0.lock().unwrap().answer(request)
    }
}

/// No FDO: the device is onboarded.
#[derive(Clone)]
pub struct NoFdo;

impl Transport for NoFdo {
    type Channel = NoFdo;

    fn open(&self, _: &BaseUrl, _: &ServerTrust) -> Result<NoFdo, TransportError> {
        Err(TransportError::Unreachable("no FDO here".into()))
    }
}

impl Channel for NoFdo {
    async fn exchange(&mut self, _: &Outbound) -> Result<Vec<u8>, TransportError> {
        Err(TransportError::Unreachable("no FDO here".into()))
    }

    async fn send_error(&self, _: &ErrorMessage) {}
}

/// A device and its owner.
pub struct World {
    pub owner: Arc<Mutex<Owner>>,
    pub state: Directory,
    pub config: Config,
    pub clock: Clock,
}

impl World {
    /// A device that was onboarded at [`NOW`] with an LDevID of so many seconds.
    pub fn onboarded(life: u64) -> Self {
        Self::with(Directory::in_memory(), life, true)
    }

    pub fn with(state: Directory, life: u64, with_ldevid: bool) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let device = SigningKey::generate(KeyType::P256, &mut rng).unwrap();
        let maker = Authority::new("Maker", &mut rng);
        let first = Authority::new("Owner 1", &mut rng);
        let idevid = idevid(&maker, &device, &mut rng);
        let mut owner = Owner {
            shown: vec![first.certificate.clone()],
            authorities: vec![first],
            rng,
            serves_under: 0,
            life,
            grace: 30 * DAY,
            is_up: true,
            refuses: BTreeMap::new(),
            fates: VecDeque::new(),
            issued: Vec::new(),
            answered: BTreeMap::new(),
            keys: BTreeSet::new(),
            asked: Vec::new(),
            reports: Vec::new(),
            idevid: idevid.clone(),
        };
        let store = Store::open(state.clone(), None).unwrap();
        let status = Status { serial: SERIAL.into(), model: "model".into(), ..Status::default() };
        let credential = DeviceCredential {
            active: true,
            hmac_secret: Zeroizing::new(vec![1; 32]),
            device_info: "model".into(),
            guid: Guid::from_bytes(GUID),
            rv_info: RendezvousInfo::new(Vec::new()),
            public_key_hash: Hash::of(HashType::Sha256, &[b"key"]),
        };
        store.initialise(&device, &credential, &status).unwrap();
        let mut pending = Pending {
            renewal: Some(RenewalSource {
                url: "https://owner.example:8045/.well-known/est".into(),
                renew_percent: 66,
                trust: vec![ByteString(owner.shown[0].clone())],
                idevid: vec![ByteString(idevid), ByteString(maker.certificate)],
            }),
            ..Pending::default()
        };
        let mut status = Status { onboarded_at: Some(NOW), ..status };
        if with_ldevid {
            let key = SigningKey::generate(KeyType::P256, &mut owner.rng).unwrap();
            let csr = fdo_pki::build_csr(&key, None, &DeviceSerial::parse(SERIAL).unwrap()).unwrap();
            let certificate = owner.certify(&csr, NOW);
            let text = |name: &str, list: &[&[u8]]| {
                NamedFile::text(name.into(), fdo_pki::pem::encode_certificates(list).unwrap())
            };
            pending.ldevid = vec![
                NamedFile::text("ldevid-key.pem".into(), key.to_pkcs8_pem().unwrap().to_string()),
                text("ldevid.pem", &[&certificate]),
                text("ldevid-ca.pem", &[&owner.shown[0]]),
            ];
        } else {
            status.no_ldevid = Some("the owner has not decided".into());
        }
        pending.status = serde_json::to_string(&status).unwrap();
        store.stage(&credential, &pending).unwrap();
        store.confirm(pending).unwrap();
        Self {
            owner: Arc::new(Mutex::new(owner)),
            state,
            config: Config::default(),
            clock: Clock::from_fn(|| NOW + 60 * DAY),
        }
    }

    pub fn owner(&self) -> MutexGuard<'_, Owner> {
        self.owner.lock().unwrap()
    }

    pub fn store(&self) -> Store {
        Store::open(self.state.clone(), None).unwrap()
    }

    /// The agent as it starts, at this time.
    pub fn at(&self, now: u64) -> Renewer<NoFdo, Line> {
        self.with_clock(Clock::from_fn(move || now))
    }

    pub fn renewer(&self) -> Renewer<NoFdo, Line> {
        self.with_clock(self.clock.clone())
    }

    fn with_clock(&self, clock: Clock) -> Renewer<NoFdo, Line> {
        let agent = Agent {
            transport: NoFdo,
            store: self.store(),
            settings: self.config.agent_settings(self.state.path()).unwrap(),
            clock,
            random: Random::seeded(u64::try_from(self.owner().asked.len()).unwrap() + 5),
            progress: None,
        };
        Renewer { agent, est: Line(self.owner.clone()) }
    }

    /// The certificate of a pair that works.
    pub fn pair(&self) -> Certificate {
        self.store().ldevid_pair().expect("the device has no pair that works").certificate
    }

    pub fn operations(&self) -> Vec<String> {
        self.owner().asked.iter().map(|(operation, _)| operation.clone()).collect()
    }
}

fn idevid(maker: &Authority, device: &SigningKey, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let serial = DeviceSerial::parse(SERIAL).unwrap();
    let csr = fdo_pki::build_csr(device, None, &serial).unwrap();
    let csr = Csr::parse(&csr).unwrap().verify().unwrap();
    let issuer = Issuer::new(&Certificate::parse(&maker.certificate).unwrap()).unwrap();
    let subject = IdevidSubject { serial, common_name: None, hardware: None };
    let tbs = IdevidProfile::default().prepare(&csr, &subject, &issuer, NOW, rng).unwrap();
    tbs.sign(&maker.key).unwrap().der().to_vec()
}
