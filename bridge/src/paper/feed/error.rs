//! Why a price feed cannot be opened.

use std::io;
use std::path::PathBuf;

use tollgate_protocol::instrument::InstrumentIndex;

/// Why a feed cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The system refused.
    #[error("cannot read the price file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Not a file that can be read from front to back, and again.
    #[error("the price file {} is not a regular file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// Text in another encoding.
    #[error("the price file {} is {encoding} text: save it as UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// What it is.
        encoding: &'static str,
    },
    /// It can be read, and cannot be played.
    #[error("the price file {} {problem}", path.display())]
    Unplayable {
        /// The file.
        path: PathBuf,
        /// Why not, and what would be right.
        problem: String,
    },
    /// The first line is of neither known form.
    #[error(
        "the price file {} starts with {line:?}: expected the header timestamp,bid,ask or a line such as \
         20200101 170000065,1.1212,1.1217,0",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The beginning of its first line.
        line: String,
    },
    /// The instrument is not one of the venue's.
    #[error("a price feed names instrument {}, which is not traded at its venue", instrument.0)]
    UnknownInstrument {
        /// What it names.
        instrument: InstrumentIndex,
    },
    /// A number out of its range.
    #[error("{name} of a synthetic feed is {value}: {hint}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was given.
        value: i64,
        /// What to give.
        hint: &'static str,
    },
}
