//! The venues that the settings name, started: the one place that knows every kind.
//!
//! A kind is an arm in [`start_one`] and a module of its own, which turns the settings of its kind into those of its
//! adapter and starts it. How to add one is in docs/ADDING_A_VENUE.md.

mod paper;

use std::any::Any;
use std::error::Error;
use std::sync::Arc;

use tollgate_config::{Settings, VenueKind, VenueSettings};
use tollgate_contract::lane::Bell;
use tollgate_core::VenueParts;
use tollgate_protocol::instrument::Instrument;

use crate::gateway::StartError;

/// A venue that runs.
pub trait VenueHandle: Any + Send + Sync {
    /// Ends the venue and waits for it. What is in its lane of requests is still carried out. False when it ended by
    /// a defect.
    fn stop(self: Box<Self>) -> bool;
}

/// Why a venue did not start.
#[derive(Debug, thiserror::Error)]
pub enum VenueError {
    /// Its settings cannot be used, alone or together with an instrument's: what is wrong, and what would be right.
    #[error("{0}")]
    Settings(String),
    /// Its files, its connection or its thread.
    #[error("{0}")]
    Start(Box<dyn Error + Send + Sync>),
}

/// Where a venue stands among the others.
struct Place<'a> {
    settings: &'a Settings,
    venue: &'a VenueSettings,
    /// Its position in the settings, by which instruments and reports name it.
    position: usize,
    /// Every instrument, those of other venues too.
    instruments: Arc<[Instrument]>,
    /// Wakes the hot thread.
    bell: &'a Bell,
}

impl Place<'_> {
    /// Of the venue's own thread; Linux shows 15 bytes of it.
    fn thread_name(&self) -> String {
        format!("venue-{}", self.venue.name)
    }
}

/// A venue that has started.
struct Started {
    parts: VenueParts,
    handle: Box<dyn VenueHandle>,
}

/// The hot thread's ends of the lanes, and the handles, both in the order of the settings.
type Venues = (Vec<VenueParts>, Vec<Box<dyn VenueHandle>>);

/// Starts every venue of the settings. `bell` wakes the hot thread.
pub(crate) fn start(settings: &Settings, bell: &Bell) -> Result<Venues, StartError> {
    let instruments: Arc<[Instrument]> = settings.instruments.iter().map(|entry| entry.instrument).collect();
    let (mut parts, mut handles) = (Vec::new(), Vec::new());
    for (position, venue) in settings.venues.iter().enumerate() {
        let place = Place { settings, venue, position, instruments: Arc::clone(&instruments), bell };
        let started =
            start_one(&place).map_err(|source| StartError::Venue { name: venue.name.to_string(), source })?;
        parts.push(started.parts);
        handles.push(started.handle);
    }
    Ok((parts, handles))
}

fn start_one(place: &Place<'_>) -> Result<Started, VenueError> {
    match &place.venue.kind {
        VenueKind::Paper(settings) => paper::start(place, settings),
    }
}
