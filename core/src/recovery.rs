//! From the journal to the state, at every start: the same records through the same code as while running.

// It runs before the first turn.
#![allow(clippy::disallowed_types, clippy::disallowed_macros)]

use std::fmt;

use tollgate_protocol::Decimal;
use tollgate_protocol::identity::AccountIndex;
use tollgate_protocol::instrument::InstrumentIndex;

use crate::State;
use crate::record::{Authority, Effect, Name, NameTable, OrderTerms, Record, RecordError};

/// Why the journal does not fit the settings.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A record that does not decode.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A name of the journal is missing in the settings.
    #[error(
        "the journal has the {table} {name:?}, and the settings do not: put it back (a client without keys and an \
         account without clients do nothing), or begin a new journal in an empty directory"
    )]
    NameMissing {
        /// Which table.
        table: &'static str,
        /// The name.
        name: String,
    },
    /// An instrument's grid has changed.
    #[error(
        "the journal has {symbol} in ticks of {tick} and steps of {step}, the settings in ticks of {new_tick} and \
         steps of {new_step}: positions and orders are kept in these units, so begin a new journal in an empty \
         directory once {symbol} is flat"
    )]
    GridChanged {
        /// The instrument.
        symbol: String,
        /// The journal's tick.
        tick: Decimal,
        /// The journal's step.
        step: Decimal,
        /// The settings' tick.
        new_tick: Decimal,
        /// The settings' step.
        new_step: Decimal,
    },
    /// A record uses a number that no name stands for.
    #[error(
        "journal record {sequence} uses a number that no record before it names; run `tollgate journal verify`"
    )]
    NumberUnknown {
        /// The record.
        sequence: u64,
    },
    /// More orders are open than the settings have room for.
    #[error(
        "record {sequence} of the journal opens one order more than capacity.open_orders_max = {limit}: set it to what \
         it was when the journal was written, or higher"
    )]
    OrdersTooMany {
        /// The record.
        sequence: u64,
        /// The settings' limit.
        limit: usize,
    },
    /// The state differs from the one that ran.
    #[error(
        "the state rebuilt from the journal differs from the one that ran at record {sequence}: the journal or the \
         program is not what it was; nothing was changed, keep the journal and report it"
    )]
    DigestDiffers {
        /// The digest's record.
        sequence: u64,
    },
}

/// What numbers of the journal mean in the present settings.
#[derive(Default)]
struct Numbers {
    tables: [Vec<Option<u16>>; 4],
}

impl Numbers {
    fn set(&mut self, table: NameTable, old: u16, new: u16) {
        let table = &mut self.tables[table as usize];
        if table.len() <= usize::from(old) {
            table.resize(usize::from(old) + 1, None);
        }
        table[usize::from(old)] = Some(new);
    }

    fn get(&self, table: NameTable, old: u16) -> Option<u16> {
        self.tables[table as usize].get(usize::from(old)).copied().flatten()
    }
}

/// Builds a state from records.
pub struct Recovery {
    /// The state so far.
    pub state: State,
    /// Records taken.
    pub records: u64,
    /// Digests that were checked, and were right.
    pub digests: u64,
    /// The instance that started last.
    pub instance: Option<tollgate_protocol::Text<31>>,
    numbers: Numbers,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("records", &self.records)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

impl Recovery {
    /// Before the first record.
    pub fn new(state: State) -> Self {
        Self { state, records: 0, digests: 0, instance: None, numbers: Numbers::default() }
    }

    /// Takes a record of the journal; gives it back as the present settings number it.
    pub fn take(&mut self, record: &tollgate_journal::Record<'_>) -> Result<Record, RecoveryError> {
        let decoded = self.read(record)?;
        let opens = matches!(&decoded, Record::Child(_))
            || matches!(&decoded, Record::Intent(intent) if matches!(intent.effect, Effect::Order(_)));
        if opens && !self.state.orders.has_room(0) {
            let limit = self.state.orders.open_count();
            return Err(RecoveryError::OrdersTooMany { sequence: record.sequence, limit });
        }
        self.state.apply(record.sequence, record.time_ns, &decoded);
        self.check(record.sequence, &decoded)?;
        Ok(decoded)
    }

    /// Decodes a record and renumbers it, without taking it into the state.
    pub fn read(&mut self, record: &tollgate_journal::Record<'_>) -> Result<Record, RecoveryError> {
        self.records += 1;
        let decoded = Record::decode(record.sequence, record.kind, record.payload)?;
        match &decoded {
            Record::Name(name) => self.learn(name)?,
            Record::Start(start) => self.instance = Some(start.instance),
            _ => {}
        }
        self.renumber(&decoded).ok_or(RecoveryError::NumberUnknown { sequence: record.sequence })
    }

    /// A digest in the journal must be the state's.
    pub fn check(&mut self, sequence: u64, record: &Record) -> Result<(), RecoveryError> {
        let Record::Digest(digest) = record else { return Ok(()) };
        if digest.shape != self.state.shape() {
            return Ok(());
        }
        if digest.hash != self.state.digest() {
            return Err(RecoveryError::DigestDiffers { sequence });
        }
        self.digests += 1;
        Ok(())
    }

