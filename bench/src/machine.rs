//! What the measurement ran on.

use std::fs;
use std::path::Path;

/// The machine in a few words, each with its name.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| {
        fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    vec![
        ("processor", model.trim_start_matches(['\t', ' ', ':']).to_owned()),
        ("cores", processor.lines().filter(|line| line.starts_with("processor")).count().to_string()),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("clock", read("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        ("governor", read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        ("build", if cfg!(debug_assertions) { "debug: figures mean nothing" } else { "release" }.to_owned()),
    ]
}

/// Time that the hypervisor took from all processors since the start, in hundredths of a second.
pub(crate) fn steal() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    first.split_whitespace().nth(8).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Minor page faults that the calling thread has taken.
pub(crate) fn minor_faults() -> Result<u64, String> {
    let stat = fs::read_to_string("/proc/thread-self/stat").map_err(|error| error.to_string())?;
    // The name, in parentheses, may hold anything; the count is the eighth field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let count = fields.split_whitespace().nth(7).and_then(|field| field.parse().ok());
    count.ok_or_else(|| "/proc/thread-self/stat has no count of page faults".to_owned())
}

/// Bytes that the process has made the disks write.
pub(crate) fn written_bytes() -> Result<u64, String> {
    let io = fs::read_to_string("/proc/self/io").map_err(|error| error.to_string())?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|count| count.parse().ok()).ok_or_else(|| "/proc/self/io has no write_bytes".to_owned())
}

/// Time for which threads of this process were ready to run and had no core, in nanoseconds.
pub(crate) fn waited_for_core_ns() -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("/proc/self/task: {error}");
    let mut waited_ns = 0;
    for thread in fs::read_dir("/proc/self/task").map_err(failed)? {
        let text = fs::read_to_string(thread.map_err(failed)?.path().join("schedstat")).map_err(failed)?;
        let field = text.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
        waited_ns += field.ok_or("schedstat has no time of waiting")?;
    }
    Ok(waited_ns)
}

/// Type and device of the file system that holds an absolute path without links, such as `ext4 on /dev/vda`.
pub(crate) fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match mount_of(&mounts, path) {
        Some((kind @ ("tmpfs" | "ramfs"), _)) => format!("{kind}: in memory, disk figures mean nothing"),
        Some((kind, device)) => format!("{kind} on {device}"),
        None => "unknown".to_owned(),
    }
}

/// Type and device of the deepest mount above the path; of several at one place the last hides the others.
fn mount_of<'a>(mounts: &'a str, path: &Path) -> Option<(&'a str, &'a str)> {
    mounts
        .lines()
        .filter_map(|line| {
            let (place, system) = line.split_once(" - ")?;
            let point = Path::new(place.split_whitespace().nth(4)?);
            let mut system = system.split_whitespace();
            let found = (system.next()?, system.next()?);
            path.starts_with(point).then(|| (point.components().count(), found))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_holds_a_path() {
        let mounts = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      31 27 0:40 / /data rw - xfs /dev/vdb rw\n\
                      32 27 0:41 / /data rw - tmpfs none rw\n";
        let kind = |path| mount_of(mounts, Path::new(path)).map(|(kind, _)| kind);
        assert_eq!(kind("/home/bench"), Some("ext4"));
        assert_eq!(kind("/data/journal"), Some("tmpfs"));
        assert_eq!(kind("/database"), Some("ext4"));
        assert_eq!(mount_of("", Path::new("/data")), None);
    }
}
