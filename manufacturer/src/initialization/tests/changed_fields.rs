//! Each field of each message of DI changed, one at a time: refused with FDO's code, or, where it is a device's to say,
//! taken; no voucher comes of it, and the serial stays free until a DI ends as it should.

use std::collections::BTreeSet;

use super::super::mutate;
use super::*;

/// The device's wishes and its word, and one more element for later versions.
const ACCEPTED: &[&str] =
    &["10 0/w Extra", "10 0/w/0 Value", "10 0/w/1 Value", "10 0/w/3 Longer", "10 0/w/3 Value"];

#[tokio::test]
async fn a_changed_field_is_refused_and_changes_nothing() {
    let db = TestDatabase::sqlite::<Migrator>().await;
    let line = Line::new(&db, Admission::Listed);
    line.admit("FL-1").await;
    let key = key(KeyType::P256);
    let mut accepted = BTreeSet::new();
    for number in [10, 12] {
        let (mut index, mut refused) = (0, 0);
        loop {
            let asked = info(&key, "FL-1", KeyType::P256, PublicKeyEncoding::X509);
            let (request, waiting) = device::begin(asked);
            let (token, body) = if number == 10 {
                (None, request.body)
            } else {
                let reply = line.send(10, &request.body, None).await.unwrap();
                let secret = Zeroizing::new(vec![5; 32]);
                let secrets = FileSecrets::new(key.clone(), secret.clone());
                let (request, _) = waiting.set_credentials(&reply.body, &secrets, secret).unwrap();
                (reply.token, request.body)
            };
            let mut all = mutate::all(&body);
            if index >= all.len() {
                break;
            }
            let mutation = all.swap_remove(index);
            let what = format!("{number} {} {:?}", mutation.path, mutation.change);
            index += 1;
            // Another HMAC is as good as this one to whoever cannot check it: it would be this device's voucher.
            if what == "12 0/1 Value" {
                continue;
            }
            match line.send(number, &mutation.body, token.as_deref()).await {
                Ok(reply) => {
                    assert_eq!(reply.message_type, number + 1, "{what}");
                    accepted.insert(what.clone());
                }
                Err(fault) => {
                    let code = fault.error().code().number();
                    assert!([6, 100, 101].contains(&code), "{what} is answered with {code}");
                    refused += 1;
                }
            }
            line.assert_free("FL-1").await;
        }
        assert!(refused > 4, "{number}: only {refused} changes were refused");
    }
    assert_eq!(accepted, ACCEPTED.iter().map(|line| (*line).to_owned()).collect());
    let (key, asked) = simple("FL-1");
    initialize(&line, &key, asked).await;
}
