//! Checks that hold for the whole gateway.

use tollgate_protocol::Symbol;

use crate::limits::OwnerLimits;
use crate::reader::Section;
use crate::value::quoted;

/// Checks that hold for the whole gateway.
#[derive(Clone, Debug)]
pub struct RiskSettings {
    /// The second of the UTC day at which daily figures start anew.
    pub daily_reset_seconds: u32,
    /// The firm's own limits; each has a value.
    pub firm: OwnerLimits,
    /// From this percentage of a loss or exposure limit on, a warning.
    pub warn_percent: u8,
    /// From this percentage on, orders are slowed.
    pub slow_percent: u8,
    /// Orders a second while slowed. Cancels and closes are never slowed.
    pub slow_orders_per_second: u32,
    /// So many refusals for rate within a minute halt the account; 0 for never.
    pub rate_breaches_to_halt: u32,
    /// Such a halt cancels the account's working orders too.
    pub rate_halt_cancels: bool,
    /// An order with the content of another of the last so many milliseconds is refused; 0 for off.
    pub repeat_window_ms: u32,
    /// Symbols that nobody may trade.
    pub restricted_symbols: Vec<Symbol>,
}

impl RiskSettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let mut settings = Self {
            daily_reset_seconds: section.time_of_day("daily_reset", 0),
            firm: OwnerLimits::FIRM,
            warn_percent: section.integer("warn_percent", 80, 1..=100),
            slow_percent: section.integer("slow_percent", 90, 1..=100),
            slow_orders_per_second: section.integer("slow_orders_per_second", 1, 1..=1_000_000),
            rate_breaches_to_halt: section.integer("rate_breaches_to_halt", 0, 0..=1_000_000),
            rate_halt_cancels: section.flag("rate_halt_cancels", false),
            repeat_window_ms: section.integer("repeat_window_ms", 0, 0..=3_600_000),
            restricted_symbols: Vec::new(),
        };
        for (path, name) in section.names("restricted_symbols").unwrap_or_default() {
            match section.context().text(&path, &name) {
                Some(symbol) if settings.restricted_symbols.contains(&symbol) => {
                    section.context().wrong(
                        &path,
                        Some(&quoted(&name)),
                        "is there twice",
                        "name each symbol once",
                    );
                }
                Some(symbol) => settings.restricted_symbols.push(symbol),
                None => {}
            }
        }
        if settings.warn_percent > settings.slow_percent {
            let problem = format!("is above slow_percent, which is {}", settings.slow_percent);
            section.wrong("warn_percent", &problem, "warn before slowing: set it to slow_percent at most");
        }
        let firm = section.section("firm");
        settings.firm = OwnerLimits::read(&firm, &OwnerLimits::FIRM);
        firm.close();
        settings
    }
}
