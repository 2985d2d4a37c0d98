//! What this device says of itself before anything else (FDO 1.1, devmod).

use fdo_protocol::service_info::devmod::Devmod;

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

    /// What it says, with the modules that it offers.
    pub fn devmod(&self, modules: &[&str]) -> Devmod {
        let text = |text: &str| Some(text.to_owned());
        Devmod {
            active: true,
            os: text(std::env::consts::OS),
            arch: text(std::env::consts::ARCH),
            version: text(&self.version),
            device: text(&self.model),
            serial: text(&self.serial),
            path_separator: text("/"),
            separator: text(";"),
            newline: text("\n"),
            temporary: text("/tmp"),
            binary: text(std::env::consts::ARCH),
            module_count: Some(modules.len() as u64),
            modules: modules.iter().map(|&module| module.to_owned()).collect(),
            ..Devmod::default()
        }
    }
}

fn pretty_name(release: &str) -> String {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = value.unwrap_or("Linux").trim().trim_matches(['"', '\'']);
    let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    if name.is_empty() { "Linux".to_owned() } else { name }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_required_is_missing() {
        let devmod = Machine::here("m", "s").devmod(&["fdo.wifi"]);
        assert!(devmod.missing().is_empty(), "{:?}", devmod.missing());
        assert!(devmod.supports("fdo.wifi"));
    }

    #[test]
    fn the_name_of_the_system_is_read_from_os_release() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(pretty_name(""), "Linux");
        assert_eq!(pretty_name("PRETTY_NAME=\"\""), "Linux");
    }
}
