//! Lanes: bounded single-producer single-consumer rings between two threads, with a wake-up that costs a system
//! call only when the other side sleeps.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Wakes the thread at the other end. Called from the sender's thread.
pub type WakeFunction = Arc<dyn Fn() + Send + Sync>;

/// Whether a lane's receiver sleeps, and how to wake it. One bell serves any number of lanes into one thread.
///
/// Owned by the receiving thread, which is the only one to call [`Bell::sleeping`]; senders call [`Bell::ring`].
#[derive(Clone)]
pub struct Bell {
    asleep: Arc<AtomicBool>,
    wake: WakeFunction,
}

impl Bell {
    /// A bell that wakes by `wake`.
    pub fn new(wake: WakeFunction) -> Self {
        Self { asleep: Arc::new(AtomicBool::new(false)), wake }
    }

    /// A bell that unparks the current thread.
    pub fn for_this_thread() -> Self {
        let thread = std::thread::current();
        Self::new(Arc::new(move || thread.unpark()))
    }

    /// Announces that the receiver is about to sleep. It must look at its lanes once more after this and sleep only
    /// if they are empty; and say `sleeping(false)` when it is awake.
    pub fn sleeping(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Relaxed);
        if asleep {
            // Pairs with the fence in `ring`: either the sender sees that we sleep, or we see what it sent.
            fence(Ordering::SeqCst);
        }
    }

    /// Wakes the receiver if it sleeps.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            (self.wake)();
        }
    }
}

/// The sending end of a lane.
pub struct Sender<T> {
    ring: rtrb::Producer<T>,
    reserved: usize,
    bell: Bell,
}

/// The receiving end of a lane.
pub struct Receiver<T> {
    ring: rtrb::Consumer<T>,
}

/// A lane of `capacity` messages, of which the last `reserved` are kept for [`Sender::send_reserved`].
pub fn lane<T>(capacity: usize, reserved: usize, bell: Bell) -> (Sender<T>, Receiver<T>) {
    assert!(reserved < capacity, "a lane needs room beyond its reserve");
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    (Sender { ring: producer, reserved, bell }, Receiver { ring: consumer })
}

impl<T> Sender<T> {
    /// True when an ordinary message would fit.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.fits_more_than(self.reserved)
    }

    /// True when more than `messages` fit, the reserve included.
    #[inline]
    pub fn fits_more_than(&self, messages: usize) -> bool {
        // How many it is, is in memory that the receiver writes to all the time, and a look at it takes as long as the work
        // on a message: it is looked at when what was seen last does not suffice.
        self.ring.cached_slots() > messages || self.ring.slots() > messages
    }

    /// Messages that fit, the reserve included.
    pub fn free(&self) -> usize {
        self.ring.slots()
    }

    /// Shows `look` where the next message will come to lie, unless the lane is full.
    #[inline]
    pub fn next_place(&mut self, look: impl FnOnce(&[MaybeUninit<T>])) {
        if let Ok(mut places) = self.ring.write_chunk_uninit(1) {
            look(places.as_mut_slices().0);
        }
    }

    /// Messages that the lane holds at most.
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Sends an ordinary message without waking the receiver; gives it back when only the reserve is left.
    #[inline]
    pub fn send(&mut self, message: T) -> Result<(), T> {
        if !self.has_room() {
            return Err(message);
        }
        self.send_reserved(message)
    }

    /// Sends a message that may use the reserve, without waking the receiver; gives it back when the lane is full.
    #[inline]
    pub fn send_reserved(&mut self, message: T) -> Result<(), T> {
        self.ring.push(message).map_err(|rtrb::PushError::Full(message)| message)
    }

    /// Wakes the receiver if it sleeps: once after a batch.
    #[inline]
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// True when the receiver is gone.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

impl<T> Receiver<T> {
    /// The next message, if there is one.
    #[inline]
    pub fn receive(&mut self) -> Option<T> {
        self.ring.pop().ok()
    }

    /// True when nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// True when the sender is gone.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_kept_for_what_must_pass() {
        let (mut sender, mut receiver) = lane(4, 2, Bell::new(Arc::new(|| {})));
        assert_eq!((sender.send(1), sender.send(2)), (Ok(()), Ok(())));
        assert_eq!(sender.send(3), Err(3));
        assert_eq!((sender.send_reserved(4), sender.send_reserved(5)), (Ok(()), Ok(())));
        assert_eq!(sender.send_reserved(6), Err(6));
        assert_eq!(std::iter::from_fn(|| receiver.receive()).collect::<Vec<_>>(), [1, 2, 4, 5]);
    }

    #[test]
    fn room_is_found_again_when_messages_are_taken() {
        let (mut sender, mut receiver) = lane(8, 2, Bell::new(Arc::new(|| {})));
        for round in 0..100 {
            let mut sent = 0;
            while sender.has_room() {
                assert_eq!(sender.send(sent), Ok(()));
                sent += 1;
            }
            assert_eq!((sent, sender.free(), sender.fits_more_than(1)), (6, 2, true));
            assert!(!sender.fits_more_than(2) && sender.send(0) == Err(0));
            for expected in 0..=round % 6 {
                assert_eq!(receiver.receive(), Some(expected));
                assert!(sender.fits_more_than(2 + expected) && !sender.fits_more_than(3 + expected));
            }
            while receiver.receive().is_some() {}
        }
        let mut places = 0;
        sender.next_place(|place| places = place.len());
        assert_eq!(places, 1);
        while sender.send_reserved(0).is_ok() {}
        sender.next_place(|_| panic!("there is no place"));
    }

    #[test]
    fn a_sleeping_receiver_misses_nothing() {
        let (wake_sender, wake_receiver) = std::sync::mpsc::channel();
        let (bell_sender, bell_receiver) = std::sync::mpsc::channel();
        let receiving = std::thread::spawn(move || {
            let bell = Bell::for_this_thread();
            bell_sender.send(bell.clone()).ok();
            let mut lane: Receiver<u32> = wake_receiver.recv().expect("the lane comes");
            let mut seen = 0;
            while seen < 10_000 {
                if let Some(message) = lane.receive() {
                    assert_eq!(message, seen);
                    seen += 1;
                    continue;
                }
                bell.sleeping(true);
                if lane.is_empty() {
                    std::thread::park();
                }
                bell.sleeping(false);
            }
        });
        let bell = bell_receiver.recv().expect("the bell comes");
        let (mut sender, receiver) = lane(8, 1, bell);
        wake_sender.send(receiver).ok();
        for message in 0..10_000 {
            let mut message = message;
            while let Err(back) = sender.send(message) {
                message = back;
                std::thread::yield_now();
            }
            sender.ring();
        }
        assert!(receiving.join().is_ok());
    }
}
