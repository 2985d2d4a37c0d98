//! What a profile may say.

use super::*;

fn refused(profile: &Profile) -> String {
    profile.compile(&CaSettings::default()).unwrap_err().to_string()
}

#[test]
fn what_is_built_in_holds_and_follows_the_settings() {
    let settings = CaSettings { validity_days: 30, rsa_device_keys: true, ..CaSettings::default() };
    let profile = Profile::built_in(&settings);
    assert_eq!((profile.validity_seconds, profile.key_types.len()), (30 * 86_400, 4));
    profile.compile(&settings).unwrap();
}

#[test]
fn seconds_templates_and_own_uses_are_taken() {
    let profile = Profile {
        name: "gateway-3".into(),
        models: vec!["GW".into()],
        subject: vec!["CN={serial}".into(), "OU={model}".into()],
        names: vec!["dns:{serial}.plant.example".into(), "uri:spiffe://plant/{guid}".into()],
        extended_key_usages: vec!["serverAuth".into(), "1.3.6.1.4.1.32473.7".into()],
        validity_seconds: 6,
        backdate_seconds: 0,
        status: vec![Status::NoRevAvail, Status::Issuer],
        ..Profile::default()
    };
    let pki = profile.compile(&CaSettings::default()).unwrap();
    assert!(pki.no_rev_avail);
    let compiled = Compiled { profile: profile.clone(), pki, times: None };
    assert!(compiled.needs_record());
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
}

#[test]
fn what_does_not_fit_is_named() {
    let base = Profile::default;
    for (profile, word) in [
        (Profile { name: "cacerts".into(), ..base() }, "operation of EST"),
        (Profile { name: "a/b".into(), ..base() }, "a-z"),
        (Profile { models: vec!["X".into()], ..base() }, "no other profile"),
        (Profile { subject: vec!["CN={mac}".into()], ..base() }, "{organization}"),
        (Profile { subject: vec!["serialNumber={guid}".into()], ..base() }, "always there"),
        (Profile { subject: vec!["nothing".into()], ..base() }, "CN={serial}"),
        (Profile { names: vec!["email:{serial}".into()], ..base() }, "uri: or dns:"),
        (Profile { key_usages: vec!["keyCertSign".into()], ..base() }, "digitalSignature"),
        (Profile { key_usages: vec!["keyAgreement".into()], ..base() }, "must be among them"),
        (Profile { extended_key_usages: vec!["1.3.6.1.5.5.7.3.9".into()], ..base() }, "OID of your own"),
        (Profile { validity_seconds: 0, ..base() }, "366 days"),
        (Profile { validity_seconds: 400 * 86_400, ..base() }, "366 days"),
        (Profile { backdate_seconds: 8 * 86_400, ..base() }, "7 days"),
        (Profile { key_types: vec![], ..base() }, "at least one"),
        (Profile { key_types: vec!["RSA1024".into()], ..base() }, "RSA2048"),
        (Profile { renew_percent: 96, ..base() }, "1 to 95"),
        (Profile { status: vec![Status::NoRevAvail, Status::Crl], ..base() }, "neither"),
    ] {
        let text = refused(&profile);
        assert!(text.contains(word), "{text}");
    }
    assert!(serde_json::from_str::<Profile>("{\"ca\": true}").is_err(), "an unknown field is refused");
}
