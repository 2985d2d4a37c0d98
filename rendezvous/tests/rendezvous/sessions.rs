//! Tokens, order and repetition: the state of both protocols travels in the token for a minute.

use fdo_protocol::ErrorCode;

use crate::devices::{Device, Signing, key};
use crate::world::{Reply, World};

struct Case {
    world: World,
    device: Device,
    /// 21 and the 22 that answers it.
    to0: (Reply, Vec<u8>),
    /// 31 and the 32 that answers it.
    to1: (Reply, Vec<u8>),
}

impl Case {
    async fn new() -> Self {
        let (world, device, owner) = (World::new().await, Device::new(), key());
        let voucher = device.sold_to(&[&owner]);
        world.register(voucher.bytes(), &owner, 1000).await.ok(23);
        let ack = world.post(20, None, &[0x80]).await.ok(21);
        let sign = Signing::new(&ack.body, voucher.bytes(), 2000).body(&owner);
        let hello = world.hello(device.guid).await.ok(31);
        let prove = device.prove(&hello.body);
        Self { world, device, to0: (ack, sign), to1: (hello, prove) }
    }

    fn tokens(&self) -> (Option<&str>, Option<&str>) {
        (self.to0.0.token.as_deref(), self.to1.0.token.as_deref())
    }
}

#[tokio::test]
async fn a_missing_wrong_or_foreign_token_is_code_1() {
    let case = Case::new().await;
    let before = case.world.rows().await;
    let (to0, to1) = case.tokens();
    let cut = to0.map(|token| &token[..token.len() - 4]);
    for token in [None, Some(""), Some("Bearer"), Some("Bearer wrong"), to1, cut] {
        case.world.post(22, token, &case.to0.1).await.refused(22, ErrorCode::InvalidToken);
    }
    for token in [None, Some(""), Some("Bearer wrong"), to0] {
        case.world.post(32, token, &case.to1.1).await.refused(32, ErrorCode::InvalidToken);
    }
    assert_eq!(case.world.rows().await, before);
}

#[tokio::test]
async fn a_token_expires_after_a_minute() {
    let case = Case::new().await;
    let before = case.world.rows().await;
    let (to0, to1) = case.tokens();
    case.world.clock.advance(60);
    case.world.post(22, to0, &case.to0.1).await.refused(22, ErrorCode::InvalidToken);
    case.world.post(32, to1, &case.to1.1).await.refused(32, ErrorCode::InvalidToken);
    assert_eq!(case.world.rows().await, before);
}

#[tokio::test]
async fn the_token_never_changes_and_needs_no_prefix() {
    let case = Case::new().await;
    let (to0, to1) = case.tokens();
    assert_eq!(case.world.post(22, to0, &case.to0.1).await.ok(23).token.as_deref(), to0);
    let bare = to1.and_then(|token| token.strip_prefix("Bearer "));
    assert_eq!(case.world.post(32, bare, &case.to1.1).await.ok(33).token.as_deref(), to1);
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_reply_and_changes_nothing() {
    let case = Case::new().await;
    let (to0, to1) = case.tokens();
    let first = case.world.post(22, to0, &case.to0.1).await.ok(23);
    let before = case.world.rows().await;
    case.world.clock.advance(7);
    assert_eq!(case.world.post(22, to0, &case.to0.1).await, first);
    assert_eq!(case.world.rows().await, before);
    let first = case.world.post(32, to1, &case.to1.1).await.ok(33);
    assert_eq!(case.world.post(32, to1, &case.to1.1).await, first);
}

#[tokio::test]
async fn messages_that_are_no_requests_to_a_rendezvous_are_out_of_order() {
    let case = Case::new().await;
    let before = case.world.rows().await;
    let (to0, to1) = case.tokens();
    for message_type in [10, 12, 21, 23, 31, 33, 60, 62, 64, 71, 99] {
        for token in [None, to0, to1] {
            let reply = case.world.post(message_type, token, &case.to0.1).await;
            reply.refused(message_type, ErrorCode::InvalidMessage);
        }
    }
    // What came out of order ended nothing: there is no state to end.
    case.world.post(32, to1, &case.to1.1).await.ok(33);
    assert_eq!(case.world.rows().await, before);
}

#[tokio::test]
async fn a_stale_or_empty_token_on_a_first_message_is_tolerated() {
    let case = Case::new().await;
    case.world.post(20, case.tokens().1, &[0x80]).await.ok(21);
    case.world.post(20, Some(""), &[0x80]).await.ok(21);
    case.world.hello(case.device.guid).await.ok(31);
}

#[tokio::test]
async fn an_error_of_the_peer_is_taken_note_of() {
    let case = Case::new().await;
    let url = case.world.url("device", "/fdo/101/msg/255");
    let response = case.world.http.post(url).body(&b"\x80"[..]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let case = Case::new().await;
    let url = case.world.url("device", "/fdo/101/msg/30");
    let sent = case.world.http.post(url).body(vec![0x80; 70 * 1024]).send().await;
    // The connection may close while the body is still being sent.
    if let Ok(response) = sent {
        assert_eq!(response.status(), 500);
    }
    case.world.hello(case.device.guid).await.ok(31);
}
