//! Servers that take turns: one runs while the others are stopped.

use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;
use tollgate_protocol::mac::MacAlgorithm;

use crate::fix::FixClient;
use crate::peer::{EchoClient, GatewayClient, Process};
use crate::serve::SERVER_CORE;
use crate::statistics::{Round, Rounds};
use crate::{Class, Idle, Mac};

enum Client {
    Echo(EchoClient),
    Gateway(Box<GatewayClient>),
    Fix(FixClient),
}

/// A server that takes turns, and the client's connection to it. It is stopped while it has no turn.
pub(crate) struct Peer {
    name: &'static str,
    pub(crate) process: Process,
    client: Client,
    /// What the server writes to; removed behind it.
    directory: Option<TempDir>,
}

impl Peer {
    /// A gateway, and the bytes of a request and of its acknowledgement, learnt from `commands` commands.
    pub(crate) fn gateway(
        durability: Class,
        idle: Idle,
        mac: MacAlgorithm,
        commands: usize,
    ) -> Result<(Self, (usize, usize)), String> {
        let arguments = ["gateway", "--durability", durability.argument(), "--idle", idle.argument()];
        let process = Process::start(&arguments)?;
        let mut client = GatewayClient::connect(process.address, mac)?;
        client.round(commands)?;
        let sizes = client.sizes;
        Ok((Self::stopped("gateway", process, Client::Gateway(Box::new(client)), None), sizes))
    }

    /// An `echo` or a `floor` for messages of these bytes.
    pub(crate) fn echo(name: &'static str, sizes: (usize, usize), mac: Mac) -> Result<Self, String> {
        let (request, answer) = (sizes.0.to_string(), sizes.1.to_string());
        let arguments =
            [name, "--request-bytes", &request, "--answer-bytes", &answer, "--mac", mac.argument()];
        let process = Process::start(&arguments)?;
        let client = EchoClient::connect(process.address, sizes.0, sizes.1)?;
        Ok(Self::stopped(name, process, Client::Echo(client), None))
    }

    /// A FIX acceptor: `program` with the kind of its store, a directory for it, a core, and a port to listen on.
    pub(crate) fn fix(name: &'static str, program: &Path, store: &str) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().display().to_string();
        let (core, port) = (SERVER_CORE.to_string(), free_port()?.to_string());
        let process = Process::start_program(program, &[store, &path, &core, &port])?;
        let client = FixClient::connect(process.address)?;
        Ok(Self::stopped(name, process, Client::Fix(client), Some(directory)))
    }

    fn stopped(name: &'static str, process: Process, client: Client, directory: Option<TempDir>) -> Self {
        process.pause();
        Self { name, process, client, directory }
    }

    /// Nanoseconds of every command.
    fn round(&mut self, commands: usize) -> Result<Vec<u64>, String> {
        self.process.go_on();
        let latencies = match &mut self.client {
            Client::Echo(client) => client.round(commands),
            Client::Gateway(client) => client.round(commands),
            Client::Fix(client) => client.round(commands),
        };
        self.process.pause();
        latencies.map_err(|error| format!("{}: {error}", self.name))
    }

    /// Ends the server so that nothing of it stays: an echo ends with its connection, the others with their input.
    fn end(self) {
        drop(self.client);
        self.process.stop();
        drop(self.directory);
    }
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Every peer's rounds, in the order of `peers`: each has one turn a round, in random order; one round more is run first
/// and thrown away. Progress goes to the standard error, behind `label`.
pub(crate) fn take_turns(
    peers: &mut [Peer],
    rounds: usize,
    commands: usize,
    label: &str,
) -> Result<Vec<Rounds>, String> {
    let mut measured: Vec<Rounds> = peers.iter().map(|peer| Rounds::of(peer.name)).collect();
    let mut order: Vec<usize> = (0..peers.len()).collect();
    for round in 0..=rounds {
        shuffle(&mut order)?;
        for &at in &order {
            let latencies = peers[at].round(commands)?;
            if round > 0 {
                measured[at].rounds.push(Round::new(latencies));
            }
        }
        eprint!("\r{label}: round {round} of {rounds}");
    }
    eprintln!();
    Ok(measured)
}

/// Ends all of them.
pub(crate) fn end(peers: Vec<Peer>) {
    peers.into_iter().for_each(Peer::end);
}

/// Puts items into random order.
pub(crate) fn shuffle<T>(items: &mut [T]) -> Result<(), String> {
    let mut random = vec![0; items.len()];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    for at in (1..items.len()).rev() {
        items.swap(at, usize::from(random[at]) % (at + 1));
    }
    Ok(())
}
