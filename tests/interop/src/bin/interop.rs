//! `just interop`: measures the interoperability matrix with the programs of others, prints it, and fails where a cell
//! is red without being excused, or where the documents say something else. Without Go it says so and succeeds, unless
//! FDO_REQUIRE_INTEROP=1 makes that an error.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use fdo_interop::matrix::{Expectations, Outcome, Peers, Place, Report, World, cells, find_go, run};

/// Measure the interoperability matrix.
#[derive(Parser)]
struct Arguments {
    /// Only the cells whose name contains this; the documents are then left alone.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How many cells at a time.
    #[arg(long, default_value_t = 4)]
    at_a_time: usize,
    /// Write the tables into the document instead of comparing them.
    #[arg(long)]
    write: bool,
    /// Leave the devices' and services' directories where they are.
    #[arg(long)]
    keep: bool,
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let go = match find_go() {
        Ok(go) => go,
        Err(why) if std::env::var_os("FDO_REQUIRE_INTEROP").is_some_and(|value| value == "1") => {
            say(&format!("interop: FDO_REQUIRE_INTEROP is set, and {why}"));
            return Ok(ExitCode::FAILURE);
        }
        Err(why) => {
            say(&format!("interop: skipped: {why}"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    tokio::select! {
        measured = measure(&arguments, &go) => measured,
        // Dropping the other arm ends all processes.
        () = stopped() => Ok(ExitCode::FAILURE),
    }
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn measure(arguments: &Arguments, go: &Path) -> anyhow::Result<ExitCode> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = PathBuf::from(
        std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| here.join("../../target").into_os_string()),
    );
    let results = target.join("interop");
    let peers = Peers::build(go, &results.join("bin"))?;
    let mut expected = Expectations::read(&here.join("expected.toml"))?;
    let is_wanted = |place: &Place| arguments.only.as_ref().is_none_or(|only| place.to_string().contains(only));
    let mut cells = cells();
    cells.retain(|cell| is_wanted(&cell.place));
    expected.retain(|name| arguments.only.as_ref().is_none_or(|only| name.contains(only)));

    let directory = tempfile::Builder::new().prefix("firstlight-interop-").tempdir()?;
    let path = if arguments.keep { directory.keep() } else { directory.path().to_owned() };
    let world = Arc::new(World::start(peers, &path).await?);
    let tell = |place: &Place, outcome: &Outcome| match outcome {
        Outcome::Green => say(&format!("yes  {place}")),
        Outcome::Red(why) => say(&format!("NO   {place}: {why}")),
    };
    let cells_run = run(&world, &cells, arguments.at_a_time, |cell, outcome| tell(&cell.place, outcome));
    // Most of that is waiting.
    let (outcomes, compared, walked) = tokio::join!(cells_run, world.management(), world.guide());
    let mut all: Vec<_> = cells.into_iter().map(|cell| cell.place).zip(outcomes).collect();
    let mut checks = world.owner_keys().await;
    checks.extend(compared);
    checks.extend(walked);
    checks.retain(|(place, _)| is_wanted(place));
    for (place, outcome) in &checks {
        tell(place, outcome);
    }
    all.extend(checks);
    drop(world);
    if arguments.keep {
        say(&format!("kept: {}", path.display()));
    }

    let document = here.join("../../docs/interop.md");
    let mut report = Report::new(&all, &expected);
    std::fs::write(results.join("matrix.md"), &report.tables)?;
    match &arguments.only {
        Some(_) => {}
        None if arguments.write => report.write(&document)?,
        None => report.compare(&document)?,
    }
    say(&format!("\n{}\n", report.tables));
    let green = all.iter().filter(|(_, outcome)| *outcome == Outcome::Green).count();
    say(&format!("{green} of {} cells are green", all.len()));
    for complaint in &report.complaints {
        say(&format!("FAILED: {complaint}"));
    }
    Ok(if report.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
