//! What each move does.

use tollgate_core::link::ToHot;
use tollgate_protocol::command::{Action, Command};
use tollgate_protocol::frame::FrameKind;
use tollgate_protocol::logon::Goodbye;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::{AccountName, KeyId};

use crate::journal::CrashPoint;
use crate::moves::{Move, Step};
use crate::random::Random;
use crate::setup::OPERATOR;
use crate::sim::{Outcome, Sim, note};

impl Sim {
    /// Makes a step: its move, and some turns.
    pub fn step(&mut self, step: Step) -> Outcome {
        let mut random = Random::new(step.noise);
        self.coverage.moved(step.action);
        note!(self, "--- {} {:x}", step.action.name(), step.noise);
        // Who runs a gateway starts it again, sooner or later.
        if self.gateway.is_none() && random.percent(70) {
            self.start()?;
        }
        self.act(step.action, &mut random)?;
        for _ in 0..=random.below(3) {
            let passes = [0, 20_000, 1_000_000, 30_000_000];
            self.pass(random.pick(&passes).copied().unwrap_or(0));
            self.pump(&mut random)?;
        }
        Ok(())
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, nanoseconds: u64) {
        self.clock.pass(nanoseconds);
        self.coverage.virtual_ns += nanoseconds;
    }

    fn act(&mut self, action: Move, random: &mut Random) -> Outcome {
        let client = self.any_client(action, random);
        match action {
            Move::New
            | Move::Cancel
            | Move::Replace
            | Move::Close
            | Move::CancelAll
            | Move::CloseAll
            | Move::Halt
            | Move::Resume
            | Move::Query => {
                let (account, action) = self.thought(action, client, random);
                self.say(client, account, action, random);
            }
            Move::Heartbeat => self.say(client, AccountName::EMPTY, Action::Heartbeat, random),
            Move::Flood => self.flood(client, random),
            Move::ResendSame | Move::ResendChanged => {
                self.resend(client, action == Move::ResendChanged, random);
            }
            Move::Forge
            | Move::RepeatFrame
            | Move::Garbage
            | Move::HalfFrame
            | Move::Break
            | Move::HalfClose
            | Move::Goodbye
            | Move::SlowReader
            | Move::Split => self.disturb(action, client, random),
            Move::Connect => {
                let known = self.clients[client].last_event();
                let resume_after = match random.below(4) {
                    0 => None,
                    1 => Some(random.below(known + 1)),
                    _ => Some(known),
                };
                // One that was never told something cannot say that it was.
                self.connect(client, resume_after, random);
            }
            Move::Wait => self.wait(random)?,
            Move::Price => self.move_price(random),
            Move::VenueBreak => {
                let venue = random.below(self.links.len() as u64) as usize;
                let most = if random.percent(20) { 3_000_000_000 } else { 60_000_000 };
                let long = random.below(most);
                note!(self, "venue {venue} is gone for {} ms", long / 1_000_000);
                self.links[venue].break_for(long, random);
            }
            _ => return self.machine(action, random),
        }
        Ok(())
    }

    /// The command that a move means.
    fn thought(&self, action: Move, client: usize, random: &mut Random) -> (AccountName, Action) {
        let anywhere = |action| (AccountName::EMPTY, action);
        match action {
            Move::New => self.new_order(client, random),
            Move::Cancel => anywhere(Action::Cancel(self.target(client, random))),
            Move::Replace => anywhere(self.change(client, random)),
            Move::Close => self.close(client, random),
            Move::Halt => anywhere(self.halt(client, random)),
            Move::Resume => anywhere(self.resume(client, random)),
            Move::Query => self.query(client, random),
            _ => {
                let account = self.any_account(client, random);
                let scope = self.any_scope(&account, random);
                let cancels = action == Move::CancelAll;
                (account, if cancels { Action::CancelAll(scope) } else { Action::CloseAll(scope) })
            }
        }
    }

