//! What a check says.

use std::fmt::Display;

use serde::Serialize;

use super::super::output::Tone;
use super::host::Unread;

/// How something stands, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The gateway cannot do its work well, or not keep a promise.
    Bad,
    /// It works, and would work faster or steadier otherwise.
    CouldBeBetter,
    /// It could not be found out.
    Unknown,
    /// Nothing to do.
    Good,
}

impl State {
    /// All of them, the worst first.
    pub(crate) const ALL: [Self; 4] = [Self::Bad, Self::CouldBeBetter, Self::Unknown, Self::Good];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::CouldBeBetter => "could be better",
            Self::Unknown => "unknown",
            Self::Good => "good",
        }
    }

    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::Bad => Tone::Bad,
            Self::CouldBeBetter => Tone::Warning,
            Self::Unknown => Tone::Faint,
            Self::Good => Tone::Good,
        }
    }
}

/// What one check found.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub(crate) struct Finding {
    /// Stable: docs/TUNING.md and scripts go by it.
    pub(crate) name: &'static str,
    pub(crate) state: State,
    /// The value; of an unknown one why it is not known.
    pub(crate) found: String,
    pub(crate) right: &'static str,
    pub(crate) why: &'static str,
    /// Lines for a shell that would change it; none where nothing is to be changed, or no command could.
    pub(crate) commands: Vec<String>,
}

/// What a check is about, whatever it finds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) right: &'static str,
    pub(crate) why: &'static str,
}

impl Topic {
    fn finding(&self, state: State, found: impl Display, commands: Vec<String>) -> Finding {
        let Self { name, right, why } = *self;
        Finding { name, state, found: found.to_string(), right, why, commands }
    }

    pub(crate) fn good(&self, found: impl Display) -> Finding {
        self.finding(State::Good, found, Vec::new())
    }

    pub(crate) fn could_be_better(&self, found: impl Display, commands: Vec<String>) -> Finding {
        self.finding(State::CouldBeBetter, found, commands)
    }

    pub(crate) fn bad(&self, found: impl Display, commands: Vec<String>) -> Finding {
        self.finding(State::Bad, found, commands)
    }

    pub(crate) fn unknown(&self, reason: impl Display) -> Finding {
        self.finding(State::Unknown, reason, Vec::new())
    }

    /// What `look` finds; unknown when it cannot read what it needs.
    pub(crate) fn judge(&self, look: impl FnOnce() -> Result<Finding, Unread>) -> Finding {
        look().unwrap_or_else(|reason| self.unknown(reason))
    }
}

/// Adds a parameter to the kernel's command line from the next start on, in a file of its own, so that it can be
/// taken back by removing that file.
pub(crate) fn boot_parameter(name: &str, parameter: &str) -> Vec<String> {
    vec![
        format!(
            "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {parameter}\"' \\\n  \
             | sudo tee /etc/default/grub.d/60-tollgate-{name}.cfg"
        ),
        "sudo update-grub && sudo reboot".to_owned(),
    ]
}
