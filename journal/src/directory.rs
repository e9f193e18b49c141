//! The journal's directory: its segment files and its lock.

use crate::error::{FileError, OpenError};
use crate::format::segment_index;
use crate::segment::PREPARING_SUFFIX;
use crate::storage::Storage;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file that the writer locks.
pub(crate) const LOCK_NAME: &str = "LOCK";
/// Owner only.
pub(crate) const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// Bits of a mode that let the group or anybody in.
const OTHERS: u32 = 0o077;

/// Held while a directory is written to. A crash of the process releases it too.
///
/// The directory itself is locked, and the lock file in it: who deletes the file has not unlocked the directory, and
/// releases that know only the file still see that it is taken.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    directory: File,
    file: File,
}

impl Drop for DirectoryLock {
    /// Closing the files would not do: a child process that is just being started still has them open.
    fn drop(&mut self) {
        // The system releases the locks with the last open descriptor if this fails.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        let _ = rustix::fs::flock(&self.directory, FlockOperation::Unlock);
    }
}

impl DirectoryLock {
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let options = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = File::options().read(true).custom_flags(options.bits() as i32).open(directory);
        let opened = opened.map_err(FileError::new("open", directory))?;
        lock(&opened, directory, directory)?;
        let path = directory.join(LOCK_NAME);
        let file = open_lock(&path).map_err(FileError::new("open the lock file", &path))?;
        lock(&file, &path, directory)?;
        Ok(Self { directory: opened, file })
    }
}

fn lock(file: &File, path: &Path, directory: &Path) -> Result<(), OpenError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(error) => Err(FileError::new("lock", path)(error.into()).into()),
    }
}

/// Opens or creates the lock file, which must be nobody else's: who owns it could hold it for ever.
fn open_lock(path: &Path) -> io::Result<File> {
    refuse_irregular(path)?;
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(FILE_MODE);
    let file = options.custom_flags(NO_SURPRISES.bits() as i32).open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    let own = rustix::process::geteuid();
    // Root repairs a journal that belongs to the service.
    if metadata.uid() != own.as_raw() && !own.is_root() {
        let (owner, own) = (metadata.uid(), own.as_raw());
        return Err(io::Error::other(format!(
            "it belongs to user {owner}, this process is user {own}; give it and the directory to user {own} (chown -R)"
        )));
    }
    Ok(file)
}

/// Neither waits for the other end of a pipe nor follows a link to another file.
const NO_SURPRISES: OFlags = OFlags::NONBLOCK.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a file of the journal for reading. A pipe, socket, device, directory or link of that name is refused at once.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open_regular_with(File::options().read(true), path)
}

/// The same with other rights than reading.
pub(crate) fn open_regular_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_flagged(options, OFlags::empty(), path)
}

/// The same with further flags.
pub(crate) fn open_flagged(options: &mut OpenOptions, flags: OFlags, path: &Path) -> io::Result<File> {
    // Opening a device may already do something, so its name is looked at first.
    refuse_irregular(path)?;
    let file = options.custom_flags((NO_SURPRISES | flags).bits() as i32).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

fn refuse_irregular(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => check_regular(&metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::other(format!("it is {what}, not a regular file; move it out of the journal's directory")))
}

/// Creates the directory with those above it, for its owner alone, and durably: a power failure must not lose it with
/// what is in it.
pub(crate) fn create(storage: &dyn Storage, directory: &Path) -> Result<(), OpenError> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.exists()).collect();
    let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
    created.map_err(FileError::new("create", directory))?;
    for parent in missing.iter().filter_map(|path| path.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        storage.sync_directory(parent).map_err(FileError::new("sync", parent))?;
    }
    Ok(())
}

/// The directory's mode, when it lets others in than its owner.
pub(crate) fn open_to_others(directory: &Path) -> Result<Option<u32>, FileError> {
    let metadata = std::fs::metadata(directory).map_err(FileError::new("examine", directory))?;
    let mode = metadata.mode() & 0o7777;
    Ok((mode & OTHERS != 0).then_some(mode))
}

/// Looks at a directory until no number is missing; a name that appears meanwhile may be passed over by one look.
const LOOKS: usize = 3;

/// Segment files by index, in order.
pub(crate) fn list_segments(directory: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let mut segments = list_once(directory)?;
    for _ in 1..LOOKS {
        if segments.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1) {
            break;
        }
        segments = list_once(directory)?;
    }
    Ok(segments)
}

fn list_once(directory: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
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
