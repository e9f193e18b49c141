//! The end of a run: nothing goes wrong any more, everything settles, and then it must add up.

use tollgate_contract::venue::VenueOrderState;
use tollgate_core::State;
use tollgate_core::record::VenueState;
use tollgate_core::replay::Replay;
use tollgate_journal::Durability;
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;

use crate::client::same;
use crate::fault::Kind;
use crate::gateway::Gateway;
use crate::random::Random;
use crate::setup::Hazard;
use crate::sim::{Outcome, Sim, note};
use tollgate_core::link::ToHot;

/// Turns after which what the lanes hold, and what a full journal held back, has been heard.
const TURNS_MIN: usize = 8;
/// Turns that settling may take.
const TURNS_MAX: usize = 1_500;
/// Between two of them, in nanoseconds.
const TURN_NS: u64 = 20_000_000;

impl Sim {
    /// Lets everything settle, then compares everybody's account of what happened.
    pub fn settle(&mut self) -> Outcome {
        note!(self, "--- settle");
        let mut random = Random::new(self.seed ^ 0x7365_7474);
        self.make_whole(&mut random)?;
        let mut turns = 0;
        while (turns < TURNS_MIN || !self.is_settled()) && turns < TURNS_MAX {
            self.pass(TURN_NS);
            self.pump(&mut random)?;
            self.start()?;
            turns += 1;
        }
        self.compare_orders()?;
        self.compare_positions()?;
        self.tell_everything(&mut random)?;
        self.compare_events()?;
        self.finish(&mut random)?;
        self.replay()
    }

    /// Disk, clocks and ways are well from here on.
    fn make_whole(&mut self, random: &mut Random) -> Outcome {
        let mut disk = self.disk.lock();
        (disk.free_bytes, disk.is_hung, disk.crash) = (None, false, None);
        let has_failed = disk.has_failed;
        drop(disk);
        self.setup.syncs = 100;
        if has_failed && self.gateway.is_some() {
            self.crash(false, random)?;
        }
        self.disk.lock().has_failed = false;
        self.clock.set_wall(self.clock.wall_ns_max() + 1_000_000);
        self.links.iter_mut().for_each(crate::venue::Link::smooth);
        for session in self.clients.iter_mut().flat_map(|client| &mut client.sessions) {
            session.is_slow = false;
        }
        self.start()
    }

    fn is_settled(&self) -> bool {
        let state = &self.shadow.recovery.state;
        let orders = &state.orders;
        let is_open = |slot: &u32| {
            let order = orders.get(*slot);
            matches!(order.status, OrderStatus::Sent | OrderStatus::Unknown)
                || order.cancel_pending
                || order.replace_pending.is_some()
        };
        let is_heard = |gateway: &Gateway| gateway.reports.iter().all(|lane| lane.free() == lane.capacity());
        self.gateway.as_ref().is_some_and(is_heard)
            && self.links.iter().all(crate::venue::Link::is_quiet)
            && state.venues.iter().all(|venue| *venue == VenueState::Up)
            && !orders.open_slots().iter().any(is_open)
    }

    /// Every order that is open here stands alike at its venue, and every one that ended here ended there.
    fn compare_orders(&mut self) -> Outcome {
        for at in 0..self.shadow.recovery.state.venues.len() {
            let state = self.shadow.recovery.state.venues[at];
            if state != VenueState::Up {
                let words = format!("venue {at} is {state:?} though nothing is wrong any more");
                return self.fail(Kind::OrderUnsettled, &words);
            }
        }
        let is_strict = self.setup.hazards.has(Hazard::FinalAgain);
        let placed: Vec<OrderId> =
            self.shadow.recovery.state.orders.sorted().iter().map(|it| it.order_id).collect();
        for order_id in placed {
            let orders = &self.shadow.recovery.state.orders;
            let Some(order) = orders.find(order_id).map(|slot| *orders.get(slot)) else { continue };
            let venue = self.venue_of(order.terms.instrument.0);
            let standing = self.links[venue].standing(order_id);
            let there = standing.map(|it| (it.quantity_steps, it.filled_steps));
            let here = (order.terms.quantity_steps, order.filled_steps);
            let agrees = match (order.status, standing.map(|it| it.state)) {
                (OrderStatus::Working | OrderStatus::PartiallyFilled, Some(VenueOrderState::Working)) => {
                    there == Some(here) && !order.cancel_pending && order.replace_pending.is_none()
                }
                // What was filled while a change was unresolved may end with the totals of before.
                (OrderStatus::Filled, Some(VenueOrderState::Filled)) if !is_strict => {
                    there.map(|it| it.1) == Some(here.1)
                }
                (OrderStatus::Filled, Some(VenueOrderState::Filled)) => there == Some(here),
                (OrderStatus::Filled, Some(VenueOrderState::Cancelled)) => {
                    there.map(|it| it.1) == Some(here.1)
                }
                (OrderStatus::Cancelled, Some(VenueOrderState::Cancelled))
                | (OrderStatus::Expired, Some(VenueOrderState::Expired)) => {
                    there.map(|it| it.1) == Some(here.1)
                }
                (OrderStatus::Rejected, None | Some(VenueOrderState::Rejected)) => order.filled_steps == 0,
                _ => false,
            };
            if !agrees {
                let words = format!("order {} is {order:?}, and at its venue {standing:?}", order_id.0);
                return self.fail(Kind::OrderUnsettled, &words);
            }
        }
        Ok(())
    }

