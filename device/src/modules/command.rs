//! `fdo.command` on the device, only where its configuration enables it: one program with its arguments, no shell, in
//! the directory for downloads, with a limit on time and output.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fdo_protocol::Error;
use fdo_protocol::service_info::command::{MODULE, ToDevice, ToOwner};
use fdo_protocol::service_info::{ModuleMessage as _, max_value_length};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command as Process};
use zeroize::Zeroizing;

use super::Answers;

/// Output goes back in pieces of at most this many bytes, which fit the usual message.
const PIECE: usize = 1014;
/// What a byte string of such a piece takes beyond it.
const PIECE_HEAD: usize = 3;
/// Programs get this and nothing of the agent's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the configuration allows.
#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// The directory that programs start in.
    pub directory: PathBuf,
    /// How long one may run.
    pub time_limit: Duration,
    /// How much of each output stream is sent back, in bytes; the rest is dropped.
    pub output_limit: usize,
}

/// The module's state.
pub struct Command {
    settings: CommandSettings,
    /// The most bytes of a piece of output.
    piece: usize,
    program: Option<String>,
    arguments: Vec<String>,
    may_fail: bool,
    return_stdout: bool,
    return_stderr: bool,
}

/// How a program ended.
struct Ended {
    code: i64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Command {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The module with these limits, for an owner that takes messages of `size` bytes.
    pub fn for_owner(settings: CommandSettings, size: usize) -> Self {
        let room = max_value_length(&ToOwner::Stdout(Zeroizing::default()).to_kv().key, size);
        Self::new(settings, PIECE.min(room.saturating_sub(PIECE_HEAD)).max(1))
    }

    fn new(settings: CommandSettings, piece: usize) -> Self {
        Self {
            settings,
            piece,
            program: None,
            arguments: Vec::new(),
            may_fail: false,
            return_stdout: false,
            return_stderr: false,
        }
    }

    /// Takes a message; `execute` runs the program to its end.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type, [`Error::Rejected`] for a program that failed and must not.
    pub async fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => {}
            ToDevice::Command(program) => {
                *self = Self::new(self.settings.clone(), self.piece);
                self.program = Some(program);
            }
            ToDevice::Args(_, arguments) => self.arguments = arguments,
            ToDevice::MayFail(flag) => self.may_fail = flag,
            ToDevice::ReturnStdout(flag) => self.return_stdout = flag,
            ToDevice::ReturnStderr(flag) => self.return_stderr = flag,
            ToDevice::Execute(arguments) => {
                if let Some(arguments) = arguments {
                    self.arguments = arguments;
                }
                return self.execute(answers).await;
            }
            // Programs have ended before the owner can speak again.
            ToDevice::Signal(_) => {}
        }
        Ok(())
    }

    async fn execute(&mut self, answers: &mut Answers) -> Result<(), Error> {
        let program = self.program.take().ok_or(Error::Rejected("execute without a command"))?;
        let arguments = std::mem::take(&mut self.arguments);
        tracing::info!(program, arguments = arguments.len(), "running a command for the owner");
        let ended = match self.run(&program, &arguments).await {
            Ok(ended) => ended,
            Err(reason) => {
                answers.refuse(format!("command {program:?}: {reason}"));
                Ended { code: -1, stdout: Vec::new(), stderr: Vec::new() }
            }
        };
        let pieces = |wanted: bool, output| {
            let output: &[u8] = if wanted { output } else { &[] };
            output.chunks(self.piece).map(|piece| Zeroizing::new(piece.to_vec()))
        };
        pieces(self.return_stdout, &ended.stdout).for_each(|piece| answers.tell(&ToOwner::Stdout(piece)));
        pieces(self.return_stderr, &ended.stderr).for_each(|piece| answers.tell(&ToOwner::Stderr(piece)));
        answers.tell(&ToOwner::ExitCode(ended.code));
        if ended.code != 0 && !self.may_fail {
            return Err(Error::Rejected("a command failed that must not"));
        }
        Ok(())
    }

    async fn run(&self, program: &str, arguments: &[String]) -> Result<Ended, String> {
        std::fs::create_dir_all(&self.settings.directory).map_err(|error| error.to_string())?;
        let mut child = Process::new(program)
            .args(arguments)
            .current_dir(&self.settings.directory)
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let limit = self.settings.output_limit;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let whole = async {
            let (stdout, stderr, status) = tokio::join!(read(stdout, limit), read(stderr, limit), child.wait());
            status.map(|status| Ended { code: code(status), stdout, stderr })
        };
        match tokio::time::timeout(self.settings.time_limit, whole).await {
            Ok(ended) => ended.map_err(|error| error.to_string()),
            Err(_) => {
                kill_group(&child).await;
                let _ = child.kill().await;
                Err(format!("it ran for more than {} seconds", self.settings.time_limit.as_secs()))
            }
        }
    }
}

