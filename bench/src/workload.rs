//! Commands of every kind for the pipeline alone, in batches.

use std::path::Path;

use clap::ValueEnum;
use tollgate_contract::venue::{ReportBody, VenueRequest};
use tollgate_core::Probe;
use tollgate_core::rig::Rig;
use tollgate_gateway::gateway::journal_settings;
use tollgate_journal::{Appender, FlusherHandle, FlusherOptions};
use tollgate_protocol::command::{
    Action, NewOrder, OrderType, Query, Replace, Scope, Side, Target, TimeInForce,
};
use tollgate_protocol::event::{Acknowledgement, Durability, Event, EventBody};
use tollgate_protocol::frame::{self, BODY_BYTES_MAX, FRAME_BYTES_MAX, FrameKind, HEADER_BYTES};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm, TAG_BYTES};
use tollgate_protocol::text::{AccountName, Symbol};
use tollgate_protocol::wire::Writer;
use tollgate_protocol::{Command, CommandId, Decimal, OrderId};

use crate::Class;
use crate::subject::settings;

/// Commands of a batch: as many as arrive together under load, and their answers fit the session's buffer.
pub(crate) const BATCH: usize = 64;

/// A kind of command, by its way through the pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// A new order that passes every check.
    New,
    /// A new order between two ticks: refused, journaled.
    Refused,
    /// The cancel of an open order.
    Cancel,
    /// The replace of an open order.
    Replace,
    /// A query of one account's open positions.
    Query,
    /// A heartbeat.
    Heartbeat,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::New, Self::Refused, Self::Cancel, Self::Replace, Self::Query, Self::Heartbeat];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Refused => "refused",
            Self::Cancel => "cancel",
            Self::Replace => "replace",
            Self::Query => "query",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// Acts on an order that is open already.
    fn needs_order(self) -> bool {
        matches!(self, Self::Cancel | Self::Replace)
    }

    /// The place of its outcome in [`Rig::outcomes`].
    fn outcome(self) -> usize {
        match self {
            Self::New | Self::Cancel | Self::Replace => 0,
            Self::Refused => 1,
            Self::Query | Self::Heartbeat => 4,
        }
    }
}

/// The limit order that is sent everywhere: below the market, on the grid.
pub(crate) fn limit_order() -> NewOrder {
    NewOrder {
        symbol: Symbol::truncated("BTCUSDT"),
        side: Side::Buy,
        order_type: OrderType::Limit,
        quantity: Decimal::new(1, 2),
        price: Some(Decimal::new(60_000, 0)),
        stop_price: None,
        time_in_force: TimeInForce::GoodTillCancel,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss: None,
        take_profit: None,
    }
}

