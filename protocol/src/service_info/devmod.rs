//! `devmod`: what the device is and which modules it has; the first that an owner hears (FDO 1.1, devmod module).

use crate::cbor::{ByteString, Decode, Encode, Kind, Reader, Writer, decode};
use crate::cbor_array;
use crate::error::Error;
use crate::service_info::{Outbox, ServiceInfoKv, bounded_text, decode_active};

/// The module's name.
pub const MODULE: &str = "devmod";
/// The longest text that is taken, in bytes.
pub const MAX_TEXT: usize = 1024;
/// How many modules a device may list.
pub const MAX_MODULES: usize = 255;
/// The longest name of a module, in bytes.
pub const MAX_MODULE_NAME: usize = 255;

/// What a device says of itself. It is hearsay: show it, but decide nothing by it save which modules to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Devmod {
    /// `active`: whether it was said.
    pub active: bool,
    /// `os`: the operating system.
    pub os: Option<String>,
    /// `arch`: the processor architecture.
    pub arch: Option<String>,
    /// `version`: of the operating system.
    pub version: Option<String>,
    /// `device`: the model.
    pub device: Option<String>,
    /// `sn`: the serial number; one that is not text is written in hexadecimal.
    pub serial: Option<String>,
    /// `pathsep`: between the parts of a path.
    pub path_separator: Option<String>,
    /// `sep`: between the entries of a list.
    pub separator: Option<String>,
    /// `nl`: the end of a line.
    pub newline: Option<String>,
    /// `tmp`: the directory for temporary files.
    pub temporary: Option<String>,
    /// `dir`: the directory for installed files.
    pub directory: Option<String>,
    /// `progenv`: what runs scripts.
    pub program_environment: Option<String>,
    /// `bin`: formats of programs that run on it.
    pub binary: Option<String>,
    /// `mudurl`: where its manufacturer usage description is.
    pub mud_url: Option<String>,
    /// `nummodules`: how many modules it says that it lists.
    pub module_count: Option<u64>,
    /// `modules`: their names, each once.
    pub modules: Vec<String>,
}
cbor_array!(Devmod {
    active,
    os,
    arch,
    version,
    device,
    serial,
    path_separator,
    separator,
    newline,
    temporary,
    directory,
    program_environment,
    binary,
    mud_url,
    module_count,
    modules
});

impl Devmod {
    /// Takes one message; call it for each pair of module `devmod`. Unknown ones are ignored.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of the wrong type or beyond the bounds.
    pub fn receive(&mut self, message: &str, item: &[u8]) -> Result<(), Error> {
        match message {
            "active" => self.active = decode_active(item)?,
            "sn" => self.serial = Some(serial(item)?),
            "nummodules" => self.module_count = Some(decode(item)?),
            "modules" => self.add_modules(item)?,
            _ => {
                let field = self.texts().into_iter().find(|(name, _)| *name == message);
                if let Some((_, field)) = field {
                    *field = Some(bounded_text(item, MAX_TEXT)?);
                }
            }
        }
        Ok(())
    }

    /// The plain texts in the order in which they are sent.
    fn texts(&mut self) -> [(&'static str, &mut Option<String>); 12] {
        [
            ("os", &mut self.os),
            ("arch", &mut self.arch),
            ("version", &mut self.version),
            ("device", &mut self.device),
            ("pathsep", &mut self.path_separator),
            ("sep", &mut self.separator),
            ("nl", &mut self.newline),
            ("tmp", &mut self.temporary),
            ("dir", &mut self.directory),
            ("progenv", &mut self.program_environment),
            ("bin", &mut self.binary),
            ("mudurl", &mut self.mud_url),
        ]
    }

    /// `[start, count, name, ..]`. Peers number the list in four ways, so only the names count.
    fn add_modules(&mut self, item: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(item)?;
        let length = reader.array_length()?;
        if length < 2 {
            return Err(Error::Malformed("a module list without its numbers"));
        }
        reader.unsigned()?;
        reader.unsigned()?;
        for _ in 2..length {
            let name = reader.text()?;
            if name.is_empty() || name.len() > MAX_MODULE_NAME {
                return Err(Error::Malformed("module name of an impossible length"));
            }
            if self.supports(name) {
                continue;
            }
            if self.modules.len() >= MAX_MODULES {
                return Err(Error::Malformed("more than 255 modules"));
            }
            self.modules.push(name.to_owned());
        }
        Ok(())
    }

    /// Whether the device lists this module.
    pub fn supports(&self, module: &str) -> bool {
        self.modules.iter().any(|name| name == module)
    }

    /// The names of required messages that have not come. Without `modules` nothing can be provisioned; the others
    /// are worth a warning.
    pub fn missing(&self) -> Vec<&'static str> {
        let required = [
            ("active", self.active),
            ("os", self.os.is_some()),
            ("arch", self.arch.is_some()),
            ("version", self.version.is_some()),
            ("device", self.device.is_some()),
            ("sep", self.separator.is_some()),
            ("bin", self.binary.is_some()),
            ("nummodules", self.module_count.is_some()),
            ("modules", !self.modules.is_empty()),
        ];
        let absent = required.into_iter().filter(|(_, present)| !present);
        absent.map(|(name, _)| name).collect()
    }

