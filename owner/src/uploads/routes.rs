//! `/api/v1/uploads`.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH};
use actix_web::web::{Bytes, Data, Json, Path, Query};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::{Error, Upload, store};
use crate::app::App;
use crate::inventory;

/// How much is read at a time.
const PART: usize = 64 * 1024;

/// An upload as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadView {
    pub id: String,
    pub device_id: String,
    /// The GUID that the device came with.
    pub guid: String,
    pub onboarding: String,
    /// Its name on the device.
    pub name: String,
    /// In bytes.
    pub length: u64,
    /// In hexadecimal.
    pub sha384: String,
    pub created: u64,
}

impl From<Upload> for UploadView {
    fn from(upload: Upload) -> Self {
        Self {
            guid: upload.guid.to_string(),
            sha384: hex::encode(upload.sha384),
            id: upload.id,
            device_id: upload.device_id,
            onboarding: upload.onboarding,
            name: upload.name,
            length: upload.length,
            created: upload.created,
        }
    }
}

/// Whose uploads to list.
#[derive(Debug, Deserialize)]
pub struct Filter {
    /// A serial or GUID.
    pub device: Option<String>,
}

/// `GET /api/v1/uploads`: the newest first.
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    filter: Query<Filter>,
    page: Query<PageQuery>,
) -> Result<Json<Page<UploadView>>, Problem> {
    let limit = page.limit()?;
    let device = match &filter.device {
        Some(name) => Some(inventory::find_by_name(&app.db, name).await?.id),
        None => None,
    };
    let rows = store::list(&app.db, device.as_deref(), page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.id.clone()).map(UploadView::from)))
}

/// `GET /api/v1/uploads/{id}`
pub async fn get(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<Json<UploadView>, Problem> {
    Ok(Json(find(&app, &id).await?.into()))
}

/// `GET /api/v1/uploads/{id}/content`, streamed.
pub async fn content(app: Data<App>, _: Require<Read>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let upload = find(&app, &id).await?;
    let path = app.uploads.path(&upload.device_id, &upload.id).map_err(Error::from)?;
    let file = tokio::fs::File::open(&path).await.map_err(|error| Problem::internal(&error))?;
    let parts = stream::try_unfold(file, |mut file| async {
        let mut part = vec![0; PART];
        let read = file.read(&mut part).await?;
        part.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then_some((Bytes::from(part), file)))
    });
    // What a device calls its file names nothing here.
    let name = format!("attachment; filename=\"{}\"", upload.id);
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((CONTENT_DISPOSITION, name))
        .insert_header((CONTENT_LENGTH, upload.length))
        .no_chunking(upload.length)
        .streaming(parts))
}

/// `DELETE /api/v1/uploads/{id}`
pub async fn delete(app: Data<App>, who: Require<Write>, id: Path<String>) -> Result<HttpResponse, Problem> {
    super::delete(&app, &who.id, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn find(app: &App, id: &str) -> Result<Upload, Error> {
    store::find(&app.db, id).await?.ok_or_else(|| Error::NotFound(id.to_owned()))
}
