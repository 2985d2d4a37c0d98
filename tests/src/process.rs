//! Real processes of the services, for what only a process shows: kills, CPU time, memory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process that ends with the test.
pub struct Process(pub Child);

impl Process {
    /// Starts a program of this workspace.
    pub fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let errors = log.try_clone().unwrap();
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self(child)
    }

    /// SIGKILL, and the corpse is collected.
    pub fn kill(mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }

    /// CPU time of all its threads so far, in nanoseconds, by the kernel's accounting.
    pub fn cpu_nanoseconds(&self) -> u64 {
        cpu_nanoseconds(self.0.id())
    }

    /// The most memory it ever held, in KiB.
    pub fn peak_memory(&self) -> u64 {
        status(self.0.id(), "VmHWM:")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn cpu_nanoseconds(process: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.filter_map(of_task).sum()
}

/// CPU time of this thread so far, in nanoseconds.
pub fn own_cpu_nanoseconds() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn status(process: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A program that Cargo built beside this one.
pub fn program(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder.join(name)
}
