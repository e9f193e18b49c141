//! A seeded random walk, in whole ticks.

use tollgate_protocol::instrument::Instrument;

use super::super::random::Random;
use super::error::FeedError;
use super::settings::Walk;
use tollgate_contract::venue::Quote;

/// Random walks of some instruments, all of them moved at the same times.
pub(super) struct Synthetic {
    random: Random,
    interval_ns: u64,
    volatility_ppm: u32,
    walks: Vec<Walker>,
    /// Which of the walks comes next at this time.
    turn: usize,
    /// 0 before the first quote: it is due at once.
    due_ns: u64,
    quotes: u64,
}

struct Walker {
    walk: Walk,
    bid_ticks: i64,
    lowest_ticks: i64,
    highest_ticks: i64,
}

impl Synthetic {
    /// The walks' instruments exist.
    pub(super) fn new(
        seed: u64,
        interval_ns: u64,
        volatility_ppm: u32,
        walks: &[Walk],
        instruments: &[Instrument],
    ) -> Result<Self, FeedError> {
        if interval_ns == 0 {
            return Err(FeedError::Setting { name: "interval_ns", value: 0, hint: "give at least 1" });
        }
        if volatility_ppm > 1_000_000 {
            let value = i64::from(volatility_ppm);
            return Err(FeedError::Setting { name: "volatility_ppm", value, hint: "give at most 1000000" });
        }
        let walks = walks.iter().map(|walk| Walker::new(*walk, &instruments[usize::from(walk.instrument.0)]));
        Ok(Self {
            random: Random::new(seed),
            interval_ns,
            volatility_ppm,
            walks: walks.collect::<Result<_, _>>()?,
            turn: 0,
            due_ns: 0,
            quotes: 0,
        })
    }

    pub(super) fn next_due_ns(&self) -> Option<u64> {
        (!self.walks.is_empty()).then_some(self.due_ns)
    }

    /// The next quote, if it is due. Intervals that nobody asked in are left out.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<Quote> {
        if self.due_ns > now_ns {
            return None;
        }
        let (is_first, walks) = (self.quotes < self.walks.len() as u64, self.walks.len());
        let walker = self.walks.get_mut(self.turn)?;
        if !is_first {
            walker.step(&mut self.random, self.volatility_ppm);
        }
        self.quotes += 1;
        self.turn += 1;
        if self.turn == walks {
            self.turn = 0;
            let next_ns = self.due_ns.saturating_add(self.interval_ns);
            self.due_ns = if next_ns > now_ns { next_ns } else { now_ns.saturating_add(self.interval_ns) };
        }
        Some(walker.quote())
    }

    pub(super) fn quotes(&self) -> u64 {
        self.quotes
    }
}

impl Walker {
    fn new(walk: Walk, instrument: &Instrument) -> Result<Self, FeedError> {
        let Walk { start_ticks, spread_ticks, .. } = walk;
        if spread_ticks < 0 {
            let hint = "give 0 or more";
            return Err(FeedError::Setting { name: "spread_ticks", value: spread_ticks, hint });
        }
        let lowest_ticks = (start_ticks / 2).max(instrument.price_minimum).max(1);
        let mut highest_ticks = start_ticks.saturating_mul(2).min(i64::MAX - spread_ticks);
        if instrument.price_maximum > 0 {
            highest_ticks = highest_ticks.min(instrument.price_maximum.saturating_sub(spread_ticks));
        }
        if start_ticks < lowest_ticks || start_ticks > highest_ticks {
            let hint = "give a price above 0 and within the instrument's bounds, with room for the spread";
            return Err(FeedError::Setting { name: "start_ticks", value: start_ticks, hint });
        }
        Ok(Self { walk, bid_ticks: start_ticks, lowest_ticks, highest_ticks })
    }

    fn step(&mut self, random: &mut Random, volatility_ppm: u32) {
        if volatility_ppm == 0 {
            return;
        }
        let largest = (i128::from(self.bid_ticks) * i128::from(volatility_ppm) / 1_000_000).max(1);
        // At most 2^64 − 2, for the bid is below 2^63 and the volatility at most the whole of it.
        let step = i128::from(random.between(0, 2 * largest as u64)) - largest;
        let bid_ticks = i128::from(self.bid_ticks) + step;
        self.bid_ticks =
            bid_ticks.clamp(i128::from(self.lowest_ticks), i128::from(self.highest_ticks)) as i64;
    }

    fn quote(&self) -> Quote {
        Quote {
            instrument: self.walk.instrument,
            bid_ticks: self.bid_ticks,
            ask_ticks: self.bid_ticks + self.walk.spread_ticks,
        }
    }
}
