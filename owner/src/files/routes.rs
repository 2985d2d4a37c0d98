//! `/api/v1/files`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Payload, Query};
use fdo_service::operators::require::{Read, Require, Write};
use fdo_service::paging::{Page, PageQuery};
use fdo_service::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{Error, StoredFile, store};
use crate::app::App;

/// A file as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileView {
    pub name: String,
    /// In bytes.
    pub length: u64,
    /// In hexadecimal.
    pub sha384: String,
    pub created: u64,
    pub updated: u64,
}

impl From<StoredFile> for FileView {
    fn from(file: StoredFile) -> Self {
        Self {
            name: file.name,
            length: file.length,
            sha384: hex::encode(file.sha384),
            created: file.created,
            updated: file.updated,
        }
    }
}

/// What the sender knows of the file.
#[derive(Debug, Deserialize)]
pub struct AddQuery {
    /// SHA-384 in hexadecimal; what arrives is kept only if it has it.
    pub sha384: Option<String>,
}

impl AddQuery {
    fn digest(&self) -> Result<Option<[u8; 48]>, Problem> {
        let Some(text) = &self.sha384 else { return Ok(None) };
        let mut digest = [0; 48];
        hex::decode_to_slice(text, &mut digest)
            .map_err(|_| Problem::bad_request("sha384", "`sha384` has 96 hexadecimal digits."))?;
        Ok(Some(digest))
    }
}

/// `GET /api/v1/files`
pub async fn list(
    app: Data<App>,
    _: Require<Read>,
    page: Query<PageQuery>,
) -> Result<Json<Page<FileView>>, Problem> {
    let limit = page.limit()?;
    let rows = store::list(&app.db, page.after()?, limit + 1).await?;
    Ok(Json(Page::from_rows(rows, limit, |last| last.name.clone()).map(FileView::from)))
}

/// `GET /api/v1/files/{name}`
pub async fn get(app: Data<App>, _: Require<Read>, name: Path<String>) -> Result<Json<FileView>, Problem> {
    let file = store::find(&app.db, &name).await?.ok_or_else(|| Error::NotFound(name.into_inner()))?;
    Ok(Json(file.into()))
}

/// `PUT /api/v1/files/{name}`: the body is the file, of any size within `files.file_bytes`.
pub async fn put(
    app: Data<App>,
    who: Require<Write>,
    name: Path<String>,
    query: Query<AddQuery>,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    let (file, is_new) = super::add(&app, &who.id, &name, query.digest()?, body).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(FileView::from(file)))
}
