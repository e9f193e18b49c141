//! Clients: who sends commands.

use tollgate_protocol::Text;

use crate::limits::OwnerLimits;
use crate::reader::Section;

/// What happens to a price or quantity between two multiples of the increment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PrecisionMode {
    /// The order is refused.
    Reject,
    /// The value is rounded: quantities down, prices to the side that is better for the client.
    Round,
}

/// A client: a strategy, a platform or an operator.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Its name; unique.
    pub name: Text<31>,
    /// The positions of its accounts in [`crate::Settings::accounts`].
    pub accounts: Vec<u16>,
    /// The positions of its instruments in [`crate::Settings::instruments`]; `None` for all.
    pub symbols: Option<Vec<u16>>,
    /// What happens to values that are off the grid.
    pub precision: PrecisionMode,
    /// Its working orders are cancelled when its last session is lost.
    pub cancel_on_disconnect: bool,
    /// That cancels all but its good-till-cancel orders.
    pub cancel_on_disconnect_keeps_gtc: bool,
    /// Its working orders are cancelled when nothing was heard of it for so long; 0 for off.
    pub dead_man_ms: u32,
    /// The client's own limits.
    pub limits: OwnerLimits,
}

impl ClientSettings {
    pub(crate) fn read(section: &Section<'_>, accounts: &[String], symbols: &[String]) -> Self {
        let name = section.name("name");
        let accounts = section.references("accounts", "account", accounts);
        if accounts.is_none() {
            section.missing("accounts", "name the accounts it may use, as in [\"main\"]; [] for none");
        }
        let symbols = section.references("symbols", "symbol", symbols);
        let precision = section.choice(
            "precision",
            PrecisionMode::Reject,
            &[("reject", PrecisionMode::Reject), ("round", PrecisionMode::Round)],
        );
        let cancel_on_disconnect = section.flag("cancel_on_disconnect", false);
        let keeps_gtc = section.flag("cancel_on_disconnect_keeps_gtc", false);
        let dead_man_ms = section.integer("dead_man_ms", 0, 0..=86_400_000);
        if keeps_gtc && !cancel_on_disconnect {
            let advice = "set cancel_on_disconnect = true, or leave this out";
            section.wrong(
                "cancel_on_disconnect_keeps_gtc",
                "has no effect without cancel_on_disconnect",
                advice,
            );
        }
        let limits = section.section("limits");
        let settings = Self {
            name,
            accounts: accounts.unwrap_or_default(),
            symbols,
            precision,
            cancel_on_disconnect,
            cancel_on_disconnect_keeps_gtc: keeps_gtc,
            dead_man_ms,
            limits: OwnerLimits::read(&limits, &OwnerLimits::NONE),
        };
        limits.close();
        settings
    }
}
