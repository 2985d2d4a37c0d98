//! What a device says of itself, made fit to be stored and shown: bounded and escaped.

use fdo_protocol::service_info::owner::{Command, Conversation, OwnerModule};
use serde::{Deserialize, Serialize};

use super::renewal;

/// The longest text of a device that is kept, in characters.
const MAX_TEXT: usize = 128;
/// How many modules are kept.
const MAX_MODULES: usize = 64;
/// How much of a command's output is kept, in characters.
const MAX_OUTPUT: usize = 4096;

/// Hearsay for people; nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceFacts {
    pub os: Option<String>,
    pub arch: Option<String>,
    pub version: Option<String>,
    pub device: Option<String>,
    pub serial: Option<String>,
    /// The modules that the device lists.
    pub modules: Vec<String>,
    /// The modules that were run and how they ended.
    pub provisioned: Vec<ModuleFacts>,
    /// The networks that were sent.
    pub networks: Vec<String>,
    /// The plan, or `configuration`.
    pub plan: Option<String>,
}

/// A module that was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModuleFacts {
    pub name: String,
    /// What the plan has in it.
    pub what: String,
    pub outcome: Option<String>,
    /// What the device said of it in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// What the command wrote, where the plan asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
}

impl ModuleFacts {
    fn of(module: &OwnerModule, what: &str) -> Self {
        let output = |bytes: fn(&Command) -> &[u8]| match module {
            OwnerModule::Command(command) if !bytes(command).is_empty() => {
                Some(escaped(&String::from_utf8_lossy(bytes(command)), MAX_OUTPUT, &['\n', '\t']))
            }
            _ => None,
        };
        Self {
            name: module.name().to_owned(),
            what: what.to_owned(),
            outcome: module.outcome().map(ToString::to_string),
            remark: module.remark().map(shown),
            stdout: output(Command::stdout),
            stderr: output(Command::stderr),
        }
    }
}

impl DeviceFacts {
    pub(super) fn of<'a>(
        conversation: &Conversation,
        plan: &str,
        whats: impl Iterator<Item = &'a str>,
        networks: &[String],
    ) -> Self {
        let devmod = conversation.devmod();
        let text = |text: &Option<String>| text.as_deref().map(shown);
        Self {
            os: text(&devmod.os),
            arch: text(&devmod.arch),
            version: text(&devmod.version),
            device: text(&devmod.device),
            serial: text(&devmod.serial),
            modules: devmod.modules.iter().take(MAX_MODULES).map(|name| shown(name)).collect(),
            provisioned: conversation
                .modules()
                .zip(whats)
                .filter(|(module, _)| !renewal::is_unasked(module))
                .map(|(module, what)| ModuleFacts::of(module, what))
                .collect(),
            networks: networks.to_vec(),
            plan: Some(plan.to_owned()),
        }
    }
}

/// Text of a device, cut, and with everything escaped that a terminal or a page could take for more than text.
pub fn shown(text: &str) -> String {
    escaped(text, MAX_TEXT, &[])
}

fn escaped(text: &str, most: usize, harmless: &[char]) -> String {
    let mut shown = String::new();
    for character in text.chars().take(most) {
        let invisible =
            matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (character.is_control() || invisible) && !harmless.contains(&character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_device_is_cut_and_escaped() {
        assert_eq!(shown("Linux"), "Linux");
        assert_eq!(shown("a\u{1b}[31mb\u{202e}"), "a\\u{1b}[31mb\\u{202e}");
        assert_eq!(shown(&"x".repeat(10_000)).len(), 128);
        assert_eq!(escaped("a\n\r", 9, &['\n']), "a\n\\u{d}");
    }
}
