//! Measures the gateway on the machine it runs on, beside what the machine itself can do.
// Statistics are not orders: ratios and microseconds are shown as floating point.
#![allow(clippy::float_arithmetic)]

mod cores;
mod fix;
mod floor;
mod instructions;
mod journal;
mod latency;
mod load;
mod loaded;
mod machine;
mod open_loop;
mod order_floor;
mod overview;
mod peer;
mod quickfix;
mod report;
mod scrape;
mod serve;
mod soak;
mod stages;
mod statistics;
mod subject;
mod syscalls;
mod throughput;
mod turns;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tollgate_protocol::event::Durability;
use tollgate_protocol::mac::MacAlgorithm;

/// Measures the gateway, beside what the machine itself can do.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: What,
    #[command(flatten)]
    cores: cores::Cores,
}

#[derive(Subcommand)]
enum What {
    /// Signed command to signed acknowledgement over TCP, closed loop, beside a bare echo and a floor, round by round.
    Latency(latency::Options),
    /// Latency at chosen rates, from the time at which a command was meant to be sent.
    OpenLoop(open_loop::Options),
    /// Commands a second, pipelined, beside servers that do less.
    Throughput(throughput::Options),
    /// What each stage of the pipeline costs, for every kind of command, in process.
    Stages(stages::Options),
    /// Instructions of the pipeline, by kind of command, beside their ceilings; needs valgrind.
    Instructions(instructions::Options),
    /// System calls of the hot thread for one command, beside their ceilings; needs strace.
    Syscalls(syscalls::Options),
    /// A process that `instructions` counts in.
    #[command(hide = true)]
    Count(instructions::Count),
    /// The journal: append, durable append, group commit and recovery, beside a copy, a direct write and a checksum.
    Journal(journal::Options),
    /// A gateway under paced load for a long time: latency, memory and open files, a line a minute.
    Soak(soak::Options),
    /// QuickFIX C++ beside the gateway, in the same run; needs libquickfix-dev.
    Quickfix(quickfix::Options),
    /// The measurements of a few minutes on one page with plots, and percentile files beside it.
    Report(overview::Options),
    /// A server for one of the measurements; started by them.
    #[command(hide = true)]
    Serve(serve::Options),
}

/// The MAC of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Mac {
    /// HMAC-SHA256.
    HmacSha256,
    /// Keyed BLAKE3.
    Blake3,
}

impl Mac {
    fn algorithm(self) -> MacAlgorithm {
        match self {
            Self::HmacSha256 => MacAlgorithm::HmacSha256,
            Self::Blake3 => MacAlgorithm::Blake3,
        }
    }

    fn argument(self) -> &'static str {
        self.algorithm().name()
    }
}

/// A durability class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Class {
    /// In the process's memory.
    None,
    /// In the page cache.
    Process,
    /// On the disk.
    Disk,
}

impl Class {
    fn durability(self) -> Durability {
        match self {
            Self::None => Durability::None,
            Self::Process => Durability::Process,
            Self::Disk => Durability::Disk,
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Disk => "disk",
        }
    }
}

/// How the gateway's hot thread waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Idle {
    /// It never sleeps.
    Spin,
    /// It lets others have its core between two looks.
    Yield,
    /// It sleeps until something comes.
    Park,
}

impl Idle {
    fn strategy(self) -> tollgate_config::Idle {
        match self {
            Self::Spin => tollgate_config::Idle::Spin,
            Self::Yield => tollgate_config::Idle::Yield,
            Self::Park => tollgate_config::Idle::Park,
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Yield => "yield",
            Self::Park => "park",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.cores.choose();
    let outcome = match arguments.command {
        What::Latency(options) => latency::run(&options),
        What::OpenLoop(options) => open_loop::run(&options),
        What::Throughput(options) => throughput::run(&options),
        What::Stages(options) => stages::run(&options),
        What::Instructions(options) => instructions::run(&options),
        What::Syscalls(options) => syscalls::run(&options),
        What::Count(options) => instructions::count_here(&options),
        What::Journal(options) => journal::run(&options),
        What::Soak(options) => soak::run(&options),
        What::Quickfix(options) => quickfix::run(&options),
        What::Report(options) => overview::run(&options),
        What::Serve(options) => serve::run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
