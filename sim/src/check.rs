//! What is checked while a run goes on.

use tollgate_contract::venue::VenueOrder;
use tollgate_core::record::{Effect, Origin, Record};
use tollgate_core::recovery::RecoveryError;
use tollgate_journal::Durability;
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::command::Action;
use tollgate_protocol::event::Event;
use tollgate_protocol::identity::{CommandId, OrderId};
use tollgate_protocol::reject::{Code, Reject};

use crate::client::same;
use crate::fault::{Fault, Kind};
use crate::sim::{Outcome, Sim, note};

impl Sim {
    /// Takes the records that were written since, and checks what they say.
    pub(crate) fn scan(&mut self) -> Outcome {
        let shared = self.disk.clone();
        let disk = shared.lock();
        while let Some(stored) = disk.records.get(self.shadow.taken) {
            self.fingerprint.number(stored.time_ns);
            self.fingerprint.bytes(&stored.payload);
            let sequence = stored.sequence;
            let before = self.status_before(sequence, stored.kind, &stored.payload);
            let record = match self.shadow.recovery.take(&stored.view()) {
                Ok(record) => record,
                Err(error @ RecoveryError::DigestDiffers { .. }) => {
                    return self.fail(Kind::StateDiffers, &error.to_string());
                }
                Err(error) => return self.fail(Kind::RecoveryFailed, &error.to_string()),
            };
            self.shadow.taken += 1;
            note!(self, "record {sequence}: {record:?}");
            self.coverage.record(&record);
            self.note_event(sequence, stored.time_ns, &record)?;
            self.note_command(sequence, &record)?;
            self.note_transition(sequence, &record, before);
        }
        Ok(())
    }

    fn status_before(&self, sequence: u64, kind: u16, payload: &[u8]) -> Option<OrderStatus> {
        let Ok(Record::Report(report)) = Record::decode(sequence, kind, payload) else { return None };
        self.status(report.report.order_id)
    }

    /// Where the gateway has an order.
    pub(crate) fn status(&self, order_id: OrderId) -> Option<OrderStatus> {
        let orders = &self.shadow.recovery.state.orders;
        orders.find(order_id).map(|slot| orders.get(slot).status)
    }

    fn note_event(&mut self, sequence: u64, time_ns: u64, record: &Record) -> Outcome {
        let durability = self.setup.settings.journal.durability;
        let Some((client, event)) = record.event(sequence, time_ns, durability) else { return Ok(()) };
        let events = &mut self.shadow.events[usize::from(client)];
        let due = events.len() as u64 + 1;
        events.push((sequence, event));
        if event.event_sequence == due {
            return Ok(());
        }
        let words = format!(
            "record {sequence} is event {} of client {client}, and {due} was due",
            event.event_sequence
        );
        self.fail(Kind::EventsBroken, &words)
    }

    /// One outcome for one command.
    fn note_command(&mut self, sequence: u64, record: &Record) -> Outcome {
        let (client, command, reject) = match record {
            Record::Intent(intent) if intent.origin == Origin::Client => {
                (intent.client, &intent.command, None)
            }
            Record::Rejection(refusal) => (refusal.client, &refusal.command, Some(refusal.reject)),
            _ => return Ok(()),
        };
        if let Some(reject) = reject {
            self.coverage.refused(reject.code);
            check_refusal(&command.action, &reject)?;
        }
        let first = self.shadow.commands.insert((client, command.command_id), sequence);
        // What creates no order may come again when it has left the window.
        let is_harmless = match &command.action {
            Action::Cancel(_) | Action::CancelAll(_) => true,
            Action::Halt(halt) => !halt.flatten,
            _ => false,
        };
        let Some(first) = first.filter(|_| !is_harmless) else { return Ok(()) };
        let words =
            format!("command {} of client {client} has records {first} and {sequence}", command.command_id);
        self.fail(Kind::OutcomeTwice, &words)
    }

