//! A server with many commands on their way to it, stopped while it has no turn.

use crate::load::Load;
use crate::peer::Process;
use crate::workload::Kind;
use crate::{Class, Idle, Mac};

/// A server and the load on it.
pub(crate) struct Loaded {
    process: Process,
    load: Load,
    /// Bytes of a request, where the load does not make its own.
    request_bytes: usize,
}

impl Loaded {
    /// A gateway that is given commands of one kind.
    pub(crate) fn gateway(
        durability: Class,
        idle: Idle,
        mac: Mac,
        connections: usize,
        kind: Kind,
    ) -> Result<Self, String> {
        let process =
            Process::start(&["gateway", "--durability", durability.argument(), "--idle", idle.argument()])?;
        let load = Load::gateway(process.address, connections, mac.algorithm(), kind)?;
        process.pause();
        Ok(Self { process, load, request_bytes: 0 })
    }

    /// An `echo-many`, a `floor-many` or a `floor-orders` for messages of these bytes: a request's and an answer's.
    pub(crate) fn fixed(
        server: &str,
        sizes: (usize, usize),
        mac: Mac,
        connections: usize,
    ) -> Result<Self, String> {
        let (request, answer) = (sizes.0.to_string(), sizes.1.to_string());
        let count = connections.to_string();
        let process = Process::start(&[
            server,
            "--request-bytes",
            &request,
            "--answer-bytes",
            &answer,
            "--mac",
            mac.argument(),
            "--connections",
            &count,
        ])?;
        let load = match server {
            "floor-orders" => Load::counted(process.address, connections)?,
            _ => Load::fixed(process.address, connections, sizes.1)?,
        };
        process.pause();
        Ok(Self { process, load, request_bytes: sizes.0 })
    }

    /// Bytes of a request and of an answer, learnt from `commands` commands.
    pub(crate) fn sizes(&mut self, commands: usize) -> Result<(usize, usize), String> {
        self.turn(commands, |load, _| load.run(16))?;
        Ok((self.load.request_bytes(), self.load.answer_bytes()))
    }

    /// Lays `commands` commands ready and lets the server go on while `what` sends them.
    pub(crate) fn turn<T>(
        &mut self,
        commands: usize,
        what: impl FnOnce(&mut Load, &Process) -> Result<T, String>,
    ) -> Result<T, String> {
        self.load.prepare(commands, self.request_bytes)?;
        self.process.go_on();
        let done = what(&mut self.load, &self.process);
        self.process.pause();
        done
    }

    /// Ends the server so that nothing of it stays.
    pub(crate) fn end(self) {
        drop(self.load);
        self.process.stop();
    }
}
