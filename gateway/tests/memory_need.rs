//! What is said of memory beforehand is what is taken.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tollgate_config::Settings;
use tollgate_gateway::{gateway::empty_state, memory_need};

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn tables_take_what_was_said_and_little_less() {
    let mut settings = Settings::parse(tollgate_config::EXAMPLE, Path::new("/nowhere"), &|_| None).unwrap();
    settings.dedupe.window_commands = 1 << 20;
    settings.capacity.open_orders_max = 100_000;
    settings.capacity.finished_orders_remembered = 100_000;
    let said: u64 = memory_need::parts(&settings)[1..3].iter().map(|(_, bytes)| bytes).sum();
    let before = resident_bytes();
    let state = empty_state(&settings);
    let taken = resident_bytes() - before;
    drop(state);
    assert!(taken <= said && taken * 2 >= said, "said {said}, taken {taken}");
}
