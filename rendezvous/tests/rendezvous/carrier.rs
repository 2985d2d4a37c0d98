//! The clients' own way in: fdo-http carries what the owner's and the device's side of the protocol say.

use fdo_http::{BaseUrl, Client, Error, Settings};
use fdo_protocol::crypto::KeyType;
use fdo_protocol::{ErrorCode, FileSecrets, Guid, to0, to1};
use fdo_service::endpoint::{Conversation, Incoming};

use crate::devices::{Device, Signing, addr, key, port_of};
use crate::world::World;

#[tokio::test]
async fn an_owner_registers_and_a_device_finds_it() {
    let (world, device, owner) = (World::new().await, Device::new(), key());
    let base: BaseUrl = world.url("device", "").parse().unwrap();
    let client = Client::new(&Settings::default()).unwrap();

    let mut run = client.conversation(&base);
    let (hello, state) = to0::owner::begin();
    let ack = run.exchange(&hello).await.unwrap();
    let (sign, state) = state.hello_ack(&ack, &device.sold_to(&[&owner]), &owner, addr(4711), 7200).unwrap();
    let accepted = run.exchange(&sign).await.unwrap();
    assert_eq!(state.accept_owner(&accepted).unwrap(), 7200);

    let guid = device.guid;
    let secrets = FileSecrets::new(device.key, vec![9; 32].into());
    let mut run = client.conversation(&base);
    let (hello, state) = to1::device::begin(guid, KeyType::P256);
    let ack = run.exchange(&hello).await.unwrap();
    let (prove, state) = state.hello_rv_ack(&ack, &secrets).unwrap();
    let redirect = state.rv_redirect(&run.exchange(&prove).await.unwrap()).unwrap();
    assert_eq!(port_of(redirect.to1d.bytes()), 4711);
    assert_eq!(BaseUrl::of_owner(&redirect.rv_to2_addr)[0].to_string(), "http://127.0.0.1:4711");
}

#[tokio::test]
async fn a_refusal_arrives_as_the_peers_error() {
    let world = World::new().await;
    let base: BaseUrl = world.url("device", "").parse().unwrap();
    let mut run = Client::new(&Settings::default()).unwrap().conversation(&base);
    let (hello, _) = to1::device::begin(Guid::from_bytes([1; 16]), KeyType::P256);
    let error: Error = run.exchange(&hello).await.unwrap_err();
    assert_eq!(error.peer().unwrap().code, ErrorCode::NotFound.number());
    assert!(!error.is_network());
}

#[tokio::test]
async fn the_conversation_itself_needs_no_http() {
    for world in World::all().await {
        let endpoint = world.running.app.endpoint();
        let (device, owner) = (Device::new(), key());
        let say = async |message_type, token, body: Vec<u8>| {
            let source = std::net::IpAddr::from([127, 0, 0, 1]);
            let incoming = Incoming { message_type, body: body.into(), token, source, correlation: 1 };
            endpoint.conversation().answer(incoming).await.unwrap()
        };
        let ack = say(20, None, vec![0x80]).await;
        let body = Signing::new(&ack.body, device.sold_to(&[&owner]).bytes(), 55).body(&owner);
        assert_eq!(say(22, ack.token.clone(), body).await.token, ack.token);
        let (hello, _) = to1::device::begin(device.guid, KeyType::P256);
        let ack = say(30, None, hello.body).await;
        let redirect = say(32, ack.token, device.prove(&ack.body)).await;
        assert_eq!((redirect.message_type, port_of(&redirect.body)), (33, 55), "{}", world.database.name());
    }
}
