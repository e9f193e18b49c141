//! The `tollgate` command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate_gateway::command::run(std::env::args_os())
}
