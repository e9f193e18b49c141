//! What an exchange says of its symbols, in the words of `[[instrument]]`.

/// A symbol of an exchange.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedSymbol {
    /// Its name.
    pub symbol: String,
    /// The exchange's word for its state; `TRADING` when it trades.
    pub status: String,
    /// Keys of an `[[instrument]]` table.
    pub table: toml::Table,
    /// Names of its rules that nothing here knows: only the exchange holds them.
    pub unknown_rules: Vec<String>,
}

/// An exchange whose rule files settings may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exchange {
    /// Binance: the answer to `exchangeInfo`, of spot or USD-M futures.
    Binance,
}

impl Exchange {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binance => "Binance",
        }
    }

    /// What its rule file is.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Binance => "give the answer of Binance's exchangeInfo, as served",
        }
    }
}
