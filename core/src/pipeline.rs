//! The way of a command, as one list of steps:
//! authenticate → decode → dedupe → precision → risk → journal → route → reply.

use std::ops::Range;

use tollgate_config::SelfTradeMode;
use tollgate_contract::venue::VenueRequest;
use tollgate_journal::Room;
use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::command::{Action, Command, HaltScope};
use tollgate_protocol::event::{Acknowledgement, Event, EventBody, Rejection};
use tollgate_protocol::frame::{Frame, FrameKind, HEADER_BYTES};
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::core::Core;
use super::dedupe::{FirstAnswer, Seen};
use super::judge::{self, Asker};
use super::progress::Progress;
use super::query;
use super::risk;
use super::sessions::Sessions;
use super::stage::{Probe, Stage};
use super::table::hash_bytes;
use super::world::World;
use crate::metrics::{Metrics, Outcome};
use crate::mutation::{self, Mutation};
use crate::record::{Authority, COMMAND_BYTES_MAX, Effect, Intent, OrderTerms, Origin, RejectionRecord};

/// Seed of content hashes. They are in the journal: never change it.
const CONTENT_SEED: u64 = 0x746f_6c6c_6761_7465;

/// A command that came in, with what belongs to it. What its key may do stays in the session: [`Sessions::grant`].
struct Incoming<'a> {
    slot: u16,
    client: u16,
    command: &'a Command,
    /// Where the bytes that it came in are: [`Sessions::bytes`].
    body: Range<usize>,
    content_hash: u64,
}

/// What a frame leaves to do.
pub enum Taken {
    /// A frame was dealt with.
    Frame,
    /// The client said goodbye.
    Goodbye,
    /// More bytes are needed.
    Incomplete,
    /// An answer of many rows is under way, and the client must read some of it first.
    Answering,
}

/// Takes the next frame of a session through every stage. An error ends the session.
#[inline]
pub fn run<W: World, P: Probe>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    slot: u16,
    probe: &mut P,
) -> Result<Taken, Code> {
    if go_on_answering(core, sessions, slot) {
        return Ok(Taken::Answering);
    }
    let Some(session) = sessions.get(slot) else { return Ok(Taken::Incomplete) };
    let client = session.home.client;
    // The tables are larger than the caches; what is asked of them first is fetched while the MACs are worked out.
    session.authenticate(|frame| {
        if let Some(command_id) = Command::peek_id(&frame.covered[HEADER_BYTES..]) {
            core.state.dedupe.prefetch(client, command_id);
            core.state.orders.prefetch(client, command_id);
        }
    });
    let Some(frame) = Frame::split(session.received())? else { return Ok(Taken::Incomplete) };
    session.check(&frame)?;
    probe.ended(Stage::Authenticate);
    let length = frame.header.frame_bytes();
    match frame.header.kind {
        FrameKind::Command => {}
        FrameKind::Goodbye => {
            session.take(length, core.now_ns);
            return Ok(Taken::Goodbye);
        }
        _ => return Err(Code::FrameKind),
    }
    // Decoded where it stays: a command is large, and moving what was written just now is slow.
    let decoded = frame.body::<Command>();
    let decoded = decoded.as_ref().map_err(|code| *code)?;
    let body = &frame.covered[HEADER_BYTES..];
    // No command decodes from so many bytes, a test holds; its record must fit its place whatever comes.
    if body.len() > COMMAND_BYTES_MAX {
        return Err(Code::FrameBody);
    }
    let content_hash = hash_bytes(CONTENT_SEED, body);
    let body = session.body(body.len());
    session.take(length, core.now_ns);
    probe.ended(Stage::Decode);
    let incoming = Incoming { slot, client, command: decoded, body, content_hash };
    command(core, sessions, &incoming, probe);
    Ok(Taken::Frame)
}

