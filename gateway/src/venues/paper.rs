//! The paper venue, as the settings describe it.

use std::sync::Arc;

use tollgate_bridge::paper::feed::{FeedSettings, Walk};
use tollgate_bridge::paper::{self, Faults, LaneCapacities, PaperHandle, PaperSettings, StartError};
use tollgate_config::{self as config, Settings};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::instrument::InstrumentIndex;

use crate::venue_files;

use super::{Place, Started, VenueError, VenueHandle};
use tollgate_core::VenueParts;

impl VenueHandle for PaperHandle {
    fn stop(self: Box<Self>) -> bool {
        PaperHandle::stop(*self)
    }
}

/// Starts it on a thread of its own.
pub(super) fn start(place: &Place<'_>, settings: &config::PaperSettings) -> Result<Started, VenueError> {
    let capacity = &place.settings.capacity;
    let capacities = LaneCapacities {
        requests: capacity.lane_messages,
        requests_reserved: capacity.lane_reserved,
        reports: capacity.lane_messages,
    };
    let (paper_settings, feed) =
        paper_settings(place.settings, place.position, settings).map_err(VenueError::Settings)?;
    let instruments = Arc::clone(&place.instruments);
    let bell = place.bell.clone();
    let started = paper::start(&place.thread_name(), paper_settings, &[feed], instruments, bell, capacities)
        .map_err(|error| match error {
            StartError::Settings(error) => VenueError::Settings(error.to_string()),
            other => VenueError::Start(Box::new(other)),
        })?;
    let parts = VenueParts { requests: started.requests, reports: started.reports };
    Ok(Started { parts, handle: Box::new(started.handle) })
}

/// Basis points as millionths; fees are given to a hundredth of a basis point.
fn ppm(basis_points: Decimal) -> i64 {
    basis_points.to_attos().map_or(0, |attos| i64::try_from(attos / 10_i128.pow(16)).unwrap_or(0))
}

fn paper_settings(
    settings: &Settings,
    venue: usize,
    paper: &config::PaperSettings,
) -> Result<(PaperSettings, FeedSettings), String> {
    let milliseconds = |value: u32| u64::from(value) * 1_000_000;
    let liquidity = settings.instruments.iter().map(|entry| {
        let step = entry.instrument.quantity.increment().to_attos().unwrap_or(1).max(1);
        let steps = paper.liquidity.to_attos().unwrap_or_default() / step;
        i64::try_from(steps).unwrap_or(i64::MAX).max(1)
    });
    let faults = Faults {
        reject_per_million: paper.faults.reject_per_million,
        lost_reply_per_million: paper.faults.lost_reply_per_million,
        duplicate_report_per_million: paper.faults.duplicate_report_per_million,
        delay_per_million: paper.faults.delay_per_million,
        delay_ns: milliseconds(paper.faults.delay_ms),
        disconnect_every_orders: u64::from(paper.faults.disconnect_every_orders),
        disconnect_ns: milliseconds(paper.faults.disconnect_ms),
    };
    let out = PaperSettings {
        venue: venue as u16,
        seed: paper.seed,
        ledger_file: paper.ledger_file.clone(),
        liquidity_steps: liquidity.collect(),
        fee_maker_ppm: ppm(paper.fee_maker_bps),
        fee_taker_ppm: ppm(paper.fee_taker_bps),
        latency_ns_min: milliseconds(paper.latency_ms_min),
        latency_ns_max: milliseconds(paper.latency_ms_max),
        faults,
        ..PaperSettings::default()
    };
    Ok((out, feed_settings(settings, venue, paper)?))
}

fn feed_settings(
    settings: &Settings,
    venue: usize,
    paper: &config::PaperSettings,
) -> Result<FeedSettings, String> {
    Ok(match &paper.feed {
        config::FeedSettings::Synthetic { interval_ms, volatility_ppm, spread_ticks } => {
            let mut walks = Vec::new();
            for (index, entry) in settings.instruments.iter().enumerate() {
                if usize::from(entry.instrument.venue) != venue {
                    continue;
                }
                let symbol = entry.instrument.symbol;
                let price = entry.initial_price.ok_or_else(|| {
                    format!("instrument {symbol} has no initial_price, and the synthetic feed begins there: give one")
                })?;
                let start_ticks = entry.instrument.price.units(price).map_err(|_| {
                    format!("initial_price {price} of {symbol} is not a multiple of its tick")
                })?;
                let instrument = InstrumentIndex(index as u16);
                walks.push(Walk { instrument, start_ticks, spread_ticks: i64::from(*spread_ticks) });
            }
            FeedSettings::Synthetic {
                seed: paper.seed,
                interval_ns: u64::from(*interval_ms) * 1_000_000,
                volatility_ppm: u32::try_from(*volatility_ppm).unwrap_or(u32::MAX),
                walks,
            }
        }
        recorded => {
            let (recording, _) = venue_files::recorded(recorded).ok_or("the feed is of no known kind")?;
            recording
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn demonstration() -> (Settings, config::PaperSettings) {
        let directory = |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| "/nowhere".to_owned());
        let mut settings = Settings::parse(config::DEMO, Path::new("/"), &directory).unwrap();
        let config::VenueKind::Paper(paper) = settings.venues.remove(0).kind;
        (settings, paper)
    }

    #[test]
    fn settings_reach_the_venue_in_its_own_units() {
        let (settings, mut paper) = demonstration();
        paper.fee_taker_bps = Decimal::new(-125, 2);
        paper.latency_ms_max = 7;
        paper.faults.delay_ms = 3;
        let (venue, _) = paper_settings(&settings, 4, &paper).unwrap();
        assert_eq!((venue.venue, venue.fee_taker_ppm), (4, -125));
        assert_eq!((venue.latency_ns_max, venue.faults.delay_ns), (7_000_000, 3_000_000));
        assert_eq!(venue.liquidity_steps.len(), settings.instruments.len());
    }

    #[test]
    fn an_instrument_without_a_price_to_begin_with_is_named() {
        let (mut settings, mut paper) = demonstration();
        paper.feed = config::FeedSettings::Synthetic { interval_ms: 50, volatility_ppm: 0, spread_ticks: 1 };
        settings.instruments[0].initial_price = None;
        let symbol = settings.instruments[0].instrument.symbol;
        let problem = paper_settings(&settings, 0, &paper).unwrap_err();
        assert!(problem.contains(symbol.as_str()) && problem.contains("initial_price"), "{problem}");
        assert!(paper_settings(&settings, 9, &paper).is_ok(), "instruments of other venues need none");
    }
}
