//! One wpa_supplicant configuration with all networks (fsim-drafts, 9.1): every value that an owner chose is written
//! in hexadecimal, save the WPA2 pass phrase, which has no such form and was limited to printable characters.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::profile::{EapMethod, Enterprise, Network, Security};
use super::{CertificateFiles, WifiSettings};

/// The name of the file.
pub const FILE_NAME: &str = "fdo-wpa_supplicant.conf";

/// The part of the file before the networks.
pub fn head(settings: &WifiSettings) -> Zeroizing<String> {
    let mut out =
        Zeroizing::new("ctrl_interface=DIR=/run/wpa_supplicant GROUP=netdev\nupdate_config=0\n".to_owned());
    if let Some(country) = &settings.country {
        let _ = writeln!(out, "country={country}");
    }
    out.push_str("pmf=1\nsae_pwe=2\n");
    out
}

/// Appends one network.
pub fn render(
    out: &mut String,
    network: &Network,
    priority: i64,
    files: &CertificateFiles,
    settings: &WifiSettings,
) {
    let ssid = hex::encode(&network.ssid);
    let _ = writeln!(out, "\nnetwork={{\n id_str=\"{}\"\n ssid={ssid}\n priority={priority}", network.file_id());
    if !matches!(network.security, Security::Open) {
        out.push_str(" proto=RSN\n pairwise=CCMP\n group=CCMP\n");
    }
    match &network.security {
        Security::Open => out.push_str(" key_mgmt=NONE\n"),
        Security::Wpa2Passphrase(secret) => {
            out.push_str(" key_mgmt=WPA-PSK WPA-PSK-SHA256\n ieee80211w=1\n psk=\"");
            out.push_str(secret);
            out.push_str("\"\n");
        }
        Security::Wpa2Key(key) => {
            out.push_str(" key_mgmt=WPA-PSK WPA-PSK-SHA256\n ieee80211w=1\n psk=");
            out.push_str(key);
            out.push('\n');
        }
        Security::Sae(secret) => {
            let fast = if network.fast_roaming { " FT-SAE" } else { "" };
            let _ = write!(out, " key_mgmt=SAE{fast}\n ieee80211w=2\n sae_password=");
            push_hex(out, secret);
        }
        Security::Enterprise(enterprise) => write_enterprise(out, network, enterprise, files, settings),
    }
    out.push_str("}\n");
}

fn write_enterprise(
    out: &mut String,
    network: &Network,
    enterprise: &Enterprise,
    files: &CertificateFiles,
    settings: &WifiSettings,
) {
    let fast = if network.fast_roaming { " FT-EAP" } else { "" };
    let _ = write!(out, " key_mgmt=WPA-EAP-SHA256{fast}\n ieee80211w=2\n identity=");
    push_hex(out, enterprise.username.as_deref().unwrap_or(&files.identity));
    let _ = writeln!(out, " ca_cert=\"{}\"", files.authorities);
    if let Some(domain) = &settings.server_domain {
        let _ = writeln!(out, " domain_suffix_match=\"{domain}\"");
    }
    out.push_str(" phase1=\"tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1\"\n");
    let inner = match enterprise.method {
        EapMethod::Tls => {
            let _ =
                writeln!(out, " eap=TLS\n client_cert=\"{}\"\n private_key=\"{}\"", files.certificate, files.key);
            return;
        }
        EapMethod::Peap => " eap=PEAP\n phase2=\"auth=MSCHAPV2\"\n",
        EapMethod::Ttls => " eap=TTLS\n phase2=\"auth=PAP\"\n",
    };
    out.push_str(inner);
    if let Some(password) = &enterprise.password {
        out.push_str(" password=");
        push_hex(out, password);
    }
}

fn push_hex(out: &mut String, value: &str) {
    for byte in value.bytes() {
        let _ = write!(out, "{byte:02x}");
    }
    out.push('\n');
}
