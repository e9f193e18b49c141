//! `tollgate watch`: a client's events as they happen.

use std::time::Duration;

use clap::Args;
use tollgate_protocol::client::{Incoming, SessionError};
use tollgate_protocol::logon::Welcome;
use tollgate_protocol::reject::Code;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::send::print_event;
use crate::signals::Stop;
use tollgate_client::{Client, ClientError};

/// How often a quiet watch looks whether it shall stop.
const TURN: Duration = Duration::from_millis(200);
/// Between two attempts to connect again.
const RETRY: Duration = Duration::from_secs(1);

/// Options of `watch`.
#[derive(Args, Debug)]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    connection: Connection,
    /// Begin with this event; those that have passed are replayed from the journal. Default: what happens from now.
    #[arg(long, value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Stop after so many events.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

/// Why watching one connection stopped.
enum End {
    Enough,
    Lost(ClientError),
}

impl WatchArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let stop = Stop::install()?;
        let (mut client, welcome) = self.begin()?;
        let mut left = self.count.unwrap_or(u64::MAX);
        note(output, &format!("session {}, next event {}", welcome.session_id, welcome.next_event_sequence));
        loop {
            let resume_after = match follow(client, &mut left, &stop, output)? {
                (End::Enough, _) => return Ok(()),
                (End::Lost(ClientError::Session(error)), _) if !worth_retrying(error) => {
                    return Err(ClientError::Session(error).into());
                }
                (End::Lost(error), last) => {
                    note(output, &format!("{error}; connecting again"));
                    last
                }
            };
            client = match self.reconnect(resume_after, &stop, output)? {
                Some(client) => client,
                None => return Ok(()),
            };
        }
    }

    /// The first connection. Events that cannot be had are either gone or have not happened: the gateway tells which
    /// is next to whoever asks for none.
    fn begin(&self) -> Result<(Client, Welcome), Failure> {
        let Some(from) = self.from else { return self.connection.open(None) };
        let key = self.connection.key_file()?;
        let address = self.connection.socket_address(&key)?;
        let connect =
            |resume_after| Client::connect(address, key.logon(resume_after), self.connection.timeout());
        let error = match connect(Some(from - 1)) {
            Err(ClientError::Session(SessionError::Ended(it))) if it.code == Code::ResumeUnavailable => {
                ClientError::Session(SessionError::Ended(it))
            }
            other => return Ok(other?),
        };
        let (client, welcome) = connect(None)?;
        // Nothing was asked of it, so nothing is lost with it.
        let _ = client.goodbye();
        let next = welcome.next_event_sequence;
        if from > next {
            return Err(Failure::operating(format_args!(
                "event {from} has not happened yet: the client's next is {next}; leave --from out to wait for it"
            )));
        }
        Err(error.into())
    }

    /// Tries until it succeeds; `None` when somebody wants to stop.
    fn reconnect(&self, resume_after: u64, stop: &Stop, output: &Output) -> Result<Option<Client>, Failure> {
        let key = self.connection.key_file()?;
        let address = self.connection.socket_address(&key)?;
        while !stop.wait_timeout(RETRY) {
            match Client::connect(address, key.logon(Some(resume_after)), self.connection.timeout()) {
                Ok((client, _)) => {
                    note(output, &format!("connected again, after event {resume_after}"));
                    return Ok(Some(client));
                }
                Err(ClientError::Session(error)) if !worth_retrying(error) => {
                    return Err(ClientError::Session(error).into());
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// Prints events until there were enough, or the connection ends; with the last event seen.
fn follow(mut client: Client, left: &mut u64, stop: &Stop, output: &Output) -> Result<(End, u64), Failure> {
    while *left > 0 && !stop.requested() {
        let received = client.heartbeat_if_due().and_then(|_| client.receive(TURN));
        match received {
            Ok(Some(Incoming::Event(event))) => {
                *left -= 1;
                if let Err(failure) = print_event(&event, output) {
                    let _ = client.goodbye();
                    return Err(failure);
                }
            }
            Ok(Some(Incoming::Goodbye(goodbye))) => {
                let error = ClientError::Session(SessionError::Ended(goodbye));
                return Ok((End::Lost(error), client.last_event_sequence()));
            }
            Ok(_) => {}
            Err(error) => return Ok((End::Lost(error), client.last_event_sequence())),
        }
    }
    let last = client.last_event_sequence();
    let _ = client.goodbye();
    Ok((End::Enough, last))
}

/// False when the next attempt would end like this one.
fn worth_retrying(error: SessionError) -> bool {
    match error {
        SessionError::Ended(goodbye) => !matches!(
            goodbye.code,
            Code::LogonFailed | Code::SessionKeyEnded | Code::ResumeUnavailable | Code::FrameVersion
        ),
        _ => false,
    }
}

/// Notes go to stderr: stdout holds events alone.
fn note(output: &Output, text: &str) {
    if !output.json {
        // Nobody reads notes when stderr is gone.
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("{}\n", output.paint(Tone::Faint, text)),
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    #[test]
    fn from_begins_at_one_and_count_ends() {
        let given: WatchArguments = flags::arguments("--from 1 --count 3").unwrap();
        assert_eq!((given.from, given.count), (Some(1), Some(3)));
        let plain: WatchArguments = flags::arguments("").unwrap();
        assert_eq!((plain.from, plain.count), (None, None));
        assert!(flags::arguments::<WatchArguments>("--from 0").is_err(), "the first event is number 1");
    }
}
