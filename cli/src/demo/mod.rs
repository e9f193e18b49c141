//! `tollgate demo`: the gateway's main job in one command. Clients sign commands of every kind and send them over
//! TCP; the gateway checks, journals and forwards them to a simulated venue; and every command is accounted for.

mod market;
mod operator;
mod random;
mod report;
mod setup;
mod tally;
mod trader;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args;
use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::command::{Action, Query, Scope};
use tollgate_protocol::reject::Code;
use tollgate_protocol::{AccountName, Command};

use self::report::Findings;
use self::setup::{DemoKey, Setup};
use self::tally::Tally;
use self::trader::{Plan, Shared, Trader};
use super::failure::{Exit, Failure};
use super::http;
use super::output::{Output, Tone};
use super::run::start_failure;
use super::signals::Stop;
use tollgate_client::{Client, Reply, fresh_command_id, now_ns};
use tollgate_gateway::gateway::{Gateway, StartOptions};

/// The client that may halt trading.
const OPERATOR: &str = "operator";
/// The position of the client whose values are rounded.
const ROUNDING_CLIENT: u64 = 4;
/// The position of the client whose limits let few orders through.
const SLOW_CLIENT: usize = 6;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether the clients are done.
const TURN: Duration = Duration::from_millis(20);
/// Between two lines of progress: on a terminal, and in a file.
const PROGRESS_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Options of `demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// End after the report; exit code 1 when a check failed. Default: go on running until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Recorded prices in place of synthetic ones: lines of quotes (.csv, with the header timestamp,bid,ask), or
    /// Binance market streams; plain or compressed with gzip. The file's name must contain BTCUSDT, EURUSD or USDJPY.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// How fast a recording runs, in times real time; 0 for as fast as it can be read.
    #[arg(long, value_name = "TIMES", default_value_t = 1, requires = "prices")]
    speed: u32,
    /// How many commands to send, roughly.
    #[arg(long, value_name = "NUMBER", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    commands: u64,
    /// How many commands a second to send, over all clients; 0 for as many as are answered.
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000)]
    rate: u64,
    /// Where to keep settings, keys and journal. Default: a new directory for temporary files.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The port that clients connect to; 0 for any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

impl DemoArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let stop = Stop::install()?;
        let mut setup = Setup::make(self)?;
        let gateway = Gateway::start(setup.settings.clone(), StartOptions::default())
            .map_err(|error| start_failure(&error))?;
        let keys = setup.write_client_files(gateway.address())?;
        let outcome = self.show(&setup, &gateway, &keys, &stop, output);
        let stopped = gateway.stop().map_err(Failure::operating);
        let passed = outcome?;
        stopped?;
        if passed { Ok(()) } else { Err(Failure::silent(Exit::Operating)) }
    }

    /// True when every check passed.
    fn show(
        &self,
        setup: &Setup,
        gateway: &Gateway,
        keys: &[DemoKey],
        stop: &Stop,
        output: &Output,
    ) -> Result<bool, Failure> {
        if !output.json {
            output.line(format_args!(
                "The gateway runs: clients at {}, health and metrics at {}, files in {}.",
                gateway.address(),
                gateway.side_address(),
                setup.directory.display()
            ))?;
        }
        let findings = self.load(setup, gateway, keys, stop, output)?;
        if stop.requested() {
            // Asked to stop, it did: but what was asked of it first was not done.
            return Err(Failure::operating("stopped before the end: there is no report"));
        }
        let passed = findings.tell(setup, gateway, keys, output)?;
        if !self.once {
            if !output.json {
                output.line("The gateway goes on running. Ctrl-C stops it.")?;
            }
            stop.wait();
        }
        Ok(passed)
    }

    fn load(
        &self,
        setup: &Setup,
        gateway: &Gateway,
        keys: &[DemoKey],
        stop: &Stop,
        output: &Output,
    ) -> Result<Findings, Failure> {
        let address = gateway.address();
        let shared = Arc::new(Shared {
            answered: AtomicU64::new(0),
            reports: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let traders: Vec<&DemoKey> = keys.iter().filter(|key| key.file.key_id.as_str() != OPERATOR).collect();
        let shares = self.shares(traders.len());
        let mut threads = Vec::new();
        for (index, key) in traders.iter().enumerate() {
            threads.push(self.spawn_trader(setup, (key, address), &shared, index, shares[index])?);
        }
        let operator = spawn_operator(keys, address, &shared, self.commands)?;
        watch(&threads, &shared, self.commands, stop, output);
        let mut by_client = Vec::new();
        for (thread, key) in threads.into_iter().zip(&traders) {
            let tally =
                thread.join().map_err(|_| Failure::operating("a client's thread ended by a defect"))?;
            by_client.push((key.file.key_id.to_string(), tally));
        }
        // Whatever progress it waits for will not come any more.
        shared.stop.store(true, Ordering::Relaxed);
        let tally =
            operator.join().map_err(|_| Failure::operating("the operator's thread ended by a defect"))?;
        by_client.push((OPERATOR.to_owned(), tally));
        let forged = operator::forge(address, &keys[0].file);
        look(setup, gateway, keys, by_client, forged)
    }

    /// How many commands each client sends: few for the one whose rate is limited, else all alike.
    fn shares(&self, clients: usize) -> Vec<u64> {
        let slow = self.commands / 25;
        let others = (self.commands - slow) / (clients as u64 - 1);
        (0..clients).map(|index| if index == SLOW_CLIENT { slow } else { others }).collect()
    }

    fn spawn_trader(
        &self,
        setup: &Setup,
        (key, address): (&DemoKey, SocketAddr),
        shared: &Arc<Shared>,
        index: usize,
        commands: u64,
    ) -> Result<JoinHandle<Tally>, Failure> {
        let client = connect(key, address)?;
        let plan = Plan {
            commands,
            // Fresh in every run, and told apart by the low byte.
            identity: (fresh_command_id()?.0 >> 64) as u64 & !0xff | index as u64,
            seed: index as u64 + 1,
            accounts: setup.accounts(),
            symbol: setup.symbol,
            interval: self.interval(commands),
        };
        let mut trader = Trader::new(client, Arc::clone(shared), plan);
        let spawned = thread::Builder::new().name(format!("client-{index}")).spawn(move || {
            trader.trade();
            trader.leave()
        });
        spawned.map_err(|error| Failure::operating(format_args!("cannot start a thread: {error}")))
    }

    /// Between two commands of a client with this share: all shall end together.
    fn interval(&self, share: u64) -> Duration {
        let all_ns = u128::from(self.commands) * 1_000_000_000;
        let per_command_ns = all_ns.checked_div(u128::from(self.rate) * u128::from(share)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(per_command_ns).unwrap_or(u64::MAX))
    }
}

/// Everything that the report is about, fetched as a user would fetch it.
fn look(
    setup: &Setup,
    gateway: &Gateway,
    keys: &[DemoKey],
    by_client: Vec<(String, Tally)>,
    forged: Result<Code, String>,
) -> Result<Findings, Failure> {
    let mut total = Tally::default();
    for (_, tally) in &by_client {
        total.add(tally);
    }
    let (positions, accounts) = ask_state(gateway.address(), &keys[0], &setup.accounts())?;
    let directory = &setup.settings.journal.directory;
    let verification =
        tollgate_journal::verify(directory, |_| {}).map_err(|error| super::journal::open_failure(&error))?;
    let side = gateway.side_address();
    Ok(Findings {
        total,
        by_client,
        forged,
        positions,
        accounts,
        verification,
        journal: report::JournalCounts::read(directory)?,
        health: http::get(side, "/readyz", TIMEOUT),
        metrics: http::get(side, "/metrics", TIMEOUT),
    })
}

fn connect(key: &DemoKey, address: SocketAddr) -> Result<Client, Failure> {
    Ok(Client::connect(address, key.file.logon(None), TIMEOUT)?.0)
}

fn spawn_operator(
    keys: &[DemoKey],
    address: SocketAddr,
    shared: &Arc<Shared>,
    commands: u64,
) -> Result<JoinHandle<Tally>, Failure> {
    let key = keys.iter().find(|key| key.file.key_id.as_str() == OPERATOR);
    let key = key.ok_or_else(|| Failure::operating("the demonstration's settings have no operator"))?;
    let client = connect(key, address)?;
    let shared = Arc::clone(shared);
    let run = move || operator::halt_and_resume(client, &shared, commands / 2, commands / 25);
    let spawned = thread::Builder::new().name("operator".to_owned()).spawn(run);
    spawned.map_err(|error| Failure::operating(format_args!("cannot start a thread: {error}")))
}

/// Shows how far the clients have come until they are done.
fn watch(threads: &[JoinHandle<Tally>], shared: &Shared, commands: u64, stop: &Stop, output: &Output) {
    let live = io::stderr().is_terminal();
    let every = PROGRESS_EVERY[usize::from(!live)];
    let began = Instant::now();
    let (mut before, mut shown) = (0, began);
    while !threads.iter().all(JoinHandle::is_finished) {
        if stop.wait_timeout(TURN) {
            shared.stop.store(true, Ordering::Relaxed);
            break;
        }
        if shown.elapsed() < every {
            continue;
        }
        shown = Instant::now();
        let answered = shared.answered.load(Ordering::Relaxed);
        let reports = shared.reports.load(Ordering::Relaxed);
        let rate = (answered - before) * 1_000 / every.as_millis().max(1) as u64;
        before = answered;
        let line = format!(
            "{:>3} s  {answered:>8} of about {commands} commands answered  {rate:>7}/s  {reports:>8} reports of the venue",
            began.elapsed().as_secs()
        );
        // Progress that nobody sees does no harm.
        let _ = match (live, output.json) {
            (true, _) => write!(io::stderr(), "\r\x1b[K{}", output.paint(Tone::Faint, &line)),
            (false, false) => writeln!(io::stderr(), "{line}"),
            (false, true) => Ok(()),
        };
    }
    if live {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// The positions and the figures of the accounts, by queries over TCP.
fn ask_state(
    address: SocketAddr,
    key: &DemoKey,
    accounts: &[AccountName],
) -> Result<(Vec<AnswerBody>, Vec<AnswerBody>), Failure> {
    let mut client = connect(key, address)?;
    let mut ask = |account: AccountName, query| -> Result<Vec<AnswerBody>, Failure> {
        let command = Command {
            command_id: fresh_command_id()?,
            created_at_ns: now_ns(),
            deadline_ns: 0,
            account,
            action: Action::Query(query),
        };
        match client.execute(&command, TIMEOUT)? {
            Reply::Rows(rows) => Ok(rows),
            other => Err(Failure::operating(format_args!("a query was answered by {other:?}"))),
        }
    };
    let (mut positions, mut figures) = (Vec::new(), Vec::new());
    for account in accounts {
        positions.extend(ask(*account, Query::Positions(Scope { symbol: None }))?);
        figures.extend(ask(*account, Query::Account)?);
    }
    let _ = client.goodbye();
    Ok((positions, figures))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    fn demo(line: &str) -> Result<DemoArguments, clap::Error> {
        flags::arguments(line)
    }

    #[test]
    fn once_ends_it_and_the_port_is_any_that_is_free() {
        let plain = demo("").unwrap();
        assert_eq!((plain.once, plain.port, plain.directory), (false, 0, None));
        let given = demo("--once --port 7000 --directory here").unwrap();
        assert_eq!((given.once, given.port), (true, 7000));
        assert_eq!(given.directory.unwrap().to_str(), Some("here"));
    }

    #[test]
    fn commands_and_rate_say_how_much() {
        let plain = demo("").unwrap();
        assert_eq!((plain.commands, plain.rate), (8_000, 2_000));
        let given = demo("--commands 100 --rate 0").unwrap();
        assert_eq!((given.commands, given.rate), (100, 0));
        assert!(demo("--commands 99").is_err(), "too few to have some of every kind");
    }

    #[test]
    fn speed_is_for_recorded_prices() {
        let given = demo("--prices btcusdt.gz --speed 10").unwrap();
        assert_eq!((given.prices.unwrap().to_str(), given.speed), (Some("btcusdt.gz"), 10));
        assert!(demo("--speed 10").is_err());
    }
}
