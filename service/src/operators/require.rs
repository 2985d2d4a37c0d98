//! The extractor that a handler names its permission by: `who: Require<Write>`.

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};

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
        let operators = request.app_data::<web::Data<Operators>>().cloned();
        let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(bearer).map(|token| zeroize::Zeroizing::new(token.to_owned()));
        Box::pin(async move {
            let operators =
                operators.ok_or_else(|| Problem::unavailable("operators", "This listener has no operators."))?;
            let token = token.ok_or(OperatorError::Unknown)?;
            let operator = operators.authenticate(&token).await?;
            if !operator.role.allows(P::PERMISSION) {
                let detail = format!("The role {} may not do this; ask an admin.", operator.role.name());
                return Err(Problem::forbidden("role", detail));
            }
            Ok(Self { operator, permission: PhantomData })
        })
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
