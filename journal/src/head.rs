//! The head of a journal: a small file that says which journal belongs here and how far it had become durable. What
//! segments cannot say of themselves, that they are gone, shows by it. `FORMAT.md` has the table.

use crate::directory::{open_regular, open_regular_with};
use crate::error::FileError;
use crate::format::{u32_at, u64_at};
use crate::storage::Storage;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Name of the head inside the journal's directory.
pub(crate) const HEAD_NAME: &str = "HEAD";
const MAGIC: [u8; 8] = *b"TGJHEAD\0";
const VERSION: u32 = 1;
/// Slots are written in turn, so that a crash in the middle of one leaves the other.
const SLOT_OFFSETS: [usize; 2] = [0, 512];
const SLOT_BYTES: usize = 128;
const FILE_BYTES: usize = 1024;
const CHECKSUM_OFFSET: usize = SLOT_BYTES - 4;

/// What a head says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) identity: [u8; 16],
    /// Every record up to this one had reached the disk.
    pub(crate) sequence: u64,
    /// A loss that was accepted and that no record states yet.
    pub(crate) accepted: Option<AcceptedLoss>,
}

/// A loss of records that somebody has accepted, so that the journal opens again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// Identity of the journal that was expected.
    pub expected_identity: [u8; 16],
    /// Last record that was known to be on disk; the true last one may be later. 0 when it was not known.
    pub lost_sequence: u64,
    /// Last record that is still there; 0 for none.
    pub kept_sequence: u64,
    /// When it was accepted, nanoseconds since the Unix epoch.
    pub accepted_ns: u64,
}

/// Why a head cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// Neither slot is intact.
    #[error("neither of its two copies is intact")]
    Damaged,
    /// Written by a newer release.
    #[error("its version {version} is newer than {VERSION}, the one this release reads; use a newer release")]
    Version {
        /// Version found.
        version: u32,
    },
}

impl Head {
    fn encode(&self, generation: u64) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&generation.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.identity);
        bytes[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        if let Some(loss) = self.accepted {
            bytes[48..64].copy_from_slice(&loss.expected_identity);
            bytes[64..72].copy_from_slice(&loss.lost_sequence.to_le_bytes());
            bytes[72..80].copy_from_slice(&loss.kept_sequence.to_le_bytes());
            bytes[80..88].copy_from_slice(&loss.accepted_ns.max(1).to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_OFFSET]);
        bytes[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The head in a slot with its generation; `None` when the slot is not intact.
    fn decode(bytes: &[u8]) -> Option<Result<(u64, Self), HeadFault>> {
        let bytes = bytes.get(..SLOT_BYTES)?;
        let intact = u32_at(bytes, CHECKSUM_OFFSET) == crc32c::crc32c(&bytes[..CHECKSUM_OFFSET]);
        if bytes[0..8] != MAGIC || !intact {
            return None;
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Some(Err(HeadFault::Version { version }));
        }
        let identity = |offset| std::array::from_fn(|byte| bytes[offset + byte]);
        let accepted_ns = u64_at(bytes, 80);
        let accepted = (accepted_ns != 0).then(|| AcceptedLoss {
            expected_identity: identity(48),
            lost_sequence: u64_at(bytes, 64),
            kept_sequence: u64_at(bytes, 72),
            accepted_ns,
        });
        let head = Self { identity: identity(24), sequence: u64_at(bytes, 40), accepted };
        Some(Ok((u64_at(bytes, 16), head)))
    }
}

/// The identity of a new journal.
pub(crate) fn random_identity() -> Result<[u8; 16], FileError> {
    let path = Path::new("/dev/urandom");
    let mut identity = [0; 16];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut identity))
        .map_err(FileError::new("read randomness from", path))?;
    Ok(identity)
}

/// A head as found in its file.
#[derive(Clone, Debug)]
pub(crate) struct FoundHead {
    pub(crate) path: PathBuf,
    pub(crate) head: Head,
}

/// Why the heads of a journal could not be read.
#[derive(Debug)]
pub(crate) enum HeadError {
    Io(FileError),
    Fault { path: PathBuf, fault: HeadFault },
}

/// The places where a journal's head is kept: in its directory, and where whoever removes that does not reach.
pub(crate) fn places(directory: &Path, beside: Option<&Path>) -> Vec<PathBuf> {
    let inside = directory.join(HEAD_NAME);
    std::iter::once(inside).chain(beside.map(Path::to_owned)).collect()
}

/// Reads the heads that there are.
pub(crate) fn read_all(places: &[PathBuf]) -> Result<Vec<FoundHead>, HeadError> {
    let mut found = Vec::new();
    for path in places {
        let mut bytes = Vec::new();
        let read = open_regular(path).and_then(|file| file.take(FILE_BYTES as u64).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(HeadError::Io(FileError::new("read", path)(error))),
        }
        let fault = |fault| HeadError::Fault { path: path.clone(), fault };
        let mut newest: Option<(u64, Head)> = None;
        for offset in SLOT_OFFSETS {
            let Some(slot) = bytes.get(offset..).and_then(Head::decode) else { continue };
            let slot = slot.map_err(fault)?;
            if newest.is_none_or(|(generation, _)| slot.0 > generation) {
                newest = Some(slot);
            }
        }
        let (_, head) = newest.ok_or_else(|| fault(HeadFault::Damaged))?;
        found.push(FoundHead { path: path.clone(), head });
    }
    Ok(found)
}

