//! The settings as the hot thread uses them: tables made at start, never changed.

use tollgate_config::{OwnerLimits, PositionMode, PrecisionMode, SelfTradeMode, Settings, TradingHours};
use tollgate_protocol::instrument::Instrument;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::Owner;
use tollgate_protocol::text::{AccountName, Symbol, Text};

use super::table::{IndexTable, hash_pair};
use crate::link::{ACCOUNTS_MAX, INSTRUMENTS_MAX, SymbolSet};

/// An instrument with what the gateway adds to the venue's rules.
pub struct InstrumentRule {
    /// The venue's rules.
    pub instrument: Instrument,
    /// When it trades.
    pub hours: TradingHours,
    /// No client may trade it.
    pub restricted: bool,
    /// One step, in `10^-18` of the unit: what limits of quantity count in.
    pub step: Money,
}

/// Of the whole of it, which is shorter work than finding its end.
#[inline]
fn symbol_hash(symbol: &Symbol) -> u64 {
    let word = |at: usize| symbol.padded()[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    hash_pair(hash_pair(0, word(0), word(8)), word(16), word(23))
}

/// An account.
pub struct AccountRule {
    /// Its name.
    pub name: AccountName,
    /// Its venue.
    pub venue: u16,
    /// How it keeps positions.
    pub position_mode: PositionMode,
    /// What happens to orders that would trade with each other.
    pub self_trade: SelfTradeMode,
}

/// A client.
pub struct ClientRule {
    /// Its name.
    pub name: Text<31>,
    /// Its accounts, a bit for each.
    pub accounts: u64,
    /// Its instruments.
    pub symbols: SymbolSet,
    /// What happens to numbers off their grid.
    pub precision: PrecisionMode,
    /// Cancel its orders when its last connection is lost.
    pub cancel_on_disconnect: bool,
    /// Leave the good-till-cancelled ones then.
    pub keep_good_till_cancel: bool,
    /// Cancel its orders after this much silence; 0 for never.
    pub dead_man_ns: u64,
}

/// The four owners whose limits an order must keep, as positions in [`Rules::limits`].
pub type Owners = [usize; 4];

/// Who an owner is, by its place in [`Owners`].
pub const OWNER_KINDS: [Owner; 4] = [Owner::Firm, Owner::Account, Owner::Client, Owner::Symbol];

/// The firm's place in [`Rules::limits`].
const FIRM: usize = 0;

/// What is worked out of an owner's limits once, and not with every order.
#[derive(Clone, Copy)]
pub struct OwnerFigures {
    /// It has no limit at all. Never the firm: something asks for a price that is there, and not years old.
    pub is_free: bool,
    /// Nanoseconds between two orders at its rate; 0 when it has none.
    pub rate_interval_ns: u64,
    /// How far the time that is used up may run ahead of the clock: by all but one order of the burst. Without a rate
    /// however far, for a clock may have been set back over a restart.
    pub rate_ahead_ns: u64,
    /// The loss of a day from which orders are slowed.
    pub slow_loss: Money,
    /// The fall from the day's best from which they are.
    pub slow_fall: Money,
}

impl OwnerFigures {
    fn new(at: usize, limits: &OwnerLimits, slow_percent: u32) -> Self {
        let rate_interval_ns = rate_interval_ns(limits.orders_per_second);
        Self {
            is_free: at != FIRM && *limits == OwnerLimits::NONE,
            slow_loss: slow_from(limits.max_daily_loss, slow_percent),
            slow_fall: slow_from(limits.max_drawdown, slow_percent),
            rate_interval_ns,
            rate_ahead_ns: match rate_interval_ns {
                0 => u64::MAX,
                _ => rate_interval_ns.saturating_mul(u64::from(limits.orders_burst.max(1)) - 1),
            },
        }
    }
}

/// The share of a loss limit from which orders are slowed, which no profit has; [`Money::MAX`] without a limit.
fn slow_from(limit: Money, percent: u32) -> Money {
    if limit == Money::MAX { limit } else { Money((limit.0 / 100 * i128::from(percent)).max(1)) }
}

/// The owners of an order with who they are.
#[inline]
pub fn each(owners: &Owners) -> impl Iterator<Item = (usize, Owner)> {
    owners.iter().copied().zip(OWNER_KINDS)
}

/// Nanoseconds between two orders at this rate; 0 when the rate is no limit.
fn rate_interval_ns(orders_per_second: u32) -> u64 {
    if orders_per_second == u32::MAX { 0 } else { 1_000_000_000 / u64::from(orders_per_second.max(1)) }
}

/// Everything that does not change while the process runs.
pub struct Rules {
    /// Instruments, in the order of the settings.
    pub instruments: Box<[InstrumentRule]>,
    /// Accounts, in the order of the settings.
    pub accounts: Box<[AccountRule]>,
    /// Clients, in the order of the settings.
    pub clients: Box<[ClientRule]>,
    /// Limits of every owner: the firm, then the accounts, the clients, the symbols.
    pub limits: Box<[OwnerLimits]>,
    /// What is worked out of each of them.
    pub figures: Box<[OwnerFigures]>,
    /// Venues' names, in the order of the settings.
    pub venues: Box<[Text<15>]>,
    /// Second of the UTC day at which daily counters start anew.
    pub daily_reset_seconds: u64,
    /// Orders a second when slowed.
    pub slow_orders_per_second: u32,
    /// Nanoseconds between two of them.
    pub slow_interval_ns: u64,
    /// Rate rejections in a minute that halt the account; 0 for never.
    pub rate_breaches_to_halt: u32,
    /// Whether that halt cancels working orders.
    pub rate_halt_cancels: bool,
    /// The same order within this time is refused; 0 for never.
    pub repeat_window_ns: u64,
    /// How far in the future a command may say it was made.
    pub clock_difference_ns: u64,
    /// How old the journaled price of a held position may become before it is journaled anew.
    pub price_sample_ns: u64,
    /// Open orders kept free for closes.
    pub orders_reserved: usize,
    symbols: IndexTable,
}

impl Rules {
    /// From settings that were checked.
    pub fn new(settings: &Settings) -> Self {
        assert!(
            settings.instruments.len() <= INSTRUMENTS_MAX,
            "the settings check the number of instruments"
        );
        assert!(settings.accounts.len() <= ACCOUNTS_MAX, "the settings check the number of accounts");
        let risk = &settings.risk;
        let mut symbols = IndexTable::new(settings.instruments.len());
        for (at, entry) in settings.instruments.iter().enumerate() {
            symbols.insert(symbol_hash(&entry.instrument.symbol), at as u32);
        }
        let limits = std::iter::once(risk.firm)
            .chain(settings.accounts.iter().map(|account| account.limits))
            .chain(settings.clients.iter().map(|client| client.limits))
            .chain(settings.instruments.iter().map(|entry| entry.limits));
        let limits: Box<[OwnerLimits]> = limits.collect();
        Self {
            instruments: settings
                .instruments
                .iter()
                .map(|entry| InstrumentRule {
                    instrument: entry.instrument,
                    hours: entry.hours.clone(),
                    restricted: risk.restricted_symbols.contains(&entry.instrument.symbol),
                    step: Money::from_decimal(entry.instrument.quantity.increment()).unwrap_or(Money::MAX),
                })
                .collect(),
            accounts: settings
                .accounts
                .iter()
                .map(|account| AccountRule {
                    name: account.name,
                    venue: account.venue,
                    position_mode: account.position_mode,
                    self_trade: account.self_trade,
                })
                .collect(),
            clients: settings.clients.iter().map(|client| ClientRule::new(client, settings)).collect(),
            figures: limits
                .iter()
                .enumerate()
                .map(|(at, limits)| OwnerFigures::new(at, limits, u32::from(risk.slow_percent)))
                .collect(),
            limits,
            venues: settings.venues.iter().map(|venue| venue.name).collect(),
            daily_reset_seconds: u64::from(risk.daily_reset_seconds),
            slow_orders_per_second: risk.slow_orders_per_second,
            slow_interval_ns: rate_interval_ns(risk.slow_orders_per_second),
            rate_breaches_to_halt: risk.rate_breaches_to_halt,
            rate_halt_cancels: risk.rate_halt_cancels,
            repeat_window_ns: u64::from(risk.repeat_window_ms) * 1_000_000,
            clock_difference_ns: u64::from(settings.dedupe.clock_difference_ms_max) * 1_000_000,
            price_sample_ns: u64::from(settings.hot.price_sample_interval_ms) * 1_000_000,
            orders_reserved: settings.capacity.open_orders_max / 16,
            symbols,
        }
    }

    /// The instrument with this name.
    #[inline]
    pub fn find_symbol(&self, symbol: &Symbol) -> Option<u16> {
        let found = self
            .symbols
            .find(symbol_hash(symbol), |at| self.instruments[at as usize].instrument.symbol == *symbol);
        found.map(|at| at as u16)
    }

    /// The account with this name.
    #[inline]
    pub fn find_account(&self, name: &AccountName) -> Option<u16> {
        self.accounts.iter().position(|account| account.name == *name).map(|at| at as u16)
    }

    /// The owners of an order: firm, account, client, symbol.
    #[inline]
    pub fn owners(&self, account: u16, client: u16, instrument: u16) -> Owners {
        let clients_from = 1 + self.accounts.len();
        let symbols_from = clients_from + self.clients.len();
        [
            0,
            1 + usize::from(account),
            clients_from + usize::from(client),
            symbols_from + usize::from(instrument),
        ]
    }

    /// The smallest of these owners' values of a limit, with whose it is; no limit and the firm, where none has one.
    #[inline]
    pub fn least<T: PartialOrd>(
        &self,
        owners: impl Iterator<Item = (usize, Owner)>,
        limit: impl Fn(&OwnerLimits) -> T,
    ) -> (T, Owner) {
        let mut least = (limit(&OwnerLimits::NONE), Owner::Firm);
        for (owner, kind) in owners {
            let value = limit(&self.limits[owner]);
            if value < least.0 {
                least = (value, kind);
            }
        }
        least
    }

    /// The start of the trading day after `now_ns`.
    pub fn next_reset_ns(&self, now_ns: u64) -> u64 {
        const DAY_NS: u64 = 86_400_000_000_000;
        let offset = self.daily_reset_seconds * 1_000_000_000;
        let days = now_ns.saturating_sub(offset) / DAY_NS;
        let this = days * DAY_NS + offset;
        if now_ns < this { this } else { this + DAY_NS }
    }
}

impl ClientRule {
    fn new(client: &tollgate_config::ClientSettings, settings: &Settings) -> Self {
        let mut symbols = SymbolSet::EMPTY;
        match &client.symbols {
            Some(list) => list.iter().for_each(|index| symbols.insert(*index)),
            None => (0..settings.instruments.len()).for_each(|index| symbols.insert(index as u16)),
        }
        Self {
            name: client.name,
            accounts: client.accounts.iter().fold(0, |set, account| set | 1 << account),
            symbols,
            precision: client.precision,
            cancel_on_disconnect: client.cancel_on_disconnect,
            keep_good_till_cancel: client.cancel_on_disconnect_keeps_gtc,
            dead_man_ns: u64::from(client.dead_man_ms) * 1_000_000,
        }
    }
}
