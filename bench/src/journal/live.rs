//! A journal that is being written.

use std::time::{Duration, Instant};

use tollgate_journal::{Appender, FlusherHandle, FlusherOptions, Room, Settings, open};

use super::{Outcome, PAYLOAD_BYTES};

/// Nothing that works takes so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The journal's cold half looks every 10 ms at what to prepare: this is long enough for two looks.
const TWO_LOOKS: Duration = Duration::from_millis(25);

/// A journal open for writing, its cold threads on the other core.
pub(super) struct Live {
    pub(super) appender: Appender,
    handle: FlusherHandle,
}

impl Live {
    pub(super) fn open(settings: &Settings) -> Outcome<Self> {
        let opened = open(settings, |_| {})?;
        let options = FlusherOptions { core: Some(crate::cores::client()), ..FlusherOptions::default() };
        let live = Self { appender: opened.appender, handle: opened.flusher.spawn(&options)? };
        live.settle()?;
        Ok(live)
    }

    /// Appends one record.
    #[inline]
    pub(super) fn append(&mut self, payload: &[u8; PAYLOAD_BYTES]) -> Outcome<u64> {
        let time_ns = self.appender.next_sequence();
        Ok(self.appender.append(Room::Ordinary, 1, time_ns, PAYLOAD_BYTES, |slot| {
            slot.copy_from_slice(payload);
            PAYLOAD_BYTES
        })?)
    }

    /// Waits until the next segment is ready and the pages ahead are touched.
    pub(super) fn settle(&self) -> Outcome<()> {
        let began = Instant::now();
        std::thread::sleep(TWO_LOOKS);
        while !self.appender.status().next_ready {
            self.patient(began, "no next segment was prepared")?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Spins until the watermark has reached the sequence, as the gateway's hot thread does.
    #[inline]
    pub(super) fn wait_durable(&self, sequence: u64) -> Outcome<()> {
        let began = Instant::now();
        while self.appender.durable_sequence() < sequence {
            self.patient(began, "a record did not become durable")?;
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Waits until every record is on the disk, whatever the class.
    pub(super) fn wait_synced(&self) -> Outcome<()> {
        let began = Instant::now();
        while self.handle.synced_sequence() + 1 < self.appender.next_sequence() {
            self.patient(began, "a record did not reach the disk")?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Syncs what was appended and ends the cold threads.
    pub(super) fn stop(self) -> Outcome<()> {
        Ok(self.handle.stop()?)
    }

    fn patient(&self, began: Instant, what: &str) -> Outcome<()> {
        if began.elapsed() < PATIENCE {
            return Ok(());
        }
        let reason = match (self.handle.statistics().last_error(), self.appender.status().reason.code()) {
            (Some(error), code) => format!("{code}, {error}"),
            (None, code) => code.to_owned(),
        };
        Err(format!("{what} within {} s: {reason}", PATIENCE.as_secs()).into())
    }
}
