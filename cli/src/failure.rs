//! How a command ends when it does not end well.

use std::fmt::Display;
use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use tollgate_client::ClientError;

/// The exit codes, as `tollgate --help` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It worked.
    Clean = 0,
    /// Something outside failed: a file, a socket, a disk; or a check did.
    Operating = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The settings are wrong.
    Configuration = 3,
    /// The journal is damaged.
    Damaged = 4,
    /// The gateway or the venue refused the command.
    Refused = 5,
    /// Nobody knows yet what became of the command.
    Unknown = 6,
}

/// Why a command ends, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Empty when everything was said already.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    pub(crate) fn operating(message: impl Display) -> Self {
        Self::new(Exit::Operating, message)
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Ends with a code when what there was to say has been printed.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }

    /// Writes the message to stderr and returns the code.
    pub(crate) fn tell(&self, json: bool) -> u8 {
        if !self.message.is_empty() && stderr_takes_something() {
            // Nobody is left to be told when stderr is gone too.
            let _ = if json {
                let document = json!({"error": self.message, "exit_code": self.exit as u8});
                io::Write::write_fmt(&mut io::stderr(), format_args!("{document}\n"))
            } else {
                io::Write::write_fmt(&mut io::stderr(), format_args!("error: {}\n", self.message))
            };
        }
        self.exit as u8
    }
}

/// False when standard error is a pipe that nobody reads: the end of the process would wait there for ever.
fn stderr_takes_something() -> bool {
    let stderr = io::stderr();
    let mut wanted = [PollFd::new(&stderr, PollFlags::OUT)];
    let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
    !matches!(poll(&mut wanted, Some(&timeout)), Ok(0))
}

/// Of standard output: a reader that has seen enough (`| head`) is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(Exit::Clean),
            _ => Self::operating(format_args!("cannot write the output: {error}")),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::operating(error)
    }
}
