//! A gateway in this process, its settings and keys, and clients that talk to it over TCP.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollgate_bridge::paper::PaperHandle;
use tollgate_client::{Client, Reply, fresh_command_id, now_ns};
use tollgate_config::{FeedSettings, KeySettings, PaperFaults, PaperSettings, Scopes, Settings, VenueKind};
use tollgate_core::record::Record;
use tollgate_gateway::gateway::{Gateway, StartOptions};
use tollgate_protocol::client::{Incoming, LogonRequest};
use tollgate_protocol::command::{Action, NewOrder, OrderType, Side, TimeInForce};
use tollgate_protocol::event::{Acknowledgement, Event, EventBody, Report, ReportKind};
use tollgate_protocol::identity::CommandId;
use tollgate_protocol::logon::{Credential, Secret};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::text::{AccountName, KeyId, Symbol, Text};
use tollgate_protocol::{Command, Decimal, Reject};

/// Nothing that is waited for takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Settings of the demonstration in `directory`: a steady price, no faults, no latency, a key for every client.
pub(crate) fn settings(directory: &Path) -> Settings {
    let directory = directory.to_str().unwrap().to_owned();
    let environment = move |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| directory.clone());
    let mut settings = Settings::parse(tollgate_config::DEMO, Path::new("/"), &environment).unwrap();
    let paper = paper(&mut settings);
    paper.faults = PaperFaults::default();
    paper.latency_ms_max = 0;
    paper.feed = FeedSettings::Synthetic { interval_ms: 50, volatility_ppm: 0, spread_ticks: 1 };
    paper.liquidity = Decimal::new(1_000_000, 0);
    settings.journal.segment_bytes = 4 << 20;
    settings.journal.reserve_bytes = 256 << 10;
    settings.keys = (0..settings.clients.len() as u16).map(|client| key(client, &settings)).collect();
    settings
}

pub(crate) fn paper(settings: &mut Settings) -> &mut PaperSettings {
    let VenueKind::Paper(paper) = &mut settings.venues[0].kind;
    paper
}

fn key(client: u16, settings: &Settings) -> KeySettings {
    let operator = settings.clients[usize::from(client)].name.as_str() == "operator";
    KeySettings {
        key_id: key_id(client),
        client,
        verifier: credential(client).verifier().unwrap(),
        scopes: Scopes { trade: !operator, cancel: false, read: true, operate: operator },
        accounts: None,
        symbols: None,
        expires_at_ns: None,
        revoked: false,
        created: Text::EMPTY,
    }
}

pub(crate) fn credential(client: u16) -> Credential {
    Credential::Hmac(Secret::new(vec![client as u8 + 1; 32]))
}

fn key_id(client: u16) -> KeyId {
    KeyId::new(&format!("key-{client}")).unwrap()
}

pub(crate) fn logon(client: u16, resume_after: Option<u64>) -> LogonRequest {
    LogonRequest {
        key_id: key_id(client),
        credential: credential(client),
        mac: if client.is_multiple_of(2) { MacAlgorithm::HmacSha256 } else { MacAlgorithm::Blake3 },
        resume_after,
        gateway_public_key: None,
        software: Text::new("tests").unwrap(),
    }
}

/// A gateway and the directory it lives in.
pub(crate) struct House {
    pub(crate) gateway: Option<Gateway>,
    /// Kept for its end, which removes it.
    pub(crate) _directory: TempDir,
    pub(crate) settings: Settings,
}

