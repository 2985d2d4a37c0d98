//! Rows of operators' tokens; the secrets are stored as SHA-256, which suffices for 256 random bits.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect, TransactionTrait};
use serde::{Deserialize, Serialize};

use super::audit::{self, Event, Outcome};
use super::{OperatorError, Role};
use crate::database;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "operator_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub role: String,
        pub token_hash: Vec<u8>,
        pub created: i64,
        pub expires: Option<i64>,
        pub last_used: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperatorToken {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub created: u64,
    pub expires: Option<u64>,
    pub last_used: Option<u64>,
}

impl TryFrom<row::Model> for OperatorToken {
    type Error = DbErr;

    fn try_from(row: row::Model) -> Result<Self, DbErr> {
        let bad = |column: &str| DbErr::Type(format!("operator_token.{column} holds an impossible value"));
        let role = [Role::Admin, Role::Operator, Role::ReadOnly].into_iter().find(|role| role.name() == row.role);
        let time = |seconds: Option<i64>| seconds.map(u64::try_from).transpose().map_err(|_| bad("time"));
        Ok(Self {
            role: role.ok_or_else(|| bad("role"))?,
            created: time(Some(row.created))?.unwrap_or_default(),
            expires: time(row.expires)?,
            last_used: time(row.last_used)?,
            id: row.id,
            name: row.name,
        })
    }
}

pub(super) async fn any(conn: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(row::Entity::find().limit(1).one(conn).await?.is_some())
}

pub(super) async fn insert(
    db: &DatabaseConnection,
    token: &OperatorToken,
    hash: &[u8],
    actor: &str,
) -> Result<(), DbErr> {
    let transaction = database::begin(db).await?;
    let row = row::ActiveModel {
        id: Set(token.id.clone()),
        name: Set(token.name.clone()),
        role: Set(token.role.name().to_owned()),
        token_hash: Set(hash.to_vec()),
        created: Set(signed(token.created)),
        expires: Set(token.expires.map(signed)),
        last_used: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(&transaction).await?;
    let detail = format!("{} ({})", token.name, token.role.name());
    let event =
        Event { actor, action: "token.create", subject: &token.id, outcome: Outcome::Success, detail: &detail };
    audit::record(&transaction, token.created, event).await?;
    transaction.commit().await
}

pub(super) async fn find_by_hash(
    conn: &impl ConnectionTrait,
    hash: &[u8],
) -> Result<Option<OperatorToken>, DbErr> {
    let row = row::Entity::find().filter(row::Column::TokenHash.eq(hash.to_vec())).one(conn).await?;
    row.map(OperatorToken::try_from).transpose()
}

pub(super) async fn touch(conn: &impl ConnectionTrait, id: &str, now: u64) -> Result<(), DbErr> {
    row::Entity::update_many()
        .col_expr(row::Column::LastUsed, Expr::value(signed(now)))
        .filter(row::Column::Id.eq(id))
        .exec(conn)
        .await
        .map(|_| ())
}

/// Those with this name; more than two are as good as two.
pub(super) async fn list_named(conn: &impl ConnectionTrait, name: &str) -> Result<Vec<OperatorToken>, DbErr> {
    let rows = row::Entity::find().filter(row::Column::Name.eq(name)).limit(100).all(conn).await?;
    rows.into_iter().map(OperatorToken::try_from).collect()
}

pub(super) async fn list(
    conn: &impl ConnectionTrait,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<OperatorToken>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Id.gt(after));
    }
    query.all(conn).await?.into_iter().map(OperatorToken::try_from).collect()
}

pub(super) async fn delete(db: &DatabaseConnection, id: &str, now: u64, actor: &str) -> Result<(), OperatorError> {
    let transaction = db.begin().await?;
    let missing = || OperatorError::NotFound(id.to_owned());
    let mut admins = row::Entity::find().filter(row::Column::Role.eq(Role::Admin.name()));
    if database::is_postgres(&transaction) {
        // Two admins that delete each other at once must not both succeed.
        admins = admins.lock_exclusive();
    }
    let admins: Vec<row::Model> = admins.all(&transaction).await?;
    let row = row::Entity::find_by_id(id).one(&transaction).await?.ok_or_else(missing)?;
    let lasting = |admin: &row::Model| admin.id != id && admin.expires.is_none();
    if row.role == Role::Admin.name() && !admins.iter().any(lasting) {
        return Err(OperatorError::LastAdmin);
    }
    row::Entity::delete_by_id(id).exec(&transaction).await?;
    let event = Event { actor, action: "token.delete", subject: id, outcome: Outcome::Success, detail: &row.name };
    audit::record(&transaction, now, event).await?;
    Ok(transaction.commit().await?)
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
