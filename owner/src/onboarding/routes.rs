//! `/api/v1/onboardings`, a device with what it is being sent, and the dry run of what it would get.

use actix_web::web::{self, Data, Json, Query};
use fdo_service::operators::require::{Read, Require};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Outcome, Phase, Run};
use crate::app::App;
use crate::inventory::routes::DeviceView;
use crate::inventory::{self, Transfer};
use crate::plans::Subject;
use crate::serviceinfo::{self, DeviceFacts, Preview};

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
    /// How far its files have come.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
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
            transfers: run.transfers,
        }
    }
}

/// Which onboardings to list.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    pub guid: Option<String>,
}

/// `GET /api/v1/onboardings`: the newest first.
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
    filter: Query<Filter>,
) -> Result<Json<Page<OnboardingView>>, Problem> {
    let limit = page.limit()?;
    let before = page.after::<String>()?;
    let mut rows = super::list(&app.db, filter.guid.as_deref(), before.as_deref(), limit + 1).await?;
    rows.iter_mut().for_each(|run| freshen(&app, run));
    Ok(Json(Page::from_rows(rows, limit, |last| last.id.clone()).map(OnboardingView::from)))
}

/// Rows are some seconds behind; where the TO2 runs here, memory is not.
fn freshen(app: &App, run: &mut Run) {
    if run.finished.is_none()
        && let Some(transfers) = app.progress.transfers(&run.id)
    {
        let bytes = |transfers: &[Transfer]| transfers.iter().map(|transfer| transfer.done).sum::<u64>();
        if bytes(&transfers) > bytes(&run.transfers) {
            run.transfers = transfers;
        }
    }
}

/// `GET /api/v1/devices/{guid or serial}`
pub async fn device(
    app: Data<App>,
    _: Require<Read>,
    name: web::Path<String>,
) -> Result<Json<DeviceView>, Problem> {
    let device = inventory::find_by_name(&app.db, &name).await?;
    let latest = super::latest(&app.db, &device.id).await?;
    let mut view = inventory::routes::view(&app, device).await?;
    if let Some(mut run) = latest.filter(|run| run.finished.is_none()) {
        freshen(&app, &mut run);
        view.transfers = run.transfers;
    }
    Ok(Json(view))
}

/// Whose plan to show: a device by serial or GUID, or any device of a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewQuery {
    pub device: Option<String>,
    pub model: Option<String>,
}

/// `GET /api/v1/plans/preview`
pub async fn preview(
    app: Data<App>,
    _: Require<Read>,
    query: Query<PreviewQuery>,
) -> Result<Json<Preview>, Problem> {
    let (subject, listed) = match (&query.device, &query.model) {
        (Some(name), None) => {
            let device = inventory::find_by_name(&app.db, name).await?;
            let latest = super::latest(&app.db, &device.id).await?;
            let listed = latest.map(|run| run.facts.modules).filter(|modules| !modules.is_empty());
            (serviceinfo::subject(&app, &device).await?, listed)
        }
        (None, Some(model)) => (Subject { model: Some(model.clone()), ..Subject::default() }, None),
        _ => return Err(Problem::bad_request("preview", "Name either `device` (serial or GUID) or `model`.")),
    };
    Ok(Json(serviceinfo::preview(&app, &subject, listed.as_deref()).await?))
}