    fn note_transition(&mut self, sequence: u64, record: &Record, before: Option<OrderStatus>) {
        let order_id = match record {
            Record::Report(report) => report.report.order_id,
            Record::Child(_) => OrderId(sequence),
            Record::Intent(intent) if matches!(intent.effect, Effect::Order(_)) => OrderId(sequence),
            _ => return,
        };
        if let Some(after) = self.status(order_id) {
            self.coverage.transition(before, after);
        }
    }

    /// An order left for its venue: it stands in the journal, at its class, as it left, and it is the only one.
    pub(crate) fn check_order(&mut self, order: &VenueOrder) -> Outcome {
        let order_id = order.order_id;
        let orders = &self.shadow.recovery.state.orders;
        let Some(known) = orders.find(order_id).map(|slot| *orders.get(slot)) else {
            let words = format!("order {} left, and the journal does not have it", order_id.0);
            return self.fail(Kind::LeftEarly, &words);
        };
        if known.terms.venue_order(order_id) != *order {
            let words =
                format!("order {} left as {order:?}, and the journal has {:?}", order_id.0, known.terms);
            return self.fail(Kind::LeftEarly, &words);
        }
        let disk = self.disk.lock();
        let waits = disk.durability == Durability::Disk && !disk.has_failed && order_id.0 > disk.synced;
        let is_child = disk.records.get(order_id.0 as usize - 1).is_some_and(|stored| stored.kind == CHILD);
        drop(disk);
        if waits {
            let words = format!("order {} left before its record was on the disk", order_id.0);
            return self.fail(Kind::LeftEarly, &words);
        }
        self.coverage.orders += 1;
        let by = (known.client, known.command_id);
        if self.placed.insert(order_id, by).is_some() {
            return self.fail(Kind::OrderTwice, &format!("order {} left for its venue twice", order_id.0));
        }
        if is_child {
            return Ok(());
        }
        self.check_first(order_id, by)
    }

    fn check_first(&mut self, order_id: OrderId, by: (u16, CommandId)) -> Outcome {
        let Some(first) = self.placed_by.insert(by, order_id) else { return Ok(()) };
        let words =
            format!("command {} of client {} placed orders {} and {}", by.1, by.0, first.0, order_id.0);
        self.fail(Kind::OrderTwice, &words)
    }
}

/// The kind of the record of an order that another command made.
const CHILD: u16 = 6;

/// No failing check of risk stops what only makes risk smaller.
fn check_refusal(action: &Action, reject: &Reject) -> Outcome {
    let reduces = matches!(
        action,
        Action::Cancel(_) | Action::CancelAll(_) | Action::Close(_) | Action::CloseAll(_) | Action::Halt(_)
    );
    let by_risk = (Code::PositionExceedsLimit.number()..=Code::TradingStateReducing.number())
        .contains(&reject.code.number());
    if reduces && by_risk {
        let words = format!("a {} is refused with {}", action.name(), reject.code.name());
        return Err(Fault { kind: Kind::CancelRefused, words });
    }
    Ok(())
}

/// What a client is told stands in the journal, at its class.
pub(crate) fn told(client: usize, event: &Event, events: &[(u64, Event)], gate: u64) -> Outcome {
    let number = event.event_sequence;
    let known = number.checked_sub(1).and_then(|at| events.get(at as usize));
    let Some((sequence, known)) = known else {
        let words = format!("client {client} was told event {number}, and the journal does not have it");
        return Err(Fault { kind: Kind::ToldLost, words });
    };
    if !same(known, event) {
        let words = format!("client {client} was told {event:?}, and the journal has {known:?}");
        return Err(Fault { kind: Kind::EventsBroken, words });
    }
    if *sequence > gate {
        let words =
            format!("client {client} was told event {number} before record {sequence} was on the disk");
        return Err(Fault { kind: Kind::LeftEarly, words });
    }
    Ok(())
}
