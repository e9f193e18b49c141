//! One life of the gateway's process: the real hot path on lanes whose other ends are the simulator's.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tollgate_contract::lane::{Bell, Receiver, Sender, lane};
use tollgate_contract::venue::{VenueReport, VenueRequest};
use tollgate_core::link::{FromHot, ToHot};
use tollgate_core::metrics::Metrics;
use tollgate_core::record::{PAYLOAD_BYTES_MAX, Record, Start};
use tollgate_core::recovery::Recovery;
use tollgate_core::{Hot, HotParts, State, VenueParts};
use tollgate_journal::{Append, Room};
use tollgate_protocol::text::Text;

use crate::journal::{SharedDisk, SimJournal};
use crate::setup::Setup;
use crate::socket::SimSocket;
use crate::world::{Clock, SimWorld, Watched};

/// The process.
pub struct Gateway {
    /// The hot path.
    pub hot: Hot<SimWorld>,
    /// To it.
    pub to_hot: Sender<ToHot<SimSocket>>,
    /// From it.
    pub from_hot: Receiver<FromHot<SimSocket>>,
    /// By venue, what it asks.
    pub requests: Vec<Receiver<VenueRequest>>,
    /// By venue, what the venue says.
    pub reports: Vec<Sender<VenueReport>>,
    watched: Watched,
}

/// Why it did not start.
pub enum StartFailure {
    /// The journal has no room for the records of a start.
    JournalFull,
    /// The journal does not open.
    Recovery(String),
}

impl Gateway {
    /// Recovers and puts the hot path together as the real start does, but for [`Hot::begin`]. Gives the digest of the
    /// recovered state too.
    pub fn start(
        setup: &Setup,
        clock: &Clock,
        disk: &SharedDisk,
        venues: usize,
        seed: u64,
    ) -> Result<(Self, [u8; 32]), StartFailure> {
        let settings = &setup.settings;
        let mut recovery = Recovery::new(State::empty(settings, seed));
        for record in &disk.lock().records {
            recovery.take(&record.view()).map_err(|error| StartFailure::Recovery(error.to_string()))?;
        }
        let digest = recovery.state.digest();
        let mut journal = SimJournal(disk.clone());
        let start = Record::Start(Start {
            version: Text::truncated(env!("CARGO_PKG_VERSION")),
            instance: settings.gateway.instance,
            durability: settings.journal.durability,
        });
        for record in recovery.names().iter().chain([&start]) {
            let now_ns = clock.wall_ns();
            let encode = |out: &mut [u8]| record.encode(out);
            let written = journal.append(Room::Ordinary, record.kind(), now_ns, PAYLOAD_BYTES_MAX, encode);
            let sequence = written.map_err(|_| StartFailure::JournalFull)?;
            recovery.state.apply(sequence, now_ns, record);
        }
        let metrics = Arc::new(Metrics::new(settings.venues.len(), settings.clients.len()));
        for (counter, sequence) in metrics.event_sequences.iter().zip(&recovery.state.event_sequences) {
            counter.set(*sequence);
        }
        let silent = || Bell::new(Arc::new(|| {}));
        let capacity = &settings.capacity;
        let (mut parts, mut requests, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..venues {
            let (to_venue, at_venue) = lane(capacity.lane_messages, capacity.lane_reserved, silent());
            let (from_venue, at_hot) = lane(capacity.lane_messages, 1, silent());
            parts.push(VenueParts { requests: to_venue, reports: at_hot });
            requests.push(at_venue);
            reports.push(from_venue);
        }
        let (to_hot, from_cold) = lane(64, 16, silent());
        let (to_cold, from_hot) = lane(64, 16, silent());
        let watched = Watched::default();
        let world = SimWorld { clock: clock.clone(), disk: disk.clone(), watched: watched.clone() };
        let stop = Arc::new(AtomicBool::new(false));
        let state = recovery.state;
        let parts = HotParts { state, journal, venues: parts, from_cold, to_cold, world, metrics, stop };
        let hot = Hot::new(settings, parts);
        Ok((Self { hot, to_hot, from_hot, requests, reports, watched }, digest))
    }

    /// Tells the hot path what a poll would.
    pub fn poll(&mut self) {
        for (slot, pipe) in self.watched.all() {
            self.hot.ready(slot, pipe.readiness());
        }
    }

    /// The process is gone; what it had put into the lanes is left.
    pub fn into_lanes(mut self) -> Vec<Vec<VenueRequest>> {
        drop(self.hot);
        self.requests.iter_mut().map(|lane| std::iter::from_fn(|| lane.receive()).collect()).collect()
    }

    /// The last turn of the hot path; gives its state, and what it had put into the lanes.
    pub fn end(mut self) -> (State, Vec<Vec<VenueRequest>>) {
        let state = self.hot.end();
        (
            state,
            self.requests.iter_mut().map(|lane| std::iter::from_fn(|| lane.receive()).collect()).collect(),
        )
    }
}
