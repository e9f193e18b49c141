//! The command line: its subcommands, their help, its exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::failure::{Exit, Failure};
use crate::output::{ColorChoice, Output};
use crate::{check, completion, demo, doctor, init, journal, keys, query, run, send, status, watch};

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  something failed: a file, a connection, a disk, or a check
  2  the command line makes no sense
  3  the settings are wrong
  4  the journal is damaged: see `tollgate journal repair --help`
  5  the gateway or the venue refused the command
  6  nobody knows yet what became of the command; it may have been executed

Environment:
  TOLLGATE_CONFIG    the settings, where --config is not given
  TOLLGATE_KEY_FILE  the key file, where --key is not given
  TOLLGATE_LOG       what `run` logs, as in info,tollgate_gateway=debug
  NO_COLOR           when set, output is not coloured

Examples:
  tollgate demo                                   see all of it at work, on a simulated venue
  tollgate init ~/tollgate                        make settings and keys
  tollgate doctor ~/tollgate/tollgate.toml        does this machine suit it?
  tollgate run --config ~/tollgate/tollgate.toml  start the gateway
  tollgate send --key ~/tollgate/clients/trend-trade.toml new BTCUSDT buy 0.001 --wait
  tollgate status                                 is it ready?
";

/// A low-latency execution gateway for signed trading commands.
///
/// Signed commands come in; each is authenticated, deduplicated, checked for precision and risk, written to a
/// journal, and only then forwarded to a venue. Every outcome is journaled and reported back. This program starts
/// the gateway, prepares and checks what it needs, sends commands to it, and reads its journal.
#[derive(Parser, Debug)]
#[command(name = "tollgate", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Arguments {
    /// Print JSON: one document, or one a line where there are many.
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// When to use colours.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Output"
    )]
    color: ColorChoice,
    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(clap::Subcommand, Debug)]
