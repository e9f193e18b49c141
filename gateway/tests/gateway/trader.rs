//! A client that trades at random, loses its connection, comes back, and keeps books on every answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tollgate_client::Client;
use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::client::Incoming;
use tollgate_protocol::command::{Action, Replace, Scope, Side, Target};
use tollgate_protocol::event::{Event, EventBody};
use tollgate_protocol::identity::{CommandId, OrderId};
use tollgate_protocol::reject::Code;
use tollgate_protocol::{Command, Decimal};

use crate::support::{PATIENCE, command, limit, logon, order};

/// The one answer to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Acknowledged(OrderId),
    Rejected(Code),
}

pub(crate) struct Trader {
    client: u16,
    random: u64,
    connection: Option<Client>,
    unanswered: HashMap<CommandId, Command>,
    placed: Vec<CommandId>,
    pub(crate) answers: HashMap<CommandId, Answer>,
    /// Commands whose order id was told by an event, not only by a repeated answer.
    pub(crate) sent: usize,
    pub(crate) last_event: u64,
    pub(crate) reconnects: usize,
}

impl Trader {
    pub(crate) fn new(client: u16, seed: u64) -> Self {
        Self {
            client,
            random: seed,
            connection: None,
            unanswered: HashMap::new(),
            placed: Vec::new(),
            answers: HashMap::new(),
            sent: 0,
            last_event: 0,
            reconnects: 0,
        }
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % below
    }

    /// Sends until `count` commands were sent in all, or `goes_on` says no; every `lose_every` commands on average the
    /// connection is cut without a word. Errors of a gateway that is gone end it quietly.
    pub(crate) fn trade(
        &mut self,
        address: SocketAddr,
        count: usize,
        lose_every: u64,
        goes_on: impl Fn() -> bool,
    ) {
        while self.sent < count && goes_on() {
            if self.connection.is_none() && !self.connect(address) {
                return;
            }
            for _ in 0..=self.random(8) {
                if self.sent < count && self.unanswered.len() < 64 {
                    self.send_new();
                }
            }
            let wait = if self.unanswered.len() >= 64 { Duration::from_millis(20) } else { Duration::ZERO };
            self.hear(wait);
            if self.random(lose_every) == 0 {
                self.connection = None;
            }
        }
    }

    /// Waits for the answers that are still missing, over new connections where needed.
    pub(crate) fn settle(&mut self, address: SocketAddr) {
        let began = Instant::now();
        while !self.unanswered.is_empty() {
            assert!(began.elapsed() < PATIENCE, "{} commands unanswered", self.unanswered.len());
            if self.connection.is_some() || self.connect(address) {
                self.hear(Duration::from_millis(50));
            }
        }
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Comes back: resumes after the last event seen, and sends again, unchanged, what has no answer.
    fn connect(&mut self, address: SocketAddr) -> bool {
        let Ok((mut connection, _)) =
            Client::connect(address, logon(self.client, Some(self.last_event)), PATIENCE)
        else {
            return false;
        };
        self.reconnects += 1;
        for command in self.unanswered.values() {
            if connection.send(command).is_err() {
                return false;
            }
        }
        self.connection = Some(connection);
        true
    }

    fn send_new(&mut self) {
        let action = self.action();
        let command = command(action);
        if matches!(action, Action::New(_)) {
            self.placed.push(command.command_id);
        }
        self.unanswered.insert(command.command_id, command);
        self.sent += 1;
        let sent = self.connection.as_mut().map(|connection| connection.send(&command));
        if !matches!(sent, Some(Ok(()))) {
            self.connection = None;
        }
    }

    fn action(&mut self) -> Action {
        let side = if self.random(2) == 0 { Side::Buy } else { Side::Sell };
        let symbol = ["BTCUSDT", "ETHUSDT", "EURUSD"][self.random(3) as usize];
        let target = match self.placed.len() as u64 {
            0 => Target::Order(OrderId(self.random(1000))),
            placed => {
                let back = self.random(placed.min(32));
                Target::Command(self.placed[(placed - 1 - back) as usize])
            }
        };
        let (below, above) = match symbol {
            "BTCUSDT" => ("64990", "65010"),
            "ETHUSDT" => ("3199", "3201"),
            _ => ("1.07", "1.09"),
        };
        let passive = if side == Side::Buy { below } else { above };
        match self.random(20) {
            0..8 => Action::New(limit(symbol, side, "0.05", passive)),
            8..12 => Action::New(order(symbol, side, "0.02")),
            12 => Action::New(limit(symbol, side, "0.05", "1.0000001")),
            13..16 => Action::Cancel(target),
            16 => Action::Replace(Replace {
                target,
                quantity: Some(Decimal::new(7, 2)),
                price: None,
                stop_price: None,
            }),
            17 => Action::Close(tollgate_protocol::command::Close {
                symbol: tollgate_protocol::Symbol::new(symbol).unwrap(),
                position_ticket: 0,
                quantity: None,
            }),
            18 if self.random(20) == 0 => Action::CancelAll(Scope { symbol: None }),
            19 if self.random(20) == 0 => Action::CloseAll(Scope { symbol: None }),
            _ => Action::New(order(symbol, side, "0.01")),
        }
    }

    /// Hears what comes within `wait`, and everything that is there already.
    fn hear(&mut self, wait: Duration) {
        let mut wait = wait;
        loop {
            let Some(connection) = &mut self.connection else { return };
            match connection.receive(wait) {
                Ok(Some(incoming)) => self.take(incoming),
                Ok(None) => return,
                Err(_) => {
                    self.connection = None;
                    return;
                }
            }
            wait = Duration::ZERO;
        }
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Event(event) => {
                assert_eq!(event.event_sequence, self.last_event + 1, "no event is lost, none comes twice");
                self.last_event = event.event_sequence;
                self.note(&event);
            }
            Incoming::Answer(answer) => match answer.body {
                AnswerBody::Repeated(event) => self.note(&event),
                AnswerBody::Refused(reject) => panic!("refused without a place in the journal: {reject}"),
                _ => {}
            },
            Incoming::Goodbye(_) => self.connection = None,
        }
    }

    fn note(&mut self, event: &Event) {
        let (id, answer) = match event.body {
            EventBody::Acknowledged(it) => (it.command_id, Answer::Acknowledged(it.order_id)),
            EventBody::Rejected(it) => (it.command_id, Answer::Rejected(it.reject.code)),
            EventBody::Report(_) => return,
        };
        self.unanswered.remove(&id);
        let first = *self.answers.entry(id).or_insert(answer);
        assert_eq!(first, answer, "an answer never changes");
    }
}
