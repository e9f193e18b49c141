//! The floor of a new order under load: an echo that does what no gateway can leave out on an order's whole way. It checks
//! a MAC and copies a record, hands the order to a thread on the client's core, which reports of it twice, copies a record
//! of each report, and sends three messages with a MAC of their own. It looks nothing up, checks no limit and numbers
//! nothing.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tollgate_contract::lane::{Bell, Receiver, Sender, lane};
use tollgate_contract::venue::{ReportBody, VenueOrder, VenueReport, VenueRequest};
use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::event::{Event, EventBody, Report, ReportKind};
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, FrameKind};
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::mac::{FrameMac, TAG_BYTES};
use tollgate_protocol::{Decimal, InstrumentIndex};

use crate::cores;
use crate::floor::{Records, check_tags, write_spinning};
use crate::workload::{acknowledgement, limit_order, new_order};

/// Messages of a lane: where it is full, orders wait in their connection and reports with the venue.
const LANE_MESSAGES: usize = 1 << 15;
/// Places that a lane keeps back.
const LANE_RESERVED: usize = 1;
/// How long the venue sleeps at most: so it sees that the server has ended.
const PARK: Duration = Duration::from_millis(10);

/// A client's connection.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    end: usize,
    answers: Vec<u8>,
    is_closed: bool,
}

/// The hot thread's ends of the lanes.
struct VenueEnds {
    requests: Sender<VenueRequest>,
    reports: Receiver<VenueReport>,
}

/// What is sent of every order, as the gateway would.
struct Messages {
    acknowledged: Vec<u8>,
    accepted: Vec<u8>,
    cancelled: Vec<u8>,
}

/// Serves `count` connections until all are closed. Requests have `request_bytes`, answers are the gateway's frames.
pub(crate) fn serve(count: usize, request_bytes: usize, mac: &FrameMac) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{0} {0}", listener.local_addr()?);
    cores::pin(cores::client()).map_err(io::Error::other)?;
    let mut venue = start_venue()?;
    cores::pin(cores::server()).map_err(io::Error::other)?;
    let mut connections =
        (0..count).map(|_| Connection::accept(&listener)).collect::<io::Result<Vec<_>>>()?;
    let messages = Messages::new(mac)?;
    let mut records = Records::new();
    while !connections.iter().all(|connection| connection.is_closed) {
        while let Some(report) = venue.reports.receive() {
            let VenueReport::Order { order_id, body } = report else { continue };
            let message = match body {
                ReportBody::Accepted { .. } => &messages.accepted,
                _ => &messages.cancelled,
            };
            connections[order_id.0 as usize].tell(message, &mut records);
        }
        let mut orders = 0;
        for (number, connection) in connections.iter_mut().enumerate() {
            orders += connection.take(request_bytes, number as u64, &messages, mac, &mut records, &mut venue);
        }
        // As in the gateway: what is sent to the venue first, a venue that sleeps is woken last.
        for connection in &mut connections {
            frame::sign_all(&mut connection.answers, mac);
            write_spinning(&mut connection.stream, &connection.answers)?;
            connection.answers.clear();
        }
        if orders > 0 {
            venue.requests.ring();
        }
    }
    Ok(())
}

impl Connection {
    fn accept(listener: &TcpListener) -> io::Result<Self> {
        let stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let answers = Vec::with_capacity(1 << 20);
        Ok(Self { stream, received: vec![0; 1 << 16], end: 0, answers, is_closed: false })
    }

