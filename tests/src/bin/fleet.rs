//! Fills a throw-away PostgreSQL with the certificates of a large fleet, and measures how long the inventory's queries take.
//!
//! `cargo run --release -p fdo-tests --bin fleet -- --database postgres://user@127.0.0.1/empty`

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use fdo_owner::alerts;
use fdo_owner::app::App;
use fdo_owner::config::Config;
use fdo_owner::inventory::certificates::export::{Export, Format};
use fdo_owner::inventory::certificates::{self, Filter, Source, Status};
use fdo_service::database::{self, ConnectionTrait};
use fdo_service::host::clock::Clock;
use fdo_service::host::random::Random;

const NOW: u64 = 1_795_478_400;
const DAY: u64 = 86_400;
/// What one query may take.
const AIM: Duration = Duration::from_millis(50);
const PAGE: u64 = 101;

#[derive(Parser)]
struct Arguments {
    /// An empty PostgreSQL database, which is filled.
    #[arg(long)]
    database: String,
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// How often each query runs, each time for something else where it can.
    #[arg(long, default_value_t = 25)]
    runs: u64,
}

/// Half the rows are LDevIDs of 90 days, most others IDevIDs without end; some keys are RSA, some certificates revoked.
const FILL: &str = "
INSERT INTO inventory_certificate (fingerprint, source, subject, issuer, issuer_name, serial, not_before, not_after,
    key_type, is_ca, status, reason, device_id, device_serial, guid, profile, name, words, first_seen, last_seen,
    attention, der)
SELECT fingerprint, source, 'CN=' || model || ' ' || device_serial || ', serialNumber=' || device_serial,
    'O=Example, CN=' || issuer_name, issuer_name, substr(fingerprint, 20, 32), not_before, not_after, key_type, false,
    status, CASE WHEN status = 'revoked' THEN 'keyCompromise' END, md5('d' || device), device_serial,
    md5('g' || device)::uuid::text, CASE WHEN source = 'ldevid' THEN 'ldevid' END, NULL,
    'cn ' || model || ' serialnumber sn ' || lpad(device::text, 7, '0') || ' ' || md5('g' || device), not_before,
    not_before, CASE WHEN status = 'active' AND not_after < 253402300799 THEN not_after - 14 * 86400 END, NULL
