//! `tollgate send`: one signed command and its answer.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tollgate_protocol::command::{Action, Target};
use tollgate_protocol::event::{Event, EventBody, Report, ReportKind};
use tollgate_protocol::{AccountName, Command, CommandId};

use super::{describe, moment};
use crate::action::ActionArguments;
use crate::connection::Connection;
use crate::document::{self, joined};
use crate::failure::{Exit, Failure};
use crate::output::{Output, Tone};
use tollgate_client::{Client, ClientError, Reply, fresh_command_id, now_ns};
use tollgate_protocol::client::{Incoming, SessionError};

/// A command that reaches many orders is done when nothing was heard for so long.
const QUIET: Duration = Duration::from_millis(500);

/// Builds, signs and sends one command, waits for its answer and prints it.
#[derive(Args, Debug)]
pub(crate) struct SendArguments {
    #[command(flatten)]
    connection: Connection,
    /// The account it is for; needed when the key has more than one.
    #[arg(long, global = true, value_name = "NAME", default_value = "")]
    account: AccountName,
    /// The command's own id: a number or a UUID. Default: a fresh UUID. The same id is never executed twice.
    #[arg(long, global = true, value_name = "ID")]
    command_id: Option<CommandId>,
    /// When the command was made. Only for sending a command again: with the same id and time it is the same.
    #[arg(long, global = true, value_name = "TIME", value_parser = moment::parse, requires = "command_id")]
    created_at: Option<u64>,
    /// The gateway refuses a command that makes or changes an order when it gets it later than this after it was
    /// made. What only takes risk away is never too late: cancel, cancel-all, close, close-all, halt.
    #[arg(long, global = true, value_name = "MILLISECONDS")]
    deadline_ms: Option<u64>,
    /// Wait for the venue's final report too, for so long.
    #[arg(
        long, global = true, value_name = "TIME", num_args = 0..=1, require_equals = true,
        default_missing_value = "10s", value_parser = moment::parse_duration
    )]
    wait: Option<Duration>,
    #[command(subcommand)]
    action: ActionArguments,
}

impl SendArguments {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let command = self.command()?;
        let (mut client, _) = self.connection.open(None)?;
        let outcome = self.exchange(&mut client, &command, output);
        // Said on every way out: an unexpected end could cancel the client's orders.
        let _ = client.goodbye();
        outcome
    }

    fn command(&self) -> Result<Command, Failure> {
        let created_at_ns = self.created_at.unwrap_or_else(now_ns);
        let deadline_ns = match self.deadline_ms {
            None => 0,
            Some(ms) => ms
                .checked_mul(1_000_000)
                .and_then(|ns| created_at_ns.checked_add(ns))
                .ok_or_else(|| Failure::usage(format_args!("--deadline-ms {ms} is beyond all times")))?,
        };
        let command_id = match self.command_id {
            Some(command_id) => command_id,
            None => fresh_command_id()?,
        };
        let action = self.action.action()?;
        Ok(Command { command_id, created_at_ns, deadline_ns, account: self.account, action })
    }

    fn exchange(&self, client: &mut Client, command: &Command, output: &Output) -> Result<(), Failure> {
        let sent = Instant::now();
        let reply = client
            .execute(command, self.connection.timeout())
            .map_err(|error| unanswered(command, &error))?;
        let elapsed_ns = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        print_reply(command, &reply, elapsed_ns, output)?;
        if refused(&reply) {
            return Err(Failure::silent(Exit::Refused));
        }
        match self.wait {
            Some(timeout) => Awaited::of(command).wait(client, timeout, output),
            None => Ok(()),
        }
    }
}

fn unanswered(command: &Command, error: &ClientError) -> Failure {
    if !error.leaves_outcome_unknown() {
        return Failure::operating(error);
    }
    Failure::new(
        Exit::Unknown,
        format_args!(
            "command {}: {error}\nTo learn the outcome without risk, send the same command again with\n  \
             --command-id {} --created-at {}\nIf the gateway has had it, it repeats its first answer.",
            command.command_id,
            command.command_id,
            moment::full(command.created_at_ns),
        ),
    )
}

