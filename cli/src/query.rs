//! `tollgate orders`, `positions`, `account`, `limits`, `instruments`: the answer to a query as a table.

use clap::Args;
use serde_json::json;
use tollgate_protocol::command::{Action, Query};
use tollgate_protocol::{AccountName, Command};

use super::{describe, document};
use crate::action::SymbolArguments;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use tollgate_client::{Reply, fresh_command_id, now_ns};

/// Options of a query that can be narrowed to a symbol.
#[derive(Args, Debug)]
pub(crate) struct ScopedQuery {
    #[command(flatten)]
    common: AccountQuery,
    #[command(flatten)]
    symbol: SymbolArguments,
}

/// Options of a query.
#[derive(Args, Debug)]
pub(crate) struct AccountQuery {
    #[command(flatten)]
    connection: Connection,
    /// The account; needed when the key has more than one.
    #[arg(long, value_name = "NAME", default_value = "")]
    account: AccountName,
}

impl ScopedQuery {
    pub(crate) fn orders(&self, output: &Output) -> Result<(), Failure> {
        self.common.ask(Query::OpenOrders(self.symbol.scope()), "no open orders", output)
    }

    pub(crate) fn positions(&self, output: &Output) -> Result<(), Failure> {
        self.common.ask(Query::Positions(self.symbol.scope()), "no positions", output)
    }

    pub(crate) fn limits(&self, output: &Output) -> Result<(), Failure> {
        self.common.ask(Query::Limits(self.symbol.scope()), "no limits", output)
    }

    pub(crate) fn instruments(&self, output: &Output) -> Result<(), Failure> {
        self.common.ask(Query::Instruments(self.symbol.scope()), "no instruments", output)
    }
}

impl AccountQuery {
    pub(crate) fn account(&self, output: &Output) -> Result<(), Failure> {
        self.ask(Query::Account, "no account", output)
    }

    fn ask(&self, query: Query, none: &str, output: &Output) -> Result<(), Failure> {
        let (mut client, _) = self.connection.open(None)?;
        let command = Command {
            command_id: fresh_command_id()?,
            created_at_ns: now_ns(),
            deadline_ns: 0,
            account: self.account,
            action: Action::Query(query),
        };
        let reply = client.execute(&command, self.connection.timeout());
        let _ = client.goodbye();
        match reply? {
            Reply::Rows(rows) if output.json => {
                output.document(&json!(rows.iter().map(document::row).collect::<Vec<_>>()))
            }
            Reply::Rows(rows) => output.text(&describe::rows(&rows, none, output)),
            Reply::Refused(reject) => {
                Err(Failure::new(Exit::Refused, format_args!("refused: {}", describe::reject(&reject))))
            }
            other => {
                Err(Failure::operating(format_args!("the gateway gave no answer to a query, but {other:?}")))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    #[test]
    fn account_and_symbol_narrow_a_query() {
        let given: ScopedQuery = flags::arguments("--account main --symbol EURUSD").unwrap();
        assert_eq!(given.common.account.as_str(), "main");
        assert_eq!(given.symbol.scope().symbol.unwrap().as_str(), "EURUSD");
        let plain: ScopedQuery = flags::arguments("").unwrap();
        assert!(plain.common.account.is_empty() && plain.symbol.scope().symbol.is_none());
    }
}
