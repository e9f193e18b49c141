//! A record of the journal, in a line and in JSON.

use std::collections::HashMap;

use serde_json::{Value, json};
use tollgate_protocol::Decimal;

use super::super::describe;
use super::super::document::{self, joined};
use super::super::key_file::encode_hex;
use super::super::moment;
use tollgate_core::record::{Effect, Name, NameTable, OrderTerms, Origin, Record, RecordError, VenueState};

/// What the numbers in records mean: the journal itself says it, and may say it anew.
#[derive(Default)]
pub(crate) struct Names {
    names: HashMap<(u8, u16), Name>,
}

fn table_number(table: NameTable) -> u8 {
    match table {
        NameTable::Client => 0,
        NameTable::Account => 1,
        NameTable::Instrument => 2,
        NameTable::Venue => 3,
    }
}

fn table_name(table: NameTable) -> &'static str {
    match table {
        NameTable::Client => "client",
        NameTable::Account => "account",
        NameTable::Instrument => "instrument",
        NameTable::Venue => "venue",
    }
}

impl Names {
    pub(crate) fn learn(&mut self, entry: &Entry) {
        if let Ok(Record::Name(name)) = &entry.record {
            self.names.insert((table_number(name.table), name.index), *name);
        }
    }

    fn find(&self, table: NameTable, index: u16) -> String {
        let name = self.names.get(&(table_number(table), index));
        name.map_or_else(|| format!("{} {index}", table_name(table)), |name| name.name.to_string())
    }

    pub(crate) fn client(&self, index: u16) -> String {
        self.find(NameTable::Client, index)
    }

    /// `units` of an instrument's tick or step, as a decimal.
    fn scaled(&self, instrument: u16, units: i64, increment: fn(&Name) -> Decimal) -> String {
        let name = self.names.get(&(table_number(NameTable::Instrument), instrument));
        let grid = name.and_then(|name| tollgate_protocol::instrument::Grid::new(increment(name)));
        grid.map_or_else(|| format!("{units} units"), |grid| grid.decimal_lossy(units).to_string())
    }

    fn price(&self, instrument: u16, ticks: i64) -> String {
        self.scaled(instrument, ticks, |name| name.tick)
    }

    fn quantity(&self, instrument: u16, steps: i64) -> String {
        self.scaled(instrument, steps, |name| name.step)
    }
}

/// A record with its place and time.
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) time_ns: u64,
    pub(crate) kind: u16,
    pub(crate) record: Result<Record, RecordError>,
}

impl Entry {
    /// Whose record it is.
    pub(crate) fn client(&self) -> Option<u16> {
        match self.record.as_ref().ok()? {
            Record::Intent(intent) => Some(intent.client),
            Record::Rejection(refusal) => Some(refusal.client),
            Record::Child(child) => Some(child.client),
            Record::Report(report) => Some(report.client),
            Record::Name(Name { table: NameTable::Client, index, .. }) => Some(*index),
            _ => None,
        }
    }

    /// The record in a line: sequence, time, kind, client, and what it says.
    pub(crate) fn line(&self, names: &Names) -> String {
        let client = match (self.client(), &self.record) {
            (_, Ok(Record::Name(_))) | (None, _) => "-".to_owned(),
            (Some(client), _) => names.client(client),
        };
        let (sequence, time, kind) =
            (self.sequence, moment::short(self.time_ns), Record::kind_name(self.kind));
        format!("{sequence:>9}  {time}  {kind:<7}  {client:<12}  {}", self.detail(names))
    }

    /// What the record says, in words.
    pub(crate) fn detail(&self, names: &Names) -> String {
        let record = match &self.record {
            Ok(record) => record,
            Err(error) => return error.to_string(),
        };
        let text = match record {
            Record::Name(name) => self::name(name),
            Record::Start(start) => {
                let durability = document::durability(start.durability);
                format!("{} started, version {}, durable: {durability}", start.instance, start.version)
            }
            Record::Price(price) => {
                let instrument = price.instrument.0;
                let name = names.find(NameTable::Instrument, instrument);
                let (bid, ask) =
                    (names.price(instrument, price.bid_ticks), names.price(instrument, price.ask_ticks));
                format!("{name} bid {bid} ask {ask}")
            }
            Record::Intent(intent) => {
                let action = describe::action(&intent.command.action);
                let origin = match intent.origin {
                    Origin::Client => String::new(),
                    origin => format!(", made by {}", self::origin(origin)),
                };
                format!("{action}{origin}; command {}", intent.command.command_id)
            }
            Record::Rejection(refusal) => {
                let action = describe::action(&refusal.command.action);
                format!("{}; {action}; command {}", refusal.reject, refusal.command.command_id)
            }
            Record::Child(child) => {
                format!("{}; for command {}", terms_line(&child.terms, names), child.command_id)
            }
            Record::Report(report) => {
                let command = report.report.command_id;
                format!(
                    "{}: {}; command {command}",
                    report.report.kind.name(),
                    describe::report(&report.report)
                )
            }
            Record::Venue(venue) => {
                let name = names.find(NameTable::Venue, venue.venue);
                format!("{name} is {}: {}", venue_state(venue.state), venue.reason)
            }
            Record::Digest(digest) => encode_hex(&digest.hash),
            Record::Loss(loss) => format!(
                "accepted that records after {} are gone, of journal {} known up to {}; accepted {}",
                loss.kept_sequence,
                encode_hex(&loss.expected_identity),
                loss.lost_sequence,
                moment::short(loss.accepted_ns)
            ),
        };
        super::super::table::one_line(&text)
    }

