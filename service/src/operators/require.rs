//! The extractor that a handler names its permission by: `who: Require<Write>`.

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use zeroize::Zeroizing;

use super::{Operator, OperatorError, Operators, Permission};
use crate::problem::Problem;

/// Names a permission as a type; a service may add its own names.
pub trait Permits: 'static {
    const PERMISSION: Permission;
}

pub struct Read;
pub struct Write;
pub struct Admin;

impl Permits for Read {
    const PERMISSION: Permission = Permission::Read;
}

impl Permits for Write {
    const PERMISSION: Permission = Permission::Write;
}

impl Permits for Admin {
    const PERMISSION: Permission = Permission::Admin;
}

/// An operator who may do this; anybody else gets 401 or 403 before the handler runs.
pub struct Require<P> {
    operator: Operator,
    permission: PhantomData<P>,
}

impl<P> Deref for Require<P> {
    type Target = Operator;

    fn deref(&self) -> &Operator {
        &self.operator
    }
}

impl<P: Permits> FromRequest for Require<P> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = request.extensions().get::<Operator>().cloned();
        let operators = request.app_data::<web::Data<Operators>>().cloned();
        let token = token(request.headers());
        Box::pin(async move {
            let operator = match known {
                Some(operator) => operator,
                None => {
                    let none = || Problem::unavailable("operators", "This listener has no operators.");
                    let operators = operators.ok_or_else(none)?;
                    authenticate(&operators, token).await?
                }
            };
            if !operator.role.allows(P::PERMISSION) {
                let detail = format!("The role {} may not do this; ask an admin.", operator.role.name());
                return Err(Problem::forbidden("role", detail));
            }
            Ok(Self { operator, permission: PhantomData })
        })
    }
}

/// Lets a request under `/api`, or for the counters, go on only with a valid token. It comes before any extractor: those of one handler run
/// side by side, so that a body which does not fit would be answered before its sender is known.
pub async fn known_operators_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let operators = request.app_data::<web::Data<Operators>>().cloned();
    if let Some(operators) = operators.filter(|_| is_for_operators(request.path())) {
        let token = token(request.headers());
        let operator = authenticate(&operators, token).await?;
        request.extensions_mut().insert(operator);
    }
    next.call(request).await
}

/// Health and readiness are for whoever keeps the process running.
fn is_for_operators(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

async fn authenticate(operators: &Operators, token: Option<Zeroizing<String>>) -> Result<Operator, Problem> {
    let token = token.ok_or(OperatorError::Unknown)?;
    Ok(operators.authenticate(&token).await?)
}

fn token(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(bearer).map(|token| Zeroizing::new(token.to_owned()))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