    fn learn(&mut self, name: &Name) -> Result<(), RecoveryError> {
        let rules = &self.state.rules;
        let text = name.name.as_str();
        let (what, found) = match name.table {
            NameTable::Client => {
                ("client", rules.clients.iter().position(|client| client.name.as_str() == text))
            }
            NameTable::Account => {
                ("account", rules.accounts.iter().position(|account| account.name.as_str() == text))
            }
            NameTable::Instrument => (
                "instrument",
                rules.instruments.iter().position(|rule| rule.instrument.symbol.as_str() == text),
            ),
            NameTable::Venue => ("venue", rules.venues.iter().position(|venue| venue.as_str() == text)),
        };
        let missing = || RecoveryError::NameMissing { table: what, name: text.to_owned() };
        let index = found.ok_or_else(missing)?;
        if name.table == NameTable::Instrument {
            let instrument = &rules.instruments[index].instrument;
            let (new_tick, new_step) = (instrument.price.increment(), instrument.quantity.increment());
            if (new_tick, new_step) != (name.tick, name.step) {
                let (symbol, tick, step) = (text.to_owned(), name.tick, name.step);
                return Err(RecoveryError::GridChanged { symbol, tick, step, new_tick, new_step });
            }
        }
        self.numbers.set(name.table, name.index, index as u16);
        Ok(())
    }

    fn renumber(&self, record: &Record) -> Option<Record> {
        Some(match *record {
            Record::Name(_) | Record::Start(_) | Record::Digest(_) | Record::Loss(_) => *record,
            Record::Price(mut price) => {
                price.instrument = self.instrument(price.instrument)?;
                Record::Price(price)
            }
            Record::Intent(mut intent) => {
                intent.client = self.client(intent.client)?;
                intent.authority = self.authority(intent.authority);
                intent.effect = self.effect(intent.effect)?;
                Record::Intent(intent)
            }
            Record::Rejection(mut rejection) => {
                rejection.client = self.client(rejection.client)?;
                rejection.authority = self.authority(rejection.authority);
                Record::Rejection(rejection)
            }
            Record::Child(mut child) => {
                child.client = self.client(child.client)?;
                child.terms = self.terms(child.terms)?;
                Record::Child(child)
            }
            Record::Report(mut report) => {
                report.client = self.client(report.client)?;
                Record::Report(report)
            }
            Record::Venue(mut venue) => {
                venue.venue = self.numbers.get(NameTable::Venue, venue.venue)?;
                Record::Venue(venue)
            }
        })
    }

    fn client(&self, client: u16) -> Option<u16> {
        self.numbers.get(NameTable::Client, client)
    }

    fn account(&self, account: AccountIndex) -> Option<AccountIndex> {
        self.numbers.get(NameTable::Account, account.0).map(AccountIndex)
    }

    fn instrument(&self, instrument: InstrumentIndex) -> Option<InstrumentIndex> {
        self.numbers.get(NameTable::Instrument, instrument.0).map(InstrumentIndex)
    }

    fn authority(&self, authority: Authority) -> Authority {
        let accounts = (0..64_u16).filter(|old| authority.accounts >> old & 1 == 1);
        let accounts = accounts.filter_map(|old| self.numbers.get(NameTable::Account, old));
        Authority { accounts: accounts.fold(0, |set, new| set | 1 << new), ..authority }
    }

    fn terms(&self, terms: OrderTerms) -> Option<OrderTerms> {
        let (account, instrument) = (self.account(terms.account)?, self.instrument(terms.instrument)?);
        Some(OrderTerms { account, instrument, ..terms })
    }

    fn effect(&self, effect: Effect) -> Option<Effect> {
        Some(match effect {
            Effect::Order(terms) => Effect::Order(self.terms(terms)?),
            Effect::Sweep { account, instrument, client, keep_good_till_cancel } => Effect::Sweep {
                account: optional(account, |account| self.account(account))?,
                instrument: optional(instrument, |instrument| self.instrument(instrument))?,
                client: optional(client, |client| self.client(client))?,
                keep_good_till_cancel,
            },
            Effect::Cancel(_) | Effect::Replace { .. } => effect,
        })
    }

    /// The names of the present settings, as records; empty when the journal ends with just these.
    pub fn names(&self) -> Vec<Record> {
        let rules = &self.state.rules;
        let plain = |table, index: usize, name: &str| Name {
            table,
            index: index as u16,
            name: tollgate_protocol::Text::truncated(name),
            tick: Decimal::ZERO,
            step: Decimal::ZERO,
        };
        let clients =
            rules.clients.iter().enumerate().map(|(at, it)| plain(NameTable::Client, at, it.name.as_str()));
        let accounts =
            rules.accounts.iter().enumerate().map(|(at, it)| plain(NameTable::Account, at, it.name.as_str()));
        let venues = rules.venues.iter().enumerate().map(|(at, it)| plain(NameTable::Venue, at, it.as_str()));
        let instruments = rules.instruments.iter().enumerate().map(|(at, it)| Name {
            tick: it.instrument.price.increment(),
            step: it.instrument.quantity.increment(),
            ..plain(NameTable::Instrument, at, it.instrument.symbol.as_str())
        });
        let all: Vec<Name> = clients.chain(accounts).chain(instruments).chain(venues).collect();
        if all.iter().all(|name| self.numbers.get(name.table, name.index) == Some(name.index)) {
            return Vec::new();
        }
        all.into_iter().map(Record::Name).collect()
    }
}

/// `None` stays `None`; a number that is not known makes the whole thing unknown.
fn optional<T>(value: Option<T>, map: impl Fn(T) -> Option<T>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| map(value).map(Some))
}
