//! The door of the compat listener: every request acts as one named operator, and every one is audited as that.
//!
//! Whoever reaches a loopback port may be a web page in a browser on the same machine, so what comes from a browser, or
//! was addressed to a name that is not ours, is refused.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};

use super::CompatSettings;
use super::refusal::Refusal;
use crate::operators::audit::{Event, Outcome};
use crate::operators::{Operator, Operators};
use crate::problem::Problem;

/// Who the requests of a compat listener act as.
#[derive(Clone)]
pub struct Gate {
    operators: Operators,
    operator: String,
    hosts: Vec<String>,
}

impl Gate {
    /// As the settings say; `operator` is the name that they give.
    pub fn new(settings: &CompatSettings, operator: &str, operators: &Operators) -> Self {
        Self { operators: operators.clone(), operator: operator.to_owned(), hosts: settings.hosts.clone() }
    }

    async fn admit(&self, request: &ServiceRequest) -> Result<Operator, Problem> {
        let headers = request.headers();
        if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
            return Err(Problem::forbidden("compat-browser", "This listener is for scripts, not for web pages."));
        }
        let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !self.is_ours(host) {
            let detail = "This listener is not known by that name; add it to `compat.hosts`, or call 127.0.0.1.";
            return Err(Problem::forbidden("compat-host", detail));
        }
        let found = self.operators.find_by_name(&self.operator).await?;
        found.ok_or_else(|| {
            let name = &self.operator;
            let detail = format!(
                "There is not exactly one valid operator token named {name}; create it, or remove the others."
            );
            Problem::forbidden("compat-operator", detail)
        })
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let named = self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        loopback || name.eq_ignore_ascii_case("localhost") || named
    }
}

/// Lets a request under `/api` go on as the named operator, and writes down what became of it.
pub async fn as_the_named_operator(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let gate = request.app_data::<web::Data<Gate>>().cloned();
    let Some(gate) = gate.filter(|_| request.path().starts_with("/api/")) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let operator = match gate.admit(&request).await {
        Ok(operator) => operator,
        Err(problem) => return Ok(request.into_response(Refusal::response(&problem))),
    };
    let subject: String = format!("{} {}", request.method(), request.path()).chars().take(200).collect();
    request.extensions_mut().insert(operator.clone());
    let answered = next.call(request).await?.map_into_boxed_body();
    let status = answered.status();
    let outcome = match status.as_u16() {
        0..400 => Outcome::Success,
        400..500 => Outcome::Refused,
        _ => Outcome::Failed,
    };
    let detail = format!("{}, without a token", status.as_u16());
    let event =
        Event { actor: &operator.id, action: "compat.request", subject: &subject, outcome, detail: &detail };
    gate.operators.record(event).await.map_err(Problem::from)?;
    Ok(answered)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::clock::Clock;

    #[test]
    fn names_that_are_not_ours_are_told_apart() {
        let (clock, random) = (Clock::fixed(1), crate::host::random::Random::seeded(1));
        let operators = Operators::new(crate::database::DatabaseConnection::default(), clock, random);
        let settings = CompatSettings { hosts: vec!["manufacturer".to_owned()], ..CompatSettings::default() };
        let gate = Gate::new(&settings, "scripts", &operators);
        for ours in ["127.0.0.1:9038", "localhost", "LOCALHOST:1", "[::1]:9038", "manufacturer:9038", "127.0.0.2"]
        {
            assert!(gate.is_ours(ours), "{ours}");
        }
        for other in ["", "evil.example", "evil.example:9038", "192.0.2.1:9038", "manufacturer.evil.example"] {
            assert!(!gate.is_ours(other), "{other}");
        }
    }
}