    /// What happens to the machine: clocks, process, disk.
    fn machine(&mut self, action: Move, random: &mut Random) -> Outcome {
        let (wall_ns, far) = (self.clock.wall_ns(), [2_000, 20_000, 3_600_000]);
        let far_ms = random.pick(&far).copied().unwrap_or(2_000);
        let jump_ns = random.below(far_ms * 1_000_000);
        match action {
            Move::ClockForward => self.clock.set_wall(wall_ns + jump_ns),
            Move::ClockBack => self.clock.set_wall(wall_ns.saturating_sub(jump_ns)),
            Move::Crash if self.gateway.is_some() => return self.crash(false, random),
            Move::PowerCut if self.gateway.is_some() => return self.crash(true, random),
            Move::CrashAtRecord => {
                let point = CrashPoint { records: 1 + random.below(12), is_written: random.percent(50) };
                self.disk.lock().crash = Some(point);
            }
            Move::Stop => {
                if let Some(gateway) = &mut self.gateway {
                    let _ = gateway.to_hot.send(ToHot::Stop);
                }
            }
            Move::DiskFull => {
                let mut disk = self.disk.lock();
                disk.reserve_bytes = [2_000, 20_000, 65_536][random.below(3) as usize];
                disk.free_bytes = Some(disk.reserve_bytes + random.below(4_000));
            }
            Move::DiskHang => self.disk.lock().is_hung = true,
            Move::DiskFail => self.disk.lock().has_failed = true,
            Move::DiskHeal => {
                let mut disk = self.disk.lock();
                (disk.free_bytes, disk.is_hung) = (None, false);
            }
            Move::Digest => {
                if let Some(gateway) = &mut self.gateway {
                    let _ = gateway.to_hot.send(ToHot::Digest);
                }
            }
            Move::EndKey => {
                let client = random.below(self.clients.len() as u64) as usize;
                let name = self.setup.settings.clients[client].name;
                if let Some(gateway) = &mut self.gateway {
                    let _ = gateway.to_hot.send(ToHot::EndKey(KeyId::truncated(name.as_str())));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn any_client(&self, action: Move, random: &mut Random) -> usize {
        let operates = matches!(action, Move::Halt | Move::Resume) && random.percent(85);
        if operates { usize::from(OPERATOR) } else { random.below(self.clients.len() as u64) as usize }
    }

    /// A client sends a command by a session that stands; without one it logs on first, mostly.
    fn say(&mut self, client: usize, account: AccountName, action: Action, random: &mut Random) {
        let command = self.command(client, account, action, random);
        self.send(client, command, random);
    }

    fn send(&mut self, client: usize, command: Command, random: &mut Random) {
        self.clients[client].remember(command);
        if self.clients[client].session(random).is_none() && random.percent(85) {
            let known = self.clients[client].last_event();
            self.connect(client, Some(known), random);
        }
        note!(self, "client {client} sends {command:?}");
        if let Some(session) = self.clients[client].session(random) {
            session.send(FrameKind::Command, &command);
        }
    }

    fn flood(&mut self, client: usize, random: &mut Random) {
        for _ in 0..random.below(60) {
            let (account, action) = match random.below(10) {
                0 => self.query(client, random),
                1 => (AccountName::EMPTY, Action::Cancel(self.target(client, random))),
                _ => self.new_order(client, random),
            };
            self.say(client, account, action, random);
        }
    }

    fn resend(&mut self, client: usize, is_changed: bool, random: &mut Random) {
        let sent = &self.clients[client].sent;
        let recent = if random.percent(80) { sent.len().saturating_sub(10) } else { 0 };
        let Some(mut command) = random.pick(&sent[recent..]).map(|sent| sent.command) else { return };
        if is_changed && random.percent(40) {
            command.command_id = self.clients[client].fresh_id();
        } else if is_changed {
            let (account, action) = self.new_order(client, random);
            (command.account, command.action) = (account, action);
        }
        self.send(client, command, random);
    }

    /// What happens to a connection.
    fn disturb(&mut self, action: Move, client: usize, random: &mut Random) {
        let command = self.command(client, AccountName::EMPTY, Action::Heartbeat, random);
        let Some(session) = self.clients[client].session(random) else { return };
        match action {
            Move::Forge => session.send_bytes(&session.frame(&command, true)),
            Move::RepeatFrame => session.send_bytes(&session.last_frame),
            Move::Garbage => {
                let bytes: Vec<u8> = (0..random.below(80)).map(|_| random.bits() as u8).collect();
                session.send_bytes(&bytes);
            }
            Move::HalfFrame => {
                let frame = session.frame(&command, false);
                let half = 1 + random.below(frame.len() as u64 - 1) as usize;
                session.send_bytes(&frame[..half]);
            }
            Move::Break => {
                let mut pipe = session.pipe.lock();
                let arrives = random.below(pipe.to_gateway.len() as u64 + 1) as usize;
                pipe.to_gateway.truncate(arrives);
                pipe.is_broken = true;
            }
            Move::HalfClose => session.pipe.lock().client_ended = true,
            Move::Goodbye => {
                session.send(FrameKind::Goodbye, &Goodbye { code: Code::SessionShutdown, retry_after_ms: 0 });
            }
            Move::SlowReader => session.is_slow = !session.is_slow,
            _ => {
                let mut pipe = session.pipe.lock();
                pipe.read_bytes_max = 1 + random.below(200) as usize;
                pipe.write_bytes_max = 1 + random.below(300) as usize;
            }
        }
    }

    /// Some time passes, with turns and prices in it.
    fn wait(&mut self, random: &mut Random) -> Outcome {
        let choices = [10_000_000, 100_000_000, 500_000_000, 3_000_000_000, 20_000_000_000];
        let long = random.pick(&choices).copied().unwrap_or(1_000_000);
        let total = random.below(long);
        let turns = 1 + random.below(12);
        for _ in 0..turns {
            self.pass(total / turns);
            if random.percent(50) {
                self.move_price(random);
            }
            for client in 0..self.clients.len() {
                if random.percent(60) && self.clients[client].session(random).is_some() {
                    self.say(client, AccountName::EMPTY, Action::Heartbeat, random);
                }
            }
            self.pump(random)?;
        }
        Ok(())
    }

    pub(crate) fn move_price(&mut self, random: &mut Random) {
        let instrument = random.below(self.mids.len() as u64) as u16;
        let mid = self.mids[usize::from(instrument)];
        let far = if random.percent(8) { mid / 20 } else { mid / 200 };
        self.mids[usize::from(instrument)] = (mid + random.between(-far, far)).clamp(2_000, 30_000);
        for other in 0..self.mids.len() as u16 {
            if other == instrument || random.percent(50) {
                self.send_quote(other, random);
            }
        }
    }
}
