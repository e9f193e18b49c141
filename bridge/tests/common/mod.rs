//! Instruments and orders for the tests of the paper venue.
#![allow(dead_code, reason = "each test uses its share")]

use std::sync::Arc;

use tollgate_bridge::paper::{Engine, PaperSettings};
use tollgate_contract::venue::{Quote, ReportBody, VenueOrder, VenueReport, VenueRequest};
use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::{Capabilities, Grid, Instrument, InstrumentIndex, PercentCollar};
use tollgate_protocol::money::Money;
use tollgate_protocol::text::{Symbol, Text};

/// A tick of 10^-`price_scale`, a step of 0.001, no bounds; one tick times one step is worth 10^-12.
pub(crate) fn instrument(symbol: &str, price_scale: u8) -> Instrument {
    Instrument {
        symbol: Symbol::new(symbol).unwrap(),
        base_asset: Text::EMPTY,
        quote_asset: Text::EMPTY,
        venue: 0,
        price: Grid::new(Decimal::new(1, price_scale)).unwrap(),
        quantity: Grid::new(Decimal::new(1, 3)).unwrap(),
        price_minimum: 0,
        price_maximum: 0,
        quantity_minimum: 0,
        quantity_maximum: 0,
        market_quantity_minimum: 0,
        market_quantity_maximum: 0,
        market_quantity_multiple: 1,
        notional_minimum: Money::ZERO,
        notional_maximum: Money::ZERO,
        notional_minimum_for_market: false,
        notional_maximum_for_market: false,
        notional_exempts_reduce_only: false,
        percent_collar: PercentCollar::default(),
        unit_value: Money(1_000_000),
        capabilities: Capabilities {
            stop_orders: true,
            protection: false,
            hedging: false,
            good_till_date: true,
        },
    }
}

/// BTCUSDT with a tick of 0.1, EURUSD with 0.00001, and one of another venue.
pub(crate) fn instruments() -> Arc<[Instrument]> {
    let elsewhere = Instrument { venue: 1, ..instrument("BTCUSDT", 1) };
    Arc::from([instrument("BTCUSDT", 1), instrument("EURUSD", 5), elsewhere])
}

/// A market order to buy 10 steps of the first instrument.
pub(crate) fn market(id: u64) -> VenueOrder {
    VenueOrder {
        order_id: OrderId(id),
        account: AccountIndex(0),
        instrument: InstrumentIndex(0),
        side: Side::Buy,
        order_type: OrderType::Market,
        time_in_force: TimeInForce::GoodTillCancel,
        quantity_steps: 10,
        price_ticks: 0,
        stop_price_ticks: 0,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss_ticks: 0,
        take_profit_ticks: 0,
    }
}

/// A limit order for 10 steps.
pub(crate) fn limit(id: u64, side: Side, price_ticks: i64) -> VenueOrder {
    VenueOrder { side, price_ticks, order_type: OrderType::Limit, ..market(id) }
}

/// A stop order for 10 steps.
pub(crate) fn stop(id: u64, side: Side, stop_price_ticks: i64) -> VenueOrder {
    VenueOrder { side, stop_price_ticks, order_type: OrderType::Stop, ..market(id) }
}

/// An engine whose reports are collected, at a clock that the test moves.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now_ns: u64,
}

impl Bench {
    /// A venue that is connected and has a quote of 100 to 101 in its first instrument.
    pub(crate) fn new(settings: PaperSettings) -> Self {
        let mut bench = Self { engine: Engine::new(settings, instruments()).unwrap(), now_ns: 1_000 };
        assert_eq!(bench.tick(), [VenueReport::Connected]);
        bench.quote(100, 101);
        bench
    }

    /// One with that much liquidity a quote.
    pub(crate) fn with_liquidity(steps: i64) -> Self {
        Self::new(PaperSettings { liquidity_steps: vec![steps], ..PaperSettings::default() })
    }

    pub(crate) fn request(&mut self, request: VenueRequest) -> Vec<VenueReport> {
        let mut reports = Vec::new();
        self.engine.request(self.now_ns, request, &mut |report| reports.push(report));
        reports
    }

    /// Places an order and gives what was said of it.
    pub(crate) fn place(&mut self, order: VenueOrder) -> Vec<ReportBody> {
        bodies(&self.request(VenueRequest::New(order)), order.order_id)
    }

    pub(crate) fn cancel(&mut self, id: u64) -> Vec<ReportBody> {
        bodies(&self.request(VenueRequest::Cancel(OrderId(id))), OrderId(id))
    }

    pub(crate) fn query(&mut self, id: u64) -> Vec<ReportBody> {
        bodies(&self.request(VenueRequest::Query(OrderId(id))), OrderId(id))
    }

    pub(crate) fn replace(&mut self, id: u64, quantity: i64, price: i64, stop_price: i64) -> Vec<ReportBody> {
        let request = VenueRequest::Replace {
            order_id: OrderId(id),
            quantity_steps: quantity,
            price_ticks: price,
            stop_price_ticks: stop_price,
        };
        bodies(&self.request(request), OrderId(id))
    }

    /// Quotes the first instrument; gives what is said of orders.
    pub(crate) fn quote(&mut self, bid_ticks: i64, ask_ticks: i64) -> Vec<(u64, ReportBody)> {
        let quote = Quote { instrument: InstrumentIndex(0), bid_ticks, ask_ticks };
        let mut reports = Vec::new();
        self.engine.quote(self.now_ns, quote, &mut |report| reports.push(report));
        orders(&reports)
    }

    pub(crate) fn tick(&mut self) -> Vec<VenueReport> {
        let mut reports = Vec::new();
        self.engine.tick(self.now_ns, &mut |report| reports.push(report));
        reports
    }

    pub(crate) fn position(&self) -> i64 {
        self.engine.position_steps(AccountIndex(0), InstrumentIndex(0))
    }
}

/// What is said of one order; nothing may be said of another.
pub(crate) fn bodies(reports: &[VenueReport], id: OrderId) -> Vec<ReportBody> {
    let of_orders = reports.iter().filter_map(|report| match report {
        VenueReport::Order { order_id, body } => Some((*order_id, *body)),
        _ => None,
    });
    of_orders.inspect(|(order_id, _)| assert_eq!(*order_id, id)).map(|(_, body)| body).collect()
}

/// What is said of orders.
pub(crate) fn orders(reports: &[VenueReport]) -> Vec<(u64, ReportBody)> {
    let of_orders = reports.iter().filter_map(|report| match report {
        VenueReport::Order { order_id, body } => Some((order_id.0, *body)),
        _ => None,
    });
    of_orders.collect()
}

/// Price, quantity and maker of a fill.
pub(crate) fn fill(body: &ReportBody) -> Option<(i64, i64, bool)> {
    match *body {
        ReportBody::Filled { price_ticks, quantity_steps, maker, .. } => {
            Some((price_ticks, quantity_steps, maker))
        }
        _ => None,
    }
}

/// The words of a refusal of any kind.
pub(crate) fn words(body: &ReportBody) -> &str {
    match body {
        ReportBody::Rejected { reason }
        | ReportBody::CancelRejected { reason }
        | ReportBody::ReplaceRejected { reason }
        | ReportBody::Unknown { reason } => reason.as_str(),
        other => panic!("no refusal: {other:?}"),
    }
}