FROM (
    SELECT md5('a' || n) || md5('b' || n) AS fingerprint,
        CASE WHEN n % 2 = 0 THEN 'ldevid' WHEN n % 101 = 1 THEN 'upload' WHEN n % 997 = 3 THEN 'probe' ELSE 'idevid' END
            AS source,
        n / 2 AS device, 'SN-' || lpad((n / 2)::text, 7, '0') AS device_serial,
        (ARRAY['gateway', 'camera', 'lamp', 'meter', 'pump', 'valve', 'router', 'sensor'])[1 + n / 2 % 8] AS model,
        CASE WHEN n % 2 = 0 THEN 'Firstlight owner issuing CA' WHEN n % 5003 = 1 THEN 'Rare CA'
            ELSE 'Maker ' || n % 19 || ' device CA' END AS issuer_name,
        CASE WHEN n % 2 = 0 THEN NOW_SECONDS - (n * 7919 % 7776000) ELSE NOW_SECONDS - 31536000 END AS not_before,
        CASE WHEN n % 2 = 0 THEN NOW_SECONDS + 7776000 - (n * 7919 % 7776000) - CASE WHEN n % 1000 = 0 THEN 8000000 ELSE 0 END
            WHEN n % 101 = 1 THEN NOW_SECONDS + (n * 104729 % 94608000) ELSE 253402300799 END AS not_after,
        CASE WHEN n % 1009 = 5 THEN 'RSA2048' WHEN n % 10 = 3 THEN 'P-384' ELSE 'P-256' END AS key_type,
        CASE WHEN n % 50 = 8 THEN 'replaced' WHEN n % 500 = 16 THEN 'revoked' WHEN n % 2003 = 9 THEN 'retired'
            WHEN n % 30011 = 2 THEN 'pending' ELSE 'active' END AS status
    FROM generate_series(FIRST::bigint, LAST::bigint) AS n
) AS made";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let config = Config { database: Some(arguments.database.clone()), ..Config::default() };
    let (app, _) = App::open(&config, folder.path(), Clock::fixed(NOW), Random::seeded(1)).await?;
    if !database::is_postgres(&app.db) {
        bail!("the aim is for PostgreSQL; name one with --database");
    }
    if certificates::count(&app.db, &Filter::default(), NOW).await? > 0 {
        bail!("the database is not empty");
    }
    let begun = Instant::now();
    let step = 50_000;
    for first in (0..arguments.rows).step_by(step) {
        let last = (first + step as u64).min(arguments.rows) - 1;
        let fill = FILL.replace("NOW_SECONDS", &NOW.to_string());
        let fill = fill.replace("FIRST", &first.to_string()).replace("LAST", &last.to_string());
        app.db.execute_unprepared(&fill).await?;
    }
    app.db.execute_unprepared("VACUUM ANALYZE inventory_certificate").await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "filled {} rows in {:.0} s\n", arguments.rows, begun.elapsed().as_secs_f64())?;
    writeln!(out, "| query | rows | median ms | longest ms | 50 ms |\n|---|---|---|---|---|")?;
    let mut missed = 0;
    for (name, filter) in queries(arguments.rows) {
        let (mut times, mut rows) = (Vec::new(), 0);
        for run in 0..arguments.runs {
            let filter = filter(run);
            let begun = Instant::now();
            rows = certificates::list(&app.db, &filter, None, PAGE, NOW).await?.len();
            times.push(begun.elapsed());
        }
        missed += report(&mut out, name, rows, &mut times)?;
    }
    missed += pages(&app, arguments.runs, &mut out).await?;
    missed += forecasts(&app, arguments.runs, &mut out).await?;
    export(&app, arguments.rows, &mut out).await?;
    look(&app, &mut out).await?;
    writeln!(out, "\n{missed} of them missed the aim")?;
    Ok(())
}

fn report(out: &mut impl Write, name: &str, rows: usize, times: &mut [Duration]) -> anyhow::Result<u32> {
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let met = median <= AIM;
    let shown = |time: Duration| time.as_secs_f64() * 1_000.0;
    let word = if met { "met" } else { "**missed**" };
    writeln!(out, "| {name} | {rows} | {:.1} | {:.1} | {word} |", shown(median), shown(longest))?;
    Ok(u32::from(!met))
}

