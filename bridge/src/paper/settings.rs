//! What a paper venue is told at its start.

use std::path::PathBuf;

use tollgate_protocol::instrument::InstrumentIndex;

/// A million, the whole of every share and chance in the settings.
const MILLION: u32 = 1_000_000;

/// A paper venue's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaperSettings {
    /// The venue's position in the gateway's settings: it trades the instruments that name it.
    pub venue: u16,
    /// Seed of the faults and latencies.
    pub seed: u64,
    /// Where the venue keeps its own record of orders and trades; `None` keeps them in memory alone, and a new
    /// process starts with an empty venue.
    pub ledger_file: Option<PathBuf>,
    /// By instrument, how many steps each side of a quote is good for; 0 or absent for any quantity.
    pub liquidity_steps: Vec<i64>,
    /// Fee of orders that rested, in millionths of the notional; negative for a rebate; −1,000,000 to 1,000,000.
    pub fee_maker_ppm: i64,
    /// Fee of orders that took, in millionths of the notional; negative for a rebate; −1,000,000 to 1,000,000.
    pub fee_taker_ppm: i64,
    /// Least time between a request and its report, in nanoseconds.
    pub latency_ns_min: u64,
    /// Greatest time between a request and its report, in nanoseconds; 0 for reports at once.
    pub latency_ns_max: u64,
    /// Final orders whose fills are kept in memory for queries; older ones are looked up in the ledger file. At
    /// least 1. The ids of all orders are kept for ever, whatever this says.
    pub history_orders: usize,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for PaperSettings {
    fn default() -> Self {
        Self {
            venue: 0,
            seed: 0,
            ledger_file: None,
            liquidity_steps: Vec::new(),
            fee_maker_ppm: 0,
            fee_taker_ppm: 0,
            latency_ns_min: 0,
            latency_ns_max: 0,
            history_orders: 65_536,
            faults: Faults::default(),
        }
    }
}

/// Faults to inject, by a generator seeded in [`PaperSettings::seed`]. All of them are off by default.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Faults {
    /// How many of a million orders and changes are refused without need.
    pub reject_per_million: u32,
    /// How many of a million orders, cancels and changes are carried out while their reports are lost: all that
    /// comes is `Unknown`, `delay_ns` later.
    pub lost_reply_per_million: u32,
    /// How many of a million reports come twice. The second copy of a fill comes `delay_ns` later.
    pub duplicate_report_per_million: u32,
    /// How many of a million reports come late. Reports of the same order keep their order.
    pub delay_per_million: u32,
    /// How late, in nanoseconds.
    pub delay_ns: u64,
    /// The connection breaks at every so many new orders; 0 for never.
    pub disconnect_every_orders: u64,
    /// How long it stays broken, in nanoseconds; above 0 when it breaks at all.
    pub disconnect_ns: u64,
}

/// Why the settings of a paper venue cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// A fee above the notional.
    #[error("{name} is {value}: give −1000000 to 1000000 millionths of the notional")]
    Fee {
        /// Which of the fees.
        name: &'static str,
        /// What was given.
        value: i64,
    },
    /// A chance above certainty.
    #[error("{name} is {value}: give at most 1000000, which is always")]
    Chance {
        /// Which of the faults.
        name: &'static str,
        /// What was given.
        value: u32,
    },
    /// The least latency is above the greatest.
    #[error(
        "latency_ns_min is {minimum} and latency_ns_max {maximum}: the first must not be above the second"
    )]
    Latency {
        /// The least.
        minimum: u64,
        /// The greatest.
        maximum: u64,
    },
    /// A negative quantity.
    #[error("liquidity of instrument {} is {steps} steps: give 0 for no bound, or more", instrument.0)]
    Liquidity {
        /// Of which instrument.
        instrument: InstrumentIndex,
        /// What was given.
        steps: i64,
    },
    /// The connection breaks for no time.
    #[error(
        "disconnect_ns is 0 while disconnect_every_orders is {every_orders}: say how long it stays broken"
    )]
    Disconnect {
        /// What was given for how often.
        every_orders: u64,
    },
    /// No room for final orders.
    #[error("history_orders is 0: give at least 1")]
    History,
}

impl PaperSettings {
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), SettingsError> {
        for (name, value) in [("fee_maker_ppm", self.fee_maker_ppm), ("fee_taker_ppm", self.fee_taker_ppm)] {
            if value.unsigned_abs() > u64::from(MILLION) {
                return Err(SettingsError::Fee { name, value });
            }
        }
        if self.latency_ns_min > self.latency_ns_max {
            return Err(SettingsError::Latency {
                minimum: self.latency_ns_min,
                maximum: self.latency_ns_max,
            });
        }
        if let Some(at) = self.liquidity_steps.iter().position(|steps| *steps < 0) {
            let steps = self.liquidity_steps[at];
            return Err(SettingsError::Liquidity { instrument: InstrumentIndex(at as u16), steps });
        }
        if self.history_orders == 0 {
            return Err(SettingsError::History);
        }
        self.faults.check()
    }
}

impl Faults {
    fn check(&self) -> Result<(), SettingsError> {
        for (name, value) in [
            ("reject_per_million", self.reject_per_million),
            ("lost_reply_per_million", self.lost_reply_per_million),
            ("duplicate_report_per_million", self.duplicate_report_per_million),
            ("delay_per_million", self.delay_per_million),
        ] {
            if value > MILLION {
                return Err(SettingsError::Chance { name, value });
            }
        }
        if self.disconnect_every_orders > 0 && self.disconnect_ns == 0 {
            return Err(SettingsError::Disconnect { every_orders: self.disconnect_every_orders });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(PaperSettings::default().check(), Ok(()));
    }

    #[test]
    fn every_bound_is_held() {
        let with = |change: fn(&mut PaperSettings)| {
            let mut settings = PaperSettings::default();
            change(&mut settings);
            settings.check()
        };
        assert_eq!(
            with(|settings| settings.fee_taker_ppm = -1_000_001),
            Err(SettingsError::Fee { name: "fee_taker_ppm", value: -1_000_001 })
        );
        assert_eq!(
            with(|settings| settings.latency_ns_min = 5),
            Err(SettingsError::Latency { minimum: 5, maximum: 0 })
        );
        assert_eq!(
            with(|settings| settings.liquidity_steps = vec![3, -1]),
            Err(SettingsError::Liquidity { instrument: InstrumentIndex(1), steps: -1 })
        );
        assert_eq!(with(|settings| settings.history_orders = 0), Err(SettingsError::History));
        assert_eq!(
            with(|settings| settings.faults.delay_per_million = 1_000_001),
            Err(SettingsError::Chance { name: "delay_per_million", value: 1_000_001 })
        );
        assert_eq!(
            with(|settings| settings.faults.disconnect_every_orders = 9),
            Err(SettingsError::Disconnect { every_orders: 9 })
        );
    }
}
