//! Faults for tests of this crate and of those that use it: a file system that fails on command.

pub use crate::open::open_with;
pub use crate::storage::{FileSystem, Storage};

use crate::map::Mapping;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// The real file system with faults that can be switched on and off while a journal runs on it.
#[derive(Debug, Default)]
pub struct FaultyStorage {
    inner: FileSystem,
    /// Error number that preparing a segment fails with; 0 is none.
    prepare_error: AtomicI32,
    /// Error number that syncs fail with; 0 is none.
    sync_error: AtomicI32,
    /// While true, syncs wait.
    held: Mutex<bool>,
    released: Condvar,
    /// Threads waiting in a sync.
    waiting: AtomicU64,
    /// Syncs of ranges that succeeded, as `(start, end)` offsets.
    syncs: Mutex<Vec<(usize, usize)>>,
}

impl FaultyStorage {
    /// Lets every preparation of a segment fail with this error number, such as 28 (`ENOSPC`), 30 (`EROFS`),
    /// 122 (`EDQUOT`) or 24 (`EMFILE`); 0 heals it.
    pub fn fail_preparing(&self, error_number: i32) {
        self.prepare_error.store(error_number, Ordering::SeqCst);
    }

    /// Lets every sync fail with this error number, such as 5 (`EIO`); 0 heals it.
    pub fn fail_syncs(&self, error_number: i32) {
        self.sync_error.store(error_number, Ordering::SeqCst);
    }

    /// Lets syncs wait until [`release_syncs`](Self::release_syncs): a disk that does not answer.
    pub fn hold_syncs(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Lets waiting and later syncs proceed.
    pub fn release_syncs(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.released.notify_all();
    }

    /// Threads that wait in a held sync at the moment.
    pub fn waiting_syncs(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Offsets of the ranges synced so far.
    pub fn synced_ranges(&self) -> Vec<(usize, usize)> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(error: &AtomicI32) -> io::Result<()> {
        match error.load(Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }

    fn wait_while_held(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while *held {
            held = self.released.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Storage for FaultyStorage {
    fn create(&self, path: &Path) -> io::Result<File> {
        Self::check(&self.prepare_error)?;
        self.inner.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.inner.open(path)
    }

    fn fill(&self, file: &File, path: &Path, range: Range<u64>) -> io::Result<()> {
        self.inner.fill(file, path, range)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(file, bytes, offset)
    }

    fn map(&self, file: &File, bytes: usize) -> io::Result<Mapping> {
        self.inner.map(file, bytes)
    }

    fn populate(&self, mapping: &Mapping, range: Range<usize>) -> io::Result<()> {
        self.inner.populate(mapping, range)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.inner.sync_file(file)
    }

    fn sync_range(&self, mapping: &Mapping, range: Range<usize>) -> io::Result<()> {
        self.wait_while_held();
        Self::check(&self.sync_error)?;
        self.inner.sync_range(mapping, range.clone())?;
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner).push((range.start, range.end));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.inner.sync_directory(directory)
    }
}
