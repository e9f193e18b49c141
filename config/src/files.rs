//! The files that settings name, behind a seam.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::listing::{Exchange, ListedSymbol};

/// Who may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Privacy {
    /// Anybody.
    Public,
    /// The owner alone: it holds secrets.
    Private,
}

/// Why a file could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("there is no such file")]
    Missing,
    /// Others can read the secrets in it.
    #[error("holds secrets and its mode is {mode:04o}: others can read it; chmod 600 it")]
    NotPrivate {
        /// The permission bits.
        mode: u32,
    },
    /// More bytes than are taken.
    #[error("is longer than the {limit_bytes} bytes that are read")]
    TooLong {
        /// The limit.
        limit_bytes: u64,
    },
    /// The system refused, or it is not text.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// Reads the files that settings name.
pub trait Files {
    /// The whole of a file of at most `limit_bytes` of UTF-8 text.
    fn read(&self, path: &Path, privacy: Privacy, limit_bytes: u64) -> Result<String, FileError>;

    /// The symbols in the text of an exchange's rule file, or what is wrong with it. Venues know these forms and
    /// settings do not: whoever has the venues says here how theirs are read.
    fn listing(&self, exchange: Exchange, text: &str) -> Result<Vec<ListedSymbol>, String> {
        let _ = text;
        Err(format!("rule files of {} cannot be read by this program", exchange.name()))
    }
}

/// The machine's files.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, privacy: Privacy, limit_bytes: u64) -> Result<String, FileError> {
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing,
            _ => FileError::Unreadable(error.to_string()),
        };
        // Asked before opening: to open a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(FileError::Unreadable("not a regular file".to_owned()));
        }
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
        if privacy == Privacy::Private && mode & 0o077 != 0 {
            return Err(FileError::NotPrivate { mode });
        }
        // Sized at once: a text that grows would leave copies of secrets behind.
        let size = file.metadata().map_err(unreadable)?.len().min(limit_bytes);
        let mut text = String::with_capacity(size as usize + 1);
        let length = file.take(limit_bytes + 1).read_to_string(&mut text).map_err(unreadable)?;
        if length as u64 > limit_bytes {
            return Err(FileError::TooLong { limit_bytes });
        }
        Ok(text)
    }
}

/// No files at all: each is missing. For text that is not trusted, and for tests.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path, _: Privacy, _: u64) -> Result<String, FileError> {
        Err(FileError::Missing)
    }
}