/// The command that it is.
pub(crate) fn new_order() -> Command {
    Command {
        command_id: CommandId(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
        created_at_ns: 1_700_000_000_000_000_000,
        deadline_ns: 0,
        account: AccountName::truncated("main"),
        action: Action::New(limit_order()),
    }
}

/// Its acknowledgement.
pub(crate) fn acknowledgement() -> Event {
    let Command { command_id, created_at_ns, .. } = new_order();
    let body = Acknowledgement { command_id, order_id: OrderId(123_456), durability: Durability::Process };
    Event { event_sequence: 123_456, time_ns: created_at_ns, body: EventBody::Acknowledged(body) }
}

/// A pipeline and the commands that it gets.
pub(crate) struct Workload {
    pub(crate) rig: Rig<Appender>,
    _flusher: FlusherHandle,
    next_id: u128,
    /// Bytes of one command's frame and of its answers, of the batch made last.
    pub(crate) bytes: (usize, usize),
}

impl Workload {
    pub(crate) fn new(directory: &Path, mac: MacAlgorithm) -> Result<Self, String> {
        let settings = settings(directory, Class::Process)?;
        let opened = tollgate_journal::open(&journal_settings(&settings), |_| {});
        let opened = opened.map_err(|error| error.to_string())?;
        let flusher = opened.flusher.spawn(&FlusherOptions::default()).map_err(|error| error.to_string())?;
        let rig = Rig::new(&settings, opened.appender, mac);
        Ok(Self { rig, _flusher: flusher, next_id: 1, bytes: (0, 0) })
    }

    fn offer(&mut self, action: Action) -> CommandId {
        let command_id = CommandId(self.next_id);
        self.next_id += 1;
        let created_at_ns = self.rig.now_ns();
        let account = AccountName::truncated("main");
        let command = Command { command_id, created_at_ns, deadline_ns: 0, account, action };
        let mut frame = [0; FRAME_BYTES_MAX];
        let length = self.rig.sign(&command, &mut frame);
        self.rig.offer(&frame[..length]);
        self.bytes.0 = length;
        command_id
    }

    fn action(kind: Kind, target: CommandId) -> Action {
        let order = limit_order();
        let target = Target::Command(target);
        match kind {
            Kind::New => Action::New(order),
            Kind::Refused => Action::New(NewOrder { price: Some(Decimal::new(60_000_001, 3)), ..order }),
            Kind::Cancel => Action::Cancel(target),
            Kind::Replace => {
                let price = Some(Decimal::new(59_000, 0));
                Action::Replace(Replace { target, quantity: None, price, stop_price: None })
            }
            Kind::Query => Action::Query(Query::Positions(Scope { symbol: None })),
            Kind::Heartbeat => Action::Heartbeat,
        }
    }

    /// Makes a batch ready: the frames lie where the socket would have put them.
    pub(crate) fn prepare(&mut self, kind: Kind) {
        self.rig.advance(1_000_000);
        let mut targets = [CommandId(0); BATCH];
        if kind.needs_order() {
            for target in &mut targets {
                *target = self.offer(Self::action(Kind::New, CommandId(0)));
            }
            self.run();
            self.rig.drain(accept);
            // What the venue's reports told the client.
            self.rig.drain(accept);
        }
        for target in targets {
            self.offer(Self::action(kind, target));
        }
    }

    /// Takes the batch through the pipeline, and signs the answers.
    #[inline]
    pub(crate) fn run(&mut self) -> bool {
        let well = (0..BATCH).fold(true, |well, _| self.rig.run() & well);
        self.rig.sign_answers();
        well
    }

    #[inline]
    pub(crate) fn run_watched(&mut self, probe: &mut impl Probe) -> bool {
        (0..BATCH).fold(true, |well, _| self.rig.run_watched(probe) & well)
    }

    /// The venue takes what was sent and ends every order, so that no table fills.
    pub(crate) fn settle(&mut self) {
        self.bytes.1 = self.rig.drain(end) / BATCH;
        self.rig.drain(end);
    }

    /// The orders that were sent; their answers are forgotten.
    pub(crate) fn take_orders(&mut self) -> Vec<OrderId> {
        let mut orders = Vec::new();
        self.rig.drain(|_, request| {
            if let VenueRequest::New(order) = request {
                orders.push(order.order_id);
            }
        });
        orders
    }

    /// The venue has these orders, and cancels each; the client is told of both.
    #[inline]
    pub(crate) fn end_all(&mut self, orders: &[OrderId]) {
        orders.iter().for_each(|order_id| self.end(*order_id));
        self.rig.sign_answers();
    }

    fn end(&mut self, order_id: OrderId) {
        self.rig.report_order(order_id, ReportBody::Accepted { venue_order_id: order_id.0 });
        self.rig.report_order(order_id, ReportBody::Cancelled);
    }

    /// Forgets what waits to be sent, and returns how many bytes it was.
    pub(crate) fn discard(&mut self) -> usize {
        self.rig.drain(|_, _| {})
    }

    /// Prepares, runs and settles one batch, and says whether every command had the outcome of its kind.
    pub(crate) fn batch<T>(&mut self, kind: Kind, run: impl FnOnce(&mut Self) -> T) -> Result<T, String> {
        self.prepare(kind);
        let before = self.rig.outcomes();
        let out = run(self);
        let after = self.rig.outcomes();
        self.settle();
        let at = kind.outcome();
        if after[at] - before[at] == BATCH as u64 {
            return Ok(out);
        }
        Err(format!(
            "of {BATCH} commands of kind {} not all went as they should: {before:?} {after:?}",
            kind.name()
        ))
    }
}

/// The MACs of a batch, and nothing else: frames of the same lengths as a workload's.
pub(crate) struct Macs {
    mac: FrameMac,
    /// Commands as they are received.
    requests: Vec<u8>,
    /// Answers as they are sent.
    answers: Vec<u8>,
}

impl Macs {
    /// `(0, …)` for answers that no command asked for.
    pub(crate) fn new(algorithm: MacAlgorithm, (request_bytes, answer_bytes): (usize, usize)) -> Self {
        let mac = FrameMac::new(algorithm, &[7; 32]);
        let frames = |bytes: usize| {
            let mut frame = [0; FRAME_BYTES_MAX];
            let body_bytes = bytes.saturating_sub(HEADER_BYTES + TAG_BYTES);
            let write = |out: &mut Writer<'_>| out.bytes(&[9; BODY_BYTES_MAX][..body_bytes]);
            let laid_out = frame::lay_out(FrameKind::Event, 1, write, &mut frame).filter(|_| bytes > 0);
            frame[..laid_out.unwrap_or_default()].repeat(BATCH)
        };
        let mut out = Self { requests: frames(request_bytes), answers: frames(answer_bytes), mac };
        frame::sign_all(&mut out.requests, &out.mac);
        out
    }

    /// Checks those of a batch of commands and makes those of as many answers, as the gateway does. True when all were
    /// right.
    #[inline]
    pub(crate) fn run(&mut self) -> bool {
        let mut start = 0;
        while start < self.requests.len() {
            match frame::authenticated_bytes(&self.requests[start..], &self.mac, |_| {}) {
                0 => return false,
                bytes => start += bytes,
            }
        }
        frame::sign_all(&mut self.answers, &self.mac);
        true
    }
}

fn accept(rig: &mut Rig<Appender>, request: VenueRequest) {
    if let VenueRequest::New(order) = request {
        rig.report_order(order.order_id, ReportBody::Accepted { venue_order_id: order.order_id.0 });
    }
}

fn end(rig: &mut Rig<Appender>, request: VenueRequest) {
    match request {
        VenueRequest::New(order) => {
            rig.report_order(order.order_id, ReportBody::Accepted { venue_order_id: order.order_id.0 });
            rig.report_order(order.order_id, ReportBody::Cancelled);
        }
        VenueRequest::Cancel(order_id) | VenueRequest::Replace { order_id, .. } => {
            rig.report_order(order_id, ReportBody::Cancelled);
        }
        VenueRequest::Query(_) => {}
    }
}
