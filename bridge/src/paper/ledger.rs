//! The venue's own record: an append-only file that outlives the process as a real venue's memory would.
//!
//! A header of 16 bytes (`TOLLPAPR`, version, four zero bytes), then frames: marker, length and CRC-32C of the
//! payload (4 bytes each, little-endian), then the payload, which is everything that one request or quote changed.
//! A frame counts whole or not at all. What a killed process leaves half written at the end is cut at the next
//! start; damage before the end is an error. The file is not synced: it outlives the process, not the machine.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::instrument::{Instrument, InstrumentIndex};
use tollgate_protocol::text::Symbol;

use super::engine::Engine;
use super::entry::LedgerEntry;
use super::order::FinalOrder;
use super::state::{Contradiction, State};

const MAGIC: [u8; 8] = *b"TOLLPAPR";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const MARKER: [u8; 4] = [0xA7, b'T', b'G', 0x7A];
const FRAME_HEADER_BYTES: usize = 12;
/// A buffer that a burst has grown beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Why a ledger file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The system refused.
    #[error("cannot {doing} the ledger file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the ledger file {} is in use by another process: stop that, or name another file", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a ledger of a paper venue: name another file", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("the ledger file {} has version {found}, this program knows {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Bytes in the middle have changed.
    #[error(
        "the ledger file {} is damaged at byte {offset}: restore it from a copy, or cut it there \
         (truncate -s {offset}) and lose what came after",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first damaged frame starts.
        offset: u64,
    },
    /// Entries contradict each other.
    #[error("the ledger file {} contradicts itself at byte {offset}: {source}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Where the frame starts.
        offset: u64,
        /// What does not fit.
        source: Contradiction,
    },
    /// It has orders of an instrument that is gone, or has another grid now.
    #[error(
        "the ledger file {} has orders of {symbol}, whose {why}: restore the instrument, or start with another \
         ledger file",
        path.display()
    )]
    Instrument {
        /// The file.
        path: PathBuf,
        /// The instrument's name, empty when the file never named it.
        symbol: Symbol,
        /// What has changed.
        why: &'static str,
    },
}

/// An open ledger, owned by one venue.
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Frames to write.
    buffer: Vec<u8>,
    /// Bytes of the file that count.
    length: u64,
}