/// What the program started itself must not outlive the limit either.
async fn kill_group(child: &Child) {
    if let Some(id) = child.id() {
        let kill =
            Process::new("/bin/kill").args(["-KILL", "--", &format!("-{id}")]).stderr(Stdio::null()).status();
        let _ = tokio::time::timeout(Duration::from_secs(5), kill).await;
    }
}

fn code(status: ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).map_or(-1, i64::from)
}

/// Reads to the end, so that the program does not block, and keeps the beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    if let Some(mut stream) = stream {
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let room = limit.saturating_sub(kept.len()).min(length);
            kept.extend_from_slice(&buffer[..room]);
        }
    }
    kept
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    use fdo_protocol::cbor::{self, ByteString, encode};

    fn module(directory: &Path, seconds: u64, output_limit: usize) -> Command {
        let directory = directory.to_path_buf();
        let time_limit = Duration::from_secs(seconds);
        Command::for_owner(CommandSettings { directory, time_limit, output_limit }, 1300)
    }

    async fn run(module: &mut Command, pairs: &[(&str, Vec<u8>)]) -> (Result<(), Error>, Answers) {
        let mut answers = Answers::new(Command::NAME);
        for (message, item) in pairs {
            if let Err(error) = module.receive(message, item, &mut answers).await {
                return (Err(error), answers);
            }
        }
        (Ok(()), answers)
    }

    #[tokio::test]
    async fn the_limits_of_the_protocol_hold() {
        let directory = tempfile::tempdir().unwrap();
        let long = "x".repeat(4097);
        for (message, item) in [
            ("command", encode(&long)),
            ("args", strings(&[&long])),
            ("args", strings(&["x"; 256])),
            ("execute", strings(&["x"; 256])),
        ] {
            let mut module = module(directory.path(), 1, 4096);
            let (outcome, _) = run(&mut module, &[(message, item)]).await;
            assert!(matches!(outcome, Err(Error::Malformed(_))), "{message}");
        }
    }

    #[tokio::test]
    async fn pieces_of_output_fit_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        for size in [256, 700, 1300, 65_535] {
            let CommandSettings { time_limit, .. } = module(directory.path(), 10, 4096).settings;
            let settings =
                CommandSettings { directory: directory.path().to_path_buf(), time_limit, output_limit: 5000 };
            let mut module = Command::for_owner(settings, size);
            let pairs = [
                ("command", encode("seq")),
                ("args", strings(&["5000"])),
                ("return_stdout", vec![0xf5]),
                ("execute", vec![0xf6]),
            ];
            let (outcome, answers) = run(&mut module, &pairs).await;
            outcome.unwrap();
            let mut told = Vec::new();
            for kv in answers.pairs().iter().filter(|kv| kv.message() == "stdout") {
                assert!(kv.value.len() <= max_value_length(&kv.key, size), "{size}");
                told.extend(cbor::decode::<ByteString>(&kv.value).unwrap().0);
            }
            assert_eq!(told.len(), 5000);
        }
    }

    fn strings(list: &[&str]) -> Vec<u8> {
        encode(&list.iter().map(|&text| text.to_owned()).collect::<Vec<String>>())
    }

    fn said(answers: &Answers, message: &str) -> Vec<Vec<u8>> {
        answers.pairs().iter().filter(|kv| kv.message() == message).map(|kv| kv.value.to_vec()).collect()
    }

    #[tokio::test]
    async fn both_flavours_of_arguments_reach_the_program_as_given() {
        let directory = tempfile::tempdir().unwrap();
        let list = strings(&["%s|%s", "a b", "$(id); `id`"]);
        let wrapped = encode(&ByteString(list.clone()));
        for (args, execute) in [(Some(wrapped), vec![0xf6]), (Some(list.clone()), vec![0xf5]), (None, list)] {
            let mut pairs = vec![("command", encode("printf")), ("return_stdout", vec![0xf5])];
            pairs.extend(args.map(|args| ("args", args)));
            pairs.push(("execute", execute));
            let mut module = module(directory.path(), 10, 4096);
            let (outcome, answers) = run(&mut module, &pairs).await;
            outcome.unwrap();
            let expected = encode(&ByteString(b"a b|$(id); `id`".to_vec()));
            assert_eq!(said(&answers, "stdout"), [expected]);
            assert_eq!(said(&answers, "exitcode"), [vec![0]]);
        }
    }

    #[tokio::test]
    async fn a_failure_ends_the_conversation_unless_it_may_fail() {
        let directory = tempfile::tempdir().unwrap();
        let mut module = module(directory.path(), 10, 4096);
        let (outcome, answers) = run(&mut module, &[("command", encode("false")), ("execute", vec![0xf6])]).await;
        assert!(matches!(outcome, Err(Error::Rejected(_))));
        assert_eq!(said(&answers, "exitcode"), [vec![1]]);
        let pairs = [("command", encode("/no/such/program")), ("may_fail", vec![0xf5]), ("execute", vec![0xf6])];
        let (outcome, answers) = run(&mut module, &pairs).await;
        outcome.unwrap();
        assert_eq!(said(&answers, "exitcode"), [vec![0x20]]);
        assert_eq!(answers.refused().len(), 1);
        assert!(run(&mut module, &[("execute", vec![0xf6])]).await.0.is_err());
    }

    #[tokio::test]
    async fn time_and_output_are_bounded_and_the_directory_is_ours() {
        let directory = tempfile::tempdir().unwrap();
        let mut slow = module(directory.path(), 1, 4096);
        let pairs = [
            ("command", encode("sleep")),
            ("args", strings(&["60"])),
            ("may_fail", vec![0xf5]),
            ("execute", vec![0xf6]),
        ];
        let (outcome, answers) = run(&mut slow, &pairs).await;
        outcome.unwrap();
        assert!(answers.refused()[0].contains("1 seconds"));

        let mut chatty = module(directory.path(), 10, 2000);
        let pairs = [
            ("command", encode("seq")),
            ("args", strings(&["100000"])),
            ("return_stdout", vec![0xf5]),
            ("execute", vec![0xf6]),
        ];
        let (outcome, answers) = run(&mut chatty, &pairs).await;
        outcome.unwrap();
        let pieces = said(&answers, "stdout");
        assert_eq!(pieces.len(), 2);
        assert_eq!(cbor::decode::<ByteString>(&pieces[0]).unwrap().len(), PIECE);

        let mut here = module(directory.path(), 10, 4096);
        let pairs = [("command", encode("pwd")), ("return_stdout", vec![0xf5]), ("execute", vec![0xf6])];
        let (_, answers) = run(&mut here, &pairs).await;
        let told = cbor::decode::<ByteString>(&said(&answers, "stdout")[0]).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&told).trim(),
            directory.path().canonicalize().unwrap().to_str().unwrap()
        );
    }
}
