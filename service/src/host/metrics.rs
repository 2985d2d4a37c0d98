//! Counters in Prometheus' text format, served to operators of any role at the operator listener's `GET /metrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{HttpResponse, web};

/// What this process has counted since it started.
pub struct Metrics {
    answered: [AtomicU64; 256],
    refused: [AtomicU64; 256],
    named: Mutex<BTreeMap<&'static str, u64>>,
    gauges: Mutex<BTreeMap<&'static str, Vec<(String, u64)>>>,
}

impl Metrics {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            answered: std::array::from_fn(|_| AtomicU64::new(0)),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            named: Mutex::new(BTreeMap::new()),
            gauges: Mutex::new(BTreeMap::new()),
        })
    }

    /// Counts an FDO message by its type and whether it was answered or refused.
    pub fn message(&self, message_type: u8, answered: bool) {
        let table = if answered { &self.answered } else { &self.refused };
        table[usize::from(message_type)].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds one to a counter of the service's own, such as `firstlight_claims_fulfilled_total`.
    pub fn count(&self, name: &'static str) {
        *self.named.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    /// Shows a counter from now on, though there is nothing to count yet.
    pub fn declare(&self, name: &'static str) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default();
    }

    /// Replaces what a gauge shows: labels such as `days="7"`, or none, with their numbers.
    pub fn gauge(&self, name: &'static str, rows: Vec<(String, u64)>) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).insert(name, rows);
    }

    /// Adds the route to a listener.
    pub fn configure(self: &Arc<Self>, cfg: &mut web::ServiceConfig) {
        cfg.app_data(web::Data::from(self.clone())).route("/metrics", web::get().to(show));
    }

    /// All counters that are not zero.
    pub fn render(&self) -> String {
        let mut text = String::from("# TYPE firstlight_messages_total counter\n");
        for (outcome, table) in [("answered", &self.answered), ("refused", &self.refused)] {
            for (message_type, count) in table.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let _ = writeln!(
                        text,
                        "firstlight_messages_total{{message=\"{message_type}\",outcome=\"{outcome}\"}} {count}"
                    );
                }
            }
        }
        for (name, count) in self.named.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "# TYPE {name} counter\n{name} {count}");
        }
        for (name, rows) in self.gauges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "# TYPE {name} gauge");
            for (labels, number) in rows {
                let _ = match labels.is_empty() {
                    true => writeln!(text, "{name} {number}"),
                    false => writeln!(text, "{name}{{{labels}}} {number}"),
                };
            }
        }
        text
    }
}

async fn show(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_was_counted() {
        let metrics = Metrics::new();
        metrics.message(60, true);
        metrics.message(60, false);
        metrics.count("firstlight_claims_total");
        metrics.declare("firstlight_nothing_total");
        metrics.gauge("firstlight_open", vec![("kind=\"a\"".to_owned(), 1)]);
        metrics.gauge("firstlight_open", vec![("kind=\"b\"".to_owned(), 2)]);
        metrics.gauge("firstlight_next", vec![(String::new(), 3)]);
        let text = metrics.render();
        assert!(text.contains("\nfirstlight_nothing_total 0\n"));
        assert!(text.contains("gauge\nfirstlight_open{kind=\"b\"} 2\n") && !text.contains("kind=\"a\""));
        assert!(text.contains("\nfirstlight_next 3\n"));
        assert!(text.contains("{message=\"60\",outcome=\"answered\"} 1"));
        assert!(text.contains("{message=\"60\",outcome=\"refused\"} 1"));
        assert!(text.contains("firstlight_claims_total 1"));
    }
}
