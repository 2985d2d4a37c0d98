//! Files of vouchers as go-fdo-server, pri-fidoiot and fido-device-onboard-rs keep them: PEM with any line ending, one
//! block or many; CBOR; folders of these, however deep; tar archives. Read as a stream, however much there is.

mod pieces;
mod read;
mod write;

pub use read::{Found, Reading, read};
pub use write::{ExportError, Format, VoucherSink};
