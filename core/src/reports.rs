//! What venues say: checked against what is known, journaled, taken into the state, told to the client.

use tollgate_contract::venue::{ReportBody, VenueOrderState, VenueReport, VenueRequest};
use tollgate_journal::Room;
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::event::{Event, Fill, REPORT_BYTES_MAX, Report, ReportKind};
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::instrument::Instrument;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::Remark;

use super::core::{Core, LiveQuote};
use super::orders::{Order, Totals};
use super::sessions::Sessions;
use super::world::World;
use crate::mutation::{self, Mutation};
use crate::record::{self, Record, ReportRecord, VenueRecord, VenueState};

/// So many open orders are looked through after every answer to a question.
const FEW_ORDERS: usize = 256;

/// Takes one report of a venue. An error means that the journal has no room: the report must be offered again.
pub fn take<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    venue: usize,
    report: &VenueReport,
) -> Result<(), Code> {
    match report {
        VenueReport::Quote(quote) => {
            core.metrics.venues[venue].quotes.add(1);
            core.quotes[usize::from(quote.instrument.0)] = LiveQuote {
                bid_ticks: quote.bid_ticks,
                ask_ticks: quote.ask_ticks,
                received_ns: core.now_ns,
            };
            Ok(())
        }
        VenueReport::Order { order_id, body } => {
            core.metrics.venues[venue].reports.add(1);
            order(core, sessions, venue, *order_id, body)
        }
        VenueReport::Connected => connected(core, sessions, venue),
        VenueReport::Disconnected { reason } => disconnected(core, sessions, venue, *reason),
    }
}

fn order<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    venue: usize,
    order_id: OrderId,
    body: &ReportBody,
) -> Result<(), Code> {
    let Some(slot) = core.state.orders.find(order_id) else {
        core.metrics.venues[venue].reports_repeated.add(1);
        return Ok(());
    };
    let before = *core.state.orders.get(slot);
    let sent_ns = std::mem::take(&mut core.sent_ns[slot as usize]);
    if sent_ns != 0 {
        core.metrics.venues[venue].round_trip.record(core.now_ns - sent_ns);
    }
    let said = match body {
        ReportBody::Status { .. } => status(core, sessions, slot, &before, body),
        ReportBody::NotFound { definitive } => not_found(core, sessions, &before, *definitive),
        _ => {
            if let Some(kind) = news(core, &before, body) {
                tell(core, sessions, &before, kind)
            } else {
                core.metrics.venues[venue].reports_repeated.add(1);
                Ok(())
            }
        }
    };
    if matches!(body, ReportBody::Status { .. } | ReportBody::NotFound { .. }) && said.is_ok() {
        core.asked[slot as usize].waiting = false;
        // With many open orders the timer looks instead of every answer.
        if core.state.orders.open_count() <= FEW_ORDERS {
            settle(core, venue)?;
        }
    }
    said
}

/// What a report says that is not known yet.
fn news<W: World>(core: &Core<W>, before: &Order, body: &ReportBody) -> Option<ReportKind> {
    let instrument = instrument_of(core, before);
    let open = !before.status.is_final();
    let waits = before.status == OrderStatus::Sent;
    // What left the order unknown may have taken fills with it, and no state tells them: the answer to the question does,
    // and says after them how the order stands.
    let is_asked = before.status == OrderStatus::Unknown;
    match *body {
        ReportBody::Accepted { .. }
        | ReportBody::Cancelled
        | ReportBody::Expired
        | ReportBody::CancelRejected { .. }
        | ReportBody::Replaced { .. }
        | ReportBody::ReplaceRejected { .. }
            if is_asked =>
        {
            None
        }
        ReportBody::Accepted { venue_order_id } => {
            (open && (waits || before.venue_order_id == 0)).then_some(ReportKind::Accepted { venue_order_id })
        }
        ReportBody::Filled { trade_id, price_ticks, quantity_steps, fee, maker } => {
            // A late fill of an order that counts as cancelled is a trade all the same.
            let new = core.state.orders.is_new_trade(before.order_id, trade_id)
                || mutation::is(Mutation::FillTwice);
            let new = new && (open || !mutation::is(Mutation::DropLateFill));
            (new && quantity_steps > 0).then(|| {
                ReportKind::Filled(Fill {
                    trade_id,
                    price: instrument.price.decimal_lossy(price_ticks),
                    quantity: instrument.quantity.decimal_lossy(quantity_steps),
                    fee: fee.to_decimal(),
                    maker,
                })
            })
        }
        ReportBody::Rejected { reason } => open.then_some(ReportKind::Rejected { reason }),
        ReportBody::Cancelled => open.then_some(ReportKind::Cancelled),
        ReportBody::Expired => open.then_some(ReportKind::Expired),
        ReportBody::CancelRejected { reason } => {
            (open && before.cancel_pending).then_some(ReportKind::CancelRejected { reason })
        }
        ReportBody::Replaced { quantity_steps, price_ticks, stop_price_ticks } => {
            let totals = Totals { quantity_steps, price_ticks, stop_price_ticks };
            (open && (before.replace_pending.is_some() || totals_of(before) != totals))
                .then(|| replaced(instrument, totals))
        }
        ReportBody::ReplaceRejected { reason } => {
            (open && before.replace_pending.is_some()).then_some(ReportKind::ReplaceRejected { reason })
        }
        ReportBody::Unknown { reason } => {
            (open && before.status != OrderStatus::Unknown).then_some(ReportKind::Unknown { reason })
        }
        ReportBody::Status { .. } | ReportBody::NotFound { .. } => None,
    }
}

