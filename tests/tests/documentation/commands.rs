//! Every command in the documents is one that the program understands, with its flags.

use clap::error::ErrorKind;
use clap::{Command, CommandFactory};

use super::{Document, document, documents, root};

/// The agent's command line belongs to its program, not to its library; this is its file.
#[path = "../../../device/src/command_line/arguments.rs"]
#[allow(dead_code)]
mod arguments;

fn program(name: &str) -> Option<Command> {
    match name {
        "fdo-manufacturer" => Some(fdo_manufacturer::cli::Cli::command()),
        "fdo-rendezvous" => Some(fdo_rendezvous::cli::Cli::command()),
        "fdo-owner" => Some(fdo_owner::cli::Cli::command()),
        "fdo-device" => Some(arguments::Arguments::command()),
        _ => None,
    }
}

/// What a shell makes of a line: words, up to a comment, a pipe, a redirection or the next command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '>' | '<' | ';' | '&') => break,
            (None, '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Commands in the fenced blocks of a document; of a console, what stands behind the prompt.
fn commands(document: &Document) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for block in document.blocks() {
        let console = block.info.starts_with("console");
        if !console && !block.info.starts_with("sh") {
            continue;
        }
        let text = block.lines.join("\n").replace("\\\n", " ");
        let lines = text.lines().filter_map(|line| if console { line.strip_prefix("$ ") } else { Some(line) });
        found.extend(lines.map(words).filter(|words| !words.is_empty()));
    }
    found
}

/// Why a command of ours cannot be given. A command in running text may be only begun.
fn refusal(words: &[String], begun: bool) -> Option<String> {
    let words: Vec<&String> =
        words.iter().skip_while(|word| word.contains('=') && !word.starts_with('-')).collect();
    let (first, rest) = words.split_first()?;
    let name = first.rsplit('/').next()?;
    if let Some(command) = program(name) {
        let error = command.try_get_matches_from(std::iter::once(first).chain(rest.iter())).err()?;
        let enough = [
            ErrorKind::MissingRequiredArgument,
            ErrorKind::MissingSubcommand,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ];
        let harmless = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
        let fine = harmless || (begun && enough.contains(&error.kind()));
        return (!fine).then(|| error.to_string());
    }
    if name.starts_with("fdo-") {
        return Some(format!("{name} is none of our programs"));
    }
    if **first == "cargo" {
        return rest.windows(2).find_map(|pair| unknown_to_cargo(pair[0], pair[1]));
    }
    let ours = first.starts_with("./") || first.starts_with(".ci/");
    (ours && !root().join(first.as_str()).is_file()).then(|| format!("there is no {first}"))
}

fn unknown_to_cargo(flag: &str, value: &str) -> Option<String> {
    let tests = root().join("tests");
    let exists = match flag {
        "-p" | "--package" => {
            let folder = value.strip_prefix("fdo-").unwrap_or(value);
            let places = [folder.to_owned(), format!("protocol/{folder}"), format!("tests/{folder}")];
            places.iter().any(|place| root().join(place).join("Cargo.toml").is_file())
        }
        "--test" => {
            let place = tests.join("tests").join(value);
            place.with_extension("rs").is_file() || place.join("main.rs").is_file()
        }
        "--bin" => tests.join("src/bin").join(value).with_extension("rs").is_file(),
        _ => true,
    };
    (!exists).then(|| format!("cargo knows no {flag} {value}"))
}

#[test]
fn commands_in_blocks_are_understood() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        for words in commands(&document) {
            seen += 1;
            wrong.extend(
                refusal(&words, false).map(|why| format!("{}: {}\n{why}", document.path, words.join(" "))),
            );
        }
    }
    assert!(seen > 15, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_in_the_text_are_understood() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        for span in document.spans() {
            let ours = ["fdo-", "cargo ", "./", ".ci/"].iter().any(|start| span.starts_with(start));
            if ours && (span.contains(' ') || !span.starts_with("fdo-")) {
                seen += 1;
                wrong.extend(refusal(&words(&span), true).map(|why| format!("{}: {span}\n{why}", document.path)));
            }
        }
    }
    assert!(seen > 10, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_shows_every_program_and_one_test_command() {
    let readme = document("README.md");
    let all = commands(&readme);
    for name in ["fdo-manufacturer", "fdo-rendezvous", "fdo-owner", "fdo-device"] {
        assert!(all.iter().any(|words| words[0] == name), "README shows no command of {name}");
    }
    assert!(all.iter().any(|words| words[0] == "./deploy/demo.sh"), "README does not show the demo");
    // .ci/run takes the command from this block.
    let tests: Vec<_> = readme.blocks().into_iter().filter(|block| block.info == "sh test").collect();
    assert_eq!(tests.len(), 1, "one block `sh test`");
    assert_eq!(tests[0].lines, ["cargo test --workspace"]);
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains("```sh test"), ".ci/run does not take the test command from README");
}

#[test]
fn wrong_commands_are_seen() {
    let refused = |line: &str| refusal(&words(line), false).is_some();
    assert!(refused("fdo-owner frobnicate"));
    assert!(refused("fdo-owner claim FL-0001 --no-such-flag"));
    assert!(refused("fdo-owner voucher"));
    assert!(refused("fdo-unknown serve"));
    assert!(refused("fdo-device simulate sleep"));
    assert!(refused("./deploy/no-such-script.sh"));
    assert!(refused("cargo test -p fdo-tests --test no_such_test"));
    assert!(!refused("X=y target/release/fdo-owner claim FL-0001 | head"));
    assert!(
        refusal(&words("fdo-owner voucher"), true).is_none()
            && refusal(&words("fdo-owner nonsense"), true).is_some()
    );
    assert_eq!(words("a \"b c\" 'd' # e"), ["a", "b c", "d"]);
}
