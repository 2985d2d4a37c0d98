//! NetworkManager keyfiles, one a network (fsim-drafts, 9.2). Nothing in a network can begin a new line in them.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::profile::{EapMethod, Enterprise, Network, Security};
use super::{CertificateFiles, WifiSettings};

/// The namespace of our connection ids: a file that is written again keeps its id.
const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x6c5a_37a1_6c0b_4d0e_9a39_1f4b_0c55_2f10);

/// The name of a network's file.
pub fn file_name(network: &Network) -> String {
    format!("fdo-{}.nmconnection", network.file_id())
}

/// The content of a network's file. `files` are those that an enterprise network names.
pub fn render(
    network: &Network,
    priority: i64,
    device: &str,
    files: &CertificateFiles,
    settings: &WifiSettings,
) -> Zeroizing<String> {
    let id = network.file_id();
    let uuid = uuid::Uuid::new_v5(&NAMESPACE, format!("{device}/{}", network.id).as_bytes());
    let ssid: String = network.ssid.iter().fold(String::new(), |mut list, byte| {
        let _ = write!(list, "{byte};");
        list
    });
    let mut out = Zeroizing::new(format!("[connection]\nid=fdo-{id}\nuuid={uuid}\ntype=wifi\n"));
    if let Some(interface) = &settings.interface {
        line(&mut out, "interface-name", interface);
    }
    let _ =
        writeln!(out, "autoconnect-priority={priority}\n\n[wifi]\nmode=infrastructure\nssid={ssid}\nhidden=false");
    match &network.security {
        Security::Open => {}
        Security::Wpa2Passphrase(secret) | Security::Wpa2Key(secret) => {
            out.push_str("\n[wifi-security]\nkey-mgmt=wpa-psk\npmf=2\n");
            line(&mut out, "psk", secret);
        }
        Security::Sae(secret) => {
            out.push_str("\n[wifi-security]\nkey-mgmt=sae\npmf=3\n");
            line(&mut out, "psk", secret);
        }
        Security::Enterprise(enterprise) => {
            out.push_str("\n[wifi-security]\nkey-mgmt=wpa-eap\npmf=3\n\n[802-1x]\n");
            write_enterprise(&mut out, enterprise, files, settings);
        }
    }
    out.push_str("\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n");
    out
}

fn write_enterprise(out: &mut String, enterprise: &Enterprise, files: &CertificateFiles, settings: &WifiSettings) {
    let (method, inner) = match enterprise.method {
        EapMethod::Tls => ("tls", None),
        EapMethod::Peap => ("peap", Some("mschapv2")),
        EapMethod::Ttls => ("ttls", Some("pap")),
    };
    line(out, "eap", method);
    line(out, "identity", enterprise.username.as_deref().unwrap_or(&files.identity));
    line(out, "ca-cert", &files.authorities);
    if let Some(domain) = &settings.server_domain {
        line(out, "domain-suffix-match", domain);
    }
    match inner {
        None => {
            line(out, "client-cert", &files.certificate);
            line(out, "private-key", &files.key);
            // The key file is not encrypted; TLS 1.0 and 1.1 are off.
            out.push_str("private-key-password-flags=4\nphase1-auth-flags=3\n");
        }
        Some(inner) => {
            line(out, "phase2-auth", inner);
            if let Some(password) = &enterprise.password {
                line(out, "password", password);
            }
        }
    }
}

/// One setting. The key file format has escapes for blanks at the ends and for backslashes; what would need another
/// was refused when the network was read.
fn line(out: &mut String, key: &str, value: &str) {
    let _ = write!(out, "{key}=");
    let core = value.trim_matches(' ');
    let leading = value.len() - value.trim_start_matches(' ').len();
    let trailing = if core.is_empty() { 0 } else { value.len() - value.trim_end_matches(' ').len() };
    (0..leading).for_each(|_| out.push_str("\\s"));
    for character in core.chars().filter(|character| !character.is_control()) {
        if character == '\\' {
            out.push('\\');
        }
        out.push(character);
    }
    (0..trailing).for_each(|_| out.push_str("\\s"));
    out.push('\n');
}
