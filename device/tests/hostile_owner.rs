//! What the agent refuses, one named test for each device-side conformance case: it posts message 255 with the right
//! code, nothing on the device changes, and the true owner is still welcome afterwards.
#![allow(clippy::unwrap_used)]

mod world;

use std::sync::{Arc, Mutex};

use fdo_device::config::Config;
use fdo_device::{HttpTransport, Onboarded, Transport};
use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::cbor::{self, ByteString, Wrapped};
use fdo_protocol::cose::Sign1;
use fdo_protocol::crypto::SigningKey;
use fdo_protocol::messages::to2::{OvNextEntry, ProveOvHdrPayload, SetupDevicePayload};
use fdo_protocol::messages::{ErrorMessage, SigInfo};
use fdo_protocol::nonce::{NonceTo2ProveOv, NonceTo2SetupDv};
use fdo_protocol::service_info::{OwnerServiceInfo, ServiceInfo, ServiceInfoKv};
use fdo_protocol::{Guid, Hash, HashType, RendezvousInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use world::{ONCE, Services, World};

/// The reply with this number is forged; the device must answer with this code and stay as it was.
async fn refuses(reply: u8, code: u16, forge: impl FnMut(&mut Services, Vec<u8>) -> Vec<u8> + Send + 'static) {
    let world = World::born().await;
    let before = world.credential();
    world.services().script = vec![vec![ServiceInfoKv::new("fdo.csr", "active", &true)], vec![network()]].into();
    world.services().forgery = Some((reply, Box::new(forge)));
    world.power_on().await.unwrap_err();
    let told: Vec<_> = world.services().errors.iter().map(|error| (error.code, error.previous)).collect();
    // A forged redirect is found out by the owner's key, in 61.
    let previous = if reply == 33 && code == 3 { 61 } else { reply };
    assert_eq!(told, [(code, previous)]);
    assert_eq!(world.credential(), before);
    assert!(world.state.pointed("ldevid").is_none());
    assert!(world.wifi.names().unwrap().is_empty());
    assert!(world.store().status().onboarded_at.is_none());
    world.services().forgery = None;
    assert!(matches!(world.power_on().await.unwrap(), Onboarded::Now { .. }));
}

fn network() -> ServiceInfoKv {
    let item =
        hex::decode("a60063312e30016473697465026463 6f72700301044963 6f72726563742031 0601".replace(' ', ""));
    ServiceInfoKv::from_item("fdo.wifi:network-add".into(), item.unwrap())
}

fn flip_last(_: &mut Services, mut body: Vec<u8>) -> Vec<u8> {
    *body.last_mut().unwrap() ^= 1;
    body
}

fn garbage(_: &mut Services, _: Vec<u8>) -> Vec<u8> {
    vec![0x82, 0x40]
}

/// 61 signed again by its true key after a change.
fn resigned_61(services: &mut Services, body: &[u8], change: impl FnOnce(&mut ProveOvHdrPayload)) -> Vec<u8> {
    let signed = Sign1::from_bytes(body).unwrap();
    let mut payload: ProveOvHdrPayload = cbor::decode(signed.unverified_payload()).unwrap();
    change(&mut payload);
    sign_61(services, &signed, cbor::encode(&payload))
}

fn sign_61(services: &Services, original: &Sign1, payload: Vec<u8>) -> Vec<u8> {
    let unprotected = [256, 257].map(|label| (label, original.unprotected(label).unwrap()));
    Sign1::sign(payload, &unprotected, &services.owner, &[]).unwrap().bytes().to_vec()
}

/// 63 with another entry.
fn entry(body: &[u8], change: impl FnOnce(&mut OvNextEntry)) -> Vec<u8> {
    let mut message: OvNextEntry = cbor::decode(body).unwrap();
    change(&mut message);
    cbor::encode(&message)
}

/// A message of the tunnel, encrypted as it should be.
fn sealed(services: &mut Services, plain: &[u8]) -> Vec<u8> {
    let tunnel = services.tunnel();
    tunnel.seal(plain, &mut services.rng).unwrap()
}

/// 65 signed again by its true key after a change.
fn resigned_65(services: &mut Services, body: &[u8], change: impl FnOnce(&mut SetupDevicePayload)) -> Vec<u8> {
    let plain = services.tunnel().open(body).unwrap();
    let signed = Sign1::from_bytes(&plain).unwrap();
    let mut payload: SetupDevicePayload = cbor::decode(signed.unverified_payload()).unwrap();
    change(&mut payload);
    let signed = Sign1::sign(cbor::encode(&payload), &[], &services.owner, &[]).unwrap();
    sealed(services, signed.bytes())
}

macro_rules! refused {
    ($($(#[$note:meta])* $name:ident: $reply:literal, $code:literal, $forge:expr;)*) => {$(
        $(#[$note])*
        #[tokio::test]
        async fn $name() {
            refuses($reply, $code, $forge).await;
        }
    )*};
}

refused! {
    did_30_bad_encoding: 31, 100, garbage;
    did_32_bad_encoding: 33, 100, garbage;
    did_32_bad_to1d: 33, 3, |services, _| {
        let thief = SigningKey::generate(services.owner.key_type(), &mut services.rng).unwrap();
        services.to1d(&thief).bytes().to_vec()
    };
    did_60_bad_ovhdr_ovheader: 61, 2, |services, body| resigned_61(services, &body, |payload| {
        let mut header = payload.ov_header.value().clone();
        header.device_info = "another".into();
        payload.ov_header = Wrapped::new(header);
    });
    did_60_bad_nonce_to2proveov: 61, 101, |services, body| {
        let nonce = NonceTo2ProveOv::random(&mut services.rng);
        resigned_61(services, &body, |payload| payload.nonce = nonce)
    };
    did_60_bad_ebsigninfo: 61, 101, |services, body| resigned_61(services, &body, |payload| {
        payload.e_b_sig_info = SigInfo { sg_type: -35, info: ByteString::default() };
    });
    did_60_bad_hellodevicehash: 61, 101, |services, body| resigned_61(services, &body, |payload| {
        payload.hello_device_hash = Hash::of(HashType::Sha256, &[b"another hello"]);
    });
    did_60_bad_cose_signature: 61, 101, flip_last;
    did_60_bad_helloack_payload_encoding: 61, 100, |services, body| {
        let signed = Sign1::from_bytes(&body).unwrap();
        sign_61(services, &signed, vec![0x82, 0x01])
    };
    did_60_bad_helloack_encoding: 61, 100, garbage;
    did_62_bad_oventry_cose_signature: 63, 2, flip_last;
    did_62_bad_ovnextentry_payload: 63, 100, |services, body| entry(&body, |message| {
        message.entry = Sign1::sign(vec![0x80], &[], &services.manufacturer, &[]).unwrap();
    });
    did_62_bad_oventrynum: 63, 101, |_, body| entry(&body, |message| message.entry_num += 1);
    did_64_bad_nonce_to2setupdv: 65, 101, |services, body| {
        let nonce = NonceTo2SetupDv::random(&mut services.rng);
        resigned_65(services, &body, |payload| payload.nonce = nonce)
    };
    did_64_bad_setupdevice_payload: 65, 100, |services, _| {
        let signed = Sign1::sign(vec![0x81, 0x01], &[], &services.owner, &[]).unwrap();
        sealed(services, signed.bytes())
    };
    did_64_bad_setupdevice_cose_signature: 65, 101, |services, body| {
        let mut plain = services.tunnel().open(&body).unwrap();
        *plain.last_mut().unwrap() ^= 1;
        sealed(services, &plain)
    };
    did_64_bad_setupdevice_bytes: 65, 100, |services, _| sealed(services, &[0xd2, 0x80]);
    did_64_bad_enc_wrapping: 65, 100, flip_last;
    did_64_bad_setupdevice_encoding: 65, 100, garbage;
    did_66_bad_encoding: 67, 100, |services, _| sealed(services, &[0x80]);
    did_66_bad_enc_wrapping: 67, 100, flip_last;
    did_68_bad_encoding: 69, 100, |services, _| sealed(services, &[0x80]);
    did_68_bad_enc_wrapping: 69, 100, flip_last;
    did_70_bad_nonce_to2setupdv64: 71, 101, |services, _| {
        let nonce = NonceTo2SetupDv::random(&mut services.rng);
        sealed(services, &cbor::encode(&vec![nonce]))
    };
    did_70_bad_done71_encoding: 71, 100, |services, _| sealed(services, &[0x80]);
    did_70_bad_enc_wrapping: 71, 100, flip_last;
    /// Beyond the conformance cases: what could never be undone.
    a_device_without_rendezvous_or_guid_could_not_come_back: 65, 101, |services, body| {
        resigned_65(services, &body, |payload| {
            payload.guid = Guid::from_bytes([0; 16]);
        })
    };
    an_empty_rendezvous_is_refused: 65, 101, |services, body| resigned_65(services, &body, |payload| {
        payload.rv_info = RendezvousInfo::new(vec![]);
    });
    done_and_more_at_once: 69, 101, |services, _| {
        let message = OwnerServiceInfo { is_more: true, is_done: true, service_info: ServiceInfo::empty() };
        sealed(services, &cbor::encode(&message))
    };
    a_value_that_is_cut_short: 69, 100, |services, _| {
        let kv = ServiceInfoKv::from_item("fdo.wifi:network-add".into(), vec![0xa5, 0x00]);
        let message = OwnerServiceInfo { is_more: false, is_done: true, service_info: ServiceInfo(vec![kv]) };
        sealed(services, &cbor::encode(&message))
    };
    a_certificate_that_nobody_asked_for: 69, 101, |services, _| {
        let kv = ServiceInfoKv::new("fdo.csr", "simpleenroll-res", "AAAA");
        let message = OwnerServiceInfo { is_more: false, is_done: false, service_info: ServiceInfo(vec![kv, ServiceInfoKv::new("fdo.csr", "cacerts-res", "AAAA")]) };
        sealed(services, &cbor::encode(&message))
    };
    a_certificate_for_another_key: 69, 101, {
        let mut replaced = false;
        move |services: &mut Services, body: Vec<u8>| {
            if replaced || !services.said.iter().any(|kv| kv.message() == "simpleenroll-req") {
                return body;
            }
            replaced = true;
            let key = SigningKey::generate(services.owner.key_type(), &mut services.rng).unwrap();
            let serial = fdo_pki::DeviceSerial::parse("FL-0001").unwrap();
            let csr = fdo_pki::build_csr(&key, None, &serial).unwrap();
            let der = services.owner_ca.ldevid(&csr, Guid::from_bytes([2; 16]), &mut services.rng);
            let kv = ServiceInfoKv::new("fdo.csr", "simpleenroll-res", &fdo_pki::encode_base64(&der));
            let message = OwnerServiceInfo { is_more: false, is_done: false, service_info: ServiceInfo(vec![kv]) };
            sealed(services, &cbor::encode(&message))
        }
    };
}

/// A server that gives message 61 without `Authorization`, and keeps what it is posted on 255.
async fn serve(listener: tokio::net::TcpListener, errors: Arc<Mutex<Vec<ErrorMessage>>>) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = socket.read(&mut buffer).await {
            request.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&request).to_lowercase();
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let body_length = head.split("content-length: ").nth(1).unwrap();
            let body_length: usize = body_length.lines().next().unwrap().trim().parse().unwrap();
            if request.len() < head.len() + 4 + body_length {
                continue;
            }
            if head.contains("/msg/255") {
                errors.lock().unwrap().push(cbor::decode(&request[request.len() - body_length..]).unwrap());
            }
            let reply = "HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nMessage-Type: 61\r\n\
                         Content-Length: 1\r\nConnection: close\r\n\r\n\u{0}";
            let _ = socket.write_all(reply.as_bytes()).await;
            break;
        }
    }
}

