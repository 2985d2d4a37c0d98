//! The ownership voucher: as received, verified, extended, replaced (FDO 1.1, ownership voucher).

mod entry;
mod extend;
mod header;
mod pem;
mod verify;

use std::fmt;

use crate::cbor::{self, ByteString, Decode, Encode, Encoded, Reader, Wrapped, Writer};
use crate::cose::Sign1;
use crate::error::{Error, VoucherFault};
use crate::guid::Guid;
use crate::hash::Hmac;
use crate::messages::PROTOCOL_VERSION;

pub use entry::OvEntryPayload;
pub use header::OvHeader;
pub use verify::{VerifiedVoucher, VerifyPolicy};

/// Entries beyond which a voucher cannot be told in 61.
pub const MAX_ENTRIES: usize = 255;

/// A voucher as it was received. Nothing in it is verified until [`Voucher::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct Voucher {
    bytes: Vec<u8>,
    header: Wrapped<OvHeader>,
    hmac: Encoded<Hmac>,
    certificates: Option<Vec<ByteString>>,
    entries: Vec<Sign1>,
}

impl Voucher {
    /// The voucher that DI leaves behind: no entry yet. `certificates` are DER, the device's own first.
    pub fn new(header: Wrapped<OvHeader>, hmac: Hmac, certificates: Vec<Vec<u8>>) -> Self {
        let certificates = Some(certificates.into_iter().map(ByteString).collect());
        Self::assemble(header, Encoded::new(hmac), certificates, Vec::new())
    }

    fn assemble(
        header: Wrapped<OvHeader>,
        hmac: Encoded<Hmac>,
        certificates: Option<Vec<ByteString>>,
        entries: Vec<Sign1>,
    ) -> Self {
        let mut writer = Writer::default();
        writer.array(5).value(&PROTOCOL_VERSION).value(&header).value(&hmac).value(&certificates).value(&entries);
        Self { bytes: writer.into_bytes(), header, hmac, certificates, entries }
    }

    /// Decodes a voucher in CBOR.
    ///
    /// # Errors
    /// [`Error::Voucher`] that says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map_err(Error::in_voucher)
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes)?;
        if reader.array_length()? != 5 || reader.unsigned()? != u64::from(PROTOCOL_VERSION) {
            return Err(VoucherFault::Version.into());
        }
        let header = Wrapped::<OvHeader>::decode_from(&mut reader)?;
        let hmac = Encoded::decode_from(&mut reader)?;
        let certificates = Option::<Vec<ByteString>>::decode_from(&mut reader)?;
        let count = reader.array_length()?;
        if count > MAX_ENTRIES {
            return Err(VoucherFault::TooManyEntries.into());
        }
        let entries = (0..count).map(|_| Sign1::decode_from(&mut reader)).collect::<Result<_, _>>()?;
        Ok(Self { bytes: bytes.to_vec(), header, hmac, certificates, entries })
    }

    /// Decodes every voucher of a file: PEM blocks labelled `OWNERSHIP VOUCHER`, or one in raw CBOR.
    ///
    /// # Errors
    /// [`Error::Voucher`] for the first that does not decode, or when there is none.
    pub fn from_file(file: &[u8]) -> Result<Vec<Self>, Error> {
        pem::blocks(file)?.iter().map(|block| Self::from_bytes(block)).collect()
    }

    /// The CBOR bodies in a file, not yet decoded, so that each can be judged for itself.
    ///
    /// # Errors
    /// [`Error::Voucher`] when the file holds none.
    pub fn bodies_in_file(file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        pem::blocks(file)
    }

    /// The voucher as a PEM block.
    pub fn to_pem(&self) -> String {
        pem::encode(&self.bytes)
    }

    /// The exact bytes, in CBOR.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// OVHeader with its exact bytes.
    pub fn header(&self) -> &Wrapped<OvHeader> {
        &self.header
    }

    /// The device's GUID.
    pub fn guid(&self) -> Guid {
        self.header.guid
    }

    /// OVHeaderHMac, which only the device can check.
    pub fn hmac(&self) -> &Hmac {
        self.hmac.value()
    }

    /// The same with its exact bytes, which entry 0 covers.
    pub fn encoded_hmac(&self) -> &Encoded<Hmac> {
        &self.hmac
    }

    /// OVDevCertChain: DER certificates, the device's own first; none for EPID devices.
    pub fn certificates(&self) -> Option<&[ByteString]> {
        self.certificates.as_deref()
    }

    /// OVEntryArray.
    pub fn entries(&self) -> &[Sign1] {
        &self.entries
    }
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "voucher of {} with {} entries", self.guid(), self.entries.len())
    }
}

impl Encode for Voucher {
    fn encode_into(&self, writer: &mut Writer) {
        writer.raw(&self.bytes);
    }
}

impl Decode for Voucher {
    fn decode_from(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_bytes(reader.raw()?)
    }
}

/// The bytes that entry 0's hash of what precedes it covers: the header's content, then the HMAC's encoding.
fn before_entries<'a>(header: &'a Wrapped<OvHeader>, hmac: &'a Encoded<Hmac>) -> [&'a [u8]; 2] {
    [header.bytes(), hmac.bytes()]
}

/// Decodes an entry's payload, as a fault of the voucher where it does not decode.
fn payload_of(entry: &Sign1) -> Result<OvEntryPayload, Error> {
    cbor::decode(entry.unverified_payload()).map_err(Error::in_voucher)
}
