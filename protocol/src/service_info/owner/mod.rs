//! The owner's side of the modules: what to send next, and what to ask of the service around it.
//!
//! A closed enum whose every state can be stored, so that it survives between two requests. A module *asks* with a
//! [`Need`]; whoever holds certificates and files *answers* with a [`Provision`].

mod command;
mod conformance;
mod conversation;
mod csr;
mod download;
mod est;
mod outcome;
mod payload;
mod progress;
mod upload;
mod wget;
mod wifi;

use std::fmt;

use crate::cbor::{Decode, Encode, Reader, Writer};
use crate::error::Error;
use crate::service_info::ServiceInfoKv;
use crate::service_info::csr::CsrError;
use crate::service_info::devmod::Devmod;
use crate::service_info::est::RenewalSource;
pub use command::Command;
pub use conformance::Conformance;
pub use conversation::Conversation;
pub use csr::Csr;
pub use download::Download;
pub use est::Est;
pub use outcome::{ModuleFailure, ModuleOutcome};
pub use payload::{Payload, PayloadOptions};
pub use progress::Progress;
pub use upload::Upload;
pub use wget::Wget;
pub use wifi::Wifi;

/// What a module wants to be answered before it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A certificate for this PKCS#10 request, in DER and not looked at yet. Answer [`Provision::Certificate`].
    Issue {
        /// The request.
        csr: Vec<u8>,
        /// Whether it renews a certificate that the device has.
        renewal: bool,
    },
    /// A key made by the owner, and a certificate for it. Answer [`Provision::KeyAndCertificate`].
    GenerateKey {
        /// The request, whose key only shows the type.
        csr: Vec<u8>,
    },
    /// The certificates of the CA. Answer [`Provision::CaCertificates`].
    CaCertificates {
        /// Whether a single certificate is wanted instead of PKCS#7.
        single: bool,
    },
    /// What a request should contain. Answer [`Provision::CsrAttributes`].
    CsrAttributes,
    /// Where this device renews its certificate. Answer [`Provision::Renewal`].
    Renewal,
    /// A part of a file. Answer [`Provision::FilePart`], shorter only where the file ends.
    ReadFile {
        /// The name that the plan gave it.
        name: String,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: usize,
    },
    /// Keep a part of what the device sends. Answer [`Provision::Stored`]. The same part may come again after a
    /// failure of this side: write it at its place.
    StoreUpload {
        /// The name that the plan gave it.
        name: String,
        /// Where the part begins, in bytes.
        offset: u64,
        /// The part.
        data: Vec<u8>,
    },
    /// The device has sent all of it; of an empty file no part was stored. Check what is stored and put it where it
    /// belongs. Answer [`Provision::Stored`], or [`Provision::Mismatch`] for another length or hash. It may come again
    /// after a failure of this side.
    FinishUpload {
        /// The name that the plan gave it.
        name: String,
        /// Its length in bytes.
        length: u64,
        /// Its hash, if the device gave one.
        sha384: Option<[u8; 48]>,
    },
}

/// The answer to a [`Need`].
pub enum Provision {
    /// One certificate, in DER.
    Certificate(Vec<u8>),
    /// A multipart body with the key and the certificate.
    KeyAndCertificate(zeroize::Zeroizing<String>),
    /// PKCS#7 or a single certificate, in DER, as was asked.
    CaCertificates(Vec<u8>),
    /// CSR attributes, in DER.
    CsrAttributes(Vec<u8>),
    /// Where to renew.
    Renewal(Box<RenewalSource>),
    /// The part of the file.
    FilePart(Vec<u8>),
    /// What the device sent is durable.
    Stored,
    /// What is stored is not what the device said that it sends.
    Mismatch,
    /// None of these, and why. For a file any error will do.
    Refused(CsrError),
}

/// What a module of the owner does. The order of the calls is that of the declarations.
trait Module {
    /// The device lists the module: queue what comes first, for messages of `size` bytes.
    fn start(&mut self, devmod: &Devmod, size: usize);
    /// Takes one message of the device.
    fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error>;
    /// The device has said all that it had to say for now.
    fn end_of_turn(&mut self) {}
    /// It is `now`, in seconds, while the module runs.
    fn tick(&mut self, _now: u64) {}
    /// What must be answered first.
    fn need(&self) -> Option<Need> {
        None
    }
    /// The answer to it.
    fn answer(&mut self, _provision: Provision) -> Result<(), Error> {
        Err(Error::Internal("an answer that no module asked for"))
    }
    /// The next pair of at most `room` bytes.
    fn next(&mut self, room: usize) -> Option<ServiceInfoKv>;
    /// Whether pairs wait that found no room.
    fn has_more(&self) -> bool;
    /// Whether the next module has to wait for this one.
    fn blocks(&self) -> bool {
        self.outcome().is_none()
    }
    /// Whether what waits is to be said although the module has ended.
    fn has_last_word(&self) -> bool {
        false
    }
    /// How it ended; `None` before that.
    fn outcome(&self) -> Option<&ModuleOutcome>;
    /// Ends it.
    fn conclude(&mut self, outcome: ModuleOutcome);
}

/// One step of what a device gets.
#[derive(Clone, PartialEq, Eq)]
pub enum OwnerModule {
    /// `fdo.wifi`
    Wifi(Wifi),
    /// `fdo.csr`
    Csr(Csr),
    /// `fdo.download`
    Download(Download),
    /// `fdo.command`
    Command(Command),
    /// `fdo.upload`
    Upload(Upload),
    /// `fdo.wget`
    Wget(Wget),
    /// `fdo.payload`
    Payload(Box<Payload>),
    /// `fido_alliance`
    Conformance(Conformance),
    /// `firstlight.est`
    Est(Est),
}

