//! What the system knows of this process, from `/proc/self`.

use std::fs;

/// Clock ticks a second in `/proc`: fixed on every Linux.
const TICKS_PER_SECOND: u64 = 100;
const NS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// The process. What cannot be read is absent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Process {
    /// Memory in use.
    pub(super) resident_bytes: Option<u64>,
    /// Address space in use.
    pub(super) virtual_bytes: Option<u64>,
    /// File descriptors open.
    pub(super) open_fds: Option<u64>,
    /// File descriptors allowed.
    pub(super) max_fds: Option<u64>,
    /// Time on the processor, user and system.
    pub(super) cpu_ns: Option<u64>,
    /// Threads.
    pub(super) threads: Option<u64>,
}

impl Process {
    /// As it stands now.
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        Self {
            // The directory itself is open while it is read.
            open_fds: open_fds.map(|count| count.saturating_sub(1)),
            max_fds: max_fds(&limits),
            ..Self::parse(&status, &stat)
        }
    }

    fn parse(status: &str, stat: &str) -> Self {
        let kilobytes = |name: &str| number(status, name).map(|it| it * 1024);
        Self {
            resident_bytes: kilobytes("VmRSS:"),
            virtual_bytes: kilobytes("VmSize:"),
            threads: number(status, "Threads:"),
            cpu_ns: cpu_ns(stat),
            ..Self::default()
        }
    }
}

fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The fields after the command's name, which may hold anything, spaces and parentheses included.
fn cpu_ns(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    // utime and stime are fields 14 and 15; the first here is field 3.
    let mut ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().ok());
    Some((ticks.next()?? + ticks.next()??) * NS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_threads() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(process.virtual_bytes > process.resident_bytes);
        assert!(process.open_fds.is_some_and(|count| (3..1_000_000).contains(&count)));
        assert!(process.max_fds >= process.open_fds);
        assert!(process.cpu_ns.is_some() && process.threads >= Some(1));
    }

    #[test]
    fn a_strange_name_confuses_nothing() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 1 0 100 1 2 3";
        assert_eq!(cpu_ns(stat), Some(3_000_000_000));
        assert_eq!(cpu_ns("nonsense"), None);
    }
}
