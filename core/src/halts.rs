//! Whether trading goes on: the whole gateway, each account, each symbol. The strictest counts.

use tollgate_protocol::command::TradingState;
use tollgate_protocol::reject::Owner;

/// The halts in force. Kept by the journal, so a restart changes nothing.
pub struct Halts {
    whole: TradingState,
    accounts: Box<[TradingState]>,
    symbols: Box<[TradingState]>,
}

/// What a halt reaches, resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HaltPlace {
    /// The whole gateway.
    Whole,
    /// An account.
    Account(u16),
    /// An instrument.
    Symbol(u16),
}

impl Halts {
    /// Nothing is halted.
    pub fn new(accounts: usize, symbols: usize) -> Self {
        Self {
            whole: TradingState::Active,
            accounts: vec![TradingState::Active; accounts].into_boxed_slice(),
            symbols: vec![TradingState::Active; symbols].into_boxed_slice(),
        }
    }

    /// The strictest state for an order, and whose it is.
    #[inline]
    pub fn strictest(&self, account: u16, symbol: u16) -> (TradingState, Owner) {
        let mut strictest = (self.whole, Owner::Firm);
        for (state, owner) in [
            (self.accounts[usize::from(account)], Owner::Account),
            (self.symbols[usize::from(symbol)], Owner::Symbol),
        ] {
            if state > strictest.0 {
                strictest = (state, owner);
            }
        }
        strictest
    }

    /// The state of one place.
    pub fn get(&self, place: HaltPlace) -> TradingState {
        match place {
            HaltPlace::Whole => self.whole,
            HaltPlace::Account(account) => self.accounts[usize::from(account)],
            HaltPlace::Symbol(symbol) => self.symbols[usize::from(symbol)],
        }
    }

    /// The strictest of the whole and an account.
    pub fn account(&self, account: u16) -> TradingState {
        self.whole.max(self.accounts[usize::from(account)])
    }

    /// Changes the state of one place.
    pub fn set(&mut self, place: HaltPlace, state: TradingState) {
        match place {
            HaltPlace::Whole => self.whole = state,
            HaltPlace::Account(account) => self.accounts[usize::from(account)] = state,
            HaltPlace::Symbol(symbol) => self.symbols[usize::from(symbol)] = state,
        }
    }

    /// Accounts and symbols that are not active.
    pub fn count(&self) -> usize {
        self.accounts.iter().chain(&self.symbols).filter(|state| **state != TradingState::Active).count()
    }

    /// Feeds the states to `hash`.
    pub fn digest(&self, hash: &mut impl FnMut(&[u8])) {
        hash(&[self.whole as u8]);
        self.accounts.iter().chain(&self.symbols).for_each(|state| hash(&[*state as u8]));
    }
}