impl OwnerModule {
    /// The module's name, as devices list it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wifi(_) => super::wifi::MODULE,
            Self::Csr(_) => super::csr::MODULE,
            Self::Download(_) => super::download::MODULE,
            Self::Command(_) => super::command::MODULE,
            Self::Upload(_) => super::upload::MODULE,
            Self::Wget(_) => super::wget::MODULE,
            Self::Payload(_) => super::payload::MODULE,
            Self::Conformance(_) => super::conformance::MODULE,
            Self::Est(_) => super::est::MODULE,
        }
    }

    fn module(&self) -> &dyn Module {
        match self {
            Self::Wifi(module) => module,
            Self::Csr(module) => module,
            Self::Download(module) => module,
            Self::Command(module) => module,
            Self::Upload(module) => module,
            Self::Wget(module) => module,
            Self::Payload(module) => module.as_ref(),
            Self::Conformance(module) => module,
            Self::Est(module) => module,
        }
    }

    fn module_mut(&mut self) -> &mut dyn Module {
        match self {
            Self::Wifi(module) => module,
            Self::Csr(module) => module,
            Self::Download(module) => module,
            Self::Command(module) => module,
            Self::Upload(module) => module,
            Self::Wget(module) => module,
            Self::Payload(module) => module.as_mut(),
            Self::Conformance(module) => module,
            Self::Est(module) => module,
        }
    }

    /// It is `now`, in seconds of any clock that goes forward.
    pub(super) fn tick(&mut self, now: u64) {
        self.module_mut().tick(now);
    }

    /// Begins, for messages of `size` bytes. A device that does not list the module ends it at once.
    pub fn start(&mut self, devmod: &Devmod, size: usize) {
        if devmod.supports(self.name()) {
            self.module_mut().start(devmod, size);
        } else {
            self.module_mut().conclude(ModuleOutcome::NotOffered);
        }
    }

    /// Takes one message of the device for this module. Unknown ones are ignored.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of the wrong type, [`Error::Rejected`] for too many requests.
    pub fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        self.module_mut().receive(message, item)
    }

    /// Call when the device gives up the floor.
    pub fn end_of_turn(&mut self) {
        if self.outcome().is_none() {
            self.module_mut().end_of_turn();
        }
    }

    /// What the module asks, if anything. Ask again after each answer.
    pub fn need(&self) -> Option<Need> {
        if self.outcome().is_some() {
            return None;
        }
        self.module().need()
    }

    /// The answer to [`Self::need`].
    ///
    /// # Errors
    /// [`Error::Internal`] when it is not an answer to that.
    pub fn answer(&mut self, provision: Provision) -> Result<(), Error> {
        self.module_mut().answer(provision)
    }

    /// The next pair to send, of at most `room` encoded bytes.
    pub fn next(&mut self, room: usize) -> Option<ServiceInfoKv> {
        self.module_mut().next(room)
    }

    /// How far it has come, where it moves a file.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::Download(module) => Some(module.progress()),
            Self::Upload(module) => Some(module.progress()),
            Self::Payload(module) => Some(module.progress()),
            Self::Wifi(_)
            | Self::Csr(_)
            | Self::Command(_)
            | Self::Wget(_)
            | Self::Conformance(_)
            | Self::Est(_) => None,
        }
    }

    /// What the device said of it in its own words. Escape it.
    pub fn remark(&self) -> Option<&str> {
        match self {
            Self::Wget(module) => module.complaint(),
            Self::Payload(module) => module.remark(),
            _ => None,
        }
    }

    /// What the device may send for it beyond what is usual, in bytes.
    fn allowance(&self) -> u64 {
        match self {
            Self::Upload(module) => module.allowance(),
            _ => 0,
        }
    }

    /// How it ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<&ModuleOutcome> {
        self.module().outcome()
    }
}

impl fmt::Debug for OwnerModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name(), self.outcome())
    }
}

impl Encode for OwnerModule {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2);
        match self {
            Self::Wifi(module) => writer.unsigned(0).value(module),
            Self::Csr(module) => writer.unsigned(1).value(module),
            Self::Download(module) => writer.unsigned(2).value(module),
            Self::Command(module) => writer.unsigned(3).value(module),
            Self::Upload(module) => writer.unsigned(4).value(module),
            Self::Wget(module) => writer.unsigned(5).value(module),
            Self::Payload(module) => writer.unsigned(6).value(module.as_ref()),
            Self::Conformance(module) => writer.unsigned(7).value(module),
            Self::Est(module) => writer.unsigned(8).value(module),
        };
    }
}

impl Decode for OwnerModule {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        Ok(match reader.unsigned()? {
            0 => Self::Wifi(Wifi::decode_from(reader)?),
            1 => Self::Csr(Csr::decode_from(reader)?),
            2 => Self::Download(Download::decode_from(reader)?),
            3 => Self::Command(Command::decode_from(reader)?),
            4 => Self::Upload(Upload::decode_from(reader)?),
            5 => Self::Wget(Wget::decode_from(reader)?),
            6 => Self::Payload(Box::new(Payload::decode_from(reader)?)),
            7 => Self::Conformance(Conformance::decode_from(reader)?),
            8 => Self::Est(Est::decode_from(reader)?),
            _ => return Err(Error::Malformed("a stored module of an unknown kind")),
        })
    }
}
