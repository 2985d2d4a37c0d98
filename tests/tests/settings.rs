//! How the services are configured and started: defaults, file, environment and flags; unknown keys; `--help`; what a
//! first start makes and prints. Each through its command line, as a process.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fdo_service::host::config::load;
use fdo_tests::process::{Process, program};
use fdo_tests::world::free_port;
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["manufacturer", "rendezvous", "owner"];

fn command(name: &str) -> Command {
    let mut command = Command::new(program("service"));
    command.args(["cli", name]).env_clear().stdin(Stdio::null());
    command
}

/// A run that is over by itself: whether it went well, and all that it said.
fn over(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn defaults(name: &str) -> Value {
    match name {
        "manufacturer" => json!(fdo_manufacturer::config::Config::default()),
        "rendezvous" => json!(fdo_rendezvous::config::Config::default()),
        _ => json!(fdo_owner::config::Config::default()),
    }
}

fn prefix(name: &str) -> String {
    format!("FDO_{}_", name.to_uppercase())
}

/// A serving process with a folder of its own.
struct Served {
    name: &'static str,
    process: Process,
    output: PathBuf,
}

impl Served {
    fn start(name: &'static str, folder: &Path, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let (output, errors) = (folder.join("stdout"), folder.join("stderr"));
        let data_dir = folder.join("data");
        let child = command(name)
            .args(["serve", "--data-dir", data_dir.to_str().unwrap()])
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdout(std::fs::File::create(&output).unwrap())
            .stderr(std::fs::File::create(errors).unwrap())
            .spawn()
            .unwrap();
        Self { name, process: Process(child), output }
    }

    /// What it prints until it serves at this port, to the last line.
    fn told_when_serving(&mut self, port: u16, is_first: bool) -> String {
        let told = || std::fs::read_to_string(&self.output).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let last = match (self.name, is_first) {
            ("manufacturer", _) => "Identity fingerprint: ",
            (_, true) => "/operator-token\n",
            ("rendezvous", false) => "operators: ",
            (_, false) => "devices are sent to ",
        };
        while !told().contains(&format!("127.0.0.1:{port}")) || !told().contains(last) {
            let ended = self.process.0.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", told());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        told()
    }
}

/// Settings that keep all listeners off the default ports.
fn file_with_ports(name: &str, folder: &Path, device: u16) -> PathBuf {
    let listener = |port| format!("address = \"127.0.0.1:{port}\"\n");
    let mut text = format!("[listen]\n{}[operators]\n{}", listener(device), listener(free_port()));
    if name == "manufacturer" {
        text.push_str("[claims]\n");
        text.push_str(&listener(free_port()));
    }
    if name == "owner" {
        text.push_str("[status]\n");
        text.push_str(&listener(free_port()));
        text.push_str("[est]\n");
        text.push_str(&listener(free_port()));
    }
    let file = folder.join("settings.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn without_a_file_there_are_sensible_defaults() {
    for (name, device, operators) in
        [("manufacturer", 8038, 8039), ("rendezvous", 8041, 8042), ("owner", 8043, 8044)]
    {
        let settings = defaults(name);
        assert_eq!(settings["listen"]["address"], format!("127.0.0.1:{device}"), "{name}");
        assert_eq!(settings["operators"]["address"], format!("127.0.0.1:{operators}"), "{name}");
        assert!(settings["database"].is_null(), "{name}: a file in the data directory");
    }
    let (none, prefix) = (None, "FDO_TESTS_NOTHING_SET_");
    let manufacturer: fdo_manufacturer::config::Config = load(none, prefix, &()).unwrap();
    let rendezvous: fdo_rendezvous::config::Config = load(none, prefix, &()).unwrap();
    let owner: fdo_owner::config::Config = load(none, prefix, &()).unwrap();
    assert_eq!(json!([manufacturer, rendezvous, owner]), Value::from(NAMES.map(defaults).to_vec()));
}

#[test]
fn flags_lie_over_the_environment_and_the_environment_over_the_file() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let (in_file, in_environment, in_flag) = (free_port(), free_port(), free_port());
        let file = file_with_ports(name, folder.path(), in_file);
        let by_file = ["--config", file.to_str().unwrap()];
        Served::start(name, folder.path(), &by_file, &[]).told_when_serving(in_file, true);

        let variable = (format!("{}LISTEN__ADDRESS", prefix(name)), format!("127.0.0.1:{in_environment}"));
        let environment = [variable];
        let told =
            Served::start(name, folder.path(), &by_file, &environment).told_when_serving(in_environment, false);
        assert!(!told.contains(&in_file.to_string()), "{name}: {told}");

        let address = format!("127.0.0.1:{in_flag}");
        let by_flag = [by_file[0], by_file[1], "--listen", &address];
        let told = Served::start(name, folder.path(), &by_flag, &environment).told_when_serving(in_flag, false);
        assert!(!told.contains(&in_environment.to_string()), "{name}: {told}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        let data_dir = folder.path().join("data");
        let serve = |environment: &[(&str, &str)]| {
            let arguments =
                ["serve", "--data-dir", data_dir.to_str().unwrap(), "--config", file.to_str().unwrap()];
            over(command(name).args(arguments).envs(environment.iter().copied()))
        };
        for (text, key) in [("colour = 1\n", "colour"), ("[listen]\nadress = \"127.0.0.1:1\"\n", "adress")] {
            std::fs::write(&file, text).unwrap();
            let (went_well, said) = serve(&[]);
            assert!(!went_well && said.contains(key), "{name}: {said}");
            assert!(said.contains("settings.toml"), "{name} says where: {said}");
        }
        std::fs::write(&file, "").unwrap();
        for key in ["COLOUR", "LISTEN__ADRESS"] {
            let variable = format!("{}{key}", prefix(name));
            let (went_well, said) = serve(&[(&variable, "1")]);
            let named = key.rsplit("__").next().unwrap().to_lowercase();
            assert!(!went_well && said.to_lowercase().contains(&named), "{name}: {said}");
            assert!(said.contains("environment"), "{name} says where: {said}");
        }
        // A wrong value is named by its key too.
        let variable = format!("{}WORKERS", prefix(name));
        let (went_well, said) = serve(&[(&variable, "many")]);
        assert!(!went_well && said.contains("workers"), "{name}: {said}");
        assert!(!data_dir.exists(), "{name}: nothing is made before the settings hold");
    }
}

fn leaves(path: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| leaves(&format!("{path}-{key}"), value, into));
        }
        _ => into.push(path.trim_start_matches('-').replace('_', "-")),
    }
}

