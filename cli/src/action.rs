//! The commands of `tollgate send`, as they are written on a command line.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use tollgate_protocol::command::{
    Action, Close, Halt, HaltScope, NewOrder, OrderType, Query, Replace, Resume, Scope, Side, Target,
    TimeInForce, TradingState,
};
use tollgate_protocol::text::Remark;
use tollgate_protocol::{AccountName, CommandId, Decimal, OrderId, Symbol};

use crate::failure::Failure;
use crate::moment;

/// What to send.
#[derive(Subcommand, Debug)]
pub(crate) enum ActionArguments {
    /// Place an order.
    ///
    /// Without prices it is a market order; with --price a limit order, with --stop-price a stop order, with both a
    /// stop-limit order. A stop order becomes a market order, a stop-limit order a limit order, when the market
    /// reaches the stop price.
    #[command(after_help = "Examples:\n  tollgate send new BTCUSDT buy 0.01\n  \
        tollgate send new BTCUSDT sell 0.5 --price 65100.50 --force post-only\n  \
        tollgate send new BTCUSDT sell 0.5 --stop-price 60000 --reduce-only --wait=30s")]
    New(NewArguments),
    /// Cancel one order.
    Cancel(TargetArguments),
    /// Change price or quantity of one order. What is not given stays.
    Replace(ReplaceArguments),
    /// Close a position, whole or in part, with a reduce-only market order.
    Close(CloseArguments),
    /// Cancel every working order of the account, or those of one symbol.
    CancelAll(SymbolArguments),
    /// Close every position of the account, or that of one symbol.
    CloseAll(SymbolArguments),
    /// Stop trading, for everybody in the scope. Needs a key with the scope operate.
    #[command(after_help = "Examples:\n  tollgate send halt --reason \"bad prices\"\n  \
        tollgate send halt --scope symbol:EURUSD --reducing\n  \
        tollgate send halt --scope account:main --cancel-working --flatten")]
    Halt(HaltArguments),
    /// Let trading go on in a scope that was halted. Needs a key with the scope operate.
    Resume(ResumeArguments),
    /// Ask; changes nothing.
    #[command(subcommand)]
    Query(QueryArguments),
    /// Ask whether the gateway lives, and what time it has.
    Heartbeat,
}

/// Buy or sell.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum SideName {
    Buy,
    Sell,
}

/// How long an order works.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum ForceName {
    /// Until cancelled.
    Gtc,
    /// What can be filled at once; the rest is cancelled.
    Ioc,
    /// All at once or nothing.
    Fok,
    /// Until the time of --expire-at.
    Gtd,
    /// Until cancelled; refused by the venue if it would trade at once.
    PostOnly,
}

#[derive(Args, Debug)]
pub(crate) struct NewArguments {
    /// What to trade, as `tollgate instruments` lists it.
    symbol: Symbol,
    /// Which way.
    side: SideName,
    /// How much, in the instrument's unit.
    #[arg(allow_negative_numbers = true)]
    quantity: Decimal,
    /// Limit price.
    #[arg(long, allow_negative_numbers = true)]
    price: Option<Decimal>,
    /// Trigger price.
    #[arg(long, allow_negative_numbers = true)]
    stop_price: Option<Decimal>,
    /// How long it works. Default: gtc with a price, gtd with --expire-at, else ioc; stop orders gtc.
    #[arg(long)]
    force: Option<ForceName>,
    /// End of a gtd order.
    #[arg(long, value_name = "TIME", value_parser = moment::parse_future)]
    expire_at: Option<u64>,
    /// Only make the position smaller.
    #[arg(long)]
    reduce_only: bool,
    /// On a hedging account: the position to act on.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "TICKET")]
    position: u64,
    /// Stop loss to attach, where the venue keeps one.
    #[arg(long, value_name = "PRICE")]
    stop_loss: Option<Decimal>,
    /// Take profit to attach, where the venue keeps one.
    #[arg(long, value_name = "PRICE")]
    take_profit: Option<Decimal>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArguments {
    /// The order with this id of the gateway's.
    #[arg(long, value_name = "ORDER_ID")]
    order: Option<u64>,
    /// The order that this command made.
    #[arg(long, value_name = "COMMAND_ID")]
    of: Option<CommandId>,
}

#[derive(Args, Debug)]
pub(crate) struct ReplaceArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// The new total quantity, what is filled already included.
    #[arg(long, allow_negative_numbers = true)]
    quantity: Option<Decimal>,
    /// The new limit price.
    #[arg(long, allow_negative_numbers = true)]
    price: Option<Decimal>,
    /// The new trigger price.
    #[arg(long, allow_negative_numbers = true)]
    stop_price: Option<Decimal>,
}

#[derive(Args, Debug)]
pub(crate) struct CloseArguments {
    /// Of which instrument.
    symbol: Symbol,
    /// How much of it; default all.
    #[arg(long)]
    quantity: Option<Decimal>,
    /// On a hedging account: which position.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "TICKET")]
    position: u64,
}

#[derive(Args, Debug)]
pub(crate) struct SymbolArguments {
    /// One symbol; default all.
    #[arg(long)]
    symbol: Option<Symbol>,
}

/// `whole`, `account:NAME` or `symbol:NAME`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeName(HaltScope);