impl Ledger {
    /// Opens or creates the file, rebuilds what it tells in `engine`, which must be new, and lets the engine keep
    /// its entries from now on.
    pub fn load(path: &Path, engine: &mut Engine) -> Result<Self, LedgerError> {
        let io_error = |doing| move |source| LedgerError::Io { path: path.to_path_buf(), doing, source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io_error("open"))?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(match error {
                rustix::io::Errno::WOULDBLOCK => LedgerError::InUse { path: path.to_path_buf() },
                error => io_error("lock")(error.into()),
            });
        }
        let mut instruments = Translation::new(path, engine);
        let mut frames = Frames::new(path, &file)?;
        while let Some((offset, entries)) = frames.next()? {
            for entry in &entries {
                let Some(entry) = instruments.translate(entry)? else { continue };
                engine.restore(&entry).map_err(|source| LedgerError::Contradiction {
                    path: path.to_path_buf(),
                    offset,
                    source,
                })?;
            }
        }
        let length = frames.offset;
        file.set_len(length).map_err(io_error("cut the torn end of"))?;
        let mut ledger = Self { path: path.to_path_buf(), file, buffer: Vec::new(), length };
        if length == 0 {
            ledger.buffer.extend_from_slice(&header());
        }
        ledger.add(&instruments.definitions());
        ledger.write().map_err(io_error("write"))?;
        engine.keep_entries();
        Ok(ledger)
    }

    /// Takes what one request or quote changed, for the next write.
    pub fn add(&mut self, entries: &[LedgerEntry]) {
        if entries.is_empty() {
            return;
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&MARKER);
        self.buffer.extend_from_slice(&[0; FRAME_HEADER_BYTES - MARKER.len()]);
        for entry in entries {
            entry.encode(&mut self.buffer);
        }
        let payload = &self.buffer[start + FRAME_HEADER_BYTES..];
        let (length, checksum) = (payload.len() as u32, crc32c::crc32c(payload));
        self.buffer[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
        self.buffer[start + 8..start + 12].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Writes what was taken, by one system call. After an error everything stays for the next try.
    pub fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.buffer, self.length)?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// True when something waits to be written.
    pub fn has_unwritten(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Bytes written so far.
    pub fn length_bytes(&self) -> u64 {
        self.length
    }

    /// Gives it another file to write to, so that a test can make writing fail.
    #[cfg(test)]
    pub(super) fn swap_file(&mut self, file: &mut File) {
        std::mem::swap(&mut self.file, file);
    }

    /// Looks up an order that is over, by reading the file from its start.
    pub(super) fn find(&self, order_id: OrderId, engine: &Engine) -> Result<Option<FinalOrder>, LedgerError> {
        let mut instruments = Translation::new(&self.path, engine);
        let mut alone = State::new(engine.instruments.len(), 1);
        let mut frames = Frames::new(&self.path, &self.file)?;
        while let Some((offset, entries)) = frames.next()? {
            for entry in &entries {
                let Some(entry) = instruments.translate(entry)? else { continue };
                if entry.order_id() == Some(order_id) {
                    alone.apply(&entry).map_err(|source| LedgerError::Contradiction {
                        path: self.path.clone(),
                        offset,
                        source,
                    })?;
                }
            }
        }
        Ok(alone.final_order(order_id).cloned())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Closing is not enough while a child process that is about to start holds a copy of the descriptor.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Every entry of a ledger file, oldest first, as written: instrument indexes mean what the last
/// [`LedgerEntry::Instrument`] before says. A torn end is left out, and stays in the file. The venue may be running.
pub fn read_ledger(path: &Path) -> Result<Vec<LedgerEntry>, LedgerError> {
    let file = File::open(path).map_err(|source| LedgerError::Io {
        path: path.to_path_buf(),
        doing: "open",
        source,
    })?;
    let mut frames = Frames::new(path, &file)?;
    let mut all = Vec::new();
    while let Some((_, entries)) = frames.next()? {
        all.extend(entries);
    }
    Ok(all)
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// Reads frames one after the other.
struct Frames<'a> {
    path: &'a Path,
    file: &'a File,
    reader: BufReader<At<'a>>,
    /// Where the next frame starts; 0 in a file without a header.
    offset: u64,
    end: u64,
    payload: Vec<u8>,
}

impl<'a> Frames<'a> {
    fn new(path: &'a Path, file: &'a File) -> Result<Self, LedgerError> {
        let end = file.metadata().map_err(|source| read_error(path, source))?.len();
        let mut frames = Self {
            path,
            file,
            reader: BufReader::new(At { file, offset: 0 }),
            offset: 0,
            end,
            payload: Vec::new(),
        };
        let mut found = [0; HEADER_BYTES];
        let length = end.min(HEADER_BYTES as u64) as usize;
        frames.reader.read_exact(&mut found[..length]).map_err(|source| read_error(path, source))?;
        if found[..length.min(8)] != MAGIC[..length.min(8)] {
            return Err(LedgerError::NotALedger { path: path.to_path_buf() });
        }
        if length == HEADER_BYTES {
            let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
            if version != VERSION {
                return Err(LedgerError::Version { path: path.to_path_buf(), found: version });
            }
            frames.offset = HEADER_BYTES as u64;
        }
        Ok(frames)
    }

    /// The next frame's offset and entries; `None` at the end of what is whole.
    fn next(&mut self) -> Result<Option<(u64, Vec<LedgerEntry>)>, LedgerError> {
        let offset = self.offset;
        if offset == 0 || offset == self.end {
            return Ok(None);
        }
        if !self.read_frame().map_err(|source| read_error(self.path, source))? {
            let is_damage = self.has_frame_behind(offset).map_err(|source| read_error(self.path, source))?;
            self.end = offset;
            return if is_damage { Err(self.damaged(offset)) } else { Ok(None) };
        }
        let mut entries = Vec::new();
        let mut rest = self.payload.as_slice();
        while !rest.is_empty() {
            entries.push(LedgerEntry::decode(&mut rest).ok_or_else(|| self.damaged(offset))?);
        }
        self.offset += (FRAME_HEADER_BYTES + self.payload.len()) as u64;
        Ok(Some((offset, entries)))
    }

    /// Reads the frame at the reader's place; false when it is not whole.
    fn read_frame(&mut self) -> io::Result<bool> {
        let mut header = [0; FRAME_HEADER_BYTES];
        let Some(room) = (self.end - self.offset).checked_sub(header.len() as u64) else {
            return Ok(false);
        };
        self.reader.read_exact(&mut header)?;
        let Some((length, checksum)) = frame_header(&header, room) else {
            return Ok(false);
        };
        self.payload.resize(length, 0);
        self.reader.read_exact(&mut self.payload)?;
        Ok(crc32c::crc32c(&self.payload) == checksum)
    }

    /// True when a whole frame stands somewhere behind `offset`: what is broken there is then not the end.
    fn has_frame_behind(&self, offset: u64) -> io::Result<bool> {
        let mut chunk = vec![0; 64 << 10];
        let mut at = offset + 1;
        while at + (FRAME_HEADER_BYTES as u64) <= self.end {
            let length = (self.end - at).min(chunk.len() as u64) as usize;
            self.file.read_exact_at(&mut chunk[..length], at)?;
            for found in
                chunk[..length].windows(MARKER.len()).enumerate().filter(|(_, bytes)| **bytes == MARKER)
            {
                if self.is_frame(at + found.0 as u64)? {
                    return Ok(true);
                }
            }
            // The marker may lie across two chunks.
            at += (length - (MARKER.len() - 1)) as u64;
        }
        Ok(false)
    }

    fn is_frame(&self, at: u64) -> io::Result<bool> {
        let mut header = [0; FRAME_HEADER_BYTES];
        let Some(room) = self.end.checked_sub(at + header.len() as u64) else {
            return Ok(false);
        };
        self.file.read_exact_at(&mut header, at)?;
        let Some((length, checksum)) = frame_header(&header, room) else {
            return Ok(false);
        };
        let mut payload = vec![0; length];
        self.file.read_exact_at(&mut payload, at + header.len() as u64)?;
        Ok(crc32c::crc32c(&payload) == checksum)
    }

    fn damaged(&self, offset: u64) -> LedgerError {
        LedgerError::Damaged { path: self.path.to_path_buf(), offset }
    }
}

/// Length and checksum of a frame whose payload has at most `room` bytes.
fn frame_header(header: &[u8; FRAME_HEADER_BYTES], room: u64) -> Option<(usize, u32)> {
    let (marker, rest) = header.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (checksum, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    (*marker == MARKER && length > 0 && u64::from(length) <= room)
        .then(|| (length as usize, u32::from_le_bytes(*checksum)))
}

fn read_error(path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io { path: path.to_path_buf(), doing: "read", source }
}

/// Reads a file from its start, whatever its shared cursor says.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// What the file calls an instrument, in the order of the present settings.
struct Translation<'a> {
    path: &'a Path,
    instruments: Arc<[Instrument]>,
    venue: u16,
    named: Vec<Option<Name>>,
}

/// An instrument as the file knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name {
    symbol: Symbol,
    price_increment: Decimal,
    quantity_increment: Decimal,
}

impl Name {
    fn of(instrument: &Instrument) -> Self {
        Self {
            symbol: instrument.symbol,
            price_increment: instrument.price.increment(),
            quantity_increment: instrument.quantity.increment(),
        }
    }
}

impl<'a> Translation<'a> {
    fn new(path: &'a Path, engine: &Engine) -> Self {
        let (instruments, venue) = (Arc::clone(&engine.instruments), engine.settings.venue);
        Self { path, instruments, venue, named: Vec::new() }
    }

    /// The entry with the present index; `None` for a name.
    fn translate(&mut self, entry: &LedgerEntry) -> Result<Option<LedgerEntry>, LedgerError> {
        let mut entry = *entry;
        match &mut entry {
            LedgerEntry::Instrument { instrument, symbol, price_increment, quantity_increment } => {
                let at = usize::from(instrument.0);
                self.named.resize(self.named.len().max(at + 1), None);
                let (price_increment, quantity_increment) = (*price_increment, *quantity_increment);
                self.named[at] = Some(Name { symbol: *symbol, price_increment, quantity_increment });
                return Ok(None);
            }
            LedgerEntry::Received { order, .. } => order.instrument = self.present(order.instrument)?,
            // A refused order may have named any instrument.
            _ => {}
        }
        Ok(Some(entry))
    }

    fn present(&self, written: InstrumentIndex) -> Result<InstrumentIndex, LedgerError> {
        let problem = |symbol, why| LedgerError::Instrument { path: self.path.to_path_buf(), symbol, why };
        let name = self.named.get(usize::from(written.0)).copied().flatten();
        let name = name.ok_or_else(|| problem(Symbol::EMPTY, "name it never gives"))?;
        let is_it =
            |instrument: &Instrument| instrument.venue == self.venue && instrument.symbol == name.symbol;
        let at = self.instruments.iter().position(is_it);
        let at = at.ok_or_else(|| problem(name.symbol, "settings are gone"))?;
        if Name::of(&self.instruments[at]) != name {
            return Err(problem(name.symbol, "tick or step is another now"));
        }
        Ok(InstrumentIndex(at as u16))
    }

    /// The names to add to the file, so that it has those of the present settings.
    fn definitions(&self) -> Vec<LedgerEntry> {
        let own =
            self.instruments.iter().enumerate().filter(|(_, instrument)| instrument.venue == self.venue);
        own.filter(|(at, instrument)| self.named.get(*at).copied().flatten() != Some(Name::of(instrument)))
            .map(|(at, instrument)| LedgerEntry::Instrument {
                instrument: InstrumentIndex(at as u16),
                symbol: instrument.symbol,
                price_increment: instrument.price.increment(),
                quantity_increment: instrument.quantity.increment(),
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::paper::settings::PaperSettings;

    fn load(path: &Path) -> Result<Ledger, LedgerError> {
        Ledger::load(path, &mut Engine::new(PaperSettings::default(), Arc::from([])).unwrap())
    }

    const ENTRY: LedgerEntry = LedgerEntry::Duplicate { at_ns: 1, order_id: OrderId(2) };

    #[test]
    fn a_frame_behind_damage_is_found_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        // The marker of the frame behind lies before, across and after the end of the first chunk searched.
        for garbage in (65_520..65_560).chain([1, 12, 200_000]) {
            let path = folder.path().join(garbage.to_string());
            let mut ledger = load(&path).unwrap();
            ledger.buffer.resize(ledger.buffer.len() + garbage, 1);
            ledger.add(&[ENTRY]);
            ledger.write().unwrap();
            drop(ledger);
            let offset = HEADER_BYTES as u64;
            assert!(
                matches!(load(&path), Err(LedgerError::Damaged { offset: found, .. }) if found == offset),
                "{garbage}"
            );
        }
    }

    #[test]
    fn a_torn_end_is_cut_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("venue.ledger");
        let mut ledger = load(&path).unwrap();
        // As after a power cut: the length is there, the bytes are not.
        ledger.buffer.resize(100_000, 0);
        ledger.write().unwrap();
        drop(ledger);
        let mut ledger = load(&path).unwrap();
        assert_eq!(ledger.length_bytes(), HEADER_BYTES as u64);
        ledger.add(&[ENTRY]);
        ledger.write().unwrap();
        assert_eq!(read_ledger(&path).unwrap(), [ENTRY]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), ledger.length_bytes());
    }

    #[test]
    fn a_failed_write_is_tried_again_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("venue.ledger");
        let mut ledger = load(&path).unwrap();
        let mut file = File::open(&path).unwrap();
        ledger.swap_file(&mut file);
        ledger.add(&[ENTRY]);
        assert!(ledger.write().is_err());
        ledger.add(&[ENTRY]);
        assert!(ledger.write().is_err());
        ledger.swap_file(&mut file);
        ledger.write().unwrap();
        assert_eq!(read_ledger(&path).unwrap(), [ENTRY, ENTRY]);
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "my notes").unwrap();
        assert!(matches!(load(&path), Err(LedgerError::NotALedger { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"my notes");
        std::fs::write(&path, b"TOLLPAPR\x02\0\0\0\0\0\0\0").unwrap();
        assert!(matches!(load(&path), Err(LedgerError::Version { found: 2, .. })));
    }
}
