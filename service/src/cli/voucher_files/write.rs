//! Vouchers written the way another implementation reads them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fdo_protocol::voucher::Voucher;

/// Whose files to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// go-fdo-server: PEM, a file for each voucher (GUID.pem), or all in one.
    #[default]
    Go,
    /// pri-fidoiot: the same with the line ends of its own (CRLF).
    Pri,
    /// fido-device-onboard-rs: a folder of CBOR files that are named by their GUID.
    Rs,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "go",
            Self::Pri => "pri",
            Self::Rs => "rs",
        })
    }
}

/// Why vouchers cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot write {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("fido-device-onboard-rs keeps a file for each voucher, and {0} is a file; name a folder")]
    NeedsFolder(PathBuf),
    #[error("the voucher does not decode: {0}")]
    Voucher(#[from] fdo_protocol::Error),
}

enum Place {
    Folder(PathBuf),
    /// Written beside the file, and given its name at the end: there is never half of it.
    File {
        draft: BufWriter<File>,
        draft_path: PathBuf,
        path: PathBuf,
    },
}

/// Where vouchers go.
pub struct VoucherSink {
    format: Format,
    place: Place,
}

impl VoucherSink {
    /// Into a folder, which is made, when `out` is one, ends in a slash, or the format has no other way; else a file.
    pub fn open(format: Format, out: &Path) -> Result<Self, ExportError> {
        let failed = |source| ExportError::File { path: out.to_owned(), source };
        let slash = out.to_string_lossy().ends_with(std::path::MAIN_SEPARATOR);
        if format == Format::Rs && out.is_file() {
            return Err(ExportError::NeedsFolder(out.to_owned()));
        }
        if format == Format::Rs || slash || out.is_dir() {
            fs::create_dir_all(out).map_err(failed)?;
            return Ok(Self { format, place: Place::Folder(out.to_owned()) });
        }
        let mut draft_name = out.file_name().unwrap_or_default().to_owned();
        draft_name.push(".part");
        let draft_path = out.with_file_name(draft_name);
        let draft = BufWriter::new(File::create(&draft_path).map_err(failed)?);
        Ok(Self { format, place: Place::File { draft, draft_path, path: out.to_owned() } })
    }

    /// Adds a voucher in CBOR.
    pub fn put(&mut self, cbor: &[u8]) -> Result<(), ExportError> {
        let voucher = Voucher::from_bytes(cbor)?;
        let body = match self.format {
            Format::Go => voucher.to_pem().into_bytes(),
            Format::Pri => voucher.to_pem().replace('\n', "\r\n").into_bytes(),
            Format::Rs => cbor.to_vec(),
        };
        let (written, path) = match &mut self.place {
            Place::Folder(folder) => {
                let ending = if self.format == Format::Rs { "" } else { ".pem" };
                let path = folder.join(format!("{}{ending}", voucher.guid()));
                (fs::write(&path, body), path)
            }
            Place::File { draft, path, .. } => (draft.write_all(&body), path.clone()),
        };
        written.map_err(|source| ExportError::File { path, source })
    }

    /// All are there.
    pub fn close(self) -> Result<(), ExportError> {
        let Place::File { draft, draft_path, path } = self.place else { return Ok(()) };
        let written = draft.into_inner().map_err(io::IntoInnerError::into_error);
        let named = written.and_then(|file| file.sync_all()).and_then(|()| fs::rename(&draft_path, &path));
        named.map_err(|source| ExportError::File { path, source })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Found, read};
    use super::*;

    fn vector() -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/vouchers");
        let file = fs::read(folder.join("astarte-sample-ec256.pem")).unwrap();
        Voucher::bodies_in_file(&file).unwrap().remove(0)
    }

    fn read_back(path: &Path) -> Vec<Vec<u8>> {
        let mut reading = read(&[path.to_owned()]).unwrap();
        std::iter::from_fn(|| reading.found.blocking_recv())
            .filter_map(|found| if let Found::Voucher(cbor) = found { Some(cbor) } else { None })
            .collect()
    }

    #[test]
    fn each_format_is_written_as_its_readers_expect_it_and_read_back() {
        let (cbor, folder) = (vector(), tempfile::tempdir().unwrap());
        let guid = Voucher::from_bytes(&cbor).unwrap().guid();
        for (format, name) in [
            (Format::Go, format!("{guid}.pem")),
            (Format::Pri, format!("{guid}.pem")),
            (Format::Rs, guid.to_string()),
        ] {
            let out = folder.path().join(format!("{format}/"));
            let mut sink = VoucherSink::open(format, &out).unwrap();
            sink.put(&cbor).unwrap();
            sink.close().unwrap();
            let file = fs::read(out.join(name)).unwrap();
            let lines = file.windows(2).filter(|pair| *pair == b"\r\n").count();
            assert_eq!((lines > 0, file == cbor), (format == Format::Pri, format == Format::Rs));
            assert_eq!(read_back(&out), std::slice::from_ref(&cbor));
        }
    }

    #[test]
    fn many_go_into_one_file_which_is_whole_or_not_there() {
        let (cbor, folder) = (vector(), tempfile::tempdir().unwrap());
        let out = folder.path().join("all.pem");
        let mut sink = VoucherSink::open(Format::Go, &out).unwrap();
        (0..3).for_each(|_| sink.put(&cbor).unwrap());
        assert!(sink.put(b"nonsense").is_err());
        assert!(!out.exists());
        sink.close().unwrap();
        assert_eq!(read_back(&out).len(), 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(VoucherSink::open(Format::Rs, &out), Err(ExportError::NeedsFolder(_))));
    }
}
