//! go-fdo-server's management API, version 1: the same calls to its three services and to ours, and their answers compared.

mod calls;
mod shape;
mod sides;

use reqwest::{Client, Method};

use super::cell::{MANAGEMENT, Place};
use super::report::Outcome;
use super::server::{Answer, call};

pub use calls::compare;
pub use sides::{Side, Sides};

/// A service of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Manufacturer,
    Rendezvous,
    Owner,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Manufacturer => "manufacturer",
            Self::Rendezvous => "rendezvous",
            Self::Owner => "owner",
        }
    }
}

/// A call, as a script makes it.
struct Call<'a> {
    service: Service,
    method: Method,
    /// The path as the table shows it.
    path: &'a str,
    /// What is special about it.
    what: &'a str,
    accept: Option<&'a str>,
}

/// What was seen so far.
struct Seen {
    http: Client,
    all: Vec<(Place, Outcome)>,
}

impl Seen {
    /// Makes the call to both, each with a path and a body of its own, and holds ours against theirs.
    async fn both(
        &mut self,
        sides: &Sides,
        wanted: &Call<'_>,
        of: impl Fn(&Side) -> (String, String),
    ) -> anyhow::Result<[Answer; 2]> {
        let ask = async |side: &Side| {
            let (path, body) = of(side);
            let url = format!("{}{path}", side.url(wanted.service));
            call(&self.http, wanted.method.clone(), &url, wanted.accept, &body).await
        };
        let (theirs, ours) = (ask(&sides.theirs).await?, ask(&sides.ours).await?);
        let mut row = format!("{}: {} {}", wanted.service.name(), wanted.method, wanted.path);
        for more in [wanted.accept.unwrap_or_default(), wanted.what].into_iter().filter(|more| !more.is_empty()) {
            row = format!("{row}, {more}");
        }
        let is_same = theirs.status == ours.status;
        self.all.push((
            Place::new(MANAGEMENT, &row, "status"),
            Outcome::of(match is_same {
                true => Ok(()),
                false => Err(anyhow::anyhow!("theirs {}, ours {}: {}", theirs.status, ours.status, ours.body)),
            }),
        ));
        if let Some(outcome) = shape::compare(&theirs, &ours).filter(|_| is_same) {
            self.all.push((Place::new(MANAGEMENT, &row, "shape"), Outcome::of(outcome)));
        }
        Ok([theirs, ours])
    }
}
