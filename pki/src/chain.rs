//! A device's certificate chain out of a voucher: who made this device (FDO 1.1, 3.4.4 `OVDevCertChain`; RFC 5280, 6.1).
//!
//! Certificates are linked by signature, never by name: makers name leaf and CA alike. Many device CAs carry no
//! basicConstraints, so a CA counts as one if it says so or if the operator pinned it.

use std::collections::{HashMap, HashSet};

use crate::{Certificate, Error};
use fdo_protocol::crypto::VerifyingKey;

/// More certificates than this are refused.
pub const MAX_CHAIN: usize = 8;

/// Whether the leaf's notBefore and notAfter count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeafValidity {
    /// They do not: an IDevID is for life, and clocks on factory lines are wrong.
    #[default]
    Ignored,
    /// The leaf must be valid at this time, unix seconds.
    At(u64),
}

/// What an operator may want stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainPolicy {
    /// Whether the leaf's validity counts.
    pub leaf_validity: LeafValidity,
}

/// The device CAs that an operator trusts.
#[derive(Clone, Debug, Default)]
pub struct TrustedCas {
    /// SHA-256 of certificates, and of public keys.
    fingerprints: HashSet<[u8; 32]>,
    keys: HashSet<[u8; 32]>,
    /// Whole certificates by fingerprint, for chains that leave out their CA.
    certificates: HashMap<[u8; 32], Certificate>,
}

impl TrustedCas {
    /// Trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pins a CA's certificate; it is then found also for chains that do not carry it.
    pub fn pin_certificate(&mut self, certificate: Certificate) {
        self.certificates.insert(certificate.fingerprint(), certificate);
    }

    /// Pins the certificate with this SHA-256 fingerprint; it must be part of the chain to be found.
    pub fn pin_fingerprint(&mut self, sha256: [u8; 32]) {
        self.fingerprints.insert(sha256);
    }

    /// Pins the key whose `SubjectPublicKeyInfo` has this SHA-256; any certificate with it will do.
    pub fn pin_key(&mut self, spki_sha256: [u8; 32]) {
        self.keys.insert(spki_sha256);
    }

    /// Whether nothing is pinned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty() && self.keys.is_empty() && self.certificates.is_empty()
    }

    fn names(&self, certificate: &Certificate) -> bool {
        let fingerprint = certificate.fingerprint();
        self.fingerprints.contains(&fingerprint)
            || self.certificates.contains_key(&fingerprint)
            || self.keys.contains(&certificate.spki_sha256())
    }
}

/// A received chain, leaf first: well-formed, nothing verified.
#[derive(Clone, Debug)]
pub struct DeviceChain {
    leaf: Certificate,
    authorities: Vec<Certificate>,
    key: VerifyingKey,
}

impl DeviceChain {
    /// Reads 1 to 8 DER certificates, leaf first; the leaf's key must be P-256 or P-384.
    pub fn parse<T: AsRef<[u8]>>(chain: &[T]) -> Result<Self, Error> {
        const WHAT: &str = "device certificate chain";
        if chain.len() > MAX_CHAIN {
            return Err(Error::malformed(WHAT, "it has more than 8 certificates"));
        }
        let mut certificates = chain.iter().map(|der| Certificate::parse(der.as_ref()));
        let leaf = certificates.next().ok_or(Error::malformed(WHAT, "it is empty"))??;
        Ok(Self { key: leaf.public_key()?, leaf, authorities: certificates.collect::<Result<_, _>>()? })
    }

    /// The device's own certificate, not yet verified.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The device's public key, not yet verified.
    #[must_use]
    pub fn leaf_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The certificates after the leaf, in their order.
    #[must_use]
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// Verifies upwards from the leaf until a pinned device CA is reached; what stands above it does not matter.
    pub fn verify(self, trusted: &TrustedCas, policy: &ChainPolicy) -> Result<VerifiedChain, Error> {
        self.check_leaf(policy)?;
        let mut below = &self.leaf;
        for (index, authority) in (1..).zip(&self.authorities) {
            below.verify_signed_by(authority)?;
            let pinned = trusted.names(authority);
            may_issue(authority, index, pinned)?;
            if pinned {
                let anchor = authority.fingerprint();
                return Ok(VerifiedChain { chain: self, anchor });
            }
            below = authority;
        }
        let index = self.authorities.len() + 1;
        let issuer = trusted.certificates.values().find(|ca| below.verify_signed_by(ca).is_ok());
        let anchor = issuer.ok_or(Error::NotTrusted)?;
        may_issue(anchor, index, true)?;
        let anchor = anchor.fingerprint();
        Ok(VerifiedChain { chain: self, anchor })
    }

    /// For an operator who imports without the maker's CA: whatever can be checked must hold, nothing is trusted.
    ///
    /// A link signed with an algorithm that is not supported (SHA-1 in old roots) is passed over.
    pub fn accept_unanchored(self, policy: &ChainPolicy) -> Result<UnanchoredChain, Error> {
        self.check_leaf(policy)?;
        let mut below = &self.leaf;
        for authority in &self.authorities {
            match below.verify_signed_by(authority) {
                Ok(()) | Err(Error::UnsupportedSignature(_)) => below = authority,
                Err(error) => return Err(error),
            }
        }
        Ok(UnanchoredChain(self))
    }

    fn check_leaf(&self, policy: &ChainPolicy) -> Result<(), Error> {
        if self.leaf.key_usage().is_some_and(|usage| !usage.digital_signature()) {
            return Err(Error::WrongUse { index: 0, reason: "its key usage does not allow signatures" });
        }
        match policy.leaf_validity {
            LeafValidity::Ignored => Ok(()),
            LeafValidity::At(now) => self.leaf.check_validity("device certificate", now),
        }
    }
}

/// Without this a device could sign a chain for a device that was never made.
fn may_issue(authority: &Certificate, index: usize, pinned: bool) -> Result<(), Error> {
    let refuse = |reason| Err(Error::WrongUse { index, reason });
    if authority.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
        return refuse("its key usage does not allow it to sign certificates");
    }
    match authority.basic_constraints() {
        Some(constraints) if !constraints.ca => refuse("it says that it is no CA"),
        // `index - 1` certificates stand between it and the leaf.
        Some(constraints) if constraints.path_len_constraint.is_some_and(|most| index > usize::from(most) + 1) => {
            refuse("too many CAs stand below it")
        }
        None if !pinned => refuse("it does not say that it is a CA, and it is not pinned"),
        _ => Ok(()),
    }
}

/// A chain that reaches a pinned device CA; only [`DeviceChain::verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedChain {
    chain: DeviceChain,
    anchor: [u8; 32],
}

impl VerifiedChain {
    /// The device's certificate.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.chain.leaf
    }

    /// The device's public key.
    #[must_use]
    pub fn leaf_key(&self) -> &VerifyingKey {
        &self.chain.key
    }

    /// SHA-256 of the certificate of the device CA that the chain reached.
    #[must_use]
    pub fn anchor(&self) -> &[u8; 32] {
        &self.anchor
    }
}

/// A chain that hangs together but reaches no pinned CA; only [`DeviceChain::accept_unanchored`] makes one.
#[derive(Clone, Debug)]
pub struct UnanchoredChain(DeviceChain);

impl UnanchoredChain {
    /// The device's certificate.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.0.leaf
    }

    /// The device's public key.
    #[must_use]
    pub fn leaf_key(&self) -> &VerifyingKey {
        &self.0.key
    }
}
