//! The machine, as its files tell it: everything the checks know comes through here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::core_list::CoreList;

/// Why something is not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Unread {
    reason: String,
    /// There is no such file, as opposed to one that may not be read.
    pub(crate) missing: bool,
}

impl Unread {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), missing: false }
    }

    fn of(path: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self { reason: format!("there is no {path}"), missing: true },
            io::ErrorKind::PermissionDenied => Self::new(format!("{path} may not be read by this user")),
            _ => Self::new(format!("{path} cannot be read: {error}")),
        }
    }

    /// A file was there and said something that nobody expected.
    pub(crate) fn strange(path: &str, content: &str) -> Self {
        let shown: String = content.chars().take(60).collect();
        Self::new(format!("{path} says {shown:?}, which is not understood"))
    }
}

/// The machine: its files below a root, which is `/` but in tests.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where an absolute path of the machine is found.
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file's text, without blanks around it.
    pub(crate) fn text(&self, path: &str) -> Result<String, Unread> {
        let bytes = fs::read(self.place(Path::new(path))).map_err(|error| Unread::of(path, &error))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one whole number.
    pub(crate) fn number(&self, path: &str) -> Result<u64, Unread> {
        let text = self.text(path)?;
        text.parse().map_err(|_| Unread::strange(path, &text))
    }

    /// A file that holds a list of cores.
    pub(crate) fn cores(&self, path: &str) -> Result<CoreList, Unread> {
        let text = self.text(path)?;
        CoreList::parse(&text).ok_or_else(|| Unread::strange(path, &text))
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, Unread> {
        let unread = |error: io::Error| Unread::of(path, &error);
        let entries = fs::read_dir(self.place(Path::new(path))).map_err(unread)?;
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>().map_err(unread)?;
        names.sort();
        Ok(names)
    }

    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.place(Path::new(path)).is_dir()
    }

    /// The path without symbolic links; of a path that is not there, or may not be looked at, its nearest parent
    /// that is.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, Unread> {
        let root = fs::canonicalize(&self.root).map_err(|error| Unread::of("/", &error))?;
        let resolved = path.ancestors().find_map(|place| fs::canonicalize(self.place(place)).ok());
        let resolved = resolved.unwrap_or_else(|| root.clone());
        Ok(Path::new("/").join(resolved.strip_prefix(&root).unwrap_or(&resolved)))
    }

    /// The bytes that this user may still write to the file system of a directory.
    pub(crate) fn free_bytes(&self, path: &Path) -> Result<u64, Unread> {
        let shown = path.display().to_string();
        let status = rustix::fs::statvfs(self.place(path))
            .map_err(|error| Unread::of(&shown, &io::Error::from(error)))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    /// The names of all processes that this user may see; the kernel cuts them to 15 bytes.
    pub(crate) fn processes(&self) -> Result<Vec<String>, Unread> {
        let numbers = self.names("/proc")?;
        let numbers = numbers.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // A process may end in between: its name is not missed.
        Ok(numbers.filter_map(|number| self.text(&format!("/proc/{number}/comm")).ok()).collect())
    }

    /// Whether one of these processes runs. Unknown where the first process is hidden, for then others are too.
    pub(crate) fn running(&self, wanted: &[&'static str]) -> Result<Vec<&'static str>, Unread> {
        let processes = self.processes()?;
        let running: Vec<&str> =
            wanted.iter().copied().filter(|name| processes.iter().any(|process| process == name)).collect();
        if running.is_empty() {
            self.text("/proc/1/comm")
                .map_err(|error| Unread::new(format!("other users' processes are hidden: {error}")))?;
        }
        Ok(running)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        let fixture = Fixture::new(&[("/proc/a/b", "1\n"), ("/proc/text", "x")]);
        let host = fixture.host();
        assert_eq!(host.text("/proc/a/b").unwrap(), "1");
        let missing = host.text("/proc/none").unwrap_err();
        assert_eq!((missing.to_string().as_str(), missing.missing), ("there is no /proc/none", true));
        let unreadable = host.text("/proc/a").unwrap_err();
        assert!(unreadable.to_string().starts_with("/proc/a cannot be read: "), "{unreadable}");
        assert!(!unreadable.missing);
        let strange = host.number("/proc/text").unwrap_err();
        assert_eq!(strange.to_string(), "/proc/text says \"x\", which is not understood");
        let denied = Unread::of("/proc/x", &io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(denied.to_string(), "/proc/x may not be read by this user");
    }

    #[test]
    fn a_path_that_is_not_there_is_judged_by_its_parent() {
        let fixture = Fixture::new(&[("/var/lib/x", "")]);
        let host = fixture.host();
        assert_eq!(host.resolve(Path::new("/var/lib/tollgate/journal")).unwrap(), Path::new("/var/lib"));
        assert_eq!(host.resolve(Path::new("/nowhere/at/all")).unwrap(), Path::new("/"));
        fixture.link("/data", "var/lib");
        assert_eq!(host.resolve(Path::new("/data/journal")).unwrap(), Path::new("/var/lib"));
        assert!(host.free_bytes(Path::new("/var/lib")).is_ok());
        assert!(host.free_bytes(Path::new("/nowhere")).unwrap_err().missing);
    }

    #[test]
    fn hidden_processes_are_not_taken_for_missing() {
        let seen = Fixture::new(&[("/proc/1/comm", "systemd\n"), ("/proc/77/comm", "chronyd\n")]);
        assert_eq!(seen.host().running(&["ntpd", "chronyd"]).unwrap(), ["chronyd"]);
        assert!(seen.host().running(&["ntpd"]).unwrap().is_empty());
        let hidden = Fixture::new(&[("/proc/77/comm", "tollgate\n")]);
        assert!(hidden.host().running(&["ntpd"]).unwrap_err().to_string().contains("hidden"));
    }
}
