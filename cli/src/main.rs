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
mod moment;
mod output;
mod query;
mod run;
mod send;
mod signals;
mod status;
mod table;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    arguments::start(std::env::args_os())
}
