//! Deduplication: at most one outcome for one (client, command id).
//!
//! The window is a ring of the last commands. What leaves it raises its client's floor: a command made at or before
//! the floor cannot be proved new and is refused, so that a resend is never executed twice, however late it comes.

use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::CommandId;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::memory;
use super::table::{IndexTable, hash_pair};

/// The first answer to a command, as the window keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstAnswer {
    /// The journal sequence of the intent or the rejection.
    pub sequence: u64,
    /// The number of the event.
    pub event_sequence: u64,
    /// When it was journaled.
    pub time_ns: u64,
    /// The rejection; `None` when it was acknowledged.
    pub reject: Option<Reject>,
}

/// Forgotten commands that may wait to be taken out of the index: those of some busy turns.
const UNTIDY_MAX: usize = 1024;

/// How many commands ahead what will be taken out is fetched.
const PREFETCHED_AHEAD: u64 = 8;

/// What the window says of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Never seen, and made after everything that was forgotten.
    New,
    /// Seen with the same content.
    Same(FirstAnswer),
    /// Seen with other content.
    Different,
    /// Not seen, but made before the window reaches: it may have been.
    TooOld,
}

/// One remembered command, packed: there are hundreds of thousands.
#[derive(Clone, Copy)]
struct Entry {
    command_id: CommandId,
    content_hash: u64,
    created_at_ns: u64,
    sequence: u64,
    event_sequence: u64,
    time_ns: u64,
    /// Value, limit and the value above of a reject.
    mantissas: [i64; 3],
    scales: [u8; 3],
    owner: Owner,
    /// 0 for an acknowledgement.
    code: u16,
    client: u16,
    /// It has left the window; only its place in the index is not free yet.
    is_forgotten: bool,
}

impl Entry {
    const EMPTY: Self = Self {
        command_id: CommandId(0),
        content_hash: 0,
        created_at_ns: 0,
        sequence: 0,
        event_sequence: 0,
        time_ns: 0,
        mantissas: [0; 3],
        scales: [0; 3],
        owner: Owner::Gateway,
        code: 0,
        client: 0,
        is_forgotten: false,
    };

    fn answer(&self) -> FirstAnswer {
        let number = |at: usize| Decimal::new(self.mantissas[at], self.scales[at]);
        let reject = Code::from_number(self.code).map(|code| Reject {
            code,
            owner: self.owner,
            value: number(0),
            limit: number(1),
            above: number(2),
        });
        FirstAnswer {
            sequence: self.sequence,
            event_sequence: self.event_sequence,
            time_ns: self.time_ns,
            reject,
        }
    }
}

/// The window.
pub struct Dedupe {
    entries: Box<[Entry]>,
    table: IndexTable,
    /// Commands ever remembered; the newest is at `(next − 1) % entries.len()`.
    next: u64,
    /// The oldest that is still remembered.
    oldest: u64,
    /// The oldest that is still in the index.
    indexed: u64,
    window_commands: usize,
    window_ns: u64,
    /// By client: commands made at or before this are refused.
    floors: Box<[u64]>,
    seed: u64,
}

impl Dedupe {
    /// A window of the last `window_commands` commands and `window_ns` nanoseconds, for `clients` clients. `seed`
    /// keeps the index from being steered; it changes no answer.
    pub fn new(window_commands: usize, window_ns: u64, clients: usize, seed: u64) -> Self {
        Self {
            entries: memory::filled(Entry::EMPTY, window_commands + UNTIDY_MAX),
            // Not for the sum: that would double the table for a power of two. It is filled to three quarters at most.
            table: IndexTable::new(window_commands.max(2 * UNTIDY_MAX)),
            next: 0,
            oldest: 0,
            indexed: 0,
            window_commands,
            window_ns,
            floors: vec![0; clients].into_boxed_slice(),
            seed,
        }
    }

    #[inline]
    fn hash(&self, client: u16, command_id: CommandId) -> u64 {
        hash_pair(self.seed, command_id.0 as u64, (command_id.0 >> 64) as u64 ^ u64::from(client) << 48)
    }

