//! What is simulated: settings, keys, and how rough the world is. All of it comes from the seed.

use std::path::Path;

use tollgate_config::{SelfTradeMode, Settings};
use tollgate_core::link::{Grant, SymbolSet};
use tollgate_journal::Durability;
use tollgate_protocol::text::KeyId;

use crate::random::Random;

/// The client that operates.
pub const OPERATOR: u16 = 4;

/// What is known to break the gateway as it stands, and is left out unless it is asked for. Each has a test that shows
/// that it is found; when the gateway holds against it, it moves into every run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hazard {
    /// A power cut takes records whose orders have reached the venue, in the classes that promise no more: their ids
    /// are used again.
    LostTail,
    /// The deduplication window is smaller than a run: what left it may come again.
    SmallWindow,
    /// The states of one order come out of order, and not its fills alone.
    StateReorder,
    /// A key may trade some of its client's symbols only.
    SymbolKeys,
    /// An order's last fill is told while a change of it is unresolved: its client is told that nothing is open, and
    /// then of more.
    FinalAgain,
}

impl Hazard {
    /// Every one, with its name on the command line.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::LostTail, "lost-tail"),
        (Self::SmallWindow, "small-window"),
        (Self::StateReorder, "state-reorder"),
        (Self::SymbolKeys, "symbol-keys"),
        (Self::FinalAgain, "final-again"),
    ];
}

/// Some hazards.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Hazards(u32);

impl Hazards {
    /// With this one too.
    pub fn with(self, hazard: Hazard) -> Self {
        Self(self.0 | 1 << hazard as u32)
    }

    /// Whether this one is in.
    pub fn has(self, hazard: Hazard) -> bool {
        self.0 >> hazard as u32 & 1 == 1
    }
}

/// How rough the ways to the venues are, in percent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Roughness {
    /// Requests that are carried out while their reports are lost.
    pub lost_replies: u64,
    /// Reports that come twice.
    pub doubled: u64,
    /// Reports that come late.
    pub late: u64,
    /// Fills that come late, behind what was said of their order after them.
    pub overtaken_fills: u64,
    /// Requests that take their time.
    pub slow_requests: u64,
    /// Questions that a venue answers before it can know.
    pub unsure_answers: u64,
}

/// Everything that a run begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The settings.
    pub settings: Settings,
    /// The journal's class.
    pub durability: Durability,
    /// The ways to the venues.
    pub roughness: Roughness,
    /// Orders and changes that venues refuse without need, of a million.
    pub venue_refusals_per_million: u32,
    /// Percent of the turns after which a sync comes back.
    pub syncs: u64,
    /// Known hazards that are on.
    pub hazards: Hazards,
}

impl Setup {
    /// The one of this seed.
    pub fn new(seed: u64, hazards: Hazards) -> Result<Self, String> {
        let mut random = Random::new(seed ^ 0x5e70_9b6d);
        let parsed = Settings::parse(include_str!("sim.toml"), Path::new("/"), &|_| None);
        let mut settings = parsed.map_err(|errors| errors.to_string())?;
        let class = [Durability::Disk, Durability::Disk, Durability::Process, Durability::None];
        let durability = random.pick(&class).copied().unwrap_or(Durability::Disk);
        settings.journal.durability = match durability {
            Durability::None => tollgate_protocol::event::Durability::None,
            Durability::Process => tollgate_protocol::event::Durability::Process,
            Durability::Disk => tollgate_protocol::event::Durability::Disk,
        };
        let modes = [
            SelfTradeMode::Allow,
            SelfTradeMode::CancelResting,
            SelfTradeMode::CancelAggressor,
            SelfTradeMode::CancelBoth,
        ];
        for account in &mut settings.accounts {
            account.self_trade = random.pick(&modes).copied().unwrap_or(SelfTradeMode::Allow);
        }
        settings.risk.repeat_window_ms = if random.percent(20) { 500 } else { 0 };
        settings.risk.rate_halt_cancels = random.percent(50);
        if random.percent(15) {
            settings.capacity.open_orders_max = 16;
        }
        if random.percent(30) {
            (settings.capacity.lane_messages, settings.capacity.lane_reserved) = (24, 8);
        }
        if hazards.has(Hazard::SmallWindow) {
            settings.dedupe.window_commands = 32;
        }
        let rough =
            |random: &mut Random, most: u64| if random.percent(50) { random.below(most + 1) } else { 0 };
        Ok(Self {
            roughness: Roughness {
                lost_replies: rough(&mut random, 15),
                doubled: rough(&mut random, 20),
                late: rough(&mut random, 30),
                overtaken_fills: rough(&mut random, 20),
                slow_requests: rough(&mut random, 30),
                unsure_answers: rough(&mut random, 30),
            },
            venue_refusals_per_million: if random.percent(30) { 50_000 } else { 0 },
            syncs: [100, 60, 20].get(random.below(3) as usize).copied().unwrap_or(100),
            settings,
            durability,
            hazards,
        })
    }
}

/// What a client's key may do: mostly everything that is its client's, at times less.
pub fn grant(setup: &Setup, client: u16, random: &mut Random) -> Grant {
    let accounts = setup.settings.clients[usize::from(client)]
        .accounts
        .iter()
        .fold(0, |set, account| set | 1 << account);
    let mut grant = Grant {
        key_id: KeyId::truncated(["alpha", "beta", "gamma", "delta", "operator"][usize::from(client)]),
        trade: true,
        cancel: true,
        read: true,
        operate: client == OPERATOR,
        accounts,
        symbols_restricted: false,
        symbols: SymbolSet::EMPTY,
        expires_at_ns: u64::MAX,
    };
    match random.below(20) {
        0 => (grant.trade, grant.operate) = (false, false),
        1 => (grant.trade, grant.cancel, grant.operate) = (false, false, false),
        2 => grant.accounts &= 1 << accounts.trailing_zeros(),
        3 => grant.read = false,
        4 if setup.hazards.has(Hazard::SymbolKeys) => {
            grant.symbols_restricted = true;
            grant.symbols.insert(1);
        }
        _ => {}
    }
    grant
}
