//! Machines made of files, for tests.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tollgate_config::Idle;
use tollgate_protocol::event::Durability;

use super::host::Host;
use super::plan::Plan;

/// A directory that takes the place of `/`.
pub(crate) struct Fixture {
    directory: TempDir,
}

impl Fixture {
    /// A machine with these files and no others.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Self { directory: tempfile::tempdir().expect("a directory for temporary files") };
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture
    }

    fn place(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let place = self.place(path);
        make_parent(&place);
        fs::write(place, text).expect("a file in a fixture");
    }

    /// Makes a file unreadable for everybody, the superuser included: a directory takes its place.
    pub(crate) fn spoil(&self, path: &str) {
        let _ = fs::remove_file(self.place(path));
        fs::create_dir_all(self.place(path)).expect("a directory in a fixture");
    }

    /// A symbolic link, its target relative to where it stands.
    pub(crate) fn link(&self, path: &str, target: &str) {
        let place = self.place(path);
        make_parent(&place);
        std::os::unix::fs::symlink(target, place).expect("a link in a fixture");
    }

    /// The machine. Its files live as long as the fixture.
    pub(crate) fn host(&self) -> Host {
        Host::new(self.directory.path())
    }
}

fn make_parent(place: &Path) {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).expect("a directory in a fixture");
    }
}

/// A spinning hot thread on core 1, clients from elsewhere, and the journal on the disk.
pub(crate) fn plan() -> Plan {
    Plan {
        core: Some(1),
        idle: Idle::Spin,
        listen: SocketAddr::from(([10, 0, 0, 5], 7000)),
        descriptors_of_sessions: 192,
        descriptors: 448,
        durability: Durability::Disk,
        journal_directory: "/var/lib/tollgate/journal".into(),
        segment_bytes: 64 << 20,
    }
}

/// The file that names four cores.
pub(crate) const FOUR_CORES: (&str, &str) = ("/sys/devices/system/cpu/online", "0-3\n");