fn refused(reply: &Reply) -> bool {
    let rejected = |event: &Event| matches!(event.body, EventBody::Rejected(_));
    match reply {
        Reply::Event(event) | Reply::Repeated(event) => rejected(event),
        Reply::Refused(_) => true,
        Reply::Heartbeat { .. } | Reply::Rows(_) => false,
    }
}

fn print_reply(command: &Command, reply: &Reply, elapsed_ns: u64, output: &Output) -> Result<(), Failure> {
    if output.json {
        let head = json!({
            "command_id": command.command_id.to_string(),
            "action": command.action.name(),
            "answered_in_ns": elapsed_ns,
        });
        return output.document(&joined(head, document::reply(reply)));
    }
    let word = |tone, word: &str| output.paint(tone, word);
    let (first, more) = match reply {
        Reply::Event(event) => {
            let (name, tone) = describe::event_word(event);
            (word(tone, name), answer_text(command, event))
        }
        Reply::Repeated(event) => {
            let (name, _) = describe::event_word(event);
            (
                word(Tone::Warning, "repeated"),
                format!("first answer: {name}, {}", answer_text(command, event)),
            )
        }
        Reply::Refused(reject) => (word(Tone::Bad, "refused"), describe::reject(reject)),
        Reply::Heartbeat { time_ns } => {
            (word(Tone::Good, "alive"), format!("gateway time {}", moment::full(*time_ns)))
        }
        Reply::Rows(rows) => return output.text(&describe::rows(rows, "none", output)),
    };
    output.line(format_args!("{first}  {more}"))?;
    let note = format!("command {}, answered in {}", command.command_id, moment::length(elapsed_ns));
    output.line(output.paint(Tone::Faint, &note))
}

/// The number of an acknowledgement is an order's id where the command makes one.
fn answer_text(command: &Command, event: &Event) -> String {
    match (&event.body, &command.action) {
        (EventBody::Acknowledged(acknowledgement), Action::New(_) | Action::Close(_)) => {
            let durability = document::durability(acknowledgement.durability);
            format!("order {}, durable: {durability}", acknowledgement.order_id)
        }
        _ => describe::event(event),
    }
}

/// What `--wait` waits for.
enum Awaited {
    /// The end of the order that the command made.
    Order(CommandId),
    /// What became of a change to another order.
    Target(Target),
    /// Silence.
    Quiet,
    /// Nothing: the answer was all.
    Nothing,
}

impl Awaited {
    fn of(command: &Command) -> Self {
        match &command.action {
            Action::New(_) | Action::Close(_) => Self::Order(command.command_id),
            Action::Cancel(target) => Self::Target(*target),
            Action::Replace(replace) => Self::Target(replace.target),
            Action::CancelAll(_) | Action::CloseAll(_) | Action::Halt(_) => Self::Quiet,
            Action::Resume(_) | Action::Query(_) | Action::Heartbeat => Self::Nothing,
        }
    }

