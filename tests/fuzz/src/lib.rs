//! What the fuzz targets do with their bytes: nothing may panic, hang or grow without bound, and what was decoded encodes
//! to what decodes to the same again. A test of the workspace runs the same functions over the committed corpora.

use fdo_protocol::cbor::{self, Decode, Encode, Reader};
use fdo_protocol::cose::{EatPayload, Sign1, VerifiedEat};
use fdo_protocol::crypto::{CipherSuite, EtmForm, KeyType, SharedSecret, SigningKey, Tunnel};
use fdo_protocol::messages::{ErrorMessage, MessageType, di, to0, to1, to2 as wire};
use fdo_protocol::service_info::csr::CsrError;
use fdo_protocol::service_info::owner::{Command, Conversation, Csr, Need, OwnerModule, Provision};
use fdo_protocol::service_info::{DeviceServiceInfo, OwnerServiceInfo, ServiceInfo, TurnLimits};
use fdo_protocol::to2::owner::{AfterServiceInfo, Session};
use fdo_protocol::voucher::{VerifyPolicy, Voucher};
use fdo_protocol::{Guid, PublicKey, RendezvousInfo, RvTo2Addr, to2};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// Decoding is a projection: once more gives the same.
fn stable<T: Decode + Encode>(data: &[u8]) {
    if let Ok(first) = cbor::decode::<T>(data) {
        let bytes = cbor::encode(&first);
        let again = cbor::decode::<T>(&bytes).unwrap_or_else(|error| panic!("what was encoded: {error}"));
        assert_eq!(cbor::encode(&again), bytes);
    }
}

/// The first byte says which message, the rest is its body.
pub fn messages(data: &[u8]) {
    let Some((number, body)) = data.split_first() else { return };
    if cbor::check(body).is_ok() {
        let mut reader = Reader::new(body).unwrap_or_else(|error| panic!("what was checked: {error}"));
        assert!(reader.raw().is_ok_and(|raw| raw == body));
    }
    let Some(message) = MessageType::from_number(*number) else {
        stable::<RendezvousInfo>(body);
        stable::<RvTo2Addr>(body);
        return stable::<PublicKey>(body);
    };
    match message {
        MessageType::AppStart => {
            stable::<di::AppStart>(body);
            let _ = fdo_protocol::di::manufacturer::app_start(body);
        }
        MessageType::SetCredentials => stable::<di::SetCredentials>(body),
        MessageType::SetHmac => stable::<di::SetHmac>(body),
        MessageType::DiDone => stable::<di::DiDone>(body),
        MessageType::To0Hello => stable::<to0::To0Hello>(body),
        MessageType::HelloAck => stable::<to0::HelloAck>(body),
        MessageType::OwnerSign => stable::<to0::OwnerSign>(body),
        MessageType::AcceptOwner => stable::<to0::AcceptOwner>(body),
        MessageType::HelloRv => stable::<to1::HelloRv>(body),
        MessageType::HelloRvAck => stable::<to1::HelloRvAck>(body),
        MessageType::ProveToRv => stable::<to1::ProveToRv>(body),
        MessageType::RvRedirect => stable::<to1::RvRedirect>(body),
        MessageType::HelloDevice => stable::<wire::HelloDevice>(body),
        MessageType::ProveOvHdr => {
            stable::<wire::ProveOvHdr>(body);
            stable::<wire::ProveOvHdrPayload>(body);
        }
        MessageType::GetOvNextEntry => stable::<wire::GetOvNextEntry>(body),
        MessageType::OvNextEntry => stable::<wire::OvNextEntry>(body),
        MessageType::ProveDevice => stable::<wire::ProveDevice>(body),
        MessageType::SetupDevice => {
            stable::<wire::SetupDevice>(body);
            stable::<wire::SetupDevicePayload>(body);
        }
        MessageType::DeviceServiceInfoReady => stable::<wire::DeviceServiceInfoReady>(body),
        MessageType::OwnerServiceInfoReady => stable::<wire::OwnerServiceInfoReady>(body),
        MessageType::DeviceServiceInfo => stable::<DeviceServiceInfo>(body),
        MessageType::OwnerServiceInfo => stable::<OwnerServiceInfo>(body),
        MessageType::Done => stable::<wire::Done>(body),
        MessageType::Done2 => stable::<wire::Done2>(body),
        MessageType::Error => stable::<ErrorMessage>(body),
    }
}

/// A voucher, or a file of some.
pub fn vouchers(data: &[u8]) {
    if let Ok(voucher) = Voucher::from_bytes(data) {
        assert_eq!(voucher.bytes(), data);
        let _ = voucher.verify(&VerifyPolicy::default());
    }
    for voucher in Voucher::from_file(data).unwrap_or_default() {
        let again = Voucher::from_bytes(voucher.bytes()).unwrap_or_else(|error| panic!("once more: {error}"));
        assert_eq!(again.bytes(), voucher.bytes());
    }
}

/// A signed object, verified by a key that did not sign it.
pub fn eat(data: &[u8]) {
    if let Ok(signed) = Sign1::from_bytes(data) {
        assert_eq!(signed.bytes(), data);
        if let Ok(key) = SigningKey::generate(KeyType::P256, &mut rng()) {
            let refused = VerifiedEat::verify(&signed, key.verifying_key(), &[0; 16], &Guid::from_bytes([0; 16]));
            assert!(refused.is_err());
        }
    }
    stable::<EatPayload>(data);
}

