//! The files that settings name, behind a seam.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tollgate_protocol::Instrument;
use zeroize::Zeroize;

use crate::listing::{Exchange, ListedSymbol};
use crate::venue::FeedSettings;

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
    /// It is text in another encoding, or no text.
    #[error("is {encoding} text in line {line}: save it as UTF-8")]
    NotText {
        /// What it is.
        encoding: &'static str,
        /// The line where that is seen, from 1.
        line: usize,
    },
    /// The system refused.
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

    /// Looks through the recorded prices of the venue at position `venue`, whose form the venue alone knows: what is
    /// left out or odd, or why they cannot be played. Without an answer they are taken as they are.
    fn recording(
        &self,
        feed: &FeedSettings,
        instruments: &[Instrument],
        venue: u16,
    ) -> Result<Vec<String>, String> {
        let _ = (feed, instruments, venue);
        Ok(Vec::new())
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
        // Sized at once: bytes that grow would leave copies of secrets behind.
        let size = file.metadata().map_err(unreadable)?.len().min(limit_bytes);
        let mut bytes = Vec::with_capacity(size as usize + 1);
        file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > limit_bytes {
            bytes.zeroize();
            return Err(FileError::TooLong { limit_bytes });
        }
        text_of(bytes)
    }
}

/// UTF-8, without the mark that some programs put before it.
fn text_of(bytes: Vec<u8>) -> Result<String, FileError> {
    const MARK: char = '\u{feff}';
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        bytes.zeroize();
        FileError::NotText { encoding: if utf16 { "UTF-16" } else { "no UTF-8" }, line }
    })?;
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

/// No files at all: each is missing. For text that is not trusted, and for tests.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path, _: Privacy, _: u64) -> Result<String, FileError> {
        Err(FileError::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_before_the_text_is_no_part_of_it() {
        assert_eq!(text_of(b"\xef\xbb\xbfa = 1".to_vec()), Ok("a = 1".to_owned()));
        assert_eq!(text_of(b"a = 1".to_vec()), Ok("a = 1".to_owned()));
    }

    #[test]
    fn other_encodings_are_named() {
        let utf16 = text_of(b"\xff\xfea\0".to_vec());
        assert_eq!(utf16, Err(FileError::NotText { encoding: "UTF-16", line: 1 }));
        let latin = text_of(b"a = 1\nb = \"\xe4\"".to_vec());
        assert_eq!(latin, Err(FileError::NotText { encoding: "no UTF-8", line: 2 }));
    }
}
