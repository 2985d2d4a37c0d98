//! Commands and flags. Flags that are settings have the setting's name, so that they lie over the configuration.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fdo_device::modules::WifiFormat;
use fdo_device::simulate::Step;
use serde::Serialize;

/// Settings that have no flag; a test compares them with the configuration.
const OTHER_SETTINGS: &str = "\
Every setting can stand in a TOML file (--config), in the environment (FDO_DEVICE_ and the setting's name) or, for the
most useful ones, in a flag of `init` or `onboard`; the later of these wins. These have no flag:
  max_message_size     the longest message that the device takes, in bytes [default: 65535]
  time_limit           how long one TO2 may take, in seconds [default: 3600]
  enrolment            whether an LDevID is asked for (fdo.csr) [default: true]
  enrolment_attributes whether the owner is asked what a request should contain [default: false]
  enrolment_server_key whether the owner makes the key of the LDevID [default: false]
  renewal              whether that certificate is renewed (firstlight.est) [default: true]
  renewal_hook         the program, with its arguments, that is run once a new certificate is in place [default: none]
  renewal_hook_seconds how long that program may run, in seconds [default: 60]
  renewal_reonboard    whether a device that is refused renewal asks for its owner again [default: false]
  wifi_interface       the network interface that networks are for (NetworkManager) [default: any]
  wifi_country         the country, two letters (wpa_supplicant) [default: none]
  wifi_server_domain   what the name of an enterprise network's server must end in [default: anything]
  downloads            whether files are taken (fdo.download) [default: true]
  download_limit       the most bytes of one download, sent or fetched [default: 268435456]
  uploads              whether owners may have the files of that directory (fdo.upload) [default: true]
  wget                 whether files are fetched (fdo.wget) [default: true]
  wget_seconds         how long fetching one file may take, in seconds [default: 600]
  wget_ca              a file with the only CA that https servers may chain to [default: those of the system]
  wget_unverified      whether http will do for a file whose hash the owner does not give [default: false]
  outbound_allow       inner addresses that may be called: loopback, private, or networks [default: none]
  payload_types        the MIME types that are taken (fdo.payload) [default: none, the module is not offered]
  payload_program      the program that applies payloads, with its first arguments [default: none, they are files]
  payload_limit        the most bytes of one payload [default: 16777216]
  payload_seconds      how long applying a payload may take, in seconds [default: 300]
  payload_log          whether the output of that program is sent to the owner [default: false]
  conformance_logger   the event logger of an interoperability event (fido_alliance) [default: none]
  mud_url              where the manufacturer usage description of this device is [default: none]
  command_seconds      how long a command may run, in seconds [default: 300]
  command_output       how much of each output stream of a command is sent back, in bytes [default: 65536]";

/// The device agent of Firstlight: a device is born once and finds its owner by itself (FDO 1.1).
#[derive(Debug, Parser)]
#[command(
    name = "fdo-device",
    version,
    after_help = OTHER_SETTINGS
)]
pub struct Arguments {
    /// Directory for the device's key, credential and certificates [default: $STATE_DIRECTORY, else
    /// $XDG_STATE_HOME/firstlight/device, else ~/.local/state/firstlight/device]
    #[arg(long, global = true, env = "FDO_DEVICE_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// TOML file with settings
    #[arg(long, global = true, env = "FDO_DEVICE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print one JSON object instead of words
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log to stderr: error, warn, info, debug or trace, also by module
    #[arg(long, global = true, env = "FDO_DEVICE_LOG", default_value = "warn")]
    pub log: String,
    /// How to log
    #[arg(long, global = true, env = "FDO_DEVICE_LOG_FORMAT", value_enum, default_value = "human")]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// How to log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Human,
    /// A JSON object a line
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a key and ask the manufacturer for a credential (DI); once in a device's life
    Init(BirthArguments),
    /// Find the owner and let it set this device up (TO1 and TO2); does nothing once that is done
    Onboard(OnboardArguments),
    /// Find the owner, then renew the certificate in time, until stopped: the daemon
    Run,
    /// Renew the certificate now
    Renew,
    /// Tell what this device is and has
    Status,
    /// Be many devices at once
    Simulate(SimulateArguments),
}