    /// The record as JSON.
    pub(crate) fn document(&self, names: &Names) -> Value {
        let head = json!({
            "sequence": self.sequence,
            "time": moment::full(self.time_ns),
            "time_ns": self.time_ns,
            "kind": Record::kind_name(self.kind),
        });
        let body = match &self.record {
            Ok(record) => record_document(record, names),
            Err(error) => json!({"kind_number": self.kind, "error": error.to_string()}),
        };
        joined(head, body)
    }
}

fn name(name: &Name) -> String {
    let head = format!("{} {} is {}", table_name(name.table), name.index, name.name);
    if name.table == NameTable::Instrument {
        format!("{head}, tick {}, step {}", name.tick, name.step)
    } else {
        head
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Client => "client",
        Origin::Disconnect => "disconnect",
        Origin::DeadMan => "dead_man",
        Origin::Risk => "risk",
    }
}

fn venue_state(state: VenueState) -> &'static str {
    match state {
        VenueState::Down => "down",
        VenueState::Reconciling => "reconciling",
        VenueState::Up => "up",
    }
}

fn terms_line(terms: &OrderTerms, names: &Names) -> String {
    format!(
        "{} {} {} {} in {}",
        document::order_type(terms.order_type),
        document::side(terms.side),
        names.quantity(terms.instrument.0, terms.quantity_steps),
        names.find(NameTable::Instrument, terms.instrument.0),
        names.find(NameTable::Account, terms.account.0),
    )
}

fn record_document(record: &Record, names: &Names) -> Value {
    match record {
        Record::Name(name) => json!({
            "table": table_name(name.table),
            "index": name.index,
            "name": name.name.as_str(),
            "tick": name.tick.to_string(),
            "step": name.step.to_string(),
        }),
        Record::Start(start) => json!({
            "version": start.version.as_str(),
            "instance": start.instance.as_str(),
            "durability": document::durability(start.durability),
        }),
        Record::Price(price) => json!({
            "symbol": names.find(NameTable::Instrument, price.instrument.0),
            "bid": names.price(price.instrument.0, price.bid_ticks),
            "ask": names.price(price.instrument.0, price.ask_ticks),
            "observed": document::time(price.observed_ns),
        }),
        Record::Intent(intent) => json!({
            "client": names.client(intent.client),
            "origin": origin(intent.origin),
            "event_sequence": intent.event_sequence,
            "content_hash": format!("{:016x}", intent.content_hash),
            "command": document::command(&intent.command),
            "effect": effect(&intent.effect, names),
        }),
        Record::Rejection(refusal) => json!({
            "client": names.client(refusal.client),
            "event_sequence": refusal.event_sequence,
            "content_hash": format!("{:016x}", refusal.content_hash),
            "command": document::command(&refusal.command),
            "reject": document::reject(&refusal.reject),
        }),
        Record::Child(child) => json!({
            "client": names.client(child.client),
            "command_id": child.command_id.to_string(),
            "parent": child.parent,
            "effect": terms(&child.terms, names),
        }),
        Record::Report(report) => joined(
            json!({"client": names.client(report.client), "event_sequence": report.event_sequence}),
            document::report(&report.report),
        ),
        Record::Venue(venue) => json!({
            "venue": names.find(NameTable::Venue, venue.venue),
            "state": venue_state(venue.state),
            "reason": venue.reason.as_str(),
        }),
        Record::Digest(digest) => json!({"hash": encode_hex(&digest.hash)}),
        Record::Loss(loss) => json!({
            "expected_identity": encode_hex(&loss.expected_identity),
            "lost_sequence": loss.lost_sequence,
            "kept_sequence": loss.kept_sequence,
            "accepted": document::time(loss.accepted_ns),
        }),
    }
}

fn effect(effect: &Effect, names: &Names) -> Value {
    match effect {
        Effect::Order(order) => joined(json!({"effect": "order"}), terms(order, names)),
        Effect::Cancel(order_id) => json!({"effect": "cancel", "order_id": order_id.0}),
        Effect::Replace { order_id, quantity_steps, price_ticks, stop_price_ticks } => json!({
            "effect": "replace",
            "order_id": order_id.0,
            "quantity_steps": quantity_steps,
            "price_ticks": price_ticks,
            "stop_price_ticks": stop_price_ticks,
        }),
        Effect::Sweep { account, instrument, client, keep_good_till_cancel } => json!({
            "effect": "sweep",
            "of_client": client.map(|client| names.client(client)),
            "keep_good_till_cancel": keep_good_till_cancel,
            "account": account.map(|account| names.find(NameTable::Account, account.0)),
            "symbol": instrument.map(|instrument| names.find(NameTable::Instrument, instrument.0)),
        }),
    }
}

fn terms(terms: &OrderTerms, names: &Names) -> Value {
    let instrument = terms.instrument.0;
    let price =
        |ticks: i64| if ticks == 0 { Value::Null } else { Value::from(names.price(instrument, ticks)) };
    json!({
        "account": names.find(NameTable::Account, terms.account.0),
        "symbol": names.find(NameTable::Instrument, instrument),
        "side": document::side(terms.side),
        "order_type": document::order_type(terms.order_type),
        "time_in_force": document::time_in_force(terms.time_in_force),
        "reduce_only": terms.reduce_only,
        "quantity": names.quantity(instrument, terms.quantity_steps),
        "price": price(terms.price_ticks),
        "stop_price": price(terms.stop_price_ticks),
        "stop_loss": price(terms.stop_loss_ticks),
        "take_profit": price(terms.take_profit_ticks),
        "expire_at": document::time(terms.expire_at_ns),
        "position_ticket": terms.position_ticket,
        "value_price": price(terms.value_ticks),
    })
}