/// The stages behind authentication, for a command of an authenticated client.
#[inline]
fn command<W: World, P: Probe>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    incoming: &Incoming<'_>,
    probe: &mut P,
) {
    if answer_directly(core, sessions, incoming) {
        return;
    }
    if answer_repeat(core, sessions, incoming) {
        return;
    }
    probe.ended(Stage::Dedupe);
    // The newest price of the command's instrument is journaled before anything is decided by it.
    let named = judge::named(&core.state, incoming.client, incoming.command);
    if let Some(instrument) = named {
        core.refresh_price(instrument);
    }
    let Some(grant) = sessions.grant(incoming.slot) else { return };
    let asker = Asker { client: incoming.client, grant };
    let verdict = judge::decide(&core.state, asker, incoming.command, named, core.now_ns);
    let authority = grant.authority();
    probe.ended(Stage::Check);
    match verdict.and_then(|effect| room(core, effect)) {
        Ok(effect) => accept(core, sessions, incoming, authority, effect, probe),
        Err(reject) => reject_command(core, sessions, incoming, authority, reject, probe),
    }
}

/// Journal, route and reply of a command that passed every check.
#[inline]
fn accept<W: World, P: Probe>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    incoming: &Incoming<'_>,
    authority: Authority,
    effect: Effect,
    probe: &mut P,
) {
    let client = incoming.client;
    if let Effect::Order(terms) = &effect {
        cancel_crossing(core, client, terms);
    }
    let intent = Intent {
        client,
        origin: Origin::Client,
        event_sequence: core.state.next_event_sequence(client),
        content_hash: incoming.content_hash,
        authority,
        command: *incoming.command,
        effect,
    };
    let sequence = match core.commit_intent(
        room_class(&intent.command.action),
        &intent,
        sessions.bytes(incoming.slot, &incoming.body),
    ) {
        Ok(sequence) => sequence,
        Err(code) => return refuse(core, sessions, incoming, Reject::new(code, Owner::Gateway)),
    };
    probe.ended(Stage::Journal);
    route(core, sequence, &intent);
    probe.ended(Stage::Route);
    core.tell(sessions, sequence, client, &intent.acknowledgement(sequence, core.now_ns, core.durability));
    core.metrics.command(&incoming.command.action, Outcome::Acknowledged);
    probe.ended(Stage::Reply);
}

/// Journal and reply of a command that did not.
#[inline]
fn reject_command<W: World, P: Probe>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    incoming: &Incoming<'_>,
    authority: Authority,
    reject: Reject,
    probe: &mut P,
) {
    let client = incoming.client;
    let event_sequence = core.state.next_event_sequence(client);
    let (content_hash, command) = (incoming.content_hash, *incoming.command);
    let record = RejectionRecord { client, event_sequence, content_hash, authority, command, reject };
    let sequence = match core.commit_rejection(&record, sessions.bytes(incoming.slot, &incoming.body)) {
        Ok(sequence) => sequence,
        Err(code) => return refuse(core, sessions, incoming, Reject::new(code, Owner::Gateway)),
    };
    probe.ended(Stage::Journal);
    core.tell(sessions, sequence, client, &record.rejection(core.now_ns));
    core.metrics.command(&incoming.command.action, Outcome::Rejected);
    Metrics::code(&core.metrics.rejects, reject.code);
    probe.ended(Stage::Reply);
    after_rejection(core, sessions, incoming, &reject);
}

/// Queries and heartbeats change nothing: they are answered at once, and not journaled.
#[inline]
fn answer_directly<W: World>(
    core: &mut Core<W>,
    sessions: &mut Sessions<W>,
    incoming: &Incoming<'_>,
) -> bool {
    match &incoming.command.action {
        Action::Heartbeat => {
            let body = AnswerBody::Heartbeat { time_ns: core.now_ns };
            sessions.answer(incoming.slot, incoming.command.command_id, body);
        }
        Action::Query(query) => {
            let (slot, command) = (incoming.slot, incoming.command);
            let Some(grant) = sessions.grant(slot).copied() else { return true };
            let asker = Asker { client: incoming.client, grant: &grant };
            match query::answer(core, sessions, slot, asker, command, query, Progress::default()) {
                Ok(progress) => wait_for_room(sessions, slot, command, progress),
                Err(reject) => {
                    refuse(core, sessions, incoming, reject);
                    return true;
                }
            }
        }
        _ => return false,
    }
    core.metrics.command(&incoming.command.action, Outcome::Answered);
    true
}

fn wait_for_room<W: World>(
    sessions: &mut Sessions<W>,
    slot: u16,
    command: &Command,
    progress: Option<Progress>,
) {
    if let Some(session) = sessions.get(slot) {
        session.asking = progress.map(|progress| (*command, progress));
    }
}

