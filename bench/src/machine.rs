//! What the measurement ran on.

use std::fs;

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
