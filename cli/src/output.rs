//! Standard output: text or JSON, plain or coloured, as wide as the terminal.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::failure::Failure;

/// When output is coloured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a piece of text is to be taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Good,
    Warning,
    Bad,
    Faint,
}

/// Standard output and how to write to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Machine-readable output is wanted.
    pub(crate) json: bool,
    pub(crate) color: bool,
    /// Columns of the terminal; `None` when standard output is none.
    pub(crate) width: Option<usize>,
}

impl Output {
    pub(crate) fn new(json: bool, choice: ColorChoice) -> Self {
        let terminal = io::stdout().is_terminal();
        let wanted = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        let width = if terminal { terminal_width() } else { None };
        Self { json, color: wanted && !json, width }
    }

    /// Output as it is in a file: for tests.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { json: false, color: false, width: None }
    }

    /// Writes a line.
    // Whoever writes has the output at hand, and with it the choice of text or JSON.
    #[expect(clippy::unused_self)]
    pub(crate) fn line(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Writes text that ends its lines itself.
    #[expect(clippy::unused_self)]
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Writes one JSON document on a line of its own.
    pub(crate) fn document(&self, document: &serde_json::Value) -> Result<(), Failure> {
        self.line(document)
    }

    /// The text in the tone's colour, where colours are wanted.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        if self.color && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn terminal_width() -> Option<usize> {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    named.or(size).filter(|width| *width >= 20)
}
