//! `devmod`: what the device says of itself before anything else (FDO 1.1, devmod).

use fdo_protocol::cbor::Writer;
use fdo_protocol::service_info::ServiceInfoKv;

const MODULE: &str = "devmod";

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The version of its operating system, for people.
    pub version: String,
    /// The model.
    pub model: String,
    /// The serial number.
    pub serial: String,
}

impl Machine {
    /// This machine, under the model and serial number of DI.
    pub fn here(model: &str, serial: &str) -> Self {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        Self { version: pretty_name(&release), model: model.to_owned(), serial: serial.to_owned() }
    }

    /// The pairs, in the order that everybody sends them.
    pub fn devmod(&self, modules: &[&str]) -> Vec<ServiceInfoKv> {
        let text = |message: &str, value: &str| ServiceInfoKv::new(MODULE, message, value);
        let mut list = Writer::default();
        list.array(modules.len() + 2).unsigned(0).unsigned(modules.len() as u64);
        for name in modules {
            list.text(name);
        }
        vec![
            ServiceInfoKv::new(MODULE, "active", &true),
            text("os", std::env::consts::OS),
            text("arch", std::env::consts::ARCH),
            text("version", &self.version),
            text("device", &self.model),
            text("sn", &self.serial),
            text("pathsep", "/"),
            text("sep", ";"),
            text("nl", "\n"),
            text("tmp", "/tmp"),
            text("bin", std::env::consts::ARCH),
            ServiceInfoKv::new(MODULE, "nummodules", &(modules.len() as u64)),
            ServiceInfoKv::from_item(format!("{MODULE}:modules"), list.into_bytes()),
        ]
    }
}

fn pretty_name(release: &str) -> String {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name: String = value
        .unwrap_or("Linux")
        .trim()
        .trim_matches(['"', '\''])
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    if name.is_empty() { "Linux".to_owned() } else { name }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn required_keys_come_in_order_and_modules_last() {
        let machine = Machine { version: "1".into(), model: "m".into(), serial: "s".into() };
        let pairs = machine.devmod(&["fdo.wifi"]);
        let keys: Vec<&str> = pairs.iter().map(ServiceInfoKv::message).collect();
        assert_eq!(keys[0], "active");
        for required in ["os", "arch", "version", "device", "sep", "bin", "nummodules"] {
            assert!(keys.contains(&required), "{required}");
        }
        assert_eq!(*keys.last().unwrap(), "modules");
        assert_eq!(hex::encode(&*pairs.last().unwrap().value), "830001686664 6f2e77696669".replace(' ', ""));
    }

    #[test]
    fn the_name_of_the_system_is_read_from_os_release() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(pretty_name(""), "Linux");
        assert_eq!(pretty_name("PRETTY_NAME=\"\""), "Linux");
    }
}
