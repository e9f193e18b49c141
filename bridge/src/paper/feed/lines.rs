//! Lines of a file, plain or compressed, read as they are asked for.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::FeedError;
use super::statistics::Fault;

/// A longer line is bad, and passed over without being held.
const LINE_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 64 << 10;
/// What a compressed file begins with.
const GZIP_MARK: [u8; 2] = [0x1f, 0x8b];
/// What some programs put before UTF-8 text.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file's lines.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
}

/// One line, without its end.
pub(super) enum Line<'a> {
    /// The text.
    Text(&'a str),
    /// Why it cannot be used.
    Bad(Fault, &'static str),
}

impl Lines {
    /// Opens the file. Whether it is compressed is seen by its first bytes, whatever its name says; a mark of UTF-8 at
    /// the beginning is passed over.
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let io_error = |source| FeedError::Io { path: path.to_path_buf(), source };
        // Asked before opening: to open a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(io_error)?.is_file() {
            return Err(FeedError::NotAFile { path: path.to_path_buf() });
        }
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path).map_err(io_error)?);
        let is_compressed = file.fill_buf().map_err(io_error)?.starts_with(&GZIP_MARK);
        let mut reader: Box<dyn BufRead + Send> = if is_compressed {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        let start = reader.fill_buf().map_err(io_error)?;
        if let Some(encoding) = foreign_encoding(start) {
            return Err(FeedError::Encoding { path: path.to_path_buf(), encoding });
        }
        if start.starts_with(UTF8_MARK) {
            reader.consume(UTF8_MARK.len());
        }
        Ok(Self { reader, line: Vec::new() })
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut is_too_long, mut is_any) = (false, false);
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            is_any = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let text = &bytes[..end.unwrap_or(bytes.len())];
            is_too_long |= self.line.len() + text.len() > LINE_BYTES_MAX;
            if !is_too_long {
                self.line.extend_from_slice(text);
            }
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !is_any {
            return Ok(None);
        }
        if is_too_long {
            return Ok(Some(Line::Bad(Fault::Length, "longer than 1 MiB")));
        }
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        Ok(Some(std::str::from_utf8(line).map_or(Line::Bad(Fault::Encoding, "not UTF-8 text"), Line::Text)))
    }
}

/// The name of a text's encoding when it begins as no UTF-8 text does.
fn foreign_encoding(start: &[u8]) -> Option<&'static str> {
    match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        // Without a mark, every other byte of plain words is 0.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => Some("UTF-16"),
        _ => None,
    }
}
