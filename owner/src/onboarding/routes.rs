//! `GET /api/v1/onboardings`.

use actix_web::web;
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Outcome, Phase, Run};
use crate::app::App;
use crate::serviceinfo::DeviceFacts;

/// One TO2 of a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OnboardingView {
    pub id: String,
    pub guid: String,
    pub new_guid: String,
    pub started: u64,
    pub finished: Option<u64>,
    pub phase: Phase,
    pub outcome: Option<Outcome>,
    pub reason: Option<String>,
    pub certificate: Option<String>,
    /// What the device said of itself, and what it was given.
    pub facts: DeviceFacts,
}

impl From<Run> for OnboardingView {
    fn from(run: Run) -> Self {
        Self {
            guid: run.guid.to_string(),
            new_guid: run.new_guid.to_string(),
            id: run.id,
            started: run.started,
            finished: run.finished,
            phase: run.phase,
            outcome: run.outcome,
            reason: run.reason,
            certificate: run.certificate,
            facts: run.facts,
        }
    }
}

/// Which onboardings to list.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    pub guid: Option<String>,
}

/// The onboardings, the newest first.
pub async fn list(
    app: web::Data<App>,
    _: Require<Read>,
    page: web::Query<PageQuery>,
    filter: web::Query<Filter>,
) -> Result<web::Json<Page<OnboardingView>>, Problem> {
    let limit = page.limit()?;
    let before = page.after::<String>()?;
    let rows = super::list(&app.db, filter.guid.as_deref(), before.as_deref(), limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.id.clone()).map(OnboardingView::from)))
}