impl House {
    pub(crate) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_options(change, StartOptions::default())
    }

    pub(crate) fn with_options(change: impl FnOnce(&mut Settings), options: StartOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let gateway = Gateway::start(settings.clone(), options).unwrap();
        Self { gateway: Some(gateway), _directory: directory, settings }.ready()
    }

    /// Waits until the venue is up.
    pub(crate) fn ready(self) -> Self {
        let gateway = self.gateway.as_ref().unwrap();
        wait_for("the venue to be up", || {
            gateway.metrics().venues.iter().all(|venue| venue.state.get() == 2)
        });
        self
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    /// Its only venue.
    pub(crate) fn paper(&self) -> &PaperHandle {
        self.gateway().venue(0).unwrap()
    }

    pub(crate) fn client(&self, client: u16) -> Client {
        Client::connect(self.gateway().address(), logon(client, None), PATIENCE).unwrap().0
    }

    pub(crate) fn resume(&self, client: u16, after: u64) -> Client {
        Client::connect(self.gateway().address(), logon(client, Some(after)), PATIENCE).unwrap().0
    }

    /// Stops in order and starts again on the same directory.
    pub(crate) fn restart(mut self) -> Self {
        self.gateway.take().unwrap().stop().unwrap();
        self.gateway = Some(Gateway::start(self.settings.clone(), StartOptions::default()).unwrap());
        self.ready()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.settings.journal.directory.clone()
    }

    pub(crate) fn ledger(&mut self) -> PathBuf {
        paper(&mut self.settings).ledger_file.clone().unwrap()
    }

    /// Every record of the journal: `(sequence, record)`.
    pub(crate) fn records(&self) -> Vec<(u64, Record)> {
        records(&self.journal())
    }
}

pub(crate) fn records(directory: &Path) -> Vec<(u64, Record)> {
    let mut reader = tollgate_journal::Reader::open(directory).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let decoded = Record::decode(record.sequence, record.kind, record.payload).unwrap();
        records.push((record.sequence, decoded));
    }
    records
}

/// Waits for `condition`; fails when it does not come.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(crate) fn command(action: Action) -> Command {
    Command {
        command_id: fresh_command_id().unwrap(),
        created_at_ns: now_ns(),
        deadline_ns: 0,
        account: AccountName::new("main").unwrap(),
        action,
    }
}

pub(crate) fn order(symbol: &str, side: Side, quantity: &str) -> NewOrder {
    NewOrder {
        symbol: Symbol::new(symbol).unwrap(),
        side,
        order_type: OrderType::Market,
        quantity: decimal(quantity),
        price: None,
        stop_price: None,
        time_in_force: TimeInForce::GoodTillCancel,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss: None,
        take_profit: None,
    }
}

pub(crate) fn limit(symbol: &str, side: Side, quantity: &str, price: &str) -> NewOrder {
    NewOrder { order_type: OrderType::Limit, price: Some(decimal(price)), ..order(symbol, side, quantity) }
}

pub(crate) fn acknowledged(client: &mut Client, action: Action) -> Acknowledgement {
    match client.execute(&command(action), PATIENCE).unwrap() {
        Reply::Event(Event { body: EventBody::Acknowledged(acknowledgement), .. }) => acknowledgement,
        other => panic!("not acknowledged: {other:?}"),
    }
}

pub(crate) fn rejected(client: &mut Client, action: Action) -> Reject {
    match client.execute(&command(action), PATIENCE).unwrap() {
        Reply::Event(Event { body: EventBody::Rejected(rejection), .. }) => rejection.reject,
        other => panic!("not rejected: {other:?}"),
    }
}

/// The next report, whatever it is about.
pub(crate) fn report(client: &mut Client) -> Report {
    loop {
        match client.receive(PATIENCE).unwrap().expect("a report comes") {
            Incoming::Event(Event { body: EventBody::Report(report), .. }) => return report,
            Incoming::Event(_) | Incoming::Answer(_) => {}
            Incoming::Goodbye(goodbye) => panic!("the session ended: {goodbye:?}"),
        }
    }
}

/// The next report of a command's order whose kind passes.
pub(crate) fn report_of(client: &mut Client, id: CommandId, wanted: impl Fn(&ReportKind) -> bool) -> Report {
    loop {
        let report = report(client);
        if report.command_id == id && wanted(&report.kind) {
            return report;
        }
    }
}
