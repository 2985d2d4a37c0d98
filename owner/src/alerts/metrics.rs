//! What Prometheus sees: open alerts, certificates by the time that is left, messages that wait.

use super::{Error, Kind, Severity, delivery, store};
use crate::app::App;
use crate::inventory::certificates;

const DAY: u64 = 86_400;
const WITHIN: [u64; 5] = [1, 7, 14, 30, 90];

/// Counters that are shown before there is anything to count, so that rules over them hold from the start.
const COUNTERS: [&str; 4] = [
    "firstlight_alerts_opened_total",
    "firstlight_alert_messages_sent_total",
    "firstlight_alert_messages_failed_total",
    "firstlight_alert_messages_given_up_total",
];

/// Brings the gauges up to date; each replica shows its own.
pub async fn refresh(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    for counter in COUNTERS {
        app.metrics.declare(counter);
    }
    let open = store::count_open(&app.db).await?;
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        for severity in Severity::ALL {
            let key = (kind.name().to_owned(), severity.name().to_owned());
            let labels = format!("kind=\"{kind}\",severity=\"{severity}\"");
            rows.push((labels, open.get(&key).copied().unwrap_or_default()));
        }
    }
    app.metrics.gauge("firstlight_alerts_open", rows);
    let mut rows = Vec::new();
    for days in WITHIN {
        let number = certificates::alive_between(&app.db, now, now + days * DAY, None).await?;
        rows.push((format!("days=\"{days}\""), number));
    }
    app.metrics.gauge("firstlight_certificates_expiring_within", rows);
    let expired = certificates::alive_between(&app.db, 0, now, None).await?;
    app.metrics.gauge("firstlight_certificates_expired", vec![(String::new(), expired)]);
    // Without any certificate, the end of time.
    let next = certificates::next_end(&app.db, now).await?.unwrap_or(certificates::WITHOUT_END);
    app.metrics.gauge("firstlight_certificate_next_expiry_timestamp_seconds", vec![(String::new(), next)]);
    let waiting = delivery::queued(&app.db).await?;
    app.metrics.gauge("firstlight_alert_messages_queued", vec![(String::new(), waiting)]);
    app.metrics.gauge("firstlight_inventory_refreshed_timestamp_seconds", vec![(String::new(), now)]);
    Ok(())
}
