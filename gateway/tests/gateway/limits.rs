//! What `tollgate limits` says, with several clients on one account and orders that work on both sides.

use tollgate_client::{Client, Reply};
use tollgate_config::{OwnerLimits, SelfTradeMode, Settings};
use tollgate_protocol::answer::{AnswerBody, LimitState};
use tollgate_protocol::command::{Action, Query, Scope, Side};
use tollgate_protocol::event::ReportKind;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner};
use tollgate_protocol::text::Symbol;

use crate::support::{House, PATIENCE, acknowledged, command, decimal, limit, order, rejected, report_of};

const UNIT: i128 = 1_000_000_000_000_000_000;

fn only(settings: &mut Settings) {
    settings.accounts[0].self_trade = SelfTradeMode::Allow;
    for client in &mut settings.clients {
        client.limits = OwnerLimits::NONE;
    }
    for instrument in &mut settings.instruments {
        instrument.limits = OwnerLimits::NONE;
    }
    settings.clients[0].limits =
        OwnerLimits { max_long: 10 * UNIT, max_short: 8 * UNIT, ..OwnerLimits::NONE };
    settings.accounts[0].limits = OwnerLimits {
        max_long: 20 * UNIT,
        max_short: 15 * UNIT,
        max_gross: Money(5_000_000 * UNIT),
        max_net: Money(2_000_000 * UNIT),
        max_open_orders: 40,
        ..OwnerLimits::NONE
    };
}

fn row(client: &mut Client, symbol: &str, name: &str) -> LimitState {
    let scope = Scope { symbol: Symbol::new(symbol).ok() };
    let reply = client.execute(&command(Action::Query(Query::Limits(scope))), PATIENCE).unwrap();
    let Reply::Rows(rows) = reply else { panic!("no rows: {reply:?}") };
    let named = rows.iter().find_map(|row| match row {
        AnswerBody::Limit(state) if state.name.as_str() == name => Some(*state),
        _ => None,
    });
    named.unwrap_or_else(|| panic!("there is no row {name}"))
}

fn used(client: &mut Client, symbol: &str, name: &str) -> (Owner, String) {
    let row = row(client, symbol, name);
    (row.owner, row.used.normalized().to_string())
}

fn filled(client: &mut Client, symbol: &str, side: Side, quantity: &str) {
    let id = acknowledged(client, Action::New(order(symbol, side, quantity))).command_id;
    report_of(client, id, |kind| matches!(kind, ReportKind::Filled(_)));
}

fn resting(client: &mut Client, symbol: &str, side: Side, quantity: &str, price: &str) {
    let id = acknowledged(client, Action::New(limit(symbol, side, quantity, price))).command_id;
    report_of(client, id, |kind| matches!(kind, ReportKind::Accepted { .. }));
}

#[test]
fn a_client_s_own_limit_counts_its_own_and_an_account_s_counts_everybody_s() {
    let house = House::new(only);
    let (mut first, mut second) = (house.client(0), house.client(1));
    filled(&mut first, "BTCUSDT", Side::Buy, "1");
    resting(&mut first, "BTCUSDT", Side::Buy, "0.25", "60000");
    resting(&mut first, "BTCUSDT", Side::Sell, "0.5", "70000");
    filled(&mut second, "BTCUSDT", Side::Sell, "0.4");
    resting(&mut second, "BTCUSDT", Side::Buy, "0.1", "59000");
    resting(&mut second, "BTCUSDT", Side::Sell, "0.2", "71000");

    // The first client has 1 and buys 0.25 more; what it sells is less than what it has.
    assert_eq!(used(&mut first, "BTCUSDT", "max_long"), (Owner::Client, "1.25".to_owned()));
    assert_eq!(used(&mut first, "BTCUSDT", "max_short"), (Owner::Client, "0".to_owned()));
    // The second has no limit of its own: the account has 0.6, buys 0.35 and sells 0.7.
    assert_eq!(used(&mut second, "BTCUSDT", "max_long"), (Owner::Account, "0.95".to_owned()));
    assert_eq!(used(&mut second, "BTCUSDT", "max_short"), (Owner::Account, "0.1".to_owned()));
    assert_eq!(used(&mut second, "BTCUSDT", "max_open_orders"), (Owner::Account, "4".to_owned()));
    assert_eq!(row(&mut second, "BTCUSDT", "max_long").limit, decimal("20"));

    // All of the account is long: net is what gross is without the working sells, 0.5 × 70000 + 0.2 × 71000.
    let gross = row(&mut second, "BTCUSDT", "max_gross");
    let net = row(&mut second, "BTCUSDT", "max_net");
    let sells = decimal("49200").to_attos().unwrap();
    assert_eq!(net.used.to_attos().unwrap(), gross.used.to_attos().unwrap() - sells);
    assert_eq!((net.owner, net.limit), (Owner::Account, decimal("2000000")));
}

#[test]
fn a_short_position_uses_what_may_be_short_and_the_row_says_what_the_check_says() {
    let house = House::new(only);
    let (mut first, mut second) = (house.client(0), house.client(1));
    filled(&mut first, "ETHUSDT", Side::Sell, "2");
    resting(&mut first, "ETHUSDT", Side::Sell, "1", "9000");
    filled(&mut second, "ETHUSDT", Side::Sell, "3");
    assert_eq!(used(&mut first, "ETHUSDT", "max_short"), (Owner::Client, "3".to_owned()));
    assert_eq!(used(&mut first, "ETHUSDT", "max_long"), (Owner::Client, "0".to_owned()));
    assert_eq!(used(&mut second, "ETHUSDT", "max_short"), (Owner::Account, "6".to_owned()));
    // 5 are left of 8.
    let reject = rejected(&mut first, Action::New(order("ETHUSDT", Side::Sell, "5.001")));
    assert_eq!((reject.code, reject.owner), (Code::PositionExceedsLimit, Owner::Client));
    assert_eq!((reject.limit, reject.value.to_string()), (decimal("8"), "8.001".to_owned()));
    filled(&mut first, "ETHUSDT", Side::Sell, "5");
    assert_eq!(used(&mut first, "ETHUSDT", "max_short"), (Owner::Client, "8".to_owned()));
}