/// The heads of an open journal, kept up to date by the cold half.
#[derive(Debug)]
pub(crate) struct HeadFiles {
    head: Head,
    generation: u64,
    files: Vec<File>,
}

impl HeadFiles {
    /// Writes a head to all its places. Those that cannot be written are returned with the reason: the journal works
    /// without, and fewer losses would be noticed.
    pub(crate) fn create(
        storage: &dyn Storage,
        places: &[PathBuf],
        head: Head,
    ) -> (Self, Vec<(PathBuf, io::Error)>) {
        let mut heads = Self { head, generation: 1, files: Vec::new() };
        let mut failed = Vec::new();
        for path in places {
            match create_file(storage, path, &head.encode(1)) {
                Ok(file) => heads.files.push(file),
                Err(error) => failed.push((path.clone(), error)),
            }
        }
        (heads, failed)
    }

    /// Last record that the head says was durable.
    pub(crate) fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// Notes how far the journal is durable now. An accepted loss has been stated once a record after it is.
    pub(crate) fn advance(&mut self, storage: &dyn Storage, sequence: u64) -> io::Result<()> {
        self.head.sequence = sequence;
        self.head.accepted = self.head.accepted.filter(|loss| sequence <= loss.kept_sequence);
        self.generation += 1;
        let bytes = self.head.encode(self.generation);
        let offset = SLOT_OFFSETS[(self.generation % 2) as usize] as u64;
        for file in &self.files {
            storage.write_at(file, &bytes, offset)?;
            storage.sync_file(file)?;
        }
        Ok(())
    }
}

/// Replaces the file as a whole, so that there is always one.
fn create_file(storage: &dyn Storage, path: &Path, slot: &[u8]) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    match storage.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A name that is no file is not replaced, whatever it is.
    if let Err(error) = open_regular_with(OpenOptions::new().read(true), path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = storage.create(&temporary)?;
    let mut bytes = [0; FILE_BYTES];
    // The first generation is odd, and has the second place.
    bytes[SLOT_OFFSETS[1]..SLOT_OFFSETS[1] + SLOT_BYTES].copy_from_slice(slot);
    storage.write_at(&file, &bytes, 0)?;
    storage.sync_file(&file)?;
    storage.rename(&temporary, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    storage.sync_directory(parent.unwrap_or(Path::new(".")))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::storage::FileSystem;

    const LOSS: AcceptedLoss =
        AcceptedLoss { expected_identity: [7; 16], lost_sequence: 90, kept_sequence: 40, accepted_ns: 5 };
    const HEAD: Head = Head { identity: [3; 16], sequence: 40, accepted: Some(LOSS) };

    /// Computed from `FORMAT.md` by another program: a change of these bytes is a change of the format.
    #[test]
    fn golden_head() {
        let hex = HEAD.encode(2).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let expected = concat!(
            "54474a48454144000100000000000000020000000000000003030303030303030303030303030303",
            "2800000000000000",
            "070707070707070707070707070707075a0000000000000028000000000000000500000000000000",
            "000000000000000000000000000000000000000000000000000000000000000000000000",
        );
        assert_eq!(hex[..248], *expected);
        assert_eq!(hex.len(), 256);
    }

    #[test]
    fn any_flipped_bit_of_a_slot_voids_it() {
        let bytes = HEAD.encode(2);
        assert_eq!(Head::decode(&bytes), Some(Ok((2, HEAD))));
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn the_newer_slot_counts_and_the_older_stands_in_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let places = places(directory.path(), None);
        let read = || read_all(&places).unwrap()[0].head;
        let (mut heads, failed) = HeadFiles::create(&FileSystem, &places, HEAD);
        assert!(failed.is_empty());
        assert_eq!(read(), HEAD);
        heads.advance(&FileSystem, 40).unwrap();
        assert_eq!(read(), HEAD, "the loss is not stated yet");
        heads.advance(&FileSystem, 41).unwrap();
        assert_eq!(read(), Head { sequence: 41, accepted: None, ..HEAD });
        heads.advance(&FileSystem, 50).unwrap();
        assert_eq!(read().sequence, 50);
        let mut bytes = std::fs::read(&places[0]).unwrap();
        bytes[45] ^= 1;
        std::fs::write(&places[0], &bytes).unwrap();
        assert_eq!(read().sequence, 41, "a torn slot leaves the one before");
        bytes[600] ^= 1;
        std::fs::write(&places[0], &bytes).unwrap();
        assert!(matches!(read_all(&places), Err(HeadError::Fault { fault: HeadFault::Damaged, .. })));
    }
}
