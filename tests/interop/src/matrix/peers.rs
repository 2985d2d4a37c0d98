//! The programs of others, made from Go modules at pinned versions whose sums are in `go/go.sum` and `go/server/go.sum`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The oldest Go that go-fdo-client 1.0.0 and go-fdo-server 1.0.1 build with.
const OLDEST: (u32, u32) = (1, 25);

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Peers {
    /// go-fdo-client, as its authors publish it.
    pub client: PathBuf,
    /// go-fdo-server, likewise.
    pub server: PathBuf,
    /// Three services on top of go-fdo, `go/peer`.
    pub services: PathBuf,
}

/// Go's command, or why the run is skipped.
pub fn find_go() -> Result<PathBuf, String> {
    let places = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")];
    let mut seen = "Go is not installed".to_owned();
    for go in places {
        let Ok(told) = Command::new(&go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output() else {
            continue;
        };
        let version = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        if parse(&version).is_some_and(|version| version >= OLDEST) {
            return Ok(go);
        }
        seen = format!("{version} is too old");
    }
    Err(format!("{seen}; this needs Go {}.{} or newer", OLDEST.0, OLDEST.1))
}

/// `go1.26.8` is (1, 26).
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("go")?.split(['.', 'r', 'b', '-', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Peers {
    /// Builds all into `directory`; what is there and up to date is left alone by Go.
    pub fn build(go: &Path, directory: &Path) -> anyhow::Result<Self> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        std::fs::create_dir_all(directory)?;
        let build = |module: &Path, package: &str, name: &str| {
            let program = directory.join(name);
            let status = Command::new(go)
                .args(["build", "-mod=readonly", "-trimpath", "-o"])
                .arg(&program)
                .arg(package)
                .current_dir(module)
                // The toolchain that is here, and no source but the module registry.
                .env("GOTOOLCHAIN", "local")
                .env("GOWORK", "off")
                .status()
                .context("go build")?;
            if !status.success() {
                bail!("go build {package}: {status}");
            }
            Ok(program)
        };
        Ok(Self {
            client: build(&module, "github.com/fido-device-onboard/go-fdo-client", "go-fdo-client")?,
            server: build(
                &module.join("server"),
                "github.com/fido-device-onboard/go-fdo-server",
                "go-fdo-server",
            )?,
            services: build(&module, "./peer", "go-fdo-peer")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_of_go_are_read() {
        assert_eq!(parse("go1.26.8"), Some((1, 26)));
        assert_eq!(parse("go1.25rc1"), Some((1, 25)));
        assert_eq!(parse("devel +abc"), None);
    }
}
