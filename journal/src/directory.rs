//! The journal's directory: its segment files and its lock.

use crate::error::{FileError, OpenError};
use crate::format::segment_index;
use crate::segment::PREPARING_SUFFIX;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Name of the file that the writer locks.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// Held while a directory is written to. A crash of the process releases it too.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    /// Closing the file would not do: a child process that is just being started still has it open.
    fn drop(&mut self) {
        // The system releases the lock with the last open descriptor if this fails.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl DirectoryLock {
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK_NAME);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(FileError::new("open the lock file", &path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { directory: directory.to_owned() }),
            Err(error) => Err(FileError::new("lock", &path)(error.into()).into()),
        }
    }
}

/// Segment files by index, in order.
pub(crate) fn list_segments(directory: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let mut segments = Vec::new();
    for_each_name(directory, |name, path| {
        if let Some(index) = segment_index(name) {
            segments.push((index, path));
        }
    })?;
    segments.sort_unstable();
    Ok(segments)
}

/// Files of segments whose preparation was interrupted.
pub(crate) fn list_unfinished(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut unfinished = Vec::new();
    for_each_name(directory, |name, path| {
        if name.strip_suffix(PREPARING_SUFFIX).and_then(segment_index).is_some() {
            unfinished.push(path);
        }
    })?;
    unfinished.sort_unstable();
    Ok(unfinished)
}

fn for_each_name(directory: &Path, mut visit: impl FnMut(&str, PathBuf)) -> Result<(), FileError> {
    let entries = std::fs::read_dir(directory).map_err(FileError::new("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(FileError::new("list", directory))?;
        if let Some(name) = entry.file_name().to_str() {
            visit(name, entry.path());
        }
    }
    Ok(())
}

/// First name of the form `<file>.<label>-<n>` that is not taken.
pub(crate) fn aside_path(file: &Path, label: &str) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{label}-{number}"));
        let path = PathBuf::from(name);
        if std::fs::symlink_metadata(&path).is_err() {
            return path;
        }
        number += 1;
    }
}
