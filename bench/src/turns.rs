//! Servers that take turns: one runs while the others are stopped.

use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;
use tollgate_protocol::mac::MacAlgorithm;

use crate::fix::FixClient;
use crate::peer::{EchoClient, GatewayClient, Process};

use crate::statistics::{Round, Rounds};
use crate::{Class, Idle, Mac, cores};

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
        let (core, port) = (cores::server().to_string(), free_port()?.to_string());
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

/// Every peer's rounds, in the order of `peers`: each has one turn a round, in random order. Progress goes to the standard
/// error, behind `label`.
pub(crate) fn take_turns(
    peers: &mut [Peer],
    rounds: usize,
    commands: usize,
    label: &str,
) -> Result<Vec<Rounds>, String> {
    let mut measured: Vec<Rounds> = peers.iter().map(|peer| Rounds::of(peer.name)).collect();
    for round in 1..=rounds {
        for at in random_order(peers.len())? {
            measured[at].rounds.push(Round::new(peers[at].round(commands)?));
        }
        eprint!("\r{label}: round {round} of {rounds}");
    }
    eprintln!();
    Ok(measured)
}

/// A round of every peer that does not count.
pub(crate) fn warm_up(peers: &mut [Peer], commands: usize) -> Result<(), String> {
    peers.iter_mut().try_for_each(|peer| peer.round(commands).map(drop))
}

/// Ends all of them.
pub(crate) fn end(peers: Vec<Peer>) {
    peers.into_iter().for_each(Peer::end);
}

/// The numbers below `count` in random order: whoever comes behind a greedy one is not always the same.
pub(crate) fn random_order(count: usize) -> Result<Vec<usize>, String> {
    let mut random = vec![0; count];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, usize::from(random[at]) % (at + 1));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_order_comes_up() {
        let orders: BTreeSet<_> = (0..1000).map(|_| random_order(3).unwrap()).collect();
        assert_eq!(orders.len(), 6);
    }
}
