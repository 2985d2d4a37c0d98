//! `fdo.command` on the device, only where its configuration enables it: one program with its arguments, which the
//! owner waits for.

use std::time::Duration;

use fdo_protocol::Error;
use fdo_protocol::service_info::command::{MODULE, ToDevice, ToOwner};
use fdo_protocol::service_info::{ModuleMessage as _, max_value_length};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::Answers;
use super::background::Background;
use super::program::{self, Ended, Limits};

/// Output goes back in pieces of at most this many bytes, which fit the usual message.
const PIECE: usize = 1014;
/// What a byte string of such a piece takes beyond it.
const PIECE_HEAD: usize = 3;
/// Signals that wait for the program; more are dropped.
const MAX_SIGNALS: usize = 8;

/// The module's state.
pub struct Command {
    limits: Limits,
    /// The most bytes of a piece of output.
    piece: usize,
    asked: Asked,
    running: Option<Running>,
    work: Background<Result<Ended, String>>,
}

/// What the owner said of the program to come.
#[derive(Default)]
struct Asked {
    program: Option<String>,
    arguments: Vec<String>,
    may_fail: bool,
    return_stdout: bool,
    return_stderr: bool,
}

struct Running {
    program: String,
    asked: Asked,
    signals: mpsc::Sender<i64>,
}

impl Command {
    /// The module's name.
    pub const NAME: &'static str = MODULE;

    /// The module with these limits, for an owner that takes messages of `size` bytes.
    pub fn for_owner(limits: Limits, size: usize) -> Self {
        let room = max_value_length(&ToOwner::Stdout(Zeroizing::default()).to_kv().key, size);
        Self {
            limits,
            piece: PIECE.min(room.saturating_sub(PIECE_HEAD)).max(1),
            asked: Asked::default(),
            running: None,
            work: Background::idle(),
        }
    }

    /// Whether a program is running.
    pub fn is_busy(&self) -> bool {
        self.work.is_busy()
    }

    /// Takes a message; `execute` starts the program.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a value of a wrong type, [`Error::Rejected`] for a second program beside the first.
    pub fn receive(&mut self, message: &str, item: &[u8], answers: &mut Answers) -> Result<(), Error> {
        let Some(message) = ToDevice::decode(message, item)? else {
            answers.ignored(message);
            return Ok(());
        };
        match message {
            ToDevice::Active(true) => answers.tell(&ToOwner::Active(true)),
            ToDevice::Active(false) => {}
            ToDevice::Command(program) => self.asked = Asked { program: Some(program), ..Asked::default() },
            ToDevice::Args(_, arguments) => self.asked.arguments = arguments,
            ToDevice::MayFail(flag) => self.asked.may_fail = flag,
            ToDevice::ReturnStdout(flag) => self.asked.return_stdout = flag,
            ToDevice::ReturnStderr(flag) => self.asked.return_stderr = flag,
            ToDevice::Execute(arguments) => {
                self.asked.arguments = arguments.unwrap_or(std::mem::take(&mut self.asked.arguments));
                return self.execute();
            }
            ToDevice::Signal(signal) => {
                if let Some(running) = &self.running {
                    let _ = running.signals.try_send(signal);
                }
            }
        }
        Ok(())
    }

    fn execute(&mut self) -> Result<(), Error> {
        if self.is_busy() {
            return Err(Error::Rejected("a second command before the first has ended"));
        }
        let mut asked = std::mem::take(&mut self.asked);
        let program = asked.program.take().ok_or(Error::Rejected("execute without a command"))?;
        let arguments = std::mem::take(&mut asked.arguments);
        tracing::info!(program, arguments = arguments.len(), "running a command for the owner");
        let (signals, received) = mpsc::channel(MAX_SIGNALS);
        self.work.start(program::run(self.limits.clone(), program.clone(), arguments, received));
        self.running = Some(Running { program, asked, signals });
        Ok(())
    }

    /// Waits for the program for so long, and tells the owner how it ended.
    ///
    /// # Errors
    /// [`Error::Rejected`] for a program that failed and must not.
    pub async fn settle(&mut self, patience: Duration, answers: &mut Answers) -> Result<(), Error> {
        let Some(ended) = self.work.wait(patience).await else { return Ok(()) };
        let Some(Running { program, asked, .. }) = self.running.take() else { return Ok(()) };
        let ended = ended.flatten().unwrap_or_else(|reason| {
            answers.refuse(format!("command {program:?}: {reason}"));
            Ended { code: -1, stdout: Vec::new(), stderr: Vec::new() }
        });
        let pieces = |wanted: bool, output| {
            let output: &[u8] = if wanted { output } else { &[] };
            output.chunks(self.piece).map(|piece| Zeroizing::new(piece.to_vec()))
        };
        pieces(asked.return_stdout, &ended.stdout).for_each(|piece| answers.tell(&ToOwner::Stdout(piece)));
        pieces(asked.return_stderr, &ended.stderr).for_each(|piece| answers.tell(&ToOwner::Stderr(piece)));
        answers.tell(&ToOwner::ExitCode(ended.code));
        if ended.code != 0 && !asked.may_fail {
            return Err(Error::Rejected("a command failed that must not"));
        }
        Ok(())
    }
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
        Command::for_owner(Limits { directory, time_limit, output_limit }, 1300)
    }

    async fn run(module: &mut Command, pairs: &[(&str, Vec<u8>)]) -> (Result<(), Error>, Answers) {
        let mut answers = Answers::new(Command::NAME);
        for (message, item) in pairs {
            if let Err(error) = module.receive(message, item, &mut answers) {
                return (Err(error), answers);
            }
        }
        while module.is_busy() {
            if let Err(error) = module.settle(Duration::from_secs(60), &mut answers).await {
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
            let Limits { time_limit, .. } = module(directory.path(), 10, 4096).limits;
            let settings = Limits { directory: directory.path().to_path_buf(), time_limit, output_limit: 5000 };
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
    async fn a_running_program_may_be_signalled_and_has_no_second_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut module = module(directory.path(), 60, 4096);
        let mut answers = Answers::new(Command::NAME);
        let pairs = [
            ("command", encode("sleep")),
            ("args", strings(&["50"])),
            ("may_fail", vec![0xf5]),
            ("execute", vec![0xf6]),
        ];
        for (message, item) in &pairs {
            module.receive(message, item, &mut answers).unwrap();
        }
        module.settle(Duration::from_millis(1), &mut answers).await.unwrap();
        assert!(module.is_busy() && answers.pairs().is_empty());
        module.receive("command", &encode("true"), &mut answers).unwrap();
        assert!(matches!(module.receive("execute", &[0xf6], &mut answers), Err(Error::Rejected(_))));
        for signal in [0, 999, -15, 15] {
            module.receive("sig", &encode(&i64::from(signal)), &mut answers).unwrap();
        }
        module.settle(Duration::from_secs(50), &mut answers).await.unwrap();
        assert_eq!(said(&answers, "exitcode"), [encode(&(128 + 15_i64))]);
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
