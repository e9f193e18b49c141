//! Everything the cold half asks of the file system, behind a seam that tests can make fail.

use crate::directory::{FILE_MODE, open_flagged, open_regular_with};
use crate::format::PAGE_BYTES;
use crate::map::Mapping;
use rustix::fs::{Advice, FallocateFlags, OFlags};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes written by one call when a segment is filled.
const FILL_BYTES: usize = 1024 * 1024;

/// File system calls of the cold half.
pub trait Storage: Send + Sync + 'static {
    /// Creates a file that must not exist yet, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Reserves and zeroes `range` of the file, so that later stores to it need no space and no metadata.
    fn fill(&self, file: &File, path: &Path, range: Range<u64>) -> io::Result<()>;
    /// Writes bytes at an offset.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Brings the file into the page cache in single pages and maps it.
    fn map(&self, file: &File, bytes: usize) -> io::Result<Mapping>;
    /// Makes pages of a mapping writable without a fault.
    fn populate(&self, mapping: &Mapping, range: Range<usize>) -> io::Result<()>;
    /// Makes a file durable, with its size.
    fn sync_file(&self, file: &File) -> io::Result<()>;
    /// Makes a range of a mapped file durable.
    fn sync_range(&self, mapping: &Mapping, range: Range<usize>) -> io::Result<()>;
    /// Renames a file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file that was never part of the journal.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes renames in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// The file system itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Storage for FileSystem {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        open_regular_with(OpenOptions::new().read(true).write(true), path)
    }

    fn fill(&self, file: &File, path: &Path, range: Range<u64>) -> io::Result<()> {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), range.start, range.end - range.start) {
            // The writes below reserve the space on file systems that cannot do it at once.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        match fill_direct(path, range.clone()) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                fill_pages(file, range)
            }
            result => result,
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn map(&self, file: &File, bytes: usize) -> io::Result<Mapping> {
        warm(file, bytes as u64)?;
        Mapping::of_file(file, bytes)
    }

    fn populate(&self, mapping: &Mapping, range: Range<usize>) -> io::Result<()> {
        mapping.populate(range)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_range(&self, mapping: &Mapping, range: Range<usize>) -> io::Result<()> {
        mapping.sync(range)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

/// Writes zeros past the page cache. Fails with `EINVAL` where the file system cannot.
fn fill_direct(path: &Path, range: Range<u64>) -> io::Result<()> {
    if !range.start.is_multiple_of(PAGE_BYTES as u64) {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let direct = open_flagged(OpenOptions::new().write(true), OFlags::DIRECT, path)?;
    // Anonymous memory is zero and aligned to pages, as direct writes demand.
    let zeros = Mapping::anonymous(FILL_BYTES)?;
    write_zeros(&direct, zeros.bytes(0..FILL_BYTES), range)
}

/// Writes zeros page by page: larger writes would leave large folios in the page cache, and every later sync
/// would write such a folio whole.
fn fill_pages(file: &File, range: Range<u64>) -> io::Result<()> {
    write_zeros(file, &[0; PAGE_BYTES], range)
}

fn write_zeros(file: &File, zeros: &[u8], range: Range<u64>) -> io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let bytes = (range.end - offset).min(zeros.len() as u64);
        file.write_all_at(&zeros[..bytes as usize], offset)?;
        offset += bytes;
    }
    Ok(())
}

/// Reads the file once with random advice: the kernel then caches single pages, at the disk's full speed.
fn warm(file: &File, bytes: u64) -> io::Result<()> {
    // Advice may be refused by exotic file systems; the journal works without.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Random);
    let mut buffer = vec![0; FILL_BYTES.min(bytes as usize)];
    let mut offset = 0;
    while offset < bytes {
        match file.read_at(&mut buffer, offset) {
            Ok(0) => break,
            Ok(read) => offset += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
