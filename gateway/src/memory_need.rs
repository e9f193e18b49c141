//! How much memory settings ask for, told before it is taken: what is reserved at the start never grows, and a process
//! that cannot have it is ended by the system without a word.

use tollgate_config::{ConfigError, ConfigErrors, Settings};

/// Of a command in the deduplication window, with its place in the index.
const COMMAND_BYTES: u64 = 136;
/// Of an order that is open or remembered, with its places in the indexes and the trades that are remembered for it.
const ORDER_BYTES: u64 = 640;
/// Of a message in a lane between two threads; a venue has a lane each way, and waiting room as large.
const MESSAGE_BYTES: u64 = 3 * 256;
/// What the machine needs besides, in hundredths of its memory.
const OTHERS_PERCENT: u64 = 5;

/// What is reserved at the start, in bytes, by the keys that decide about it.
pub fn parts(settings: &Settings) -> [(&'static str, u64); 4] {
    let (sessions, capacity) = (&settings.sessions, &settings.capacity);
    let product = |left: usize, right: u64| (left as u64).saturating_mul(right);
    let session = sessions.receive_buffer_bytes.saturating_add(sessions.send_buffer_bytes) as u64;
    let orders = capacity.open_orders_max.saturating_add(capacity.finished_orders_remembered);
    let venues = settings.venues.len() as u64;
    [
        (
            "session.sessions_max × (receive_buffer_bytes + send_buffer_bytes)",
            product(sessions.sessions_max, session),
        ),
        ("dedupe.window_commands", product(settings.dedupe.window_commands, COMMAND_BYTES)),
        ("capacity.open_orders_max + finished_orders_remembered", product(orders, ORDER_BYTES)),
        (
            "capacity.lane_messages, for each venue",
            product(capacity.lane_messages, MESSAGE_BYTES.saturating_mul(venues)),
        ),
    ]
}

/// All parts together, in bytes.
pub fn total_bytes(settings: &Settings) -> u64 {
    parts(settings).iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

/// Refuses settings that ask for more than a machine with `memory_bytes` of memory can give.
pub fn check(settings: &Settings, memory_bytes: u64) -> Result<(), ConfigErrors> {
    let total = total_bytes(settings);
    let available = memory_bytes - memory_bytes / 100 * OTHERS_PERCENT;
    if total <= available {
        return Ok(());
    }
    let largest = parts(settings).into_iter().max_by_key(|(_, bytes)| *bytes);
    let (key, bytes) = largest.unwrap_or(("capacity", total));
    Err(ConfigErrors::from(ConfigError {
        file: None,
        key: key.to_owned(),
        line: None,
        value: Some(shown_bytes(bytes)),
        problem: format!(
            "the settings reserve {} at the start, and this machine has {}: the start would be ended by the system",
            shown_bytes(total),
            shown_bytes(memory_bytes)
        ),
        advice: "lower them; this one takes most".to_owned(),
    }))
}

/// This machine's memory in bytes; `None` when the system does not say.
pub fn of_machine() -> Option<u64> {
    of_text(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn of_text(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// As in `1.5 GiB`.
pub fn shown_bytes(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings =
            Settings::parse(tollgate_config::EXAMPLE, Path::new("/nowhere"), &|_| None).unwrap();
        change(&mut settings);
        settings
    }

    #[test]
    fn defaults_fit_a_small_machine_and_maxima_fit_none() {
        assert!(check(&settings(|_| {}), 1 << 30).is_ok());
        let maxima = settings(|settings| {
            settings.sessions.sessions_max = 65_535;
            settings.sessions.receive_buffer_bytes = 16_777_216;
            settings.sessions.send_buffer_bytes = 268_435_456;
        });
        let told = check(&maxima, 64 << 30).unwrap_err().to_string();
        assert!(told.contains("session.sessions_max") && told.contains("= 16.9 TiB"), "{told}");
        assert!(told.contains("and this machine has 64.0 GiB"), "{told}");
        for change in [
            (|settings: &mut Settings| settings.dedupe.window_commands = 67_108_864) as fn(&mut Settings),
            |settings| settings.capacity.open_orders_max = 4_194_304,
        ] {
            assert!(check(&settings(change), 2 << 30).is_err());
        }
    }

    #[test]
    fn memory_of_the_machine_is_read() {
        assert_eq!(of_text("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        assert_eq!(of_text("MemTotal: much"), None);
    }
}
