//! `firstlight.est` on the device: where it renews its certificate, whom it trusts there, and the certificate of its
//! birth, which is kept only if it is for this device's key.

use fdo_pki::Certificate;
use fdo_protocol::Error;
use fdo_protocol::cbor::ByteString;
use fdo_protocol::crypto::VerifyingKey;
use fdo_protocol::service_info::ModuleMessage as _;
use fdo_protocol::service_info::est::{DEFAULT_RENEW_PERCENT, MODULE, RenewalSource, ToDevice, ToOwner};

use super::Answers;

/// The module's state.
#[derive(Default)]
pub struct Est {
    url: Option<String>,
    renew_percent: Option<u64>,
    trust: Vec<ByteString>,
    idevid: Vec<ByteString>,
}

impl Est {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value that cannot be used.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        match ToDevice::decode(message, item)? {
            Some(ToDevice::Active(true)) => answers.tell(&ToOwner::Active(true)),
            Some(ToDevice::Active(false)) => {}
            Some(ToDevice::Url(url)) => self.url = Some(url),
            Some(ToDevice::RenewPercent(percent)) => self.renew_percent = Some(percent),
            Some(ToDevice::Trust(list)) => self.trust = certificates(list)?,
            Some(ToDevice::Idevid(list)) => self.idevid = certificates(list)?,
            None => answers.ignored(message),
        }
        Ok(())
    }

    /// What the owner said; none where it did not say where.
    pub fn finish(&self) -> Option<RenewalSource> {
        Some(RenewalSource {
            url: self.url.clone()?,
            renew_percent: self.renew_percent.unwrap_or(DEFAULT_RENEW_PERCENT),
            trust: self.trust.clone(),
            idevid: self.idevid.clone(),
        })
    }
}

/// The same without a certificate of birth that is not for this attestation key.
pub fn for_key(mut source: RenewalSource, key: &VerifyingKey) -> RenewalSource {
    let is_own = |leaf: &ByteString| Certificate::parse(&leaf.0).is_ok_and(|leaf| leaf.spki() == key.spki_der());
    if !source.idevid.first().is_none_or(is_own) {
        tracing::warn!("the owner gave another device's certificate of birth, which is not kept");
        source.idevid.clear();
    }
    source
}

fn certificates(list: Vec<ByteString>) -> Result<Vec<ByteString>, Error> {
    match list.iter().all(|der| Certificate::parse(&der.0).is_ok()) {
        true => Ok(list),
        false => Err(Error::Malformed("certificates of the EST service")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fdo_protocol::crypto::KeyType;

    use super::*;
    use crate::modules::csr::tests::Authority;

    #[test]
    fn only_the_certificate_of_this_devices_key_is_kept() {
        let mut authority = Authority::new(1);
        let (own, certificate) = authority.fresh(KeyType::P256);
        let (other, _) = authority.fresh(KeyType::P256);
        let mut device = Est::default();
        let mut answers = Answers::new(Est::NAME);
        let chain = vec![ByteString(certificate), ByteString(authority.certificate.clone())];
        for message in [
            ToDevice::Active(true),
            ToDevice::Trust(vec![ByteString(authority.certificate.clone())]),
            ToDevice::Idevid(chain.clone()),
        ] {
            let kv = message.to_kv();
            device.receive(kv.message(), &kv.value, &mut answers).unwrap();
        }
        assert_eq!(device.finish(), None, "nobody said where");
        let kv = ToDevice::Url("https://owner.example:8045/.well-known/est".into()).to_kv();
        device.receive(kv.message(), &kv.value, &mut answers).unwrap();
        let source = device.finish().unwrap();
        assert_eq!(source.renew_percent, DEFAULT_RENEW_PERCENT);
        assert_eq!(for_key(source.clone(), own.verifying_key()).idevid, chain);
        assert!(for_key(source, other.verifying_key()).idevid.is_empty());
        let garbage = ToDevice::Trust(vec![ByteString(vec![0x30, 0])]).to_kv();
        assert!(device.receive(garbage.message(), &garbage.value, &mut answers).is_err());
    }
}
