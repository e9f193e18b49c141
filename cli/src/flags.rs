//! For the tests of flags: a part of the command line, parsed alone.

use clap::{Args, Parser, Subcommand};

#[derive(Parser, Debug)]
#[command(no_binary_name = true)]
struct Arguments<T: Args> {
    #[command(flatten)]
    part: T,
}

#[derive(Parser, Debug)]
#[command(no_binary_name = true)]
struct Commands<T: Subcommand> {
    #[command(subcommand)]
    part: T,
}

/// Arguments, as words with one space between them.
pub(crate) fn arguments<T: Args + std::fmt::Debug>(line: &str) -> Result<T, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace()).map(|it| it.part)
}

/// A subcommand with its arguments.
pub(crate) fn subcommand<T: Subcommand + std::fmt::Debug>(line: &str) -> Result<T, clap::Error> {
    Commands::try_parse_from(line.split_whitespace()).map(|it| it.part)
}