    #[inline]
    fn find(&self, client: u16, command_id: CommandId) -> Option<&Entry> {
        let found = self.table.find(self.hash(client, command_id), |entry| {
            let entry = &self.entries[entry as usize];
            entry.command_id == command_id && entry.client == client && !entry.is_forgotten
        })?;
        Some(&self.entries[found as usize])
    }

    /// A command with this id is coming.
    #[inline]
    pub fn prefetch(&self, client: u16, command_id: CommandId) {
        self.table.prefetch(self.hash(client, command_id));
    }

    /// Has the place brought near in which the next command is remembered.
    #[inline]
    pub fn prefetch_next(&self) {
        memory::prefetch(&self.entries, self.place(self.next));
    }

    /// What is known of a command.
    #[inline]
    pub fn look(
        &self,
        client: u16,
        command_id: CommandId,
        content_hash: u64,
        created_at_ns: u64,
        now_ns: u64,
    ) -> Seen {
        if let Some(entry) = self.find(client, command_id) {
            if entry.content_hash == content_hash {
                return Seen::Same(entry.answer());
            }
            return Seen::Different;
        }
        let floor = self.floors[usize::from(client)].max(now_ns.saturating_sub(self.window_ns));
        if created_at_ns <= floor { Seen::TooOld } else { Seen::New }
    }

    /// Remembers a command and its answer; the oldest makes room.
    #[inline]
    pub fn remember(
        &mut self,
        client: u16,
        command_id: CommandId,
        content_hash: u64,
        created_at_ns: u64,
        answer: FirstAnswer,
    ) {
        if self.next - self.oldest == self.window_commands as u64 {
            self.forget_oldest();
        }
        if self.next - self.indexed == self.entries.len() as u64 {
            self.tidy(1);
        }
        let at = self.place(self.next);
        let reject = answer.reject.unwrap_or(Reject::new(Code::FrameMagic, Owner::Gateway));
        self.entries[at] = Entry {
            command_id,
            content_hash,
            created_at_ns,
            sequence: answer.sequence,
            event_sequence: answer.event_sequence,
            time_ns: answer.time_ns,
            mantissas: [reject.value.mantissa, reject.limit.mantissa, reject.above.mantissa],
            scales: [reject.value.scale, reject.limit.scale, reject.above.scale],
            owner: reject.owner,
            code: answer.reject.map_or(0, |reject| reject.code.number()),
            client,
            is_forgotten: false,
        };
        self.table.insert(self.hash(client, command_id), at as u32);
        self.next += 1;
    }

    #[inline]
    fn place(&self, number: u64) -> usize {
        (number % self.entries.len() as u64) as usize
    }

    #[inline]
    fn forget_oldest(&mut self) {
        let at = self.place(self.oldest);
        let entry = &mut self.entries[at];
        entry.is_forgotten = true;
        let floor = &mut self.floors[usize::from(entry.client)];
        *floor = (*floor).max(entry.created_at_ns);
        self.oldest += 1;
    }

    /// Takes forgotten commands out of the index, so many at most. It changes no answer, and costs a walk through
    /// memory that nobody looked at for long: so it is for the time after the answers.
    #[inline]
    pub fn tidy(&mut self, most: u64) {
        for _ in 0..most.min(self.oldest - self.indexed) {
            let ahead = &self.entries[self.place(self.indexed + PREFETCHED_AHEAD)];
            self.table.prefetch(self.hash(ahead.client, ahead.command_id));
            let at = self.place(self.indexed);
            let entry = &self.entries[at];
            let hash = self.hash(entry.client, entry.command_id);
            self.table.remove(hash, at as u32);
            self.indexed += 1;
        }
    }

    /// Commands that can be remembered.
    pub fn window_commands(&self) -> usize {
        self.window_commands
    }

    /// Commands that are remembered.
    pub fn remembered(&self) -> u64 {
        self.next - self.oldest
    }

