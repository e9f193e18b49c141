//! Requests on their way to a venue, in order: each waits until its intent is durable, then for room in the lane.

use std::collections::VecDeque;

use tollgate_contract::lane::Sender;
use tollgate_contract::venue::VenueRequest;

/// A bounded queue before a lane.
pub struct Outbox {
    /// `(journal sequence that must be durable, request)`.
    queue: VecDeque<(u64, VenueRequest)>,
}

impl Outbox {
    /// `capacity` covers the worst case: every open order with a cancel, a replace and a question on its way.
    pub fn new(capacity: usize) -> Self {
        Self { queue: VecDeque::with_capacity(capacity) }
    }

    /// True when a new order would reach the lane without using what is reserved there.
    #[inline]
    pub fn has_room(&self, lane: &Sender<VenueRequest>, reserved: usize) -> bool {
        lane.fits_more_than(self.queue.len() + reserved)
    }

    /// True when half of the room is used: questions can wait then.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.queue.len() * 2 > self.queue.capacity()
    }

    /// Puts a request at the end. There is room: an order has one cancel, one replace and one question on its way, and
    /// new orders are refused before.
    #[inline]
    pub fn push(&mut self, gate: u64, request: VenueRequest) {
        assert!(
            self.queue.len() < self.queue.capacity(),
            "an outbox has room for every open order's requests"
        );
        self.queue.push_back((gate, request));
    }

    /// Moves what may go into the lane; returns how many went.
    #[inline]
    pub fn flush(&mut self, durable_sequence: u64, lane: &mut Sender<VenueRequest>) -> u64 {
        let mut moved = 0;
        while let Some((gate, request)) = self.queue.front() {
            if *gate > durable_sequence || lane.send_reserved(*request).is_err() {
                break;
            }
            self.queue.pop_front();
            moved += 1;
        }
        if self.queue.is_empty() {
            // Back to the first place, so that a quiet queue stays in the same few cache lines.
            self.queue.clear();
        }
        moved
    }

    /// Takes the next request that will never become durable out of the queue; what does not wait stays. When the
    /// disk has failed, new orders must not leave, and everything else may.
    pub fn take_undurable(&mut self, durable_sequence: u64) -> Option<VenueRequest> {
        let at = self.queue.iter().position(|(gate, request)| {
            *gate > durable_sequence && matches!(request, VenueRequest::New(_))
        })?;
        self.queue.remove(at).map(|(_, request)| request)
    }

    /// Lets everything that is left go as it is.
    pub fn ungate(&mut self) {
        self.queue.iter_mut().for_each(|(gate, _)| *gate = 0);
    }

    /// True when the first request may go.
    #[inline]
    pub fn is_ready(&self, durable_sequence: u64) -> bool {
        self.queue.front().is_some_and(|(gate, _)| *gate <= durable_sequence)
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}
