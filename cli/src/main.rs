//! The `tollgate` program.

mod action;
mod arguments;
mod check;
mod completion;
mod connection;
mod demo;
mod describe;
mod doctor;
mod document;
mod failure;
#[cfg(test)]
mod flags;
mod fresh_key;
mod http;
mod init;
mod journal;
mod key_file;
mod keys;
mod log;
mod moment;
mod output;
mod query;
mod run;
mod secrecy;
mod send;
mod signals;
mod status;
mod table;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    secrecy::keep();
    arguments::start(std::env::args_os())
}
