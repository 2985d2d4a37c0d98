//! The cipher suites: which a device gets, and what it gets where the operator has not switched them on.

use fdo_owner::config::Form;
use fdo_protocol::crypto::{CipherSuite, EtmForm};

use crate::device::{Manner, Talk, onboard};
use crate::world::{World, config};

fn manner(world: &World, suite: CipherSuite) -> Manner {
    Manner { cipher_suite: Some(suite), ..Manner::new(world) }
}

#[tokio::test]
async fn every_suite_onboards_where_it_is_offered() {
    for world in World::all().await {
        for suite in CipherSuite::ALL {
            let born = world.device().await;
            let before = world.everything(&born.guid()).await;
            let outcome = onboard(&world, &born, &manner(&world, suite)).await;
            if suite.is_encrypt_then_mac() {
                assert_eq!(outcome.err(), Some(101), "{suite}");
                assert_eq!(world.everything(&born.guid()).await, before, "{suite}");
            } else {
                let (_, received) = outcome.unwrap();
                assert_eq!(received.certificates.len(), 1, "{suite}");
            }
        }
    }
}

#[tokio::test]
async fn encrypt_then_mac_has_the_form_of_the_model() {
    for (form, for_model, expected) in [
        (Form::Go, None, EtmForm::Go),
        (Form::Specification, None, EtmForm::Specification),
        (Form::Go, Some(("gateway", Form::Java)), EtmForm::Java),
        (Form::Java, Some(("another", Form::Go)), EtmForm::Java),
    ] {
        let mut config = config();
        config.encrypt_then_mac.offered = true;
        config.encrypt_then_mac.form = form;
        config.encrypt_then_mac.models.extend(for_model.map(|(model, form)| (model.to_owned(), form)));
        let world = World::with(config).await;
        for suite in CipherSuite::ALL {
            let born = world.device().await;
            onboard(&world, &born, &manner(&world, suite)).await.unwrap();
            if !suite.is_encrypt_then_mac() {
                continue;
            }
            let born = world.device().await;
            let mut talk = Talk::before(&world, &born, &manner(&world, suite), 66).await;
            // go-fdo's form is the one whose inner object has no tag and an empty protected header.
            let is_go = talk.last_reply.windows(3).any(|bytes| bytes == [0x83, 0x40, 0xa2]);
            assert_eq!(is_go, expected == EtmForm::Go, "{suite}");
            talk.finish().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_tampered_message_ends_the_session_whatever_its_suite() {
    let mut config = config();
    config.encrypt_then_mac.offered = true;
    let world = World::with(config).await;
    for suite in CipherSuite::ALL {
        let born = world.device().await;
        let mut talk = Talk::before(&world, &born, &manner(&world, suite), 66).await;
        let identity = world.identity(&born.guid()).await;
        let mut body = talk.next.body.clone();
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(talk.send(66, body).await, Err(100), "{suite}");
        assert_eq!(world.identity(&born.guid()).await, identity, "{suite}");
        let good = talk.next.body.clone();
        assert_eq!(talk.send(66, good).await, Err(101), "{suite}: the session is over");
    }
}
