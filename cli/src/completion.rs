//! `tollgate completion`: scripts for shells.

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::Output;

/// A shell that completion scripts are made for.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum ShellName {
    Bash,
    Zsh,
    Fish,
}

/// Options of `completion`.
#[derive(Args, Debug)]
pub(crate) struct CompletionArguments {
    /// For which shell.
    shell: ShellName,
}

impl CompletionArguments {
    /// Of the program that `program` describes.
    pub(crate) fn run(&self, mut program: clap::Command, output: &Output) -> Result<(), Failure> {
        let shell = match self.shell {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program, "tollgate", &mut script);
        output.text(&String::from_utf8_lossy(&script))
    }
}
