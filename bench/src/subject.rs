//! The gateway that is measured: its settings, and the keys of who measures it.

use std::path::Path;

use tollgate_config::{ClientSettings, FeedSettings, KeySettings, PaperFaults, Scopes, Settings, VenueKind};
use tollgate_protocol::logon::{Credential, Secret};
use tollgate_protocol::text::{KeyId, Text};

use crate::{Class, Idle, cores};

/// A secret for this machine's loopback alone, for as long as a measurement runs.
pub(crate) const SECRET: [u8; 32] = *b"a secret of the benchmark alone.";
/// Connections that a load may have.
pub(crate) const CONNECTIONS_MAX: usize = 16;

pub(crate) fn credential() -> Credential {
    Credential::Hmac(Secret::new(SECRET.to_vec()))
}

pub(crate) fn settings(directory: &Path, durability: Class) -> Result<Settings, String> {
    let text = directory.display().to_string();
    let environment = move |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| text.clone());
    let mut settings = Settings::parse(tollgate_config::DEMO, Path::new("/"), &environment)
        .map_err(|errors| errors.to_string())?;
    for venue in &mut settings.venues {
        let VenueKind::Paper(paper) = &mut venue.kind;
        paper.latency_ms_max = 0;
        paper.faults = PaperFaults::default();
        paper.feed = FeedSettings::Synthetic { interval_ms: 100, volatility_ppm: 0, spread_ticks: 1 };
        paper.ledger_file = None;
    }
    settings.hot.core = Some(cores::server());
    settings.hot.idle = Idle::Spin.strategy();
    settings.journal.durability = durability.durability();
    settings.journal.segment_bytes = 64 << 20;
    settings.sessions.heartbeat_timeout_ms = 3_600_000;
    settings.risk.firm.orders_per_second = u32::MAX;
    settings.risk.firm.max_open_orders = u32::MAX;
    settings.keys.clear();
    add_key(&mut settings, "bench", 0)?;
    // Every session hears all events of its client: so that each hears its own alone, each has a client.
    for number in 0..CONNECTIONS_MAX {
        let name = Text::truncated(&load_key(number));
        settings.clients.push(ClientSettings { name, ..settings.clients[0].clone() });
        let client = settings.clients.len() as u16 - 1;
        add_key(&mut settings, &load_key(number), client)?;
    }
    settings.sessions.sessions_max = settings.sessions.sessions_max.max(CONNECTIONS_MAX + 1);
    Ok(settings)
}

fn add_key(settings: &mut Settings, key: &str, client: u16) -> Result<(), String> {
    settings.keys.push(KeySettings {
        key_id: KeyId::truncated(key),
        client,
        verifier: credential().verifier().ok_or("the secret is unusable")?,
        scopes: Scopes { trade: true, read: true, ..Scopes::default() },
        accounts: None,
        symbols: None,
        expires_at_ns: None,
        revoked: false,
        created: Text::EMPTY,
    });
    Ok(())
}

/// The key of a connection under load.
pub(crate) fn load_key(number: usize) -> String {
    format!("load-{number}")
}