#[test]
fn help_tells_of_each_setting() {
    for name in NAMES {
        let (went_well, help) = over(command(name).args(["serve", "--help"]));
        assert!(went_well, "{help}");
        let mut settings = Vec::new();
        leaves("", &defaults(name), &mut settings);
        for setting in settings {
            // Shorter where it is plain: `--listen`, `--older-key-auth`, `--download` that may be repeated.
            let plain = setting.trim_end_matches("-address");
            let one = plain.trim_end_matches('s');
            let own = setting.split_once('-').map_or(plain, |(_, own)| own);
            let bare = setting.replace("claims-public-url", "claims-url");
            let is_told =
                |flag: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("--{flag}")));
            let names = [setting.as_str(), plain, one, own, &bare];
            assert!(names.into_iter().any(is_told), "{name} --help does not tell of {setting}");
        }
        let (_, overview) = over(command(name).arg("--help"));
        for said in ["--config", "--data-dir", &prefix(name)] {
            assert!(overview.contains(said), "{name} --help does not tell of {said}");
        }
    }
}

/// All files below a folder.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_first_start_makes_keys_that_nobody_else_reads_and_tells_the_token_once() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let port = free_port();
        let file = file_with_ports(name, folder.path(), port);
        let arguments = ["--config", file.to_str().unwrap()];
        let first = Served::start(name, folder.path(), &arguments, &[]).told_when_serving(port, true);

        let token = std::fs::read_to_string(data_dir.join("operator-token")).unwrap();
        assert!(token.len() > 30 && first.matches(token.trim()).count() == 1, "{name}: {first}");
        assert_eq!(mode(&data_dir), 0o700, "{name}");
        let mut made = Vec::new();
        files(&data_dir, &mut made);
        let mut keys = 0;
        for path in made {
            let content = std::fs::read(&path).unwrap();
            let is_private = String::from_utf8_lossy(&content).contains("PRIVATE KEY");
            let file_name = path.file_name().unwrap().to_str().unwrap();
            let is_secret = is_private || file_name.contains("key") || file_name == "operator-token";
            if is_secret {
                assert_eq!(mode(&path), 0o600, "{name}: {}", path.display());
            }
            if is_private || file_name.contains("sealing") {
                keys += 1;
                let folder = path.parent().unwrap().to_str().unwrap();
                let is_told = first.contains(path.to_str().unwrap())
                    || (folder != data_dir.to_str().unwrap() && first.contains(folder));
                assert!(is_told, "{name} does not say where {} is: {first}", path.display());
            }
        }
        assert!(keys > 0, "{name} made no key");

        let second = Served::start(name, folder.path(), &arguments, &[]).told_when_serving(port, false);
        assert!(!second.contains(token.trim()), "{name} shows the token again");
        assert_eq!(std::fs::read_to_string(data_dir.join("operator-token")).unwrap(), token, "{name}");
    }
}

#[test]
fn a_listener_that_others_reach_needs_what_it_is_reached_by() {
    let serve = |name: &str, arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        over(
            command(name)
                .args(["serve", "--data-dir", folder.path().join("data").to_str().unwrap()])
                .args(arguments),
        )
    };
    let (went_well, said) = serve("owner", &["--listen", "0.0.0.0:0", "--operators", "127.0.0.1:0"]);
    assert!(!went_well && said.contains("public_url"), "{said}");
    let (went_well, said) = serve("manufacturer", &["--listen", "0.0.0.0:0", "--operators", "127.0.0.1:0"]);
    assert!(!went_well && said.contains("rendezvous"), "{said}");
    for name in NAMES {
        let (went_well, said) = serve(name, &["--listen", "127.0.0.1:0", "--operators", "0.0.0.0:0"]);
        assert!(!went_well && said.contains("TLS"), "{name} serves operators without TLS to all: {said}");
    }
}
