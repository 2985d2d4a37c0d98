//! What can go wrong, by whose fault it is, and the one mapping to the code of message 255 (FDO 1.1, error table).

use std::fmt;

use crate::messages::ErrorMessage;

/// An error of the protocol. It ends the conversation that it happened in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not the message that they should be.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The message is well formed but says something that does not hold.
    #[error("rejected: {0}")]
    Rejected(&'static str),
    /// A message that the state of the conversation does not allow.
    #[error("message {received} is out of sequence")]
    OutOfSequence {
        /// The type of the message that came.
        received: u8,
    },
    /// The session token is missing, wrong, expired, or of another protocol.
    #[error("session token: {0}")]
    InvalidToken(&'static str),
    /// The ownership voucher does not hold.
    #[error("ownership voucher: {0}")]
    Voucher(#[from] VoucherFault),
    /// The signature of the owner over to1d is wrong.
    #[error("the owner's signature over the redirect does not verify")]
    OwnerSignature,
    /// The GUID is not known here.
    #[error("not found: {0}")]
    NotFound(&'static str),
    /// The owner asks for credential reuse, which this device does not allow.
    #[error("credential reuse is not allowed on this device")]
    CredentialReuse,
    /// The peer wants something that this side does not offer.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// The device attests itself by EPID, which nobody can verify any more.
    #[error(
        "an EPID device: Intel ended the service that its signatures need, so a device must have an ECDSA or RSA key"
    )]
    Epid,
    /// The peer ended the conversation with message 255.
    #[error("the peer reports {0}")]
    Peer(ErrorMessage),
    /// A fault of this side.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// Why an ownership voucher is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoucherFault {
    /// It does not decode.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Its version, or that of its header, is not 101.
    #[error("is not of FDO 1.1 (version 101)")]
    Version,
    /// The header names no rendezvous.
    #[error("has no rendezvous information")]
    NoRendezvous,
    /// The device information is empty or longer than 255 bytes.
    #[error("has unusable device information")]
    DeviceInfo,
    /// A public key in it does not decode, or is of an unusable type.
    #[error("holds an unusable public key")]
    PublicKey,
    /// A key differs in type from the manufacturer's.
    #[error("mixes key types")]
    MixedKeyTypes,
    /// The hash of the device certificate chain differs from the header's.
    #[error("device certificate chain does not match its hash")]
    CertificateChainHash,
    /// The device certificate chain is absent or does not verify.
    #[error("device certificate chain does not hold: {0}")]
    CertificateChain(&'static str),
    /// The HMAC has the wrong length, or (on the device) the wrong value.
    #[error("header HMAC does not hold")]
    Hmac,
    /// An entry's hash of what precedes it is wrong.
    #[error("entry {0}: the hash of the previous entry is wrong")]
    PreviousHash(usize),
    /// An entry's hash of GUID and device information is wrong.
    #[error("entry {0}: the hash of the header's information is wrong")]
    HeaderHash(usize),
    /// An entry is not signed by the owner before it.
    #[error("entry {0}: the signature does not verify")]
    Signature(usize),
    /// There is no entry where at least one is needed.
    #[error("has no entries")]
    NoEntries,
    /// There are more than 255 entries.
    #[error("has more than 255 entries")]
    TooManyEntries,
    /// The last entry's key is not that of whoever presents the voucher.
    #[error("does not end in the presenter's key")]
    NotTheOwner,
    /// The voucher's maker is not trusted here.
    #[error("comes from a manufacturer that is not trusted here")]
    Untrusted,
}

/// The codes of message 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// INVALID_JWT_TOKEN
    InvalidToken,
    /// INVALID_OWNERSHIP_VOUCHER
    InvalidVoucher,
    /// INVALID_OWNER_SIGN_BODY
    InvalidOwnerSignBody,
    /// INVALID_IP_ADDRESS
    InvalidIpAddress,
    /// INVALID_GUID
    InvalidGuid,
    /// RESOURCE_NOT_FOUND
    NotFound,
    /// MESSAGE_BODY_ERROR
    MessageBody,
    /// INVALID_MESSAGE_ERROR
    InvalidMessage,
    /// CRED_REUSE_ERROR
    CredReuse,
    /// INTERNAL_SERVER_ERROR
    Internal,
}

impl ErrorCode {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::InvalidToken => 1,
            Self::InvalidVoucher => 2,
            Self::InvalidOwnerSignBody => 3,
            Self::InvalidIpAddress => 4,
            Self::InvalidGuid => 5,
            Self::NotFound => 6,
            Self::MessageBody => 100,
            Self::InvalidMessage => 101,
            Self::CredReuse => 102,
            Self::Internal => 500,
        }
    }

    /// The fixed text that a peer is sent; the reason stays in the log.
    pub fn text(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid session token",
            Self::InvalidVoucher => "invalid ownership voucher",
            Self::InvalidOwnerSignBody => "invalid owner signature",
            Self::InvalidIpAddress => "invalid address",
            Self::InvalidGuid => "invalid GUID",
            Self::NotFound => "resource not found",
            Self::MessageBody => "message body error",
            Self::InvalidMessage => "invalid message",
            Self::CredReuse => "credential reuse not allowed",
            Self::Internal => "internal error",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.number())
    }
}

impl Error {
    /// The code that tells the peer of this error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::MessageBody,
            Self::Rejected(_) | Self::OutOfSequence { .. } | Self::Unsupported(_) | Self::Epid => {
                ErrorCode::InvalidMessage
            }
            Self::InvalidToken(_) => ErrorCode::InvalidToken,
            Self::Voucher(_) => ErrorCode::InvalidVoucher,
            Self::OwnerSignature => ErrorCode::InvalidOwnerSignBody,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::CredentialReuse => ErrorCode::CredReuse,
            Self::Peer(_) | Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// What a peer is told: the fixed text of the code. An EPID device is told why, for its maker cannot see our log.
    pub fn text(&self) -> &'static str {
        match self {
            Self::Epid => "EPID devices are not supported: the EPID service has ended",
            other => other.code().text(),
        }
    }

    /// Whatever went wrong while decoding, told as a fault of the voucher that was being decoded.
    pub(crate) fn in_voucher(self) -> Self {
        match self {
            Self::Malformed(why) | Self::Rejected(why) | Self::Unsupported(why) => {
                Self::Voucher(VoucherFault::Malformed(why))
            }
            other => other,
        }
    }
}