impl FromStr for ScopeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        match text.split_once(':') {
            None if text == "whole" => Ok(Self(HaltScope::Whole)),
            Some(("account", name)) if !name.is_empty() => AccountName::new(name)
                .map(|name| Self(HaltScope::Account(name)))
                .map_err(|error| wrong(&error)),
            Some(("symbol", name)) if !name.is_empty() => {
                Symbol::new(name).map(|name| Self(HaltScope::Symbol(name))).map_err(|error| wrong(&error))
            }
            _ => Err("give whole, account:NAME or symbol:NAME".to_owned()),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct HaltArguments {
    /// What stops: whole, account:NAME or symbol:NAME.
    #[arg(long, default_value = "whole")]
    scope: ScopeName,
    /// Go on serving what makes positions smaller.
    #[arg(long)]
    reducing: bool,
    /// Cancel the working orders in the scope.
    #[arg(long)]
    cancel_working: bool,
    /// Close the positions in the scope.
    #[arg(long)]
    flatten: bool,
    /// Why, for the journal and the operator's page; at most 63 bytes.
    #[arg(long, default_value = "by hand")]
    reason: Remark,
}

#[derive(Args, Debug)]
pub(crate) struct ResumeArguments {
    /// What goes on: whole, account:NAME or symbol:NAME, as it was halted.
    #[arg(long, default_value = "whole")]
    scope: ScopeName,
    /// Why, for the journal; at most 63 bytes.
    #[arg(long, default_value = "by hand")]
    reason: Remark,
}

#[derive(Subcommand, Debug)]
pub(crate) enum QueryArguments {
    /// The state of one order.
    Order(TargetArguments),
    /// The working and the unknown orders.
    OpenOrders(SymbolArguments),
    /// The positions.
    Positions(SymbolArguments),
    /// The account's figures.
    Account,
    /// The effective limits and how much of them is used.
    Limits(SymbolArguments),
    /// The instruments that the key may trade.
    Instruments(SymbolArguments),
}

impl ActionArguments {
    /// What is to be signed.
    pub(crate) fn action(&self) -> Result<Action, Failure> {
        Ok(match self {
            Self::New(new) => Action::New(new.order()?),
            Self::Cancel(target) => Action::Cancel(target.target()?),
            Self::Replace(replace) => Action::Replace(Replace {
                target: replace.target.target()?,
                quantity: replace.quantity,
                price: replace.price,
                stop_price: replace.stop_price,
            }),
            Self::Close(close) => Action::Close(Close {
                symbol: close.symbol,
                position_ticket: close.position,
                quantity: close.quantity,
            }),
            Self::CancelAll(scope) => Action::CancelAll(scope.scope()),
            Self::CloseAll(scope) => Action::CloseAll(scope.scope()),
            Self::Halt(halt) => Action::Halt(Halt {
                scope: halt.scope.0,
                state: if halt.reducing { TradingState::Reducing } else { TradingState::Halted },
                cancel_working: halt.cancel_working,
                flatten: halt.flatten,
                reason: halt.reason,
            }),
            Self::Resume(resume) => Action::Resume(Resume { scope: resume.scope.0, reason: resume.reason }),
            Self::Query(query) => Action::Query(query.query()?),
            Self::Heartbeat => Action::Heartbeat,
        })
    }
}

impl NewArguments {
    fn order(&self) -> Result<NewOrder, Failure> {
        let order_type = match (self.price, self.stop_price) {
            (None, None) => OrderType::Market,
            (Some(_), None) => OrderType::Limit,
            (None, Some(_)) => OrderType::Stop,
            (Some(_), Some(_)) => OrderType::StopLimit,
        };
        let force = self.force.unwrap_or(match (order_type, self.expire_at) {
            (_, Some(_)) => ForceName::Gtd,
            (OrderType::Market, None) => ForceName::Ioc,
            _ => ForceName::Gtc,
        });
        if (force == ForceName::Gtd) != self.expire_at.is_some() {
            return Err(Failure::usage(
                "--force gtd and --expire-at TIME belong together: give both or none",
            ));
        }
        Ok(NewOrder {
            symbol: self.symbol,
            side: match self.side {
                SideName::Buy => Side::Buy,
                SideName::Sell => Side::Sell,
            },
            order_type,
            quantity: self.quantity,
            price: self.price,
            stop_price: self.stop_price,
            time_in_force: force.time_in_force(),
            expire_at_ns: self.expire_at.unwrap_or(0),
            reduce_only: self.reduce_only,
            position_ticket: self.position,
            stop_loss: self.stop_loss,
            take_profit: self.take_profit,
        })
    }
}

impl ForceName {
    fn time_in_force(self) -> TimeInForce {
        match self {
            Self::Gtc => TimeInForce::GoodTillCancel,
            Self::Ioc => TimeInForce::ImmediateOrCancel,
            Self::Fok => TimeInForce::FillOrKill,
            Self::Gtd => TimeInForce::GoodTillDate,
            Self::PostOnly => TimeInForce::PostOnly,
        }
    }
}

impl TargetArguments {
    fn target(&self) -> Result<Target, Failure> {
        match (self.order, self.of) {
            (Some(order_id), None) => Ok(Target::Order(OrderId(order_id))),
            (None, Some(command_id)) => Ok(Target::Command(command_id)),
            _ => Err(Failure::usage("name the order: --order ORDER_ID or --of COMMAND_ID")),
        }
    }
}

impl SymbolArguments {
    pub(crate) fn scope(&self) -> Scope {
        Scope { symbol: self.symbol }
    }
}

impl QueryArguments {
    fn query(&self) -> Result<Query, Failure> {
        Ok(match self {
            Self::Order(target) => Query::Order(target.target()?),
            Self::OpenOrders(scope) => Query::OpenOrders(scope.scope()),
            Self::Positions(scope) => Query::Positions(scope.scope()),
            Self::Account => Query::Account,
            Self::Limits(scope) => Query::Limits(scope.scope()),
            Self::Instruments(scope) => Query::Instruments(scope.scope()),
        })
    }
}
