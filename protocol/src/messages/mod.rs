//! The messages of FDO 1.1 as they stand on the wire, one file a protocol, in the order of their numbers.

pub mod di;
mod error_message;
mod sig_info;
pub mod to0;
pub mod to1;
pub mod to2;

use crate::cbor::{Decode, Encode};
use crate::error::Error;

pub use error_message::ErrorMessage;
pub use sig_info::SigInfo;

/// Version 1.1 of the protocol, as it stands in messages and in the route `/fdo/101/`.
pub const PROTOCOL_VERSION: u16 = 101;

/// The protocols that messages belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Device initialization, 10 to 13.
    Di,
    /// Owner to rendezvous, 20 to 23.
    To0,
    /// Device to rendezvous, 30 to 33.
    To1,
    /// Device to owner, 60 to 71.
    To2,
}

/// Whether a message travels in TO2's tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// As it is.
    Plain,
    /// As a COSE_Encrypt0 under the keys of 61 and 64.
    Tunnel,
}

macro_rules! message_types {
    ($($name:ident = $number:literal $protocol:ident $protection:ident $doc:literal),* $(,)?) => {
        /// The type of a message, by the specification's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $(#[doc = $doc] $name),*
        }

        impl MessageType {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number in the route.
            pub fn number(self) -> u8 {
                match self { $(Self::$name => $number),* }
            }

            /// The type with this number, if FDO 1.1 has it.
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The protocol that it belongs to; none for message 255.
            pub fn protocol(self) -> Option<Protocol> {
                match self { $(Self::$name => message_types!(@protocol $protocol)),* }
            }

            /// Whether it travels in the tunnel.
            pub fn protection(self) -> Protection {
                match self { $(Self::$name => Protection::$protection),* }
            }
        }
    };
    (@protocol None) => { None };
    (@protocol $protocol:ident) => { Some(Protocol::$protocol) };
}

message_types! {
    AppStart = 10 Di Plain "DI.AppStart, device to manufacturer",
    SetCredentials = 11 Di Plain "DI.SetCredentials, manufacturer to device",
    SetHmac = 12 Di Plain "DI.SetHMAC, device to manufacturer",
    DiDone = 13 Di Plain "DI.Done, manufacturer to device",
    To0Hello = 20 To0 Plain "TO0.Hello, owner to rendezvous",
    HelloAck = 21 To0 Plain "TO0.HelloAck, rendezvous to owner",
    OwnerSign = 22 To0 Plain "TO0.OwnerSign, owner to rendezvous",
    AcceptOwner = 23 To0 Plain "TO0.AcceptOwner, rendezvous to owner",
    HelloRv = 30 To1 Plain "TO1.HelloRV, device to rendezvous",
    HelloRvAck = 31 To1 Plain "TO1.HelloRVAck, rendezvous to device",
    ProveToRv = 32 To1 Plain "TO1.ProveToRV, device to rendezvous",
    RvRedirect = 33 To1 Plain "TO1.RVRedirect, rendezvous to device",
    HelloDevice = 60 To2 Plain "TO2.HelloDevice, device to owner",
    ProveOvHdr = 61 To2 Plain "TO2.ProveOVHdr, owner to device",
    GetOvNextEntry = 62 To2 Plain "TO2.GetOVNextEntry, device to owner",
    OvNextEntry = 63 To2 Plain "TO2.OVNextEntry, owner to device",
    ProveDevice = 64 To2 Plain "TO2.ProveDevice, device to owner",
    SetupDevice = 65 To2 Tunnel "TO2.SetupDevice, owner to device",
    DeviceServiceInfoReady = 66 To2 Tunnel "TO2.DeviceServiceInfoReady, device to owner",
    OwnerServiceInfoReady = 67 To2 Tunnel "TO2.OwnerServiceInfoReady, owner to device",
    DeviceServiceInfo = 68 To2 Tunnel "TO2.DeviceServiceInfo, device to owner",
    OwnerServiceInfo = 69 To2 Tunnel "TO2.OwnerServiceInfo, owner to device",
    Done = 70 To2 Tunnel "TO2.Done, device to owner",
    Done2 = 71 To2 Tunnel "TO2.Done2, owner to device",
    Error = 255 None Plain "the error message, either way, never encrypted",
}

impl MessageType {
    /// Whether it opens a protocol and so comes without a session token.
    pub fn is_first(self) -> bool {
        matches!(self, Self::AppStart | Self::To0Hello | Self::HelloRv | Self::HelloDevice)
    }
}

/// What is fixed about a message.
pub trait Message: Encode + Decode {
    /// Its type; what travels in the tunnel follows from it.
    const TYPE: MessageType;
}

/// A message that awaits an answer.
pub trait Request: Message {
    /// The message that answers it.
    type Reply: Message;
}

/// A message ready to be carried: its type and its body, encrypted where it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Its type.
    pub message_type: MessageType,
    /// Its body.
    pub body: Vec<u8>,
}

impl Outbound {
    /// A message that travels as it is.
    pub fn plain<T: Message>(message: &T) -> Self {
        Self { message_type: T::TYPE, body: crate::cbor::encode(message) }
    }
}

/// Declares the types of messages and which reply answers which request.
macro_rules! exchange {
    ($($request:ident -> $reply:ident),* $(,)?) => {$(
        impl $crate::messages::Message for $request {
            const TYPE: $crate::messages::MessageType = $crate::messages::MessageType::$request;
        }
        impl $crate::messages::Message for $reply {
            const TYPE: $crate::messages::MessageType = $crate::messages::MessageType::$reply;
        }
        impl $crate::messages::Request for $request {
            type Reply = $reply;
        }
    )*};
}
pub(crate) use exchange;

/// A message whose body is one COSE_Sign1.
macro_rules! signed_message {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $crate::cose::Sign1);

        impl $crate::cbor::Encode for $name {
            fn encode_into(&self, writer: &mut $crate::cbor::Writer) {
                self.0.encode_into(writer);
            }
        }

        impl $crate::cbor::Decode for $name {
            fn decode_from(reader: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::Error> {
                $crate::cose::Sign1::decode_from(reader).map(Self)
            }
        }
    };
}
pub(crate) use signed_message;

/// Text from a peer that becomes part of a record: printable and at most 255 bytes.
pub(crate) fn printable(text: &str, what: &'static str) -> Result<(), Error> {
    if text.len() <= 255 && !text.chars().any(char::is_control) { Ok(()) } else { Err(Error::Rejected(what)) }
}