    /// Queues all of it for an owner, the list of modules in as many parts as the message size wants.
    /// `nummodules` and the list's numbers are counted from `modules`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a text does not fit into a message.
    pub fn send(&self, outbox: &mut Outbox) -> Result<(), Error> {
        outbox.push(ServiceInfoKv::new(MODULE, "active", &true))?;
        let mut copy = self.clone();
        let texts = copy.texts().map(|(name, text)| (name, text.take()));
        for (name, text) in texts {
            if let Some(text) = text {
                outbox.push(ServiceInfoKv::new(MODULE, name, &text))?;
            }
            if let ("device", Some(serial)) = (name, &self.serial) {
                outbox.push(ServiceInfoKv::new(MODULE, "sn", serial))?;
            }
        }
        outbox.push(ServiceInfoKv::new(MODULE, "nummodules", &(self.modules.len() as u64)))?;
        // Each part carries up to three heads of numbers besides its names.
        let room = crate::service_info::max_value_length("devmod:modules", outbox.size()).saturating_sub(12);
        let mut start = 0;
        while start < self.modules.len() {
            let mut used = 0;
            let fitting = self.modules[start..].iter().take_while(|name| {
                used += 3 + name.len();
                used <= room
            });
            let part = &self.modules[start..start + fitting.count().max(1)];
            outbox.push(ServiceInfoKv::new(MODULE, "modules", &ModuleList { start, names: part }))?;
            start += part.len();
        }
        Ok(())
    }
}

/// Text, or bytes: in hexadecimal unless they are text.
fn serial(item: &[u8]) -> Result<String, Error> {
    let mut reader = Reader::new(item)?;
    if reader.kind() != Kind::Bytes {
        return bounded_text(item, MAX_TEXT);
    }
    let ByteString(bytes) = ByteString::decode_from(&mut reader)?;
    if bytes.len() > MAX_TEXT {
        return Err(Error::Malformed("serial number too long"));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text,
        Ok(text) => hexadecimal(text.as_bytes()),
        Err(error) => hexadecimal(error.as_bytes()),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct ModuleList<'a> {
    start: usize,
    names: &'a [String],
}

impl Encode for ModuleList<'_> {
    fn encode_into(&self, writer: &mut Writer) {
        writer.array(2 + self.names.len()).unsigned(self.start as u64).unsigned(self.names.len() as u64);
        for name in self.names {
            writer.text(name);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cbor::encode;

    fn gather(outbox: &mut Outbox) -> Devmod {
        let mut gathered = Devmod::default();
        loop {
            let (list, more) = outbox.fill();
            assert!(!list.is_empty());
            for kv in list.0 {
                gathered.receive(kv.message(), &kv.value).unwrap();
            }
            // What was gathered so far survives between two messages.
            gathered = decode(&encode(&gathered)).unwrap();
            if !more {
                return gathered;
            }
        }
    }

    fn device() -> Devmod {
        let text = |text: &str| Some(text.to_owned());
        Devmod {
            active: true,
            os: text("Linux"),
            arch: text("x86_64"),
            version: text("6.1"),
            device: text("gateway"),
            serial: text("SN-1"),
            separator: text(":"),
            binary: text("x86_64"),
            module_count: Some(40),
            modules: (0..40).map(|number| format!("vendor.module.{number}")).collect(),
            ..Devmod::default()
        }
    }

    #[test]
    fn it_arrives_whole_at_any_message_size() {
        for size in [256, 1300, 65535] {
            let mut outbox = Outbox::new(size);
            device().send(&mut outbox).unwrap();
            let gathered = gather(&mut outbox);
            assert_eq!(gathered, device());
            assert!(gathered.missing().is_empty());
        }
    }

    #[test]
    fn every_way_of_numbering_the_modules_is_read() {
        let mut devmod = Devmod::default();
        for list in ["8301 01 6161", "8400 02 6162 6163", "8300 01 6161", "8201 01", "8318 ff 01 6164"] {
            let item = hex::decode(list.replace(' ', "")).unwrap();
            devmod.receive("modules", &item).unwrap();
        }
        assert_eq!(devmod.modules, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_a_device_says_is_bounded() {
        let mut devmod = Devmod::default();
        assert!(devmod.receive("os", &encode(&"x".repeat(1025))).is_err());
        assert!(devmod.receive("os", &encode(&7_u8)).is_err());
        assert!(devmod.receive("modules", &encode(&7_u8)).is_err());
        let names: Vec<_> = (0..256).map(|number| number.to_string()).collect();
        let list = encode(&ModuleList { start: 0, names: &names });
        assert!(devmod.receive("modules", &list).is_err());
        let name = ["x".repeat(256)];
        let list = encode(&ModuleList { start: 0, names: &name });
        assert!(devmod.receive("modules", &list).is_err());
        devmod.receive("colour", &encode("red")).unwrap();
        assert_eq!(Devmod::default().missing().len(), 9);
    }

    #[test]
    fn a_serial_of_bytes_is_text_or_hexadecimal() {
        let mut devmod = Devmod::default();
        devmod.receive("sn", &hex::decode("43616263").unwrap()).unwrap();
        assert_eq!(devmod.serial.as_deref(), Some("abc"));
        devmod.receive("sn", &hex::decode("4200ff").unwrap()).unwrap();
        assert_eq!(devmod.serial.as_deref(), Some("00ff"));
    }
}
