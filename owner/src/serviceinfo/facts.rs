//! What a device says of itself, made fit to be stored and shown: bounded and escaped.

use fdo_protocol::service_info::owner::Conversation;
use serde::{Deserialize, Serialize};

/// The longest text of a device that is kept, in characters.
const MAX_TEXT: usize = 128;
/// How many modules are kept.
const MAX_MODULES: usize = 64;

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
}

/// A module that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    pub name: String,
    pub outcome: Option<String>,
}

impl DeviceFacts {
    pub(super) fn of(conversation: &Conversation, networks: &[String]) -> Self {
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
                .map(|module| ModuleFacts {
                    name: module.name().to_owned(),
                    outcome: module.outcome().map(ToString::to_string),
                })
                .collect(),
            networks: networks.to_vec(),
        }
    }
}

/// Text of a device, cut, and with everything escaped that a terminal or a page could take for more than text.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MAX_TEXT) {
        let invisible =
            matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || invisible {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}