    fn wait(&self, client: &mut Client, timeout: Duration, output: &Output) -> Result<(), Failure> {
        if matches!(self, Self::Nothing) {
            return Ok(());
        }
        let started = Instant::now();
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let patience = if matches!(self, Self::Quiet) { left.min(QUIET) } else { left };
            let received = client.receive(patience).map_err(|error| Failure::new(Exit::Unknown, error))?;
            match received {
                Some(Incoming::Event(Event { body: EventBody::Report(report), time_ns, event_sequence })) => {
                    if !self.concerns(&report) {
                        continue;
                    }
                    print_event(&Event { body: EventBody::Report(report), time_ns, event_sequence }, output)?;
                    if let Some(end) = self.end(&report) {
                        return end;
                    }
                }
                Some(Incoming::Goodbye(goodbye)) => {
                    let error = ClientError::Session(SessionError::Ended(goodbye));
                    return Err(Failure::new(Exit::Unknown, error));
                }
                Some(_) => {}
                None if matches!(self, Self::Quiet) => return Ok(()),
                None => {
                    let message = format!(
                        "no final report within {} ms: the order is still at the venue; see `tollgate orders`",
                        timeout.as_millis()
                    );
                    return Err(Failure::new(Exit::Unknown, message));
                }
            }
        }
    }

    fn concerns(&self, report: &Report) -> bool {
        match self {
            Self::Order(command_id) | Self::Target(Target::Command(command_id)) => {
                report.command_id == *command_id
            }
            Self::Target(Target::Order(order_id)) => report.order_id == *order_id,
            Self::Quiet => true,
            Self::Nothing => false,
        }
    }

    /// How it ended, if it did.
    fn end(&self, report: &Report) -> Option<Result<(), Failure>> {
        let change = matches!(self, Self::Target(_));
        match report.kind {
            ReportKind::Rejected { .. } if !matches!(self, Self::Quiet) => {
                Some(Err(Failure::silent(Exit::Refused)))
            }
            ReportKind::CancelRejected { .. } | ReportKind::ReplaceRejected { .. } if change => {
                Some(Err(Failure::silent(Exit::Refused)))
            }
            ReportKind::Replaced { .. } if change => Some(Ok(())),
            ReportKind::Cancelled | ReportKind::Expired if !matches!(self, Self::Quiet) => Some(Ok(())),
            ReportKind::Filled(_) if report.open_quantity.mantissa == 0 && !matches!(self, Self::Quiet) => {
                Some(Ok(()))
            }
            _ => None,
        }
    }
}

/// A live event on a line.
pub(crate) fn print_event(event: &Event, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.document(&document::event(event));
    }
    let (word, tone) = describe::event_word(event);
    let head = format!("{:>8}  {}  ", event.event_sequence, moment::clock(event.time_ns));
    let padded = format!("{word:<16}");
    let command = format!("  command {}", event.body.command_id());
    output.line(format_args!(
        "{}{}  {}{}",
        output.paint(Tone::Faint, &head),
        output.paint(tone, &padded),
        describe::event(event),
        output.paint(Tone::Faint, &command),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    const ACTION: &str = "new BTCUSDT buy 1";

    fn send(line: &str) -> Result<SendArguments, clap::Error> {
        flags::arguments(line)
    }

    #[test]
    fn account_is_none_unless_it_is_named() {
        assert!(send(ACTION).unwrap().command().unwrap().account.is_empty());
        let named = send(&format!("--account main {ACTION}")).unwrap().command().unwrap();
        assert_eq!(named.account.as_str(), "main");
    }

    #[test]
    fn command_id_and_created_at_make_the_same_command_again() {
        let line = format!("{ACTION} --command-id 42 --created-at 2026-01-02T03:04:05Z");
        let (first, second) =
            (send(&line).unwrap().command().unwrap(), send(&line).unwrap().command().unwrap());
        assert_eq!(first, second);
        assert_eq!(first.command_id, CommandId(42));
        let fresh = |_| send(ACTION).unwrap().command().unwrap().command_id;
        let ids: std::collections::HashSet<_> = (0..100).map(fresh).collect();
        assert_eq!(ids.len(), 100, "without an id, every command has one of its own");
        assert!(send(&format!("{ACTION} --created-at 1h")).is_err(), "a time alone is another command");
    }

    #[test]
    fn deadline_ms_counts_from_when_the_command_was_made() {
        assert_eq!(send(ACTION).unwrap().command().unwrap().deadline_ns, 0);
        let line = format!("{ACTION} --command-id 1 --created-at 2026-01-02T03:04:05Z --deadline-ms 500");
        let command = send(&line).unwrap().command().unwrap();
        assert_eq!(command.deadline_ns - command.created_at_ns, 500_000_000);
        let beyond = send(&format!("{ACTION} --deadline-ms {}", u64::MAX)).unwrap();
        assert!(beyond.command().is_err());
    }

    #[test]
    fn wait_has_a_default_and_takes_its_time_with_an_equals_sign() {
        assert_eq!(send(ACTION).unwrap().wait, None);
        assert_eq!(send(&format!("--wait {ACTION}")).unwrap().wait, Some(Duration::from_secs(10)));
        assert_eq!(send(&format!("{ACTION} --wait=500ms")).unwrap().wait, Some(Duration::from_millis(500)));
        assert!(send(&format!("{ACTION} --wait=soon")).is_err());
    }
}
