//! `fdo-owner token list|create|delete`.

use clap::{Subcommand, ValueEnum};
use fdo_service::cli::{ApiClient, CliError, Output, Table};
use fdo_service::operators::routes::{CreatedToken, NewToken};
use fdo_service::operators::{OperatorToken, Role};

use super::at;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All tokens, without their secrets.
    List,
    /// Make a token; its secret is shown once.
    Create {
        /// Who or what it is for.
        name: String,
        #[arg(long, value_enum, default_value = "operator")]
        role: RoleName,
        /// Unix seconds after which it is refused.
        #[arg(long)]
        expires: Option<u64>,
    },
    /// Take a token back.
    Delete { id: String },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleName {
    Admin,
    Operator,
    ReadOnly,
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), CliError> {
    match command {
        Command::List => {
            let all: Vec<OperatorToken> = api.pages("/api/v1/tokens").await?;
            output.print(&all, |all| {
                let head = Table::new(&["ID", "NAME", "ROLE", "CREATED", "EXPIRES"]);
                all.iter().fold(head, |table, token| {
                    let expires = token.expires.map_or_else(|| "never".to_owned(), at);
                    table.row([token.id.as_str(), &token.name, token.role.name(), &at(token.created), &expires])
                })
            })
        }
        Command::Create { name, role, expires } => {
            let role = match role {
                RoleName::Admin => Role::Admin,
                RoleName::Operator => Role::Operator,
                RoleName::ReadOnly => Role::ReadOnly,
            };
            let new = NewToken { name: name.clone(), role, expires: *expires };
            let created: CreatedToken = api.post("/api/v1/tokens", &new).await?;
            output.print(&created, |created| {
                Table::new(&["ID", "SECRET, SHOWN THIS ONCE"]).row([&created.token.id, &created.secret])
            })
        }
        Command::Delete { id } => {
            api.delete(&format!("/api/v1/tokens/{id}")).await?;
            output.line(format!("token {id} is refused from now on"))
        }
    }
}
