//! The log between those who write it and the file it goes to: a bounded queue and a thread of its own.
//!
//! Whoever logs is never held up and never fails, whatever became of standard error: a pipe that nobody reads, a full
//! disk, a terminal that is gone. What does not fit is lost, the oldest first, counted, and said as soon as lines get
//! through again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes that wait.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// The most lines that wait.
const WAITING_LINES_MAX: usize = 8192;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// What follows the number of lines that were lost.
const LOST_WORDS: &str = " (lines of this log that were lost before the next one)";
/// Before a file that takes nothing right now is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The queue's end for those who log. Cheap to clone.
#[derive(Clone)]
pub struct LogQueue {
    shared: Arc<Shared>,
}

/// What became of the lines.
#[derive(Default, Debug)]
pub struct LogStatistics {
    written: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
}

impl LogStatistics {
    /// Lines that the file took.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that were lost: the queue was full, or the file failed.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Lines that wait for the file.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when a line comes, when one is done, and at the end.
    changed: Condvar,
    statistics: Arc<LogStatistics>,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread has a line in its hands.
    is_writing: bool,
    is_closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Vec<u8>) {
        let mut queue = self.lock();
        queue.bytes += line.len();
        queue.lines.push_back(line);
        let mut lost = 0;
        while queue.lines.len() > WAITING_LINES_MAX || queue.bytes > WAITING_BYTES_MAX {
            let Some(oldest) = queue.lines.pop_front() else { break };
            queue.bytes -= oldest.len();
            lost += 1;
        }
        self.statistics.lost.fetch_add(lost, Ordering::Relaxed);
        self.statistics.waiting.store(queue.lines.len() as u64, Ordering::Relaxed);
        drop(queue);
        self.changed.notify_all();
    }

    /// The next line; `None` once the queue is closed and empty.
    fn next(&self) -> Option<Vec<u8>> {
        let mut queue = self.lock();
        queue.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.is_writing = true;
                self.statistics.waiting.store(queue.lines.len() as u64, Ordering::Relaxed);
                return Some(line);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl LogQueue {
    /// Lines go to `file`, which may block and fail as it likes.
    pub fn start(file: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new().name("tollgate-log".to_owned()).spawn(move || run(&own, file))?;
        Ok(Self { shared })
    }

    /// What became of the lines.
    pub fn statistics(&self) -> &Arc<LogStatistics> {
        &self.shared.statistics
    }

    /// A line in the making.
    pub fn line(&self) -> LogLine {
        LogLine { bytes: Vec::new(), shared: Arc::clone(&self.shared) }
    }

    /// Waits until every line is written, at most for `timeout`; false when some are not. For the end of a process:
    /// a thread that hangs in a file that takes nothing ends with it.
    pub fn finish(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut queue = self.shared.lock();
        while queue.is_writing || !queue.lines.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// No more lines: the thread ends after those that wait.
    pub fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

/// A line in the making; it is in the queue when this is dropped.
pub struct LogLine {
    bytes: Vec<u8>,
    shared: Arc<Shared>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        if self.bytes.len() >= LINE_BYTES_MAX {
            self.bytes.truncate(LINE_BYTES_MAX - 1);
            self.bytes.push(b'\n');
        }
        self.shared.push(std::mem::take(&mut self.bytes));
    }
}

fn run(shared: &Shared, mut file: impl Write) {
    let statistics = &shared.statistics;
    let mut lost_told = 0;
    while let Some(line) = shared.next() {
        let lost = statistics.lost();
        if lost > lost_told {
            let note = format!("{}{LOST_WORDS}\n", lost - lost_told);
            if write(&mut file, note.as_bytes()) {
                lost_told = lost;
            }
        }
        let counter = if write(&mut file, &line) { &statistics.written } else { &statistics.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// True when all of it was taken. A file that takes nothing right now is waited for; any other failure is the end of the
/// line.
fn write(file: &mut impl Write, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return false,
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(_) => return false,
        }
    }
    file.flush().is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Takes a line for every permit, and fails while it is told to.
    struct Gate {
        permits: Receiver<bool>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.permits.recv() {
                Ok(true) => {
                    self.taken.lock().unwrap().extend_from_slice(bytes);
                    Ok(bytes.len())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (LogQueue, Sender<bool>, Arc<Mutex<Vec<u8>>>) {
        let (permit, permits) = channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let queue = LogQueue::start(Gate { permits, taken: Arc::clone(&taken) }).unwrap();
        (queue, permit, taken)
    }

    fn say(queue: &LogQueue, text: &str) {
        queue.line().write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    #[test]
    fn a_file_that_takes_nothing_holds_nobody_up_and_the_last_lines_are_kept() {
        let (queue, permit, taken) = gate();
        for number in 0..3 * WAITING_LINES_MAX {
            say(&queue, &number.to_string());
        }
        assert!(!queue.finish(Duration::from_millis(1)), "nothing can be written yet");
        let lost = queue.statistics().lost();
        assert!(lost >= 2 * WAITING_LINES_MAX as u64 - 1, "{lost}");
        for _ in 0..2 * WAITING_LINES_MAX {
            permit.send(true).unwrap();
        }
        assert!(queue.finish(PATIENCE));
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with(&format!("\n{}\n", 3 * WAITING_LINES_MAX - 1)), "the last line is there");
        let told = text.lines().filter_map(|line| line.strip_suffix(LOST_WORDS)?.trim().parse::<u64>().ok());
        assert_eq!(told.sum::<u64>(), lost);
        assert_eq!(queue.statistics().written() + lost, 3 * WAITING_LINES_MAX as u64);
    }

    #[test]
    fn a_file_that_fails_loses_lines_and_is_tried_again_with_the_next() {
        let (queue, permit, taken) = gate();
        for may in [false, true, true] {
            permit.send(may).unwrap();
        }
        say(&queue, "first");
        say(&queue, "second");
        assert!(queue.finish(PATIENCE));
        assert_eq!((queue.statistics().lost(), queue.statistics().written()), (1, 1));
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "1 (lines of this log that were lost before the next one)\nsecond\n");
    }

    #[test]
    fn waiting_bytes_are_bounded_and_a_long_line_is_cut() {
        let (queue, _permit, _taken) = gate();
        for _ in 0..1000 {
            say(&queue, &"x".repeat(3 * LINE_BYTES_MAX));
        }
        let shared = queue.shared.lock();
        assert!(shared.bytes <= WAITING_BYTES_MAX);
        assert!(shared.lines.iter().all(|line| line.len() == LINE_BYTES_MAX && line.ends_with(b"\n")));
    }
}