/// An encrypted message for each suite and form: under a key that its sender did not have it never opens.
pub fn tunnel(data: &[u8]) {
    let secret = SharedSecret::new(Zeroizing::new(vec![7; 64]), Zeroizing::new(Vec::new()));
    for suite in CipherSuite::ALL {
        for form in EtmForm::ALL {
            assert!(secret.derive_in(suite, form).open(data).is_err());
        }
        assert!(secret.open_first(suite, data).is_err());
        let sealed =
            secret.derive(suite).seal(data, &mut rng()).unwrap_or_else(|error| panic!("sealing: {error}"));
        let opened = secret.derive(suite).open(&sealed).unwrap_or_else(|error| panic!("opening: {error}"));
        assert_eq!(opened, data);
    }
}

/// Messages 68 one behind the other, each behind its length in two bytes, to an owner that asks and answers.
pub fn service_info(data: &[u8]) {
    let modules = vec![
        OwnerModule::Csr(Csr::new()),
        OwnerModule::Command(Command::new("true".into(), Vec::new(), true, true)),
    ];
    let mut conversation = Conversation::new(Some(1300), modules, TurnLimits::default());
    let mut rest = data;
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (body, tail) = tail.split_at(length);
        rest = tail;
        let Ok(message) = cbor::decode::<DeviceServiceInfo>(body) else { return };
        if conversation.receive(message).is_err() {
            return;
        }
        while let Some(need) = conversation.need() {
            let answer = match need {
                Need::CaCertificates { .. } => Provision::CaCertificates(vec![0x30, 0]),
                Need::CsrAttributes => Provision::CsrAttributes(vec![0x30, 0]),
                _ => Provision::Refused(CsrError::BadRequest),
            };
            if conversation.answer(answer).is_err() {
                return;
            }
        }
        let Ok(reply) = conversation.reply() else { return };
        assert!(cbor::encode(&reply.service_info).len() <= 1300, "a reply beyond the device's size");
        let stored = cbor::encode(&conversation);
        conversation = cbor::decode(&stored).unwrap_or_else(|error| panic!("a stored conversation: {error}"));
        if conversation.is_done() {
            return;
        }
    }
}

/// Messages in any order, each behind its number and its length in two bytes. Number 0 stands for a session as it was
/// stored; with 128 added the body travels in the tunnel whose key such a session in the corpus has, so that what lies
/// behind the encryption is reached too.
pub fn to2_order(data: &[u8]) {
    let Ok(key) = SigningKey::generate(KeyType::P256, &mut rng()) else { return };
    let mut session = None;
    let mut rest = data;
    while let Some(([number, high, low], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (body, tail) = tail.split_at(length);
        rest = tail;
        let sealed = (*number >= 128).then(|| known_tunnel().seal(body, &mut rng()));
        let body = match &sealed {
            Some(sealed) => sealed.as_deref().unwrap_or_default(),
            None => body,
        };
        session = match step(session.take(), number & 127, body, &key) {
            Some(next) => Some(next),
            None => return,
        };
        let stored = session.as_ref().map(cbor::encode).unwrap_or_default();
        session = cbor::decode(&stored).map(Some).unwrap_or_else(|error| panic!("a stored session: {error}"));
    }
}

/// Suite A128GCM under sixteen sevens.
fn known_tunnel() -> Tunnel {
    let mut stored = cbor::Writer::default();
    stored.array(3).integer(1).null().bytes(&[7; 16]);
    cbor::decode(&stored.into_bytes()).unwrap_or_else(|error| panic!("the known tunnel: {error}"))
}

/// What an owner's shell does with one message: whatever does not fit the state ends the session.
fn step(session: Option<Session>, number: u8, body: &[u8], key: &SigningKey) -> Option<Session> {
    let rng = &mut ChaCha20Rng::seed_from_u64(body.len() as u64);
    match (session, number) {
        (None, 0) => cbor::decode(body).ok(),
        (None, 60) => {
            let _ = to2::owner::hello_device(body);
            None
        }
        (Some(Session::ExpectEntryOrProof(state)), 62) => {
            Some(Session::ExpectEntryOrProof(state.get_ov_next_entry(body).ok()?.1))
        }
        (Some(Session::ExpectEntryOrProof(state)), 64) => {
            let rv_info = RendezvousInfo::new(Vec::new());
            let ready = state.prove_device(body, key, &rv_info, Guid::from_bytes([1; 16]), rng).ok()?.1;
            Some(Session::ExpectReady(ready))
        }
        (Some(Session::ExpectReady(state)), 66) => {
            Some(Session::ExpectServiceInfo(state.ready(body, rng).ok()?.1))
        }
        (Some(Session::ExpectServiceInfo(mut state)), 68) => {
            let message = state.device_service_info(body).ok()?;
            let answer = OwnerServiceInfo {
                is_more: false,
                is_done: message.service_info.is_empty(),
                service_info: ServiceInfo::empty(),
            };
            Some(match state.owner_service_info(&answer, rng).ok()?.1 {
                AfterServiceInfo::Continue(state) => Session::ExpectServiceInfo(state),
                AfterServiceInfo::Finish(state) => Session::ExpectDone(state),
            })
        }
        (Some(Session::ExpectDone(mut state)), 68) => {
            state.device_service_info(body).ok()?;
            Some(Session::ExpectDone(state))
        }
        (Some(Session::ExpectDone(state)), 70) => {
            let _ = state.done(body, rng);
            None
        }
        _ => None,
    }
}
