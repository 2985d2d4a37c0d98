//! `fdo-owner alert list|ack|silence` and `fdo-owner forecast`.

use clap::{Args, Subcommand};
use fdo_service::cli::{ApiClient, Output, Table};
use fdo_service::paging::Page;
use time::OffsetDateTime;

use super::inventory::moment;
use super::{Error, at, escaped};
use crate::alerts::routes::{AlertView, Day, Forecast, Silence};

/// The longest bar.
const WIDTH: u64 = 50;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What needs attention, the newest first.
    List {
        /// Closed ones too.
        #[arg(long)]
        all: bool,
        /// certificate-expires, renewal-failed, ..
        #[arg(long)]
        kind: Option<String>,
        /// info, warning or critical.
        #[arg(long)]
        severity: Option<String>,
        /// Of this device: its serial or GUID.
        #[arg(long, value_name = "SERIAL OR GUID")]
        device: Option<String>,
        /// The most rows.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// Say that somebody knows; reminders end.
    Ack {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Tell nobody of it for a while.
    Silence {
        id: String,
        /// Until when: unix seconds, or days from now such as 7d.
        #[arg(long, value_name = "TIME", required_unless_present = "end")]
        until: Option<String>,
        /// End the silence.
        #[arg(long, conflicts_with = "until")]
        end: bool,
    },
}

/// How many certificates expire on each coming day.
#[derive(Debug, Args)]
pub(super) struct ForecastCommand {
    /// 1 to 366.
    #[arg(long, default_value_t = 90)]
    days: u64,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output, now: u64) -> Result<(), Error> {
    let alerts = match command {
        Command::List { all, kind, severity, device, limit } => {
            let mut query = format!("/api/v1/alerts?state={}", if *all { "all" } else { "open" });
            for (name, value) in [("kind", kind), ("severity", severity), ("device", device)] {
                if let Some(value) = value {
                    query.push_str(&format!("&{name}={}", escaped(value)));
                }
            }
            list(api, &query, *limit).await?
        }
        Command::Ack { ids } => {
            let mut alerts = Vec::new();
            for id in ids {
                let alert: AlertView = api.post(&format!("/api/v1/alerts/{}/ack", escaped(id)), &()).await?;
                alerts.push(alert);
            }
            alerts
        }
        Command::Silence { id, until, .. } => {
            let until = until.as_deref().map(|text| moment(text, now)).transpose()?;
            vec![api.post(&format!("/api/v1/alerts/{}/silence", escaped(id)), &Silence { until }).await?]
        }
    };
    Ok(output.print(&alerts, |alerts| table(alerts))?)
}

async fn list(api: &ApiClient, query: &str, limit: usize) -> Result<Vec<AlertView>, Error> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    while rows.len() < limit {
        let page: Page<AlertView> = api.page(query, cursor.as_deref()).await?;
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    rows.truncate(limit);
    Ok(rows)
}

fn table(alerts: &[AlertView]) -> Table {
    let head = Table::new(&["OPENED", "SEVERITY", "STATE", "KIND", "WHAT", "ID"]);
    alerts.iter().fold(head, |table, alert| {
        table.row([
            at(alert.opened).as_str(),
            alert.severity.name(),
            alert.state.name(),
            alert.kind.name(),
            &alert.title,
            &alert.id,
        ])
    })
}

pub(super) async fn forecast(command: &ForecastCommand, api: &ApiClient, output: Output) -> Result<(), Error> {
    let forecast: Forecast = api.get(&format!("/api/v1/forecast?days={}", command.days)).await?;
    if output.json {
        return Ok(output.value(&forecast)?);
    }
    Ok(output.line(chart(&forecast).trim_end())?)
}

/// A line for each day on which something ends, and one for each stretch of days on which nothing does.
fn chart(forecast: &Forecast) -> String {
    let most = forecast.days.iter().map(|day| day.certificates).max().unwrap_or_default();
    let total: u64 = forecast.days.iter().map(|day| day.certificates).sum();
    let mut text = String::new();
    let mut quiet = 0_u64;
    for day in &forecast.days {
        if day.certificates == 0 {
            quiet += 1;
            continue;
        }
        rest(&mut text, &mut quiet);
        let length = (day.certificates * WIDTH).div_ceil(most.max(1));
        let bar = "#".repeat(usize::try_from(length).unwrap_or_default());
        text.push_str(&format!("{}  {:>9}  {bar}\n", date(day), day.certificates));
    }
    rest(&mut text, &mut quiet);
    text.push_str(&format!("{total} certificates expire within {} days\n", forecast.days.len()));
    if forecast.expired > 0 {
        text.push_str(&format!("{} in use have expired already\n", forecast.expired));
    }
    text
}

fn rest(text: &mut String, quiet: &mut u64) {
    if *quiet > 0 {
        text.push_str(&format!(
            "{:<10}  {:>9}  ({} {})\n",
            "..",
            0,
            quiet,
            if *quiet == 1 { "day" } else { "days" }
        ));
        *quiet = 0;
    }
}

fn date(day: &Day) -> String {
    let time = i64::try_from(day.start).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map(|time| time.date().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_is_a_chart() {
        let day = |start: u64, certificates| Day { start: start * 86_400, certificates };
        let days = vec![day(20_000, 0), day(20_001, 4), day(20_002, 0), day(20_003, 0), day(20_004, 1)];
        let chart = chart(&Forecast { days, expired: 2 });
        let lines: Vec<&str> = chart.lines().collect();
        assert_eq!(lines[0], "..                  0  (1 day)");
        assert_eq!(lines[1], format!("2024-10-05          4  {}", "#".repeat(50)));
        assert_eq!(lines[2], "..                  0  (2 days)");
        assert_eq!(lines[3], format!("2024-10-08          1  {}", "#".repeat(13)));
        assert_eq!(lines[4], "5 certificates expire within 5 days");
        assert_eq!(lines[5], "2 in use have expired already");
    }
}
