//! The files that settings name, behind a seam.

use std::fs::{File, Metadata};
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
    /// Somebody else owns it, and could have written anything into it.
    #[error("holds secrets and is user {owner}'s, and this runs as user {user}: chown {user} it")]
    NotOwned {
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        user: u32,
    },
    /// Others can put another file in its place.
    #[error(
        "holds secrets and others can write to {folder}, whose mode is {mode:04o}: chmod go-w that folder"
    )]
    FolderOpen {
        /// The folder.
        folder: String,
        /// Its permission bits.
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
        if privacy == Privacy::Private {
            check_private(path, &file.metadata().map_err(unreadable)?)?;
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

/// What holds secrets is its owner's alone, its owner is who runs this, and nobody else can put another in its place.
fn check_private(path: &Path, file: &Metadata) -> Result<(), FileError> {
    let mode = file.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::NotPrivate { mode });
    }
    let unreadable = |error: std::io::Error| FileError::Unreadable(error.to_string());
    let path = std::fs::canonicalize(path).map_err(unreadable)?;
    let folders: Vec<(&Path, Metadata)> = path
        .ancestors()
        .skip(1)
        .map(|folder| Ok((folder, std::fs::metadata(folder)?)))
        .collect::<std::io::Result<_>>()
        .map_err(unreadable)?;
    let (user, owner) = (rustix::process::geteuid().as_raw(), file.uid());
    // Root also works for the user whose folder it is.
    let of_folder = user == 0 && folders.first().is_some_and(|(_, folder)| folder.uid() == owner);
    if owner != user && owner != 0 && !of_folder {
        return Err(FileError::NotOwned { owner, user });
    }
    for (depth, (folder, metadata)) in folders.iter().enumerate() {
        let mode = metadata.mode() & 0o7777;
        // Its group may not write to the file's own folder; farther up a group of one's own is usual.
        let others = if depth == 0 { 0o022 } else { 0o002 };
        // Where the sticky bit is set, only its owner removes a file.
        if mode & others != 0 && mode & 0o1000 == 0 {
            return Err(FileError::FolderOpen { folder: folder.display().to_string(), mode });
        }
    }
    Ok(())
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
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn private(path: &Path) -> Result<String, FileError> {
        Disk.read(path, Privacy::Private, 100)
    }

    #[test]
    fn a_secret_is_read_only_where_nobody_else_can_replace_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("open");
        let inner = folder.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        let (near, far) = (folder.join("secret"), inner.join("secret"));
        for path in [&near, &far] {
            write(path, "s").unwrap();
            set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
        let mode = |mode: u32| set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert_eq!((private(&near), private(&far)), (Ok("s".to_owned()), Ok("s".to_owned())));
        for open in [0o777, 0o775, 0o757] {
            mode(open);
            let told = private(&near).unwrap_err().to_string();
            assert!(told.contains(&format!("{open:04o}")) && told.contains("chmod go-w"), "{told}");
            assert_eq!(private(&far).is_ok(), open == 0o775, "{open:o}: a group may write farther up");
        }
        mode(0o1777);
        assert!(private(&near).is_ok(), "only its owner removes a file from a sticky folder");
        set_permissions(&near, Permissions::from_mode(0o620)).unwrap();
        assert_eq!(private(&near), Err(FileError::NotPrivate { mode: 0o620 }));
    }

    #[test]
    fn a_secret_of_another_user_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        write(&path, "s").unwrap();
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if std::os::unix::fs::chown(&path, Some(54_321), None).is_err() {
            // Only root can give a file away; whoever is not cannot read another's private file either.
            return;
        }
        let told = private(&path).unwrap_err();
        assert_eq!(told, FileError::NotOwned { owner: 54_321, user: 0 });
        assert!(told.to_string().contains("chown 0"), "{told}");
        std::os::unix::fs::chown(directory.path(), Some(54_321), None).unwrap();
        assert!(private(&path).is_ok(), "root works for the user whose folder it is");
    }

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