    /// Feeds everything that decides an answer to `hash`, in order.
    pub fn digest(&self, hash: &mut impl FnMut(&[u8])) {
        for at in self.oldest..self.next {
            let entry = &self.entries[self.place(at)];
            hash(&entry.command_id.0.to_le_bytes());
            for word in
                [entry.content_hash, entry.created_at_ns, entry.sequence, entry.event_sequence, entry.time_ns]
            {
                hash(&word.to_le_bytes());
            }
            entry.mantissas.iter().for_each(|mantissa| hash(&mantissa.to_le_bytes()));
            hash(&entry.scales);
            hash(&[entry.owner as u8]);
            hash(&entry.code.to_le_bytes());
            hash(&entry.client.to_le_bytes());
        }
        self.floors.iter().for_each(|floor| hash(&floor.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sequence: u64) -> FirstAnswer {
        FirstAnswer { sequence, event_sequence: sequence, time_ns: sequence, reject: None }
    }

    #[test]
    fn the_first_answer_comes_again_and_other_content_is_noticed() {
        let mut dedupe = Dedupe::new(4, u64::MAX, 2, 7);
        let reject =
            Reject::limit(Code::PriceNotOnTick, Owner::Symbol, Decimal::new(15, 1), Decimal::new(1, 0));
        let refused = FirstAnswer { reject: Some(reject), ..answer(5) };
        dedupe.remember(0, CommandId(1), 11, 100, answer(4));
        dedupe.remember(1, CommandId(1), 12, 100, refused);
        assert_eq!(dedupe.look(0, CommandId(1), 11, 100, 200), Seen::Same(answer(4)));
        assert_eq!(dedupe.look(0, CommandId(1), 12, 100, 200), Seen::Different);
        assert_eq!(dedupe.look(1, CommandId(1), 12, 100, 200), Seen::Same(refused));
        assert_eq!(dedupe.look(0, CommandId(2), 11, 100, 200), Seen::New);
    }

    #[test]
    fn what_left_the_window_is_refused_for_ever() {
        let mut dedupe = Dedupe::new(4, u64::MAX, 2, 7);
        for id in 0..20_u64 {
            dedupe.remember(0, CommandId(id.into()), id, 100 + id, answer(id));
            for old in 0..=id {
                let seen = dedupe.look(0, CommandId(old.into()), old, 100 + old, 1000);
                let remembered = id - old < 4;
                assert_eq!(matches!(seen, Seen::Same(_)), remembered);
                assert_eq!(seen == Seen::TooOld, !remembered);
            }
        }
        assert_eq!(dedupe.look(1, CommandId(0), 0, 100, 1000), Seen::New, "each client has its own floor");
        assert_eq!(dedupe.remembered(), 4);
    }

    /// Untidied or not, the answers are the same.
    #[test]
    fn tidying_changes_no_answer() {
        let (mut tidy, mut untidy) = (Dedupe::new(4, u64::MAX, 2, 7), Dedupe::new(4, u64::MAX, 2, 7));
        for number in 0..3 * UNTIDY_MAX as u64 {
            // Ids come again once they are forgotten, as new commands.
            let (client, id) = ((number % 2) as u16, CommandId(u128::from(number % 9)));
            for dedupe in [&mut tidy, &mut untidy] {
                dedupe.remember(client, id, number, 100 + number, answer(number));
            }
            tidy.tidy(u64::MAX);
            for id in 0..9 {
                let look = |dedupe: &Dedupe| dedupe.look(client, CommandId(id), number, 200 + number, 0);
                assert_eq!(look(&tidy), look(&untidy));
            }
        }
        assert_eq!((tidy.oldest, tidy.indexed), (untidy.oldest, untidy.oldest));
        assert!(untidy.indexed < untidy.oldest, "nothing ever waited");
    }

    #[test]
    fn the_window_ends_by_time_too() {
        let dedupe = Dedupe::new(4, 50, 1, 7);
        assert_eq!(dedupe.look(0, CommandId(1), 1, 100, 149), Seen::New);
        assert_eq!(dedupe.look(0, CommandId(1), 1, 100, 150), Seen::TooOld);
    }
}