/// Goes on with an answer of many rows; true while it is not whole.
#[inline]
fn go_on_answering<W: World>(core: &mut Core<W>, sessions: &mut Sessions<W>, slot: u16) -> bool {
    let Some((command, progress)) = sessions.get(slot).and_then(|session| session.asking) else {
        return false;
    };
    let Some((client, grant)) = sessions.get(slot).map(|session| (session.home.client, session.home.grant))
    else {
        return false;
    };
    let Action::Query(query) = &command.action else { return false };
    let asker = Asker { client, grant: &grant };
    // What was allowed when the answer began is allowed still: grants do not change within a session.
    let progress = query::answer(core, sessions, slot, asker, &command, query, progress).unwrap_or(None);
    wait_for_room(sessions, slot, &command, progress);
    progress.is_some()
}

/// Dedupe: a command that was seen gets its first answer, whatever it would get now.
#[inline]
fn answer_repeat<W: World>(core: &mut Core<W>, sessions: &mut Sessions<W>, incoming: &Incoming<'_>) -> bool {
    let command = incoming.command;
    let dedupe = &core.state.dedupe;
    let seen = dedupe.look(
        incoming.client,
        command.command_id,
        incoming.content_hash,
        command.created_at_ns,
        core.now_ns,
    );
    match seen {
        Seen::New => return false,
        Seen::Same(_) if mutation::is(Mutation::SkipDedupe) => return false,
        Seen::Same(first) => {
            let event = first_event(core, command, first);
            // The answer repeats what it promised, so it waits for the same.
            let gate = core.gate(first.sequence);
            sessions.answer_after(incoming.slot, command.command_id, AnswerBody::Repeated(event), gate);
            core.metrics.command(&command.action, Outcome::Repeated);
        }
        Seen::Different => {
            refuse(core, sessions, incoming, Reject::new(Code::DuplicateCommand, Owner::Client));
        }
        // Doing these twice does no more than doing them once.
        Seen::TooOld
            if matches!(command.action, Action::Cancel(_) | Action::CancelAll(_) | Action::Halt(_)) =>
        {
            return false;
        }
        Seen::TooOld => refuse(core, sessions, incoming, Reject::new(Code::CommandExpired, Owner::Gateway)),
    }
    true
}

/// The first answer's event, as it was sent.
fn first_event<W: World>(core: &Core<W>, command: &Command, first: FirstAnswer) -> Event {
    let command_id = command.command_id;
    let body = match first.reject {
        Some(reject) => EventBody::Rejected(Rejection { command_id, reject }),
        None => EventBody::Acknowledged(Acknowledgement {
            command_id,
            order_id: OrderId(first.sequence),
            durability: core.durability,
        }),
    };
    Event { event_sequence: first.event_sequence, time_ns: first.time_ns, body }
}

/// A refusal without a place in the journal.
#[cold]
fn refuse<W: World>(core: &mut Core<W>, sessions: &mut Sessions<W>, incoming: &Incoming<'_>, reject: Reject) {
    sessions.answer(incoming.slot, incoming.command.command_id, AnswerBody::Refused(reject));
    core.metrics.command(&incoming.command.action, Outcome::Refused);
    Metrics::code(&core.metrics.rejects, reject.code);
}

/// New orders are refused while the way to their venue is full; cancels and closes have room kept for them.
#[inline]
fn room<W: World>(core: &Core<W>, effect: Effect) -> Result<Effect, Reject> {
    if let Effect::Order(terms) = &effect {
        let venue = usize::from(core.state.rules.accounts[usize::from(terms.account.0)].venue);
        let link = &core.venues[venue];
        let reserved = if terms.reduce_only { 0 } else { link.reserved };
        if !link.outbox.has_room(&link.requests, reserved) {
            return Err(Reject::new(Code::QueueFull, Owner::Venue));
        }
    }
    Ok(effect)
}

/// What makes positions smaller may use the journal's reserve; entries may not.
#[inline]
fn room_class(action: &Action) -> Room {
    match action {
        Action::New(_) | Action::Replace(_) => Room::Ordinary,
        Action::Halt(_) | Action::Resume(_) => Room::Operator,
        _ => Room::Reserved,
    }
}