#[tokio::test]
async fn did_60_missing_authz_header() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let errors = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(serve(listener, errors.clone()));

    let world = World::new(fdo_protocol::crypto::KeyType::P256);
    let directive = fdo_protocol::rendezvous_info::Directive {
        bypass: true,
        ..fdo_protocol::rendezvous_info::Directive::at(
            fdo_protocol::rendezvous_info::RvProtocol::Http,
            "127.0.0.1",
            port,
        )
    };
    world.services().rv_info = RendezvousInfo::new(vec![directive]);
    world.agent().init(&world.birth()).await.unwrap();
    let before = world.credential();
    let agent = world.agent();
    let transport = HttpTransport::new(fdo_http::Settings::default()).unwrap();
    let base: BaseUrl = format!("http://127.0.0.1:{port}").parse().unwrap();
    assert!(transport.open(&base, &ServerTrust::Any).is_ok());
    let agent = fdo_device::Agent {
        transport,
        store: agent.store,
        settings: Config::default().agent_settings(None).unwrap(),
        clock: agent.clock,
        random: agent.random,
        progress: None,
    };
    let error = agent.onboard(ONCE).await.unwrap_err().to_string();
    assert!(error.contains("Authorization"), "{error}");
    assert_eq!(errors.lock().unwrap().first().map(|error| (error.code, error.previous)), Some((101, 61)));
    assert_eq!(world.credential(), before);
}
