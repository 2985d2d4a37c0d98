//! Programs of others that judge certificates, CRLs and OCSP answers, where they are installed.
//!
//! Looked for in `PATH`, and pkilint's also in the folder that `FDO_PKILINT` names (the `bin` of its virtual environment).
//! A test without its program says so and passes; with `FDO_REQUIRE_PKI_TOOLS=1` it fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that was found.
pub struct Tool {
    name: &'static str,
    path: PathBuf,
}

/// The program of this name.
pub fn find(name: &'static str) -> Option<Tool> {
    let folders = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let linter = std::env::var_os("FDO_PKILINT").map(PathBuf::from);
    let folders = linter.into_iter().chain(folders.unwrap_or_default());
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    let required = std::env::var("FDO_REQUIRE_PKI_TOOLS").is_ok_and(|value| value == "1");
    assert!(found.is_some() || !required, "FDO_REQUIRE_PKI_TOOLS=1, but {name} is not installed");
    match found {
        Some(path) => Some(Tool { name, path }),
        None => {
            let _ = writeln!(std::io::stderr(), "skipping {name}: it is not installed");
            None
        }
    }
}

impl Tool {
    /// Runs it in a folder with arguments that have no spaces; what it said, and whether it ended well.
    pub fn try_run(&self, folder: &Path, line: &str) -> (bool, String) {
        self.run_with(folder, &line.split_whitespace().collect::<Vec<_>>())
    }

    /// The same with arguments as they are.
    pub fn run_with(&self, folder: &Path, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(&self.path)
            .current_dir(folder)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), format!("$ {} {}\n{text}", self.name, arguments.join(" ")))
    }

    /// Runs it; it must end well.
    pub fn run(&self, folder: &Path, line: &str) -> String {
        let (went_well, said) = self.try_run(folder, line);
        assert!(went_well, "{said}");
        said
    }

    /// Runs it; it must not end well.
    pub fn refuses(&self, folder: &Path, line: &str) -> String {
        let (went_well, said) = self.try_run(folder, line);
        assert!(!went_well, "{said}");
        said
    }
}