/// Where the account wants it, its own orders that a new one would trade with are cancelled first.
#[inline]
fn cancel_crossing<W: World>(core: &mut Core<W>, client: u16, terms: &OrderTerms) {
    let mode = core.state.rules.accounts[usize::from(terms.account.0)].self_trade;
    if mode != SelfTradeMode::CancelResting {
        return;
    }
    cancel_own(core, client, terms);
}

/// Cancels the account's own resting orders that `terms` would trade with.
fn cancel_own<W: World>(core: &mut Core<W>, client: u16, terms: &OrderTerms) {
    loop {
        let crossing = risk::crossing(&core.state, terms).find(|order| !order.cancel_pending);
        let Some(order_id) = crossing.map(|order| order.order_id) else { return };
        let action = Action::Cancel(tollgate_protocol::command::Target::Order(order_id));
        if core.own_command(client, Origin::Risk, action, Effect::Cancel(order_id)).is_err() {
            return;
        }
    }
}

/// Puts what the record leads to on its way.
#[inline]
fn route<W: World>(core: &mut Core<W>, sequence: u64, intent: &Intent) {
    match intent.effect {
        Effect::Order(_) => core.request_new(OrderId(sequence)),
        Effect::Cancel(order_id) => core.request_cancel(sequence, order_id),
        Effect::Replace { order_id, quantity_steps, price_ticks, stop_price_ticks } => {
            let request = VenueRequest::Replace { order_id, quantity_steps, price_ticks, stop_price_ticks };
            core.request_about(sequence, order_id, request);
        }
        Effect::Sweep { .. } => core.route_sweep(sequence, intent),
    }
}

/// Reactions to rejections: a client that keeps breaking its rate halts its account; a self-trade may cancel both.
#[cold]
fn after_rejection<W: World>(
    core: &mut Core<W>,
    sessions: &Sessions<W>,
    incoming: &Incoming<'_>,
    reject: &Reject,
) {
    let Some(grant) = sessions.grant(incoming.slot) else { return };
    let asker = Asker { client: incoming.client, grant };
    match reject.code {
        Code::RateLimitExceeded => halt_after_breaches(core, asker, incoming),
        Code::SelfTrade => cancel_both(core, asker, incoming),
        _ => {}
    }
}

fn halt_after_breaches<W: World>(core: &mut Core<W>, asker: Asker<'_>, incoming: &Incoming<'_>) {
    let limit = u64::from(core.state.rules.rate_breaches_to_halt);
    let [_, _, owner, _] = core.state.rules.owners(0, incoming.client, 0);
    let breaches = core.state.exposure.totals[owner].breaches.get(core.now_ns, super::exposure::MINUTE_NS);
    if limit == 0 || breaches < limit {
        return;
    }
    let Ok(account) = judge::account(&core.state, asker, incoming.command) else { return };
    if core.state.halts.account(account.0) == tollgate_protocol::command::TradingState::Halted {
        return;
    }
    let halt = tollgate_protocol::command::Halt {
        scope: HaltScope::Account(core.state.rules.accounts[usize::from(account.0)].name),
        state: tollgate_protocol::command::TradingState::Halted,
        cancel_working: core.state.rules.rate_halt_cancels,
        flatten: false,
        reason: tollgate_protocol::text::Remark::truncated("rate limit broken too often"),
    };
    let effect = Effect::Sweep {
        account: Some(account),
        instrument: None,
        client: None,
        keep_good_till_cancel: false,
    };
    let _ = core.own_command(incoming.client, Origin::Risk, Action::Halt(halt), effect);
}

fn cancel_both<W: World>(core: &mut Core<W>, asker: Asker<'_>, incoming: &Incoming<'_>) {
    let Action::New(order) = &incoming.command.action else { return };
    let (Ok(account), Ok(index)) = (
        judge::account(&core.state, asker, incoming.command),
        judge::instrument(&core.state, asker, &order.symbol),
    ) else {
        return;
    };
    if core.state.rules.accounts[usize::from(account.0)].self_trade != SelfTradeMode::CancelBoth {
        return;
    }
    let instrument = core.state.rules.instruments[usize::from(index.0)].instrument;
    let mark = core.state.exposure.marks[usize::from(index.0)];
    let mode = core.state.rules.clients[usize::from(incoming.client)].precision;
    let Ok((terms, _)) = super::precision::check(order, account, index, &instrument, mark, mode) else {
        return;
    };
    cancel_own(core, incoming.client, &terms);
}
