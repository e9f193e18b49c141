//! Events of the past: from the journal, in order, without gaps, and never more durable than they say.

use std::time::Duration;

use tollgate_config::Settings;
use tollgate_config::keys;
use tollgate_core::record::{Authority, Name, NameTable, PAYLOAD_BYTES_MAX, Record, RejectionRecord};
use tollgate_gateway::link::{FromHot, Handover, ToHot, Watermark};
use tollgate_journal::{Appender, Durability as Class, FlusherHandle, FlusherOptions, Room};
use tollgate_protocol::client::{ClientSession, Incoming, LogonRequest};
use tollgate_protocol::event::{Durability, Event, EventBody};
use tollgate_protocol::reject::{Code, Owner, Reject};
use tollgate_protocol::{AccountName, Action, Command, CommandId, Decimal, Text};

use crate::support::*;

/// A journal as the gateway writes it.
struct Book {
    appender: Appender,
    flusher: Option<FlusherHandle>,
    time_ns: u64,
}

impl Book {
    fn open(settings: &Settings) -> Self {
        let journal = tollgate_journal::Settings {
            segment_bytes: 1 << 20,
            reserve_bytes: 4096,
            durability: match settings.journal.durability {
                Durability::None => Class::None,
                Durability::Process => Class::Process,
                Durability::Disk => Class::Disk,
            },
            flush_interval: Duration::from_millis(50),
            ..tollgate_journal::Settings::new(&settings.journal.directory)
        };
        let opened = tollgate_journal::open(&journal, |_| {}).unwrap();
        let flusher = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
        Self { appender: opened.appender, flusher: Some(flusher), time_ns: 1_000 }
    }