    /// Takes what has come; returns how many orders it was.
    fn take(
        &mut self,
        request_bytes: usize,
        number: u64,
        messages: &Messages,
        mac: &FrameMac,
        records: &mut Records,
        venue: &mut VenueEnds,
    ) -> usize {
        if self.end < self.received.len() {
            match self.stream.read(&mut self.received[self.end..]) {
                Ok(0) => self.is_closed = true,
                Ok(length) => self.end += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.is_closed = true,
            }
        }
        let room = venue.requests.free().saturating_sub(LANE_RESERVED);
        let whole = (self.end / request_bytes).min(room) * request_bytes;
        check_tags(&self.received[..whole], request_bytes, mac);
        for request in self.received[..whole].chunks_exact(request_bytes) {
            records.keep(&request[..request_bytes - TAG_BYTES]);
            let sent = venue.requests.send(VenueRequest::New(order(number)));
            assert!(sent.is_ok(), "no more is taken than the lane has room for");
            self.answers.extend_from_slice(&messages.acknowledged);
        }
        self.received.copy_within(whole..self.end, 0);
        self.end -= whole;
        whole / request_bytes
    }

    fn tell(&mut self, message: &[u8], records: &mut Records) {
        records.keep(message);
        self.answers.extend_from_slice(message);
    }
}

impl Messages {
    fn new(mac: &FrameMac) -> io::Result<Self> {
        let framed = |event: &Event| {
            let mut out = [0; FRAME_BYTES_MAX];
            let length = frame::encode(FrameKind::Event, 123_456, event, Some(mac), &mut out);
            length.map(|length| out[..length].to_vec()).ok_or(io::Error::other("an event fits a frame"))
        };
        let command = new_order();
        let report = |kind, open_quantity| Event {
            event_sequence: 123_456,
            time_ns: command.created_at_ns,
            body: EventBody::Report(Report {
                command_id: command.command_id,
                order_id: OrderId(123_456),
                account: command.account,
                symbol: limit_order().symbol,
                side: Side::Buy,
                filled_quantity: Decimal::new(0, 5),
                open_quantity,
                kind,
            }),
        };
        Ok(Self {
            acknowledged: framed(&acknowledgement())?,
            accepted: framed(&report(
                ReportKind::Accepted { venue_order_id: 123_456 },
                Decimal::new(1000, 5),
            ))?,
            cancelled: framed(&report(ReportKind::Cancelled, Decimal::new(0, 5)))?,
        })
    }
}

/// The order of a connection.
fn order(connection: u64) -> VenueOrder {
    VenueOrder {
        order_id: OrderId(connection),
        account: AccountIndex(0),
        instrument: InstrumentIndex(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::ImmediateOrCancel,
        quantity_steps: 1000,
        price_ticks: 6_000_000,
        stop_price_ticks: 0,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss_ticks: 0,
        take_profit_ticks: 0,
    }
}

/// A venue on a thread of its own, where this one is pinned now: it has every order and cancels it.
fn start_venue() -> io::Result<VenueEnds> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("venue-floor".to_owned()).spawn(move || {
        let bell = Bell::for_this_thread();
        let (requests, from_hot) = lane(LANE_MESSAGES, LANE_RESERVED, bell.clone());
        // The hot thread never sleeps.
        let (to_hot, reports) = lane(LANE_MESSAGES, LANE_RESERVED, Bell::new(Arc::new(|| {})));
        if sender.send(VenueEnds { requests, reports }).is_ok() {
            answer(from_hot, to_hot, &bell);
        }
    })?;
    receiver.recv().map_err(io::Error::other)
}

fn answer(mut requests: Receiver<VenueRequest>, mut reports: Sender<VenueReport>, bell: &Bell) {
    while !requests.is_abandoned() {
        while let Some(request) = requests.receive() {
            let VenueRequest::New(order) = request else { continue };
            for body in [ReportBody::Accepted { venue_order_id: order.order_id.0 }, ReportBody::Cancelled] {
                let report = VenueReport::Order { order_id: order.order_id, body };
                while reports.send(report).is_err() && !reports.is_abandoned() {
                    std::thread::yield_now();
                }
            }
        }
        bell.sleeping(true);
        if requests.is_empty() {
            std::thread::park_timeout(PARK);
        }
        bell.sleeping(false);
    }
}