    fn compare_positions(&mut self) -> Outcome {
        let exposure = &self.shadow.recovery.state.exposure;
        for account in 0..self.setup.settings.accounts.len() as u16 {
            for instrument in 0..self.mids.len() as u16 {
                let model = self.links[self.venue_of(instrument)].model();
                let there = model.position_steps(AccountIndex(account), InstrumentIndex(instrument));
                let here = exposure.account(account, instrument).position;
                if here != there {
                    let words = format!(
                        "account {account} has {here} steps of instrument {instrument}, and its venue says {there}"
                    );
                    return self.fail(Kind::PositionDiffers, &words);
                }
            }
        }
        if let Some(at) = self.links.iter().position(|link| link.model().duplicates() > 0) {
            return self.fail(Kind::OrderTwice, &format!("venue {at} got an order id twice"));
        }
        Ok(())
    }

    /// Every client asks for everything from the beginning.
    fn tell_everything(&mut self, random: &mut Random) -> Outcome {
        if self.setup.durability == Durability::None {
            return Ok(());
        }
        for client in 0..self.clients.len() {
            for session in &self.clients[client].sessions {
                session.pipe.lock().is_broken = true;
            }
            self.clients[client].sessions.clear();
            self.pump(random)?;
            let mut tries = 0;
            while self.clients[client].sessions.is_empty() && tries < 20 {
                self.connect(client, Some(0), random);
                self.pump(random)?;
                tries += 1;
            }
            for session in &mut self.clients[client].sessions {
                session.pipe.lock().room_bytes = 1 << 20;
            }
            for _ in 0..40 {
                self.pass(1_000_000);
                self.pump(random)?;
                if self.clients[client].events.len() == self.shadow.events[client].len() {
                    break;
                }
            }
            // The session itself must come so far too.
            for _ in 0..400 {
                let due = self.shadow.events[client].len() as u64 + 1;
                if self.clients[client].sessions.first().is_none_or(|session| session.next_event >= due) {
                    break;
                }
                self.pass(1_000_000);
                self.pump(random)?;
            }
            let told = self.clients[client].sessions.first().map_or(0, |session| session.next_event);
            let due = self.shadow.events[client].len() as u64 + 1;
            if told != due {
                let words = format!("client {client} asks for everything and is told up to {told}, of {due}");
                return self.fail(Kind::EventsBroken, &words);
            }
        }
        Ok(())
    }

    /// Nothing that a client was ever told is missing in the journal.
    fn compare_events(&mut self) -> Outcome {
        for (client, known) in self.clients.iter().enumerate() {
            for (number, event) in &known.events {
                let journaled = self.shadow.events[client].get(*number as usize - 1);
                if !journaled.is_some_and(|(_, journaled)| same(journaled, event)) {
                    let words =
                        format!("client {client} was told {event:?}, and the journal has {journaled:?}");
                    return self.fail(Kind::ToldLost, &words);
                }
            }
        }
        Ok(())
    }

    /// A last digest, an orderly end, and one more start.
    fn finish(&mut self, random: &mut Random) -> Outcome {
        if let Some(gateway) = &mut self.gateway {
            let _ = gateway.to_hot.send(ToHot::Digest);
        }
        self.pump(random)?;
        if self.setup.durability == Durability::None {
            return Ok(());
        }
        if let Some(gateway) = &mut self.gateway {
            let _ = gateway.to_hot.send(ToHot::Stop);
        }
        self.pump(random)?;
        self.start()
    }

    /// Every decision is made again, from the journal alone.
    fn replay(&mut self) -> Outcome {
        let mut replay = Replay::new(State::empty(&self.setup.settings, self.seed.wrapping_add(7)));
        let disk = self.disk.lock();
        for record in &disk.records {
            if let Err(error) = replay.take(&record.view()) {
                return self.fail(Kind::StateDiffers, &error.to_string());
            }
        }
        drop(disk);
        let (tally, state) = replay.finish();
        if let Some(difference) = tally.differences.first() {
            return self.fail(
                Kind::DecisionDiffers,
                &format!("{} differ; the first: {difference:?}", tally.different),
            );
        }
        if state.digest() != self.shadow.recovery.state.digest() {
            return self.fail(Kind::StateDiffers, "the replay gives another state");
        }
        Ok(())
    }
}
