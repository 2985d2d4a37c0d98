//! What can go wrong with requests, certificates and chains, by whose fault it is.

/// Why a request, a certificate or a chain was refused, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not the DER, PEM or base64 that was expected.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The input is longer than its limit.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The key is of a kind or a strength that is not allowed; use P-256, P-384 or RSA.
    #[error("key refused ({reason}): use a P-256, P-384 or RSA key (2048 or 3072 bits)")]
    UnsupportedKey {
        /// What is wrong with the key.
        reason: &'static str,
    },
    /// The signature was made with an algorithm that is not allowed.
    #[error("signature algorithm {0} is not allowed: use ECDSA or RSA with SHA-256 or SHA-384")]
    UnsupportedSignature(String),
    /// A signature does not verify.
    #[error("the signature of the {what} does not verify")]
    BadSignature {
        /// Whose signature.
        what: &'static str,
    },
    /// A value does not fit the field of the certificate that it is meant for.
    #[error("{field}: {reason}")]
    InvalidField {
        /// The field.
        field: &'static str,
        /// What the field allows.
        reason: &'static str,
    },
    /// The chain reaches none of the pinned device CAs; pin its CA if the maker is to be trusted.
    #[error("the device's certificate chain reaches no trusted device CA")]
    NotTrusted,
    /// A certificate may not be used in this place.
    #[error("certificate {index} of the chain: {reason}")]
    WrongUse {
        /// Position in the chain, 0 is the leaf.
        index: usize,
        /// Why not.
        reason: &'static str,
    },
    /// The certificate is not valid at the given time.
    #[error("the {what} is not valid at this time: {reason}")]
    NotValidNow {
        /// Which certificate.
        what: &'static str,
        /// Not yet, or no longer.
        reason: &'static str,
    },
    /// The signer is not the issuer that the certificate names, or it failed.
    #[error("signing failed: {0}")]
    Signer(String),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, reason: &'static str) -> Self {
        Self::Malformed { what, reason }
    }

    pub(crate) fn der(what: &'static str) -> impl Fn(der::Error) -> Self {
        move |_| Self::malformed(what, "it is not valid DER")
    }

    /// Only for encoding values that were checked before: a failure means that one did not fit after all.
    pub(crate) fn encoding(field: &'static str) -> impl Fn(der::Error) -> Self {
        move |_| Self::InvalidField { field, reason: "the value cannot be encoded" }
    }
}
