//! Liveness and readiness, on every listener: `GET /health` and `GET /ready`.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::database::{self, DatabaseConnection};

/// How long the database may take to answer a ping.
const PATIENCE: Duration = Duration::from_secs(3);

/// What readiness depends on.
#[derive(Clone)]
pub struct Health {
    db: DatabaseConnection,
}

impl Health {
    pub fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }

    /// Adds the two routes to a listener.
    pub fn configure(&self, cfg: &mut web::ServiceConfig) {
        cfg.app_data(web::Data::new(self.clone()))
            .route("/health", web::get().to(health))
            .route("/ready", web::get().to(ready));
    }
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

async fn ready(health: web::Data<Health>) -> HttpResponse {
    match tokio::time::timeout(PATIENCE, database::ping(&health.db)).await {
        Ok(Ok(())) => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not answer");
            HttpResponse::ServiceUnavailable().json(json!({ "status": "database unavailable" }))
        }
        Err(_) => HttpResponse::ServiceUnavailable().json(json!({ "status": "database slow" })),
    }
}
