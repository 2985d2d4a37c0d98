//! What this device says of itself before anything else (FDO 1.1, devmod).

use fdo_protocol::service_info::devmod::Devmod;

use crate::agent::AgentSettings;

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The version of its operating system, for people.
    pub version: String,
    /// The model.
    pub model: String,
    /// The serial number.
    pub serial: String,
    /// The directory for files, if it takes any.
    pub directory: Option<String>,
    /// Whether it runs programs.
    pub runs_programs: bool,
    /// Where its manufacturer usage description is.
    pub mud_url: Option<String>,
}

impl Machine {
    /// This machine, under the model and serial number of DI.
    pub fn here(model: &str, serial: &str, settings: &AgentSettings) -> Self {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let modules = &settings.modules;
        let directory = modules.download.as_ref().map(|(directory, _)| directory).or(modules.upload.as_ref());
        Self {
            version: pretty_name(&release),
            model: model.to_owned(),
            serial: serial.to_owned(),
            directory: directory.map(|directory| directory.display().to_string()),
            runs_programs: modules.command.is_some(),
            mud_url: settings.mud_url.clone(),
        }
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
            directory: self.directory.clone(),
            program_environment: self.runs_programs.then(|| "bin".to_owned()),
            binary: text(std::env::consts::ARCH),
            mud_url: self.mud_url.clone(),
            module_count: Some(modules.len() as u64),
            modules: modules.iter().map(|&module| module.to_owned()).collect(),
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
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn nothing_that_is_required_is_missing() {
        let config =
            Config { commands: true, mud_url: Some("https://maker.example/mud".into()), ..Config::default() };
        let settings = config.agent_settings(Some(Path::new("/state"))).unwrap();
        let devmod = Machine::here("m", "s", &settings).devmod(&["fdo.wifi"]);
        assert!(devmod.missing().is_empty(), "{:?}", devmod.missing());
        assert!(devmod.supports("fdo.wifi"));
        assert_eq!(devmod.directory.as_deref(), Some("/state/files"));
        assert_eq!(devmod.program_environment.as_deref(), Some("bin"));
        assert_eq!(devmod.mud_url.as_deref(), Some("https://maker.example/mud"));
        let settings = Config::default().agent_settings(None).unwrap();
        let devmod = Machine::here("m", "s", &settings).devmod(&[]);
        assert_eq!((devmod.directory, devmod.program_environment), (None, None));
    }

    #[test]
    fn the_name_of_the_system_is_read_from_os_release() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(pretty_name(""), "Linux");
        assert_eq!(pretty_name("PRETTY_NAME=\"\""), "Linux");
    }
}
