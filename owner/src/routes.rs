//! Every URL of the service: FDO on the device listener, `/api/v1` on the operator listener.

use std::sync::Arc;

use actix_web::web;
use fdo_service::endpoint::{self, Conversation, Endpoint, Fault, Incoming, Outgoing};
use fdo_service::host::health::Health;
use fdo_service::{operators, problem};

use crate::app::App;

/// Answers nothing.
pub struct NoConversation;

impl Conversation for NoConversation {
    async fn answer(&self, incoming: Incoming) -> Result<Outgoing, Fault> {
        Err(fdo_protocol::Error::OutOfSequence { received: incoming.message_type }.into())
    }
}

/// What devices talk to.
pub fn endpoint(app: &Arc<App>) -> Arc<Endpoint<NoConversation>> {
    Endpoint::new(NoConversation, app.clock.clone(), app.random.clone(), app.metrics.clone(), app.limits.clone())
}

/// The device listener; it serves no operator route.
pub fn device(cfg: &mut web::ServiceConfig, endpoint: &Arc<Endpoint<NoConversation>>, health: &Health) {
    health.configure(cfg);
    endpoint::configure(cfg, endpoint.clone());
}

/// The operator listener.
pub fn operator(cfg: &mut web::ServiceConfig, app: &web::Data<App>) {
    problem::configure(cfg);
    app.health.configure(cfg);
    app.metrics.configure(cfg);
    operators::routes::configure(cfg, &app.operators);
    cfg.app_data(app.clone());
}
