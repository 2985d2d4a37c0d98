//! The folder of a foreign device. The library's own one returns before its writes have reached the file.

use std::fs;
use std::io::ErrorKind as Io;
use std::path::PathBuf;

use astarte_device_fdo::Storage;
use astarte_device_fdo::astarte_fdo_protocol::Error;
use astarte_device_fdo::astarte_fdo_protocol::error::ErrorKind;

#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn create(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        if self.0.join(file).exists() {
            return Err(Error::new(ErrorKind::Io, "the file exists"));
        }
        self.replace(file, content)
    }

    fn replace(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        let written = fs::create_dir_all(&self.0).and_then(|()| fs::write(self.0.join(file), content));
        written.map_err(|_| Error::new(ErrorKind::Io, "the file cannot be written"))
    }
}

impl Storage for Folder {
    async fn write_immutable(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        self.create(file, content)
    }

    async fn write(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        self.create(file, content)
    }

    async fn overwrite(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        self.replace(file, content)
    }

    async fn read(&self, file: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.0.join(file)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == Io::NotFound => Ok(None),
            Err(_) => Err(Error::new(ErrorKind::Io, "the file cannot be read")),
        }
    }

    async fn exists(&self, file: &str) -> Result<bool, Error> {
        Ok(self.0.join(file).exists())
    }
}