enum Subcommand {
    /// Show the gateway at work, with eight clients on a simulated venue.
    ///
    /// Starts a gateway in this process, and eight clients that log on over TCP, sign thousands of commands of
    /// every kind and wait for their answers. Some are wrong on purpose. Then tells what became of every single
    /// one, how long the answers took, and whether the journal agrees; and goes on running, so that you can send
    /// commands of your own.
    #[command(
        after_help = "Examples:\n  tollgate demo\n  tollgate demo --once --commands 50000 --rate 0 --json\n  \
        tollgate demo --prices binance-btcusdt.gz --speed 10"
    )]
    Demo(demo::DemoArguments),
    /// Make a directory with settings and keys for a first start.
    ///
    /// Writes tollgate.toml (every setting, explained, with a paper venue), keys.toml, the gateway's identity, and
    /// a file for each of three clients' keys: one that may trade, one that may ask, one that may halt trading.
    /// Files with secrets have mode 0600. Nothing is ever overwritten.
    #[command(after_help = "Examples:\n  tollgate init ~/tollgate\n  \
        tollgate init /etc/tollgate --listen 0.0.0.0:7000 --side-listen 127.0.0.1:9091")]
    Init(init::InitArguments),
    /// Check settings and keys without starting anything.
    ///
    /// Prints the settings in effect, defaults marked and secrets left out, or every mistake at once, each with
    /// its line, the value, and what would be right.
    #[command(after_help = "Examples:\n  tollgate check tollgate.toml\n  \
        tollgate check tollgate.toml --json | jq .errors")]
    Check(check::CheckArguments),
    /// Inspect the machine: does it suit the gateway?
    ///
    /// Looks at cores and their isolation, interrupts, frequency and sleep, clock, memory, network, limits, and the
    /// disk of the journal, and compares them with what the settings want. Each finding has a name, a state (good,
    /// could be better, bad, unknown), what was found, what would be right, why it matters, and the commands that
    /// would change it. The worst comes first. Changes nothing and needs no privileges: what this user may not read
    /// is unknown, with the reason. Limits are those of this shell; a service may have others.
    #[command(
        after_help = "Exit codes: 0 nothing is bad, 1 something is, 2 the command line makes no sense, 3 the \
        settings are wrong.\n\nExamples:\n  tollgate doctor\n  tollgate doctor tollgate.toml\n  \
        tollgate doctor tollgate.toml --json | jq '.findings[] | select(.state != \"good\")'"
    )]
    Doctor(doctor::DoctorArguments),
    /// Start the gateway, and run it until SIGTERM or Ctrl-C.
    ///
    /// Reads settings and keys, recovers from the journal, connects to the venues, and serves clients. Logs to
    /// stderr; TOLLGATE_LOG says what. SIGTERM or SIGINT stops it cleanly: sessions are told, the journal is made durable;
    /// a second one ends it at once. SIGHUP reads the keys again.
    #[command(
        after_help = "Exit codes: 0 stopped cleanly, 1 something failed, 3 the settings are wrong, 4 the \
        journal is damaged\n(see `tollgate journal verify`).\n\nExamples:\n  tollgate run --config tollgate.toml\n  \
        TOLLGATE_LOG=debug tollgate run --config tollgate.toml 2> tollgate.log"
    )]
    Run(run::RunArguments),
    /// Make, list, rotate and revoke clients' keys.
    ///
    /// Changes the keys file that the settings name: whole or not at all. The secret of a new key is written to
    /// the client's own file (mode 0600) and never printed.
    #[command(subcommand)]
    Keys(keys::KeysArguments),
    /// Send one signed command and wait for its answer.
    ///
    /// The command is signed with the key of --key, sent, and answered: acknowledged (it is in the journal and
    /// goes to the venue), rejected (with a stable code and the numbers behind it), or answered directly. With
    /// --wait the venue's final report is waited for too. A command is executed at most once for its id: when the
    /// outcome is unknown (exit code 6), send it again with the same --command-id and --created-at.
    #[command(after_help = "Examples:\n  export TOLLGATE_KEY_FILE=~/tollgate/clients/trend-trade.toml\n  \
        tollgate send new BTCUSDT buy 0.001 --wait\n  \
        tollgate send new BTCUSDT sell 0.001 --price 70000.00 --deadline-ms 500\n  \
        tollgate send cancel --order 17\n  tollgate send close-all --account main\n  \
        tollgate send query order --of 9f2c1d34-0000-4000-8000-00000000002a")]
    Send(send::SendArguments),
    /// Print a client's events as they happen.
    ///
    /// Acknowledgements, rejections and reports of all sessions of the key's client. Connects again by itself and
    /// goes on where it stopped. Ctrl-C ends it without touching any order.
    #[command(after_help = "Examples:\n  tollgate watch --key trend-read.toml\n  \
        tollgate watch --key trend-read.toml --from 1 --json | jq 'select(.report == \"filled\")'")]
    Watch(watch::WatchArguments),
    /// List the working and the unknown orders.
    Orders(query::ScopedQuery),
    /// List the positions.
    Positions(query::ScopedQuery),
    /// Show the account's figures.
    Account(query::AccountQuery),
    /// List the effective limits and how much of them is used.
    Limits(query::ScopedQuery),
    /// List the instruments that the key may trade, with their rules and last prices.
    Instruments(query::ScopedQuery),
    /// Ask the side port whether the gateway is well.
    ///
    /// Prints its health and its most telling metrics. Exit code 0 when it is ready, 1 when it is not or does not
    /// answer.
    #[command(after_help = "Examples:\n  tollgate status\n  tollgate status 10.0.0.5:9091\n  \
        tollgate status --config tollgate.toml --json")]
    Status(status::StatusArguments),
    /// Read, check, export and repair the journal.
    ///
    /// Works on the journal's directory alone, also while a gateway writes it; only `repair` needs it to be
    /// stopped.
    #[command(subcommand)]
    Journal(journal::JournalArguments),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:\n  tollgate completion bash > /etc/bash_completion.d/tollgate\n  \
        tollgate completion zsh > ~/.zfunc/_tollgate\n  \
        tollgate completion fish > ~/.config/fish/completions/tollgate.fish")]
    Completion(completion::CompletionArguments),
}

/// Runs the command line and returns its exit code.
pub(crate) fn start(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            if json && error.use_stderr() {
                return ExitCode::from(Failure::usage(error.render()).tell(true));
            }
            // Help and version go to stdout and are no error; nobody is left to be told when that is gone.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Clean };
            return ExitCode::from(exit as u8);
        }
    };
    let output = Output::new(arguments.json, arguments.color);
    match arguments.subcommand.run(&output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.tell(output.json)),
    }
}

impl Subcommand {
    fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Demo(demo) => demo.run(output),
            Self::Run(run) => run.run(output),
            Self::Init(init) => init.run(output),
            Self::Check(check) => check.run(output),
            Self::Doctor(doctor) => doctor.run(output),
            Self::Keys(keys) => keys.run(output),
            Self::Send(send) => send.run(output),
            Self::Watch(watch) => watch.run(output),
            Self::Orders(query) => query.orders(output),
            Self::Positions(query) => query.positions(output),
            Self::Account(query) => query.account(output),
            Self::Limits(query) => query.limits(output),
            Self::Instruments(query) => query.instruments(output),
            Self::Status(status) => status.run(output),
            Self::Journal(journal) => journal.run(output),
            Self::Completion(completion) => completion.run(Arguments::command(), output),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn json_and_color_may_stand_anywhere() {
        for line in ["tollgate --json --color never status", "tollgate status --color never --json"] {
            let given = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert!(given.json && matches!(given.color, ColorChoice::Never), "{line}");
        }
        assert!(Arguments::try_parse_from(["tollgate", "status", "--color", "blue"]).is_err());
    }
}