    fn append(&mut self, record: &Record) -> u64 {
        self.time_ns += 1;
        loop {
            let result = self.appender.append(
                Room::Ordinary,
                record.kind(),
                self.time_ns,
                PAYLOAD_BYTES_MAX,
                |slot| record.encode(slot),
            );
            match result {
                Ok(sequence) => return sequence,
                // The next segment is being prepared.
                Err(tollgate_journal::AppendError::Full) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What a start writes first: the names, in this order.
    fn names(&mut self, names: &[&str]) {
        for (index, name) in names.iter().enumerate() {
            let name = Name {
                table: NameTable::Client,
                index: index as u16,
                name: Text::new(name).unwrap(),
                tick: Decimal::ZERO,
                step: Decimal::ZERO,
            };
            self.append(&Record::Name(name));
        }
    }

    /// A refusal of the client with this number in the journal; the command's id is the event's number.
    fn refuse(&mut self, client: u16, event_sequence: u64) -> u64 {
        let command = Command {
            command_id: CommandId(u128::from(event_sequence)),
            created_at_ns: 1,
            deadline_ns: 0,
            account: AccountName::EMPTY,
            action: Action::Heartbeat,
        };
        let reject = Reject::new(Code::QueueFull, Owner::Gateway);
        self.append(&Record::Rejection(RejectionRecord {
            client,
            event_sequence,
            content_hash: 7,
            authority: Authority::default(),
            command,
            reject,
        }))
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.stop().unwrap();
        }
    }
}

/// A house whose journal `write` has written.
fn house(change: impl FnOnce(&mut Settings), write: impl FnOnce(&mut Book)) -> (House, Book) {
    let mut book = None;
    let house = House::new(|settings| {
        change(settings);
        let mut opened = Book::open(settings);
        write(&mut opened);
        book = Some(opened);
    });
    (house, book.unwrap())
}

fn after(seen: u64) -> LogonRequest {
    LogonRequest { resume_after: Some(seen), ..good() }
}

fn event(client: &mut Client, session: &mut ClientSession) -> Event {
    match client.incoming(session) {
        Some(Incoming::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

/// The numbers of the events that come before the session is handed over, and the handover.
fn resumed(house: &mut House, seen: u64) -> (Vec<u64>, Handover) {
    let mut client = house.client();
    let mut standing = client.log_on(after(seen)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(standing.welcome.next_event_sequence, seen + 1);
    let handover = house.session();
    assert_eq!(handover.session_id, standing.welcome.session_id);
    let count = handover.sequence_out - 3;
    let numbers: Vec<u64> = (0..count)
        .map(|_| {
            let event = event(&mut client, &mut standing.session);
            assert!(matches!(event.body, EventBody::Rejected(_)));
            assert_eq!(event.body.command_id(), CommandId(u128::from(event.event_sequence)));
            event.event_sequence
        })
        .collect();
    assert_eq!(handover.next_event_sequence, seen + count + 1);
    (numbers, handover)
}

/// The client's numbers in the settings are 0 for "client-1" and 1 for "client-2", whose the key is.
fn two_starts(book: &mut Book) {
    book.names(&["client-2", "client-1"]);
    for number in 1..=4 {
        book.refuse(0, number);
        book.refuse(1, number);
    }
    book.names(&["somebody who left", "client-1", "client-2"]);
    for number in 5..=8 {
        book.refuse(0, number);
        book.refuse(1, number);
        book.refuse(2, number);
    }
}

#[test]
fn events_come_in_order_whatever_number_the_client_had() {
    let (mut house, _book) = house(|_| {}, two_starts);
    assert_eq!(resumed(&mut house, 0).0, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(resumed(&mut house, 3).0, [4, 5, 6, 7, 8]);
    assert_eq!(resumed(&mut house, 7).0, [8]);
    assert!(resumed(&mut house, 8).0.is_empty());
    assert_eq!(house.metrics.door_events_replayed.get(), 14);
}

#[test]
fn what_never_was_cannot_be_resumed_after() {
    let (house, _book) = house(|_| {}, two_starts);
    for seen in [9, 1_000, u64::MAX] {
        assert_eq!(code(house.client().log_on(after(seen))), Code::ResumeUnavailable, "{seen}");
    }
    assert_eq!(house.refused(Code::ResumeUnavailable), 3);
}

#[test]
fn what_is_gone_cannot_be_resumed_after() {
    let (mut house, _book) = house(
        |_| {},
        |book| {
            book.names(&["client-1", "client-2"]);
            book.refuse(1, 6);
            book.refuse(1, 7);
        },
    );
    for seen in [0, 4] {
        assert_eq!(code(house.client().log_on(after(seen))), Code::ResumeUnavailable, "{seen}");
    }
    assert_eq!(resumed(&mut house, 5).0, [6, 7]);
}

#[test]
fn a_client_without_events_may_ask_for_all_of_them() {
    let (mut house, _book) = house(|_| {}, |book| book.names(&["client-1", "client-2"]));
    assert!(resumed(&mut house, 0).0.is_empty());
    assert_eq!(code(house.client().log_on(after(1))), Code::ResumeUnavailable);
}

#[test]
fn without_a_journal_only_nothing_can_be_resumed() {
    let mut house = House::new(|settings| settings.journal.durability = Durability::None);
    assert!(resumed(&mut house, 0).0.is_empty());
    assert_eq!(code(house.client().log_on(after(1))), Code::ResumeUnavailable);
}

#[test]
fn a_damaged_journal_refuses_to_resume_and_serves_the_rest() {
    let (house, _book) = house(
        |_| {},
        |book| {
            book.names(&["client-1", "client-2"]);
            book.refuse(1, 1);
            // A record that nobody understands.
            let appended = book.appender.append(Room::Ordinary, 5, 1, 2, |slot| {
                slot.fill(0xff);
                2
            });
            appended.unwrap();
        },
    );
    assert_eq!(code(house.client().log_on(after(1))), Code::ResumeUnavailable);
    assert!(house.client().log_on(good()).is_ok());
}

#[test]
fn long_histories_resume_anywhere() {
    const EVENTS: u64 = 40_000;
    let (mut house, mut book) = house(
        |settings| settings.sessions.sessions_per_client_max = 64,
        |book| {
            book.names(&["client-1", "client-2"]);
            for number in 1..=EVENTS {
                book.refuse(1, number);
                if number % 3 == 0 {
                    book.refuse(0, number / 3);
                }
            }
        },
    );
    // The second time around, what the first has learnt is used.
    for _ in 0..2 {
        for seen in [EVENTS - 1, EVENTS / 2, 17, EVENTS - 500] {
            let expected: Vec<u64> = (seen + 1..=EVENTS).collect();
            assert_eq!(resumed(&mut house, seen).0, expected, "after {seen}");
        }
    }
    book.refuse(1, EVENTS + 1);
    assert_eq!(resumed(&mut house, EVENTS).0, [EVENTS + 1]);
}

#[test]
fn who_fell_behind_is_caught_up_and_handed_over_again() {
    let (mut house, mut book) = house(|_| {}, two_starts);
    let mut client = house.client();
    let mut standing = client.log_on(after(8)).ok().unwrap();
    let mut handover = house.session();
    for number in 9..=300 {
        book.refuse(2, number);
    }
    handover.received = vec![1, 2, 3];
    house.tell(FromHot::Behind(Box::new(handover)));
    let again = house.session();
    assert_eq!((again.session_id, again.received), (standing.welcome.session_id, vec![1, 2, 3]));
    assert_eq!((again.next_event_sequence, again.sequence_in, again.sequence_out), (301, 3, 3 + 292));
    for number in 9..=300 {
        assert_eq!(event(&mut client, &mut standing.session).event_sequence, number);
    }
}

#[test]
fn an_event_is_not_told_before_it_is_as_durable_as_it_says() {
    let mut last = 0;
    let (mut house, mut book) = house(
        |settings| settings.journal.durability = Durability::Disk,
        |book| {
            book.names(&["client-1", "client-2"]);
            for number in 1..=5 {
                last = book.refuse(1, number);
            }
        },
    );
    house.metrics.journal_durable_sequence.set(last - 2);
    let (numbers, handover) = resumed(&mut house, 0);
    assert_eq!((numbers, handover.next_event_sequence), (vec![1, 2, 3], 4));
    house.metrics.journal_durable_sequence.set(last);
    assert_eq!(resumed(&mut house, 3).0, [4, 5]);
    book.appender.publish();
}

#[test]
fn once_the_disk_has_failed_nothing_is_waited_for() {
    let mut last = 0;
    let (mut house, mut book) = house(
        |settings| settings.journal.durability = Durability::Disk,
        |book| {
            book.names(&["client-1", "client-2"]);
            for number in 1..=400 {
                last = book.refuse(1, number);
            }
        },
    );
    house.metrics.journal_durable_sequence.set(last - 300);
    let mut client = house.client();
    let mut standing = client.log_on(after(0)).ok().unwrap();
    let mut handover = house.session();
    assert_eq!(handover.next_event_sequence, 101);
    handover.watermark = Watermark { sequence: last - 300, is_final: true };
    house.tell(FromHot::Behind(Box::new(handover)));
    let again = house.session();
    assert_eq!((again.next_event_sequence, again.behind_since), (401, None));
    for number in 1..=400 {
        assert_eq!(event(&mut client, &mut standing.session).event_sequence, number);
    }
    book.appender.publish();
}

#[test]
fn who_can_be_told_nothing_for_long_hears_that_he_cannot_resume() {
    let mut last = 0;
    let (mut house, mut book) = house(
        |settings| {
            settings.journal.durability = Durability::Disk;
            settings.sessions.heartbeat_timeout_ms = 300;
        },
        |book| {
            book.names(&["client-1", "client-2"]);
            last = book.refuse(1, 1);
        },
    );
    house.metrics.journal_durable_sequence.set(last - 1);
    let mut client = house.client();
    let mut standing = client.log_on(after(0)).ok().unwrap();
    let waiting = std::thread::spawn(move || client.incoming(&mut standing.session));
    // The hot thread has nothing for it either, again and again.
    let mut rounds = 0;
    while !waiting.is_finished() {
        if let Some(ToHot::Session(handover)) = house.from_door.receive() {
            assert_eq!(handover.next_event_sequence, 1);
            house.tell(FromHot::Behind(handover));
            rounds += 1;
        }
        std::thread::yield_now();
    }
    match waiting.join().unwrap() {
        Some(Incoming::Goodbye(goodbye)) => assert_eq!(goodbye.code, Code::ResumeUnavailable),
        other => panic!("{other:?}"),
    }
    assert!(rounds > 1, "it was tried again");
    // Without the events it can trade, and cancel.
    assert!(house.client().log_on(good()).is_ok());
    book.appender.publish();
}

#[test]
fn a_key_that_ended_meanwhile_ends_the_session() {
    let (mut house, _book) = house(
        |settings| {
            let client = settings.clients[1].name;
            let key = &settings.keys[0];
            let entry = keys::Entry::new(key.key_id, client, key.verifier.clone(), key.scopes);
            keys::write(&settings.gateway.keys_file, &[entry]).unwrap();
        },
        two_starts,
    );
    let mut client = house.client();
    let mut standing = client.log_on(after(6)).ok().unwrap();
    let handover = house.session();
    let directory = house.directory.as_ref().unwrap().path();
    keys::write(&directory.join("keys.toml"), &[]).unwrap();
    assert!(matches!(house.heard(), ToHot::EndKey(key_id) if key_id.as_str() == "good"));
    house.tell(FromHot::Behind(Box::new(handover)));
    assert_eq!(event(&mut client, &mut standing.session).event_sequence, 7);
    assert_eq!(event(&mut client, &mut standing.session).event_sequence, 8);
    match client.incoming(&mut standing.session) {
        Some(Incoming::Goodbye(goodbye)) => assert_eq!(goodbye.code, Code::SessionKeyEnded),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.frame(), None);
}

#[test]
fn who_does_not_take_what_he_asked_for_is_dropped() {
    let (mut house, _book) = house(
        |settings| {
            settings.sessions.heartbeat_timeout_ms = 2_000;
            settings.sessions.sessions_max = 1;
            settings.sessions.sessions_per_client_max = 1;
        },
        |book| {
            book.names(&["client-1", "client-2"]);
            (1..=150_000).for_each(|number| {
                book.refuse(1, number);
            });
        },
    );
    let mut client = house.client();
    assert!(client.log_on(after(0)).is_ok());
    assert_eq!(code(house.client().log_on(good())), Code::SessionLimit);
    eventually("the drop", || (house.refused(Code::SessionSlowReader) == 1).then_some(()));
    eventually("the place", || house.client().log_on(good()).ok());
    house.session();
}