fn instrument_of<'a, W: World>(core: &'a Core<W>, order: &Order) -> &'a Instrument {
    &core.state.rules.instruments[usize::from(order.terms.instrument.0)].instrument
}

fn totals_of(order: &Order) -> Totals {
    Totals {
        quantity_steps: order.terms.quantity_steps,
        price_ticks: order.terms.price_ticks,
        stop_price_ticks: order.terms.stop_price_ticks,
    }
}

fn replaced(instrument: &Instrument, totals: Totals) -> ReportKind {
    let price = |ticks: i64| (ticks != 0).then(|| instrument.price.decimal_lossy(ticks));
    ReportKind::Replaced {
        quantity: instrument.quantity.decimal_lossy(totals.quantity_steps),
        price: price(totals.price_ticks),
        stop_price: price(totals.stop_price_ticks),
    }
}

/// Journals a report, takes it into the state, tells the client.
pub fn tell<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    order: &Order,
    kind: ReportKind,
) -> Result<(), Code> {
    let record = ReportRecord {
        client: order.client,
        event_sequence: core.state.next_event_sequence(order.client),
        report: report(core, order, kind),
    };
    // The journal and the client get the same bytes: they are worked out once.
    let mut bytes = [0; REPORT_BYTES_MAX];
    let length = record::encode(&record.report, &mut bytes);
    let bytes = &bytes[..length];
    let sequence = core.commit_report(&record, bytes)?;
    core.metrics.reports[kind.index()].add(1);
    let event = record.event(core.now_ns);
    core.tell_written(sessions, sequence, order.client, &event, |out| {
        Event::write_report(event.event_sequence, event.time_ns, bytes, out);
    });
    Ok(())
}

/// The report as the client gets it: with the order's figures after it.
fn report<W: World>(core: &Core<W>, order: &Order, kind: ReportKind) -> Report {
    let instrument = instrument_of(core, order);
    let (mut filled, mut total) = (order.filled_steps, order.terms.quantity_steps);
    let mut ends = order.status.is_final();
    match kind {
        ReportKind::Filled(fill) => {
            filled = filled.saturating_add(instrument.quantity.units(fill.quantity).unwrap_or_default());
        }
        ReportKind::Replaced { quantity, .. } => total = instrument.quantity.units(quantity).unwrap_or(total),
        ReportKind::Rejected { .. } | ReportKind::Cancelled | ReportKind::Expired => ends = true,
        _ => {}
    }
    let open = if ends { 0 } else { total.saturating_sub(filled).max(0) };
    Report {
        command_id: order.command_id,
        order_id: order.order_id,
        account: core.state.rules.accounts[usize::from(order.terms.account.0)].name,
        symbol: instrument.symbol,
        side: order.terms.side,
        filled_quantity: instrument.quantity.decimal(filled).unwrap_or(Decimal::ZERO),
        open_quantity: instrument.quantity.decimal(open).unwrap_or(Decimal::ZERO),
        kind,
    }
}

/// The venue was asked and knows the order. Its fills came before this.
fn status<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    slot: u32,
    before: &Order,
    body: &ReportBody,
) -> Result<(), Code> {
    let ReportBody::Status {
        venue_order_id,
        quantity_steps,
        filled_steps,
        price_ticks,
        stop_price_ticks,
        state,
    } = *body
    else {
        return Ok(());
    };
    if before.status.is_final() {
        return Ok(());
    }
    if filled_steps > before.filled_steps {
        return unsettled(core, sessions, before, "a fill of it is missing");
    }
    let totals = Totals { quantity_steps, price_ticks, stop_price_ticks };
    match state {
        VenueOrderState::Working => working(core, sessions, slot, venue_order_id, totals),
        VenueOrderState::Cancelled => tell(core, sessions, before, ReportKind::Cancelled),
        VenueOrderState::Expired => tell(core, sessions, before, ReportKind::Expired),
        VenueOrderState::Rejected => tell(
            core,
            sessions,
            before,
            ReportKind::Rejected { reason: Remark::truncated("refused by the venue") },
        ),
        // Filled for less than we asked: the venue has another quantity, so it was changed there.
        VenueOrderState::Filled => {
            tell(core, sessions, before, replaced(instrument_of(core, before), totals))
        }
    }
}

