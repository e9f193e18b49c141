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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    fn action(line: &str) -> Action {
        flags::subcommand::<ActionArguments>(line).unwrap().action().unwrap()
    }

    fn new(line: &str) -> NewOrder {
        let Action::New(order) = action(&format!("new BTCUSDT {line}")) else { panic!("{line} is no order") };
        order
    }

    fn is_wrong(line: &str) -> bool {
        flags::subcommand::<ActionArguments>(line).is_err_and(|error| error.exit_code() == 2)
    }

    #[test]
    fn price_and_stop_price_say_the_type() {
        for (line, order_type) in [
            ("buy 1", OrderType::Market),
            ("buy 1 --price 2", OrderType::Limit),
            ("buy 1 --stop-price 2", OrderType::Stop),
            ("buy 1 --price 2 --stop-price 3", OrderType::StopLimit),
        ] {
            assert_eq!(new(line).order_type, order_type, "{line}");
        }
        let order = new("sell 0.5 --price 2.25 --stop-price 3.125");
        assert_eq!((order.side, order.quantity.to_string()), (Side::Sell, "0.5".to_owned()));
        assert_eq!(order.price.unwrap().to_string(), "2.25");
        assert_eq!(order.stop_price.unwrap().to_string(), "3.125");
        // The gateway says what is wrong with them, with its own code.
        assert_eq!(new("buy -1 --price -2").price.unwrap().to_string(), "-2");
        assert!(is_wrong("new BTCUSDT buy 1e3"), "an exponent");
        assert!(is_wrong("new BTCUSDT hold 1"));
    }

    #[test]
    fn force_follows_from_the_type_unless_it_is_given() {
        for (line, force) in [
            ("buy 1", TimeInForce::ImmediateOrCancel),
            ("buy 1 --price 2", TimeInForce::GoodTillCancel),
            ("buy 1 --stop-price 2", TimeInForce::GoodTillCancel),
            ("buy 1 --price 2 --expire-at 1h", TimeInForce::GoodTillDate),
            ("buy 1 --price 2 --force gtc", TimeInForce::GoodTillCancel),
            ("buy 1 --price 2 --force ioc", TimeInForce::ImmediateOrCancel),
            ("buy 1 --price 2 --force fok", TimeInForce::FillOrKill),
            ("buy 1 --price 2 --force post-only", TimeInForce::PostOnly),
        ] {
            assert_eq!(new(line).time_in_force, force, "{line}");
        }
    }

    #[test]
    fn expire_at_and_force_gtd_belong_together() {
        for line in ["buy 1 --price 2 --force gtd", "buy 1 --price 2 --force gtc --expire-at 1h"] {
            let parsed = flags::subcommand::<ActionArguments>(&format!("new BTCUSDT {line}")).unwrap();
            assert!(parsed.action().is_err(), "{line}");
        }
        assert!(new("buy 1 --price 2 --force gtd --expire-at 1h").expire_at_ns > 0);
    }

    #[test]
    fn reduce_only_position_and_protection_are_passed_on() {
        let plain = new("buy 1");
        assert_eq!((plain.reduce_only, plain.position_ticket), (false, 0));
        assert_eq!((plain.stop_loss, plain.take_profit), (None, None));
        let order = new("buy 1 --reduce-only --position 7 --stop-loss 1.5 --take-profit 2.5");
        assert_eq!((order.reduce_only, order.position_ticket), (true, 7));
        assert_eq!(order.stop_loss.unwrap().to_string(), "1.5");
        assert_eq!(order.take_profit.unwrap().to_string(), "2.5");
    }

    #[test]
    fn order_or_of_name_the_order() {
        assert_eq!(action("cancel --order 17"), Action::Cancel(Target::Order(OrderId(17))));
        assert_eq!(action("cancel --of 42"), Action::Cancel(Target::Command(CommandId(42))));
        assert!(is_wrong("cancel"), "neither");
        assert!(is_wrong("cancel --order 1 --of 2"), "both");
        assert_eq!(
            action("query order --of 42"),
            Action::Query(Query::Order(Target::Command(CommandId(42))))
        );
    }

    #[test]
    fn replace_keeps_what_is_not_given() {
        let Action::Replace(replace) = action("replace --order 3 --price 2") else { panic!() };
        assert_eq!((replace.quantity, replace.stop_price), (None, None));
        let Action::Replace(replace) = action("replace --of 3 --quantity 1 --stop-price 4") else { panic!() };
        assert_eq!((replace.price, replace.target), (None, Target::Command(CommandId(3))));
        assert!(replace.quantity.is_some() && replace.stop_price.is_some());
    }

    #[test]
    fn close_takes_all_unless_a_quantity_is_given() {
        let Action::Close(close) = action("close EURUSD") else { panic!() };
        assert_eq!((close.quantity, close.position_ticket), (None, 0));
        let Action::Close(close) = action("close EURUSD --quantity 0.1 --position 9") else { panic!() };
        assert_eq!((close.quantity.unwrap().to_string(), close.position_ticket), ("0.1".to_owned(), 9));
    }

    #[test]
    fn symbol_narrows_what_reaches_many() {
        let all = Scope { symbol: None };
        let one = Scope { symbol: Some(Symbol::truncated("EURUSD")) };
        assert_eq!(action("cancel-all"), Action::CancelAll(all));
        assert_eq!(action("cancel-all --symbol EURUSD"), Action::CancelAll(one));
        assert_eq!(action("close-all --symbol EURUSD"), Action::CloseAll(one));
        assert_eq!(action("query limits --symbol EURUSD"), Action::Query(Query::Limits(one)));
    }

    #[test]
    fn halt_stops_the_whole_and_touches_nothing_unless_told() {
        let Action::Halt(halt) = action("halt") else { panic!() };
        assert_eq!((halt.scope, halt.state), (HaltScope::Whole, TradingState::Halted));
        assert_eq!((halt.cancel_working, halt.flatten, halt.reason.as_str()), (false, false, "by hand"));
        let line = "halt --scope account:main --reducing --cancel-working --flatten --reason prices";
        let Action::Halt(halt) = action(line) else { panic!() };
        assert_eq!(halt.scope, HaltScope::Account(AccountName::truncated("main")));
        assert_eq!(halt.state, TradingState::Reducing);
        assert_eq!((halt.cancel_working, halt.flatten, halt.reason.as_str()), (true, true, "prices"));
        assert!(is_wrong("halt --scope main"), "a scope says of what kind it is");
        assert!(is_wrong(&format!("halt --reason {}", "x".repeat(64))), "a reason has 63 bytes at most");
    }

    #[test]
    fn resume_names_what_was_halted() {
        let Action::Resume(resume) = action("resume --scope symbol:EURUSD --reason calm") else { panic!() };
        assert_eq!(resume.scope, HaltScope::Symbol(Symbol::truncated("EURUSD")));
        assert_eq!(resume.reason.as_str(), "calm");
    }
}