/// Flags of `init`.
#[derive(Debug, Args, Serialize)]
pub struct BirthArguments {
    /// The manufacturer's service [default: http://127.0.0.1:8038]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// The CA that an https:// manufacturer's certificate must chain to, in PEM [default: any certificate will do]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer_ca: Option<PathBuf>,
    /// The serial number [default: that of this machine's firmware]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The model [default: firstlight-device]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The type of the device's key, P-256, P-384, RSA2048 or RSA3072 [default: P-256]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Throw away the identity that this device has
    #[arg(long)]
    #[serde(skip)]
    pub force: bool,
}

/// Flags of `onboard`.
#[derive(Debug, Args, Serialize)]
pub struct OnboardArguments {
    /// Keep trying until it works
    #[arg(long, conflicts_with = "attempts")]
    #[serde(skip)]
    pub retry: bool,
    /// How often to go through all addresses
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(skip)]
    pub attempts: u32,
    /// Onboard again, although this device is onboarded
    #[arg(long)]
    #[serde(skip)]
    pub reonboard: bool,
    /// Who reads Wi-Fi networks [default: networkmanager]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi_format: Option<WifiFormat>,
    /// Where Wi-Fi networks are written [default: wifi in the state directory]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi_dir: Option<PathBuf>,
    /// Where downloads go, and where commands run [default: files in the state directory]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_dir: Option<PathBuf>,
    /// Let the owner run commands on this device
    #[arg(long = "enable-commands")]
    #[serde(skip_serializing_if = "is_false")]
    pub commands: bool,
    /// Let the owner ask this device to keep its credential
    #[arg(long = "allow-credential-reuse")]
    #[serde(skip_serializing_if = "is_false")]
    pub credential_reuse: bool,
    /// The largest service info that this device takes, in bytes [default: 16384]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_info_size: Option<u16>,
    /// Key exchange, such as ECDH256 or DHKEXid14 [default: by the owner's key, else the device's]
    #[arg(long, visible_alias = "kex", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<String>,
    /// Cipher, such as A128GCM, AES-CCM-64-128-128 or COSEAES128CTR [default: by the key exchange]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Flags of `simulate`.
#[derive(Debug, Args, Serialize)]
pub struct SimulateArguments {
    /// What the devices do
    #[arg(value_enum)]
    #[serde(skip)]
    pub step: StepArgument,
    /// How many devices
    #[arg(long, default_value_t = 10, value_name = "N")]
    #[serde(skip)]
    pub devices: usize,
    /// How many at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
    #[serde(skip)]
    pub concurrency: usize,
    /// Serial numbers are this and a number: SIM-0001, SIM-0002 and so on
    #[arg(long, default_value = "SIM")]
    #[serde(skip)]
    pub prefix: String,
    /// Keep no files; only with `both`
    #[arg(long)]
    #[serde(skip)]
    pub in_memory: bool,
    /// How often a device goes through all addresses
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[serde(skip)]
    pub attempts: u32,
    /// The manufacturer's service [default: http://127.0.0.1:8038]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// The model [default: firstlight-device]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The type of the devices' keys, P-256, P-384, RSA2048 or RSA3072 [default: P-256]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
}

/// What simulated devices do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StepArgument {
    /// Be born
    Init,
    /// Find their owner
    Onboard,
    /// One after the other
    Both,
}

impl From<StepArgument> for Step {
    fn from(step: StepArgument) -> Self {
        match step {
            StepArgument::Init => Self::Init,
            StepArgument::Onboard => Self::Onboard,
            StepArgument::Both => Self::Both,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use fdo_device::config::Config;

    #[test]
    fn every_setting_is_explained() {
        let mut command = Arguments::command();
        command.build();
        let help = command.render_long_help().to_string();
        let flags: String = ["init", "onboard"]
            .map(|name| command.find_subcommand_mut(name).unwrap().render_long_help().to_string())
            .concat();
        let settings = serde_json::to_value(Config::default()).unwrap();
        let settings = settings.as_object().unwrap();
        assert!(settings.len() > 20);
        for name in settings.keys() {
            // A flag that switches something on says so.
            let switch = match name.as_str() {
                "commands" => "enable-commands".to_owned(),
                "credential_reuse" => "allow-credential-reuse".to_owned(),
                plain => plain.replace('_', "-"),
            };
            let has_flag = flags.contains(&format!("--{switch}"));
            assert!(has_flag != help.contains(&format!("  {name} ")), "{name}: a flag, or a line of its own");
        }
    }
}