/// The order works at the venue: what was asked of it meanwhile is settled by how it stands.
fn working<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    slot: u32,
    venue_order_id: u64,
    totals: Totals,
) -> Result<(), Code> {
    let before = *core.state.orders.get(slot);
    if matches!(before.status, OrderStatus::Sent | OrderStatus::Unknown) {
        tell(core, sessions, &before, ReportKind::Accepted { venue_order_id })?;
    }
    if totals != totals_of(&before) {
        tell(core, sessions, &before, replaced(instrument_of(core, &before), totals))?;
    } else if before.replace_pending.is_some() {
        let reason = Remark::truncated("the change did not reach the venue");
        tell(core, sessions, &before, ReportKind::ReplaceRejected { reason })?;
    }
    if before.cancel_pending {
        // A cancel may be sent again: it cannot do twice what it does once.
        core.request_about(0, before.order_id, VenueRequest::Cancel(before.order_id));
    }
    Ok(())
}

/// The venue was asked and does not know the order.
fn not_found<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    before: &Order,
    definitive: bool,
) -> Result<(), Code> {
    if before.status.is_final() {
        return Ok(());
    }
    let is_believed = definitive || mutation::is(Mutation::BelieveUnsure);
    if !is_believed || before.venue_order_id != 0 {
        // Not a proof, or against what the venue said before.
        return unsettled(core, sessions, before, "the venue does not find it");
    }
    let reason = Remark::truncated("VENUE_NEVER_REACHED: the venue does not know the order");
    tell(core, sessions, before, ReportKind::Rejected { reason })
}

/// The answer settles nothing: the order is unknown, and is asked for again.
fn unsettled<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    order: &Order,
    reason: &str,
) -> Result<(), Code> {
    if order.status == OrderStatus::Unknown {
        return Ok(());
    }
    tell(core, sessions, order, ReportKind::Unknown { reason: Remark::truncated(reason) })
}

/// When no question about its open orders is left, a venue that came back is up.
pub fn settle<W: World>(core: &mut Core<W>, venue: usize) -> Result<(), Code> {
    if core.state.venues[venue] != VenueState::Reconciling {
        return Ok(());
    }
    let orders = &core.state.orders;
    let waits = |slot: &u32| core.asked[*slot as usize].waiting && core.venue_of(orders.get(*slot)) == venue;
    if orders.open_slots().iter().any(waits) {
        return Ok(());
    }
    set_venue(core, venue, VenueState::Up, Remark::EMPTY)
}

fn set_venue<W: World>(
    core: &mut Core<W>,
    venue: usize,
    state: VenueState,
    reason: Remark,
) -> Result<(), Code> {
    core.commit(Room::Report, &Record::Venue(VenueRecord { venue: venue as u16, state, reason }))?;
    core.metrics.venues[venue].state.set(state as u64);
    Ok(())
}

/// The venue can be reached: before new orders go there, what became of the open ones is asked.
fn connected<W: World>(core: &mut Core<W>, sessions: &mut Sessions<W>, venue: usize) -> Result<(), Code> {
    lost_in_flight(core, sessions, venue, Remark::truncated("the venue's connection was lost"))?;
    set_venue(core, venue, VenueState::Reconciling, Remark::EMPTY)?;
    for at in 0..core.state.orders.open_count() {
        let slot = core.state.orders.open_slots()[at];
        let order = *core.state.orders.get(slot);
        if core.venue_of(&order) != venue {
            continue;
        }
        if mutation::is(Mutation::SendUnknownAgain) && order.status == OrderStatus::Unknown {
            core.request_new(order.order_id);
        } else {
            core.ask(slot);
        }
    }
    settle(core, venue)
}

fn disconnected<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    venue: usize,
    reason: Remark,
) -> Result<(), Code> {
    core.metrics.venues[venue].disconnects.add(1);
    set_venue(core, venue, VenueState::Down, reason)?;
    lost_in_flight(core, sessions, venue, reason)
}

/// Orders that were sent and not answered may or may not have arrived.
pub fn lost_in_flight<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    venue: usize,
    reason: Remark,
) -> Result<(), Code> {
    if mutation::is(Mutation::ForgetInFlight) {
        return Ok(());
    }
    for at in 0..core.state.orders.open_count() {
        let slot = core.state.orders.open_slots()[at];
        let order = *core.state.orders.get(slot);
        if order.status == OrderStatus::Sent && core.venue_of(&order) == venue {
            tell(core, sessions, &order, ReportKind::Unknown { reason })?;
        }
    }
    Ok(())
}
