//! `/api/v1/tokens` and `/api/v1/audit`.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::audit::{self, Entry};
use super::require::{Admin, Read, Require};
use super::{OperatorToken, Operators, Role};
use crate::paging::{Page, PageQuery};
use crate::problem::Problem;

/// Adds the routes, and what `Require` needs.
pub fn configure(cfg: &mut web::ServiceConfig, operators: &Operators) {
    cfg.app_data(web::Data::new(operators.clone()))
        .service(web::resource("/api/v1/tokens").route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource("/api/v1/tokens/{id}").route(web::delete().to(delete)))
        .service(web::resource("/api/v1/audit").route(web::get().to(trail)));
}

/// What a token is made from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    /// Seconds since the epoch; without it the token does not expire.
    pub expires: Option<u64>,
}

/// A new token with its secret, shown this once.
#[derive(Serialize, Deserialize)]
pub struct CreatedToken {
    #[serde(flatten)]
    pub token: OperatorToken,
    pub secret: String,
}

async fn list(
    _: Require<Admin>,
    operators: web::Data<Operators>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<OperatorToken>>, Problem> {
    let limit = query.limit()?;
    let rows = operators.list(query.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.id.clone())))
}

async fn create(
    who: Require<Admin>,
    operators: web::Data<Operators>,
    new: web::Json<NewToken>,
) -> Result<HttpResponse, Problem> {
    let (token, secret) = operators.create(&new.name, new.role, new.expires, &who.id).await?;
    Ok(HttpResponse::Created().json(CreatedToken { token, secret: secret.to_string() }))
}

async fn delete(
    who: Require<Admin>,
    operators: web::Data<Operators>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operators.delete(&id, &who.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn trail(
    _: Require<Read>,
    operators: web::Data<Operators>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<Entry>>, Problem> {
    let limit = query.limit()?;
    let rows = audit::list(&operators.db, query.after()?, limit + 1).await?;
    Ok(web::Json(Page::from_rows(rows, limit, |last| last.sequence)))
}
