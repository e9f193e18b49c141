//! What the demonstration's operator does, and an attacker.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tollgate_protocol::client::Incoming;
use tollgate_protocol::command::{Action, Halt, HaltScope, Resume, TradingState};
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, FrameKind};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::Remark;
use tollgate_protocol::{AccountName, Command};

use super::super::key_file::KeyFile;
use super::tally::Tally;
use super::trader::Shared;
use tollgate_client::{Client, ClientError, Reply, fresh_command_id, now_ns};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How often progress is looked at.
const TURN: Duration = Duration::from_millis(1);

/// Halts trading when half of the commands are answered, and resumes when some more are.
pub(crate) fn halt_and_resume(mut client: Client, shared: &Shared, half: u64, longer: u64) -> Tally {
    let mut tally = Tally::starting_at(client.last_event_sequence() + 1);
    let mut send = |action| -> Result<(), String> {
        let command = Command {
            command_id: fresh_command_id().map_err(|error| error.to_string())?,
            created_at_ns: now_ns(),
            deadline_ns: 0,
            account: AccountName::EMPTY,
            action,
        };
        tally.note_sent(&command);
        let sent = std::time::Instant::now();
        let reply = client.execute(&command, TIMEOUT).map_err(|error| error.to_string())?;
        tally.note_reply(&command, &reply, u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
        shared.answered.fetch_add(1, Ordering::Relaxed);
        match reply {
            Reply::Event(_) | Reply::Heartbeat { .. } => Ok(()),
            other => Err(format!("{} was answered by {other:?}", command.action.name())),
        }
    };
    let reason = Remark::truncated("demonstration");
    let halt = Halt {
        scope: HaltScope::Whole,
        state: TradingState::Halted,
        cancel_working: false,
        flatten: false,
        reason,
    };
    wait_for(shared, half);
    let mut done = send(Action::Halt(halt));
    wait_for(shared, half + longer);
    // Whatever became of the halt: trading shall go on.
    done = done.and(send(Action::Resume(Resume { scope: HaltScope::Whole, reason })));
    done = done.and(send(Action::Heartbeat));
    tally.problems.extend(done.err().map(|problem| format!("operator: {problem}")));
    while let Ok(Some(incoming)) = client.receive(Duration::ZERO) {
        if let Incoming::Event(event) = incoming {
            tally.note_event(&event);
        }
    }
    tally.close();
    let _ = client.goodbye();
    tally
}

fn wait_for(shared: &Shared, answered: u64) {
    while shared.answered.load(Ordering::Relaxed) < answered && !shared.stop.load(Ordering::Relaxed) {
        thread::sleep(TURN);
    }
}

/// Sends a command whose MAC is made with a key that is not the session's; with the code that ended the session.
pub(crate) fn forge(address: SocketAddr, key: &KeyFile) -> Result<Code, String> {
    let (mut client, _) =
        Client::connect(address, key.logon(None), TIMEOUT).map_err(|error| error.to_string())?;
    let command = Command {
        command_id: fresh_command_id().map_err(|error| error.to_string())?,
        created_at_ns: now_ns(),
        deadline_ns: 0,
        account: AccountName::EMPTY,
        action: Action::Heartbeat,
    };
    let mac = FrameMac::new(MacAlgorithm::Blake3, &[0x66; 32]);
    let mut bytes = [0; FRAME_BYTES_MAX];
    let length = frame::encode(FrameKind::Command, 3, &command, Some(&mac), &mut bytes).unwrap_or_default();
    client.stream().write_all(&bytes[..length]).map_err(|error| error.to_string())?;
    loop {
        match client.receive(TIMEOUT) {
            Ok(Some(Incoming::Goodbye(goodbye))) => return Ok(goodbye.code),
            Ok(Some(Incoming::Answer(_))) => return Err("a forged command was answered".to_owned()),
            Ok(Some(Incoming::Event(_))) => {}
            Ok(None) => return Err(ClientError::TimedOut(TIMEOUT).to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
}
