//! Keys and certificates as go-fdo-server's operators make them: by `openssl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::cell::Key;

/// A key in the form that go-fdo-server reads, and a certificate that it signed for itself.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// PKCS#8 in DER.
    pub key: PathBuf,
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub public_key: String,
}

impl Credentials {
    pub fn make(directory: &Path, name: &str, key: Key) -> anyhow::Result<Self> {
        let [pem, key_file, certificate] =
            ["key.pem", "key.der", "cert.pem"].map(|end| directory.join(format!("{name}-{end}")));
        let kind = match key {
            Key::Ec256 => ["EC", "ec_paramgen_curve:P-256"],
            Key::Ec384 => ["EC", "ec_paramgen_curve:P-384"],
            Key::Rsa2048 => ["RSA", "rsa_keygen_bits:2048"],
            Key::Rsa3072 => ["RSA", "rsa_keygen_bits:3072"],
        };
        openssl(&["genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", text(&pem)?])?;
        let key = der(&pem, &key_file)?;
        certify(&pem, name, &certificate)?;
        let public_key = openssl(&["pkey", "-in", text(&pem)?, "-pubout"])?;
        Ok(Self { key, certificate, public_key })
    }
}

/// A key from PEM as PKCS#8 in DER.
pub fn der(pem: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", text(pem)?, "-outform", "DER", "-out", text(file)?])?;
    Ok(file.to_owned())
}

/// A certificate for a key, by the command of docs/guides/foreign-devices.md.
pub fn certify(key: &Path, name: &str, certificate: &Path) -> anyhow::Result<()> {
    let subject = format!("/CN={name}");
    let request = ["req", "-x509", "-new", "-key", text(key)?, "-subj", &subject, "-days", "3650"];
    openssl(&[&request[..], &["-out", text(certificate)?]].concat()).map(|_| ())
}

/// In hexadecimal.
pub fn sha384(file: &Path) -> anyhow::Result<String> {
    let told = openssl(&["dgst", "-sha384", "-r", text(file)?])?;
    Ok(told.split_whitespace().next().unwrap_or_default().to_owned())
}

/// What it says.
fn openssl(arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("openssl");
    let done = command.args(arguments).stdin(Stdio::null()).output().context("openssl")?;
    if !done.status.success() {
        bail!("openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?)
}

pub fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}
