//! What the settings want from the machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{ConfigErrors, Disk, EXAMPLE, Files, Idle, Settings};
use tollgate_protocol::event::Durability;

use tollgate_gateway::venue_files::VenueFiles;

/// Descriptors besides those of connections: journal, polls, ports, venues, recorded prices, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

/// The settings that a machine can be right or wrong for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) core: Option<usize>,
    pub(crate) idle: Idle,
    pub(crate) listen: SocketAddr,
    /// Descriptors that are open when every session is there.
    pub(crate) descriptors_of_sessions: u64,
    /// And every connection that has not logged on.
    pub(crate) descriptors: u64,
    pub(crate) durability: Durability,
    pub(crate) journal_directory: PathBuf,
    pub(crate) segment_bytes: u64,
}

impl Plan {
    pub(crate) fn of(settings: &Settings) -> Self {
        let sessions = settings.sessions.sessions_max as u64;
        let unauthenticated = settings.sessions.unauthenticated_max as u64;
        Self {
            core: settings.hot.core,
            idle: settings.hot.idle,
            listen: settings.gateway.listen,
            descriptors_of_sessions: sessions + OTHER_DESCRIPTORS,
            descriptors: sessions + unauthenticated + OTHER_DESCRIPTORS,
            durability: settings.journal.durability,
            journal_directory: settings.journal.directory.clone(),
            segment_bytes: settings.journal.segment_bytes,
        }
    }
}

/// Files without those that hold secrets: nothing here needs them, and whoever asks may not be allowed to read them.
struct WithoutSecrets;

impl Files for WithoutSecrets {
    fn read(&self, path: &Path, privacy: Privacy, limit_bytes: u64) -> Result<String, FileError> {
        match privacy {
            Privacy::Public => Disk.read(path, privacy, limit_bytes),
            Privacy::Private => Err(FileError::Missing),
        }
    }
}

/// The settings of a file, or the ones that every gateway starts from.
pub(crate) fn settings(path: Option<&Path>) -> Result<Settings, ConfigErrors> {
    let environment = |name: &str| std::env::var(name).ok();
    match path {
        Some(path) => Settings::load_with(path, &environment, &VenueFiles::new(WithoutSecrets)),
        None => Settings::parse_with(EXAMPLE, Path::new("/"), &environment, &WithoutSecrets),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_embedded_settings_make_a_plan() {
        let plan = Plan::of(&settings(None).unwrap());
        assert_eq!((plan.core, plan.idle), (None, Idle::Park));
        assert_eq!((plan.descriptors_of_sessions, plan.descriptors), (128 + 64, 128 + 256 + 64));
        assert!(plan.journal_directory.is_absolute());
    }

    #[test]
    fn secrets_are_never_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "x").unwrap();
        assert_eq!(WithoutSecrets.read(&path, Privacy::Private, 10), Err(FileError::Missing));
        assert_eq!(WithoutSecrets.read(&path, Privacy::Public, 10), Ok("x".to_owned()));
    }
}
