//! Who may do what: operators are people and machines that hold a bearer token with a role; what they do is audited.

pub mod audit;
pub mod require;
pub mod routes;
mod store;

use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::database::{DatabaseConnection, DbErr};
use crate::host::clock::Clock;
use crate::host::random::Random;
use crate::problem::Problem;
use crate::secret_file::{self, SecretFileError};

pub use store::OperatorToken;

/// The file in the data directory that the first token is written to.
pub const TOKEN_FILE: &str = "operator-token";
const PREFIX: &str = "fl_";
/// `last_used` is no finer than this, so that reading costs no write.
const LAST_USED_SECONDS: u64 = 60;

/// What an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Admin,
    Operator,
    ReadOnly,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Read,
    Write,
    Admin,
}

impl Role {
    /// Whether this role may do that.
    pub fn allows(self, permission: Permission) -> bool {
        match permission {
            Permission::Read => true,
            Permission::Write => matches!(self, Self::Admin | Self::Operator),
            Permission::Admin => self == Self::Admin,
        }
    }

    /// As it stands in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Operator {
    pub id: String,
    pub name: String,
    pub role: Role,
}

/// Why an operation on operators fails.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("the token is missing, wrong or expired")]
    Unknown,
    #[error("there is no token {0}")]
    NotFound(String),
    #[error("this is the last admin token; make another one first")]
    LastAdmin,
    #[error("the name must have 1 to 100 characters, none of them a control character")]
    Name,
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error("the operators' database failed")]
    Database(#[from] DbErr),
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        let detail = error.to_string();
        match &error {
            OperatorError::Unknown => Self::unauthorized(
                "token",
                "Send a valid operator token as `Authorization: Bearer ..`; an admin can make one.",
            ),
            OperatorError::NotFound(_) => Self::not_found("token-unknown", detail),
            OperatorError::LastAdmin => Self::conflict("last-admin", detail),
            OperatorError::Name => Self::unprocessable("name", detail),
            OperatorError::File(_) | OperatorError::Database(_) => Self::internal(&error),
        }
    }
}

/// The operators of a service.
#[derive(Clone)]
pub struct Operators {
    db: DatabaseConnection,
    clock: Clock,
    random: Random,
}

impl Operators {
    pub fn new(db: DatabaseConnection, clock: Clock, random: Random) -> Self {
        Self { db, clock, random }
    }

    /// On first start makes an admin token, writes it to `operator-token` (0600) and gives it once, to be printed.
    pub async fn bootstrap(&self, data_dir: &Path) -> Result<Option<Zeroizing<String>>, OperatorError> {
        if store::any(&self.db).await? {
            return Ok(None);
        }
        let token = self.new_token();
        // The file first: if the process dies in between, the next start finds no row and begins again.
        secret_file::write(&data_dir.join(TOKEN_FILE), token.as_bytes())?;
        self.insert("first start", Role::Admin, None, &token, "service").await?;
        Ok(Some(token))
    }

    /// Makes a token; it cannot be shown again.
    pub async fn create(
        &self,
        name: &str,
        role: Role,
        expires: Option<u64>,
        actor: &str,
    ) -> Result<(OperatorToken, Zeroizing<String>), OperatorError> {
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(OperatorError::Name);
        }
        let token = self.new_token();
        Ok((self.insert(name, role, expires, &token, actor).await?, token))
    }

    async fn insert(
        &self,
        name: &str,
        role: Role,
        expires: Option<u64>,
        token: &str,
        actor: &str,
    ) -> Result<OperatorToken, OperatorError> {
        let now = self.clock.now();
        let id = self.new_id();
        let row = OperatorToken { id, name: name.to_owned(), role, created: now, expires, last_used: None };
        store::insert(&self.db, &row, &hash(token), actor).await?;
        Ok(row)
    }

    /// Who holds this token.
    pub async fn authenticate(&self, token: &str) -> Result<Operator, OperatorError> {
        if !token.starts_with(PREFIX) || token.len() > 100 {
            return Err(OperatorError::Unknown);
        }
        let now = self.clock.now();
        // Looked up by hash: the time that takes tells nothing about a valid token.
        let found = store::find_by_hash(&self.db, &hash(token)).await?.ok_or(OperatorError::Unknown)?;
        if found.expires.is_some_and(|expires| now >= expires) {
            return Err(OperatorError::Unknown);
        }
        if found.last_used.is_none_or(|last| now >= last + LAST_USED_SECONDS) {
            store::touch(&self.db, &found.id, now).await?;
        }
        Ok(Operator { id: found.id, name: found.name, role: found.role })
    }

    /// The one operator whose token has this name and is valid; none where several have it.
    pub async fn find_by_name(&self, name: &str) -> Result<Option<Operator>, OperatorError> {
        let now = self.clock.now();
        let mut found = store::list_named(&self.db, name).await?;
        found.retain(|token| token.expires.is_none_or(|expires| now < expires));
        match found.as_slice() {
            [one] => Ok(Some(Operator { id: one.id.clone(), name: one.name.clone(), role: one.role })),
            _ => Ok(None),
        }
    }

    /// Writes what somebody did into the audit trail.
    pub async fn record(&self, event: audit::Event<'_>) -> Result<(), OperatorError> {
        Ok(audit::record(&self.db, self.clock.now(), event).await?)
    }

    /// All tokens, without their secrets.
    pub async fn list(&self, after: Option<String>, limit: u64) -> Result<Vec<OperatorToken>, OperatorError> {
        Ok(store::list(&self.db, after, limit).await?)
    }

    /// Takes a token back. The last admin's stays, or nobody could make another one.
    pub async fn delete(&self, id: &str, actor: &str) -> Result<(), OperatorError> {
        store::delete(&self.db, id, self.clock.now(), actor).await
    }

    fn new_token(&self) -> Zeroizing<String> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        self.random.rng().fill_bytes(&mut *secret);
        Zeroizing::new(format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&*secret)))
    }

    fn new_id(&self) -> String {
        let mut id = [0_u8; 16];
        self.random.rng().fill_bytes(&mut id);
        uuid::Builder::from_random_bytes(id).into_uuid().to_string()
    }
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

#[cfg(test)]
mod tests;
