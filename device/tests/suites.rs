//! The suites that a device asks for: those that it was told, else those that go with its owner's key.
#![allow(clippy::unwrap_used)]

mod world;

use fdo_device::Onboarded;
use fdo_protocol::RendezvousInfo;
use fdo_protocol::crypto::{CipherSuite, EtmForm, KexSuite, KeyType, SigningKey};
use fdo_protocol::rendezvous_info::{Directive, RvProtocol};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use world::World;

#[tokio::test]
async fn a_device_onboards_with_every_cipher_and_in_every_form() {
    for suite in CipherSuite::ALL {
        let forms = if suite.is_encrypt_then_mac() { EtmForm::ALL.map(Some).to_vec() } else { vec![None] };
        for form in forms {
            let mut world = World::born().await;
            world.settings.cipher_suite = Some(suite);
            world.services().encrypt_then_mac = form;
            let outcome = world.power_on().await;
            assert!(matches!(outcome, Ok(Onboarded::Now { .. })), "{suite} {form:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_cipher_that_the_owner_does_not_offer_leaves_the_device_as_it_was() {
    let mut world = World::born().await;
    world.settings.cipher_suite = Some(CipherSuite::CoseAes128Ctr);
    let before = world.credential();
    world.power_on().await.unwrap_err();
    assert_eq!(world.credential(), before);
    // With another, the same device gets in.
    world.settings.cipher_suite = Some(CipherSuite::AesCcm64_128_128);
    world.power_on().await.unwrap();
}

/// The redirect is signed by the owner, so that it shows which key exchange will do.
#[tokio::test]
async fn the_key_exchange_follows_the_owners_key() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for (device, owner) in [(KeyType::P256, KeyType::P384), (KeyType::P384, KeyType::P256)] {
        let mut world = World::new(device);
        world.services().manufacturer = SigningKey::generate(owner, &mut rng).unwrap();
        world.services().owner = SigningKey::generate(owner, &mut rng).unwrap();
        world.agent().init(&world.birth()).await.unwrap();
        world.settings.kex_suite = Some(KexSuite::for_key(device));
        world.power_on().await.unwrap_err();
        world.settings.kex_suite = None;
        world.power_on().await.unwrap();
    }
}

/// A device on a curve with an RSA owner: by itself it agrees by Diffie-Hellman, and without forward secrecy only if told.
#[tokio::test]
async fn an_rsa_owner_gets_the_key_exchanges_of_rsa() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let manufacturer = SigningKey::generate(KeyType::Rsa2048, &mut rng).unwrap();
    let owner = SigningKey::generate(KeyType::Rsa2048, &mut rng).unwrap();
    for (suite, fits) in [
        (None, true),
        (Some(KexSuite::Dhkexid14), true),
        (Some(KexSuite::Asymkex2048), true),
        (Some(KexSuite::Dhkexid15), false),
        (Some(KexSuite::Asymkex3072), false),
        (Some(KexSuite::Ecdh256), false),
    ] {
        let mut world = World::new(KeyType::P256);
        world.services().manufacturer = manufacturer.clone();
        world.services().owner = owner.clone();
        world.agent().init(&world.birth()).await.unwrap();
        world.settings.kex_suite = suite;
        let before = world.credential();
        let outcome = world.power_on().await;
        assert_eq!(outcome.is_ok(), fits, "{suite:?}: {outcome:?}");
        assert_eq!(world.credential() == before, !fits, "{suite:?}");
    }
}

/// A rendezvous bypass leads to an owner of whom nothing is known: the device finds the key exchange that fits.
#[tokio::test]
async fn behind_a_bypass_the_key_exchanges_are_tried_in_turn() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for owner in [KeyType::P256, KeyType::P384, KeyType::Rsa2048] {
        let mut world = World::new(KeyType::P256);
        world.services().manufacturer = SigningKey::generate(owner, &mut rng).unwrap();
        world.services().owner = SigningKey::generate(owner, &mut rng).unwrap();
        let bypass = Directive { bypass: true, ..Directive::at(RvProtocol::Http, "owner.example", 8043) };
        world.services().rv_info = RendezvousInfo::new(vec![bypass]);
        world.agent().init(&world.birth()).await.unwrap();
        world.settings.kex_suite = Some(KexSuite::Dhkexid15);
        world.power_on().await.unwrap_err();
        world.settings.kex_suite = None;
        let outcome = world.power_on().await;
        assert!(matches!(outcome, Ok(Onboarded::Now { .. })), "{owner}: {outcome:?}");
    }
}
