//! Trading accounts.

use tollgate_protocol::AccountName;

use crate::limits::OwnerLimits;
use crate::reader::Section;

/// How an account keeps positions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PositionMode {
    /// One position per symbol.
    Netting,
    /// Several positions per symbol, each with its ticket.
    Hedging,
}

/// What happens when an account's order would trade with its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SelfTradeMode {
    /// Nothing.
    Allow,
    /// The resting order is cancelled.
    CancelResting,
    /// The new order is refused.
    CancelAggressor,
    /// Both go.
    CancelBoth,
}

/// A trading account at a venue.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Its name; unique.
    pub name: AccountName,
    /// The position of its venue in [`crate::Settings::venues`].
    pub venue: u16,
    /// How it keeps positions.
    pub position_mode: PositionMode,
    /// What happens to orders that would trade with each other.
    pub self_trade: SelfTradeMode,
    /// The account's own limits.
    pub limits: OwnerLimits,
}

impl AccountSettings {
    pub(crate) fn read(section: &Section<'_>, venues: &[String]) -> Self {
        let name = section.name("name");
        let venue = section.reference("venue", "venue", venues);
        let position_mode = section.choice(
            "position_mode",
            PositionMode::Netting,
            &[("netting", PositionMode::Netting), ("hedging", PositionMode::Hedging)],
        );
        let self_trade = section.choice(
            "self_trade",
            SelfTradeMode::CancelAggressor,
            &[
                ("allow", SelfTradeMode::Allow),
                ("cancel_resting", SelfTradeMode::CancelResting),
                ("cancel_aggressor", SelfTradeMode::CancelAggressor),
                ("cancel_both", SelfTradeMode::CancelBoth),
            ],
        );
        let limits = section.section("limits");
        let settings = Self {
            name,
            venue,
            position_mode,
            self_trade,
            limits: OwnerLimits::read(&limits, &OwnerLimits::NONE),
        };
        limits.close();
        settings
    }
}
