//! The gateway's state alone, driven as the pipeline drives it: without sockets, threads or a journal.
#![allow(dead_code, unreachable_pub)]

use std::path::Path;

use tollgate_config::Settings;
use tollgate_core::link::Grant;
use tollgate_core::record::{
    Authority, Intent, Origin, Price, Record, RejectionRecord, ReportRecord, VenueRecord, VenueState,
};
use tollgate_core::{Asker, State, judge};
use tollgate_protocol::command::{Action, NewOrder, OrderType, Side, TimeInForce};
use tollgate_protocol::event::{Report, ReportKind};
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::reject::Reject;
use tollgate_protocol::text::{AccountName, Remark, Symbol};
use tollgate_protocol::{Command, CommandId, Decimal, OrderId};

pub const START_NS: u64 = 1_700_000_000_000_000_000;
/// The demonstration's first instrument: tick 0.01, step 0.00001.
pub const SYMBOL: &str = "BTCUSDT";

pub fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let environment = |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| "/nowhere".to_owned());
    let mut settings = Settings::parse(tollgate_config::DEMO, Path::new("/"), &environment).unwrap();
    settings.capacity.open_orders_max = 256;
    settings.dedupe.window_commands = 4096;
    change(&mut settings);
    settings
}

/// A state that is driven as the pipeline drives it.
pub struct House {
    pub state: State,
    pub grant: Grant,
    pub sequence: u64,
    pub now_ns: u64,
}

impl House {
    pub fn new(settings: &Settings) -> Self {
        let grant = Grant::replayed(Authority { scopes: 0b1111, accounts: 0b11 });
        let mut house = Self { state: State::empty(settings, 7), grant, sequence: 0, now_ns: START_NS };
        let (venue, state, reason) = (0, VenueState::Up, Remark::EMPTY);
        house.apply(&Record::Venue(VenueRecord { venue, state, reason }));
        house.price(6_500_000);
        house
    }

    pub fn apply(&mut self, record: &Record) -> u64 {
        self.sequence += 1;
        self.state.apply(self.sequence, self.now_ns, record);
        self.sequence
    }

    pub fn price(&mut self, ticks: i64) {
        let (instrument, observed_ns) = (InstrumentIndex(0), self.now_ns);
        self.apply(&Record::Price(Price { instrument, bid_ticks: ticks, ask_ticks: ticks + 1, observed_ns }));
    }

    pub fn command(&mut self, client: u16, action: Action) -> Result<u64, Reject> {
        self.now_ns += 1_000_000;
        self.state.advance(self.now_ns);
        let command = Command {
            command_id: CommandId(u128::from(self.now_ns)),
            created_at_ns: self.now_ns,
            deadline_ns: 0,
            account: AccountName::new("main").unwrap(),
            action,
        };
        let verdict = judge(&self.state, Asker { client, grant: &self.grant }, &command, self.now_ns);
        let (event_sequence, authority) = (self.state.next_event_sequence(client), self.grant.authority());
        let content_hash = 0;
        match verdict {
            Ok(effect) => {
                let origin = Origin::Client;
                let intent =
                    Intent { client, origin, event_sequence, content_hash, authority, command, effect };
                Ok(self.apply(&Record::Intent(intent)))
            }
            Err(reject) => {
                let refusal =
                    RejectionRecord { client, event_sequence, content_hash, authority, command, reject };
                self.apply(&Record::Rejection(refusal));
                Err(reject)
            }
        }
    }

    /// A venue's report of an order, as the gateway would journal it.
    pub fn report(&mut self, client: u16, order_id: OrderId, kind: ReportKind) {
        let event_sequence = self.state.next_event_sequence(client);
        let report = Report {
            command_id: CommandId(0),
            order_id,
            account: AccountName::new("main").unwrap(),
            symbol: Symbol::new(SYMBOL).unwrap(),
            side: Side::Buy,
            filled_quantity: Decimal::ZERO,
            open_quantity: Decimal::ZERO,
            kind,
        };
        self.apply(&Record::Report(ReportRecord { client, event_sequence, report }));
    }
}

pub fn limit(side: Side, steps: i64, ticks: i64) -> NewOrder {
    NewOrder {
        symbol: Symbol::new(SYMBOL).unwrap(),
        side,
        order_type: OrderType::Limit,
        quantity: Decimal::new(steps, 5),
        price: Some(Decimal::new(ticks, 2)),
        stop_price: None,
        time_in_force: TimeInForce::GoodTillCancel,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss: None,
        take_profit: None,
    }
}