type Query = (&'static str, Box<dyn Fn(u64) -> Filter>);

fn queries(rows: u64) -> Vec<Query> {
    let device = move |run: u64| run * 7_907 % (rows / 2);
    let text = |text: &str| Some(text.to_owned());
    let query = |name: &'static str, filter: Filter| -> Query { (name, Box::new(move |_| filter.clone())) };
    let by_status = |status| Filter { status: Some(status), ..Filter::default() };
    let by_source = |source| Filter { source: Some(source), ..Filter::default() };
    let search = |text: &str| Filter { words: Filter::search(text), ..Filter::default() };
    let within = |days: u64| Filter {
        expires_after: Some(NOW),
        expires_before: Some(NOW + days * DAY),
        ..Filter::default()
    };
    vec![
        query("all", Filter::default()),
        (
            "device",
            Box::new(move |run| Filter {
                device_serial: Some(format!("SN-{:07}", device(run))),
                ..Filter::default()
            }),
        ),
        query("serial that nobody has", Filter { serial: text(&"ab".repeat(16)), ..Filter::default() }),
        query("fingerprint that nobody has", Filter { fingerprint: text(&"ab".repeat(32)), ..Filter::default() }),
        query(
            "issuer of half of them",
            Filter { issuer: text("Firstlight owner issuing CA"), ..Filter::default() },
        ),
        query("issuer of a few", Filter { issuer: text("Rare CA"), ..Filter::default() }),
        query("issuer of none", Filter { issuer: text("No CA"), ..Filter::default() }),
        query("expires within 7 days", within(7)),
        query("expires within 90 days", within(90)),
        query("key type of most", Filter { key_type: text("P-256"), ..Filter::default() }),
        query("key type of a few", Filter { key_type: text("RSA2048"), ..Filter::default() }),
        query("valid", by_status(Status::Valid)),
        query("expired", by_status(Status::Expired)),
        query("future", by_status(Status::Future)),
        query("pending", by_status(Status::Pending)),
        query("replaced", by_status(Status::Replaced)),
        query("revoked", by_status(Status::Revoked)),
        query("retired", by_status(Status::Retired)),
        query("source: LDevIDs", by_source(Source::Ldevid)),
        query("source: probes", by_source(Source::Probe)),
        (
            "text: one device",
            Box::new(move |run| Filter {
                words: Filter::search(&format!("SN-{:07}", device(run))),
                ..Filter::default()
            }),
        ),
        query("text: an eighth of them", search("gatew")),
        query("text: all of them", search("serial")),
        query("text: two words", search("camera 00012")),
        query("text: none", search("nobody")),
        query(
            "valid, RSA, of one issuer",
            Filter {
                status: Some(Status::Valid),
                key_type: text("RSA2048"),
                issuer: text("Firstlight owner issuing CA"),
                ..Filter::default()
            },
        ),
        query("revoked, within 30 days", Filter { status: Some(Status::Revoked), ..within(30) }),
        query("text and status", Filter { status: Some(Status::Revoked), ..search("pump") }),
    ]
}

/// Pages from the middle of the list.
async fn pages(app: &App, runs: u64, out: &mut impl Write) -> anyhow::Result<u32> {
    let (mut times, mut after, mut rows) = (Vec::new(), Some((NOW + 40 * DAY, String::new())), 0);
    for _ in 0..runs {
        let begun = Instant::now();
        let page = certificates::list(&app.db, &Filter::default(), after, PAGE, NOW).await?;
        times.push(begun.elapsed());
        rows = page.len();
        after = page.last().map(|last| (last.not_after, last.fingerprint.clone()));
    }
    report(out, "pages in the middle of the list", rows, &mut times)
}

async fn forecasts(app: &App, runs: u64, out: &mut impl Write) -> anyhow::Result<u32> {
    let mut missed = 0;
    for (name, days) in [("forecast of 7 days", 7), ("forecast of 90 days", 90)] {
        let (mut times, mut rows) = (Vec::new(), 0);
        for _ in 0..runs {
            let begun = Instant::now();
            rows = certificates::forecast(&app.db, NOW, days).await?.len();
            times.push(begun.elapsed());
        }
        missed += report(out, name, rows, &mut times)?;
    }
    Ok(missed)
}

async fn export(app: &App, rows: u64, out: &mut impl Write) -> anyhow::Result<()> {
    for format in [Format::Csv, Format::Json] {
        let before = peak()?;
        let (begun, mut bytes, mut export) = (Instant::now(), 0, Export::new(Filter::default(), format, NOW));
        while let Some(part) = export.next(app).await? {
            bytes += part.len();
        }
        let seconds = begun.elapsed().as_secs_f64();
        let memory = peak()?;
        writeln!(
            out,
            "\n{format:?} export of {rows} rows: {seconds:.1} s, {} MiB; the process' most memory went from {before} to {memory} MiB",
            bytes >> 20
        )?;
    }
    Ok(())
}

/// One look at alerts when nothing is due, and one at what came to a threshold overnight.
async fn look(app: &App, out: &mut impl Write) -> anyhow::Result<()> {
    for name in ["first look, with what was due before", "look with nothing new", "look a day later"] {
        if name.ends_with("later") {
            app.clock.advance(DAY);
        }
        let begun = Instant::now();
        alerts::run(app).await.context(name)?;
        writeln!(out, "\nalerts: {name}: {:.0} ms", begun.elapsed().as_secs_f64() * 1_000.0)?;
    }
    Ok(())
}

/// The most memory that this process had, in MiB.
fn peak() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kibibytes >> 10)
}
