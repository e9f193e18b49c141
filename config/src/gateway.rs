//! The process: its places, its threads and its fixed sizes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tollgate_protocol::Text;
use tollgate_protocol::event::Durability;
use tollgate_protocol::logon::Secret;

use crate::files::{FileError, Privacy};
use crate::reader::Section;
use crate::value::{decode_hex, quoted};

/// What the gateway is and where it lives.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The instance's name, shown to clients and part of every order id at a venue.
    pub instance: Text<31>,
    /// Where everything that must last is kept.
    pub directory: PathBuf,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The file of the clients' keys.
    pub keys_file: PathBuf,
    /// The file of the gateway's own Ed25519 seed.
    pub identity_file: Option<PathBuf>,
    /// The gateway's own Ed25519 seed (32 bytes); `None` when its file does not exist, and clients with Ed25519
    /// keys cannot be served.
    pub identity: Option<Secret>,
}

impl GatewaySettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let instance = section.name_or("instance", "tollgate");
        let directory = section.path("directory", Path::new("/var/lib/tollgate"));
        let listen = section.address("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)));
        check_remote(section, listen, "commands and reports of all clients pass there");
        let keys_file = section.path("keys_file", &directory.join("keys.toml"));
        let identity_file = section.path("identity_file", &directory.join("identity.key"));
        let identity = read_identity(section, &identity_file);
        Self { instance, directory, listen, keys_file, identity_file: Some(identity_file), identity }
    }
}

/// Both ports are clear text: another machine reaches them only where the settings say so.
fn check_remote(section: &Section<'_>, listen: SocketAddr, what: &str) {
    let allow_remote = section.flag("allow_remote", false);
    if listen.ip().is_loopback() {
        return;
    }
    let problem = format!("is reached from other machines, in clear text: {what}");
    if allow_remote {
        section.warn("listen", &problem, "let nobody in but through a tunnel or a network that is your own");
    } else {
        let advice = "listen on 127.0.0.1 and put a tunnel in front, or set allow_remote = true beside it";
        section.wrong("listen", &problem, advice);
    }
}

fn read_identity(section: &Section<'_>, path: &Path) -> Option<Secret> {
    let text = match section.context().files().read(path, Privacy::Private, 4096) {
        Ok(text) => zeroize::Zeroizing::new(text),
        Err(FileError::Missing) => return None,
        Err(error) => {
            section.wrong("identity_file", &format!("{}: {error}", path.display()), "");
            return None;
        }
    };
    match decode_hex(text.trim()) {
        Some(seed) if seed.len() == 32 => Some(Secret::new(seed)),
        other => {
            let what = other.map_or_else(|| "not hexadecimal".to_owned(), |it| format!("{} bytes", it.len()));
            let problem = format!("{}: the seed is {what}", path.display());
            section.wrong("identity_file", &problem, "it must be 64 hexadecimal digits: an Ed25519 seed");
            None
        }
    }
}

/// What the hot thread does when there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Idle {
    /// Asks again at once: fastest, and takes a whole core.
    Spin,
    /// Lets others run in between.
    Yield,
    /// Sleeps until something comes.
    Park,
}

/// The hot thread.
#[derive(Clone, Debug)]
pub struct HotSettings {
    /// The core it is pinned to; `None` for not pinned.
    pub core: Option<usize>,
    /// What it does when there is nothing to do.
    pub idle: Idle,
    /// How often at most a changed price of a held position is journaled.
    pub price_sample_interval_ms: u32,
    /// Not ready when the thread has not turned for so long.
    pub stall_timeout_ms: u32,
    /// Every so many commands the time of each stage is measured. Best an odd number: MACs are checked several at once, and
    /// the first of these commands pays for all.
    pub stage_sample_every: u32,
}

impl HotSettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        Self {
            core: section.optional_integer("core", 0..=4095),
            idle: section.choice(
                "idle",
                Idle::Park,
                &[("spin", Idle::Spin), ("yield", Idle::Yield), ("park", Idle::Park)],
            ),
            price_sample_interval_ms: section.integer("price_sample_interval_ms", 1_000, 10..=3_600_000),
            stall_timeout_ms: section.integer("stall_timeout_ms", 1_000, 100..=600_000),
            stage_sample_every: section.integer("stage_sample_every", 251, 1..=1_000_000_000),
        }
    }
}

/// Client connections.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Most authenticated sessions.
    pub sessions_max: usize,
    /// Most sessions of one client.
    pub sessions_per_client_max: usize,
    /// Most connections that have not logged on yet.
    pub unauthenticated_max: usize,
    /// Most of these from one address.
    pub unauthenticated_per_address_max: usize,
    /// A logon must be done within this time.
    pub logon_timeout_ms: u32,
    /// So many failed logons of one key from one address, or of all from it, within a minute are answered at once;
    /// further wrong proofs are answered late. A right one is never refused.
    pub logon_failures_max: u32,
    /// Until nothing has failed for so long.
    pub logon_block_seconds: u32,
    /// Each side says something at least this often.
    pub heartbeat_interval_ms: u32,
    /// After so much silence a session ends.
    pub heartbeat_timeout_ms: u32,
    /// A frame that has begun must be complete within this time.
    pub frame_timeout_ms: u32,
    /// Bytes kept of what a client sends.
    pub receive_buffer_bytes: usize,
    /// Bytes kept of what a client does not take; more ends its session.
    pub send_buffer_bytes: usize,
}

impl SessionSettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let settings = Self {
            sessions_max: section.integer("sessions_max", 128, 1..=65_535),
            sessions_per_client_max: section.integer("sessions_per_client_max", 8, 1..=65_535),
            unauthenticated_max: section.integer("unauthenticated_max", 256, 1..=65_535),
            unauthenticated_per_address_max: section.integer(
                "unauthenticated_per_address_max",
                32,
                1..=65_535,
            ),
            logon_timeout_ms: section.integer("logon_timeout_ms", 5_000, 100..=600_000),
            logon_failures_max: section.integer("logon_failures_max", 10, 1..=1_000_000),
            logon_block_seconds: section.integer("logon_block_seconds", 60, 1..=86_400),
            heartbeat_interval_ms: section.integer("heartbeat_interval_ms", 5_000, 100..=600_000),
            heartbeat_timeout_ms: section.integer("heartbeat_timeout_ms", 15_000, 200..=3_600_000),
            frame_timeout_ms: section.integer("frame_timeout_ms", 5_000, 100..=600_000),
            receive_buffer_bytes: section.integer("receive_buffer_bytes", 16_384, 4_096..=16_777_216),
            send_buffer_bytes: section.integer("send_buffer_bytes", 262_144, 16_384..=268_435_456),
        };
        settings.check(section);
        settings
    }

    fn check(&self, section: &Section<'_>) {
        if self.heartbeat_timeout_ms <= self.heartbeat_interval_ms {
            section.wrong(
                "heartbeat_timeout_ms",
                &format!("is not above heartbeat_interval_ms, which is {}", self.heartbeat_interval_ms),
                "set it to two or three intervals",
            );
        }
        if self.sessions_per_client_max > self.sessions_max {
            section.wrong(
                "sessions_per_client_max",
                &format!("is above sessions_max, which is {}", self.sessions_max),
                "set it to sessions_max at most",
            );
        }
        if self.unauthenticated_per_address_max > self.unauthenticated_max {
            section.wrong(
                "unauthenticated_per_address_max",
                &format!("is above unauthenticated_max, which is {}", self.unauthenticated_max),
                "set it to unauthenticated_max at most",
            );
        }
    }
}

/// The side port: health, metrics, operator.
#[derive(Clone, Debug)]
pub struct SideSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Names by which it may be asked for, beside `localhost` and its own address.
    pub hosts: Vec<String>,
}

impl SideSettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let listen = section.address("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9091)));
        let is_name = |name: &str| {
            let allowed = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '.';
            !name.is_empty() && name.len() <= 253 && name.chars().all(allowed)
        };
        check_remote(section, listen, "whoever reaches it reads state, positions and figures, without a key");
        let mut hosts = Vec::new();
        for (path, name) in section.names("hosts").unwrap_or_default() {
            if is_name(&name) {
                hosts.push(name);
            } else {
                let advice = "give names alone, without ports, as in \"gateway.internal\"";
                section.context().wrong(&path, Some(&quoted(&name)), "is not the name of a host", advice);
            }
        }
        Self { listen, hosts }
    }
}

/// The journal.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// Where its segments are kept.
    pub directory: PathBuf,
    /// The size of a segment.
    pub segment_bytes: u64,
    /// Room in a segment that only cancels and closes, reports, operators and starts may use, each a part of it.
    pub reserve_bytes: u64,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// How often at most the journal is made durable when an acknowledgement does not wait for it.
    pub flush_interval_ms: u32,
    /// A sync that has not returned after so long fails the journal.
    pub sync_timeout_ms: u32,
}

impl JournalSettings {
    pub(crate) fn read(section: &Section<'_>, gateway_directory: &Path) -> Self {
        let settings = Self {
            directory: section.path("directory", &gateway_directory.join("journal")),
            segment_bytes: section.integer("segment_bytes", 64 << 20, 1 << 20..=4 << 30),
            reserve_bytes: section.integer("reserve_bytes", 1 << 20, 64 << 10..=1 << 30),
            durability: section.choice(
                "durability",
                Durability::Process,
                &[("none", Durability::None), ("process", Durability::Process), ("disk", Durability::Disk)],
            ),
            flush_interval_ms: section.integer("flush_interval_ms", 100, 1..=60_000),
            sync_timeout_ms: section.integer("sync_timeout_ms", 10_000, 100..=600_000),
        };
        if settings.reserve_bytes > settings.segment_bytes / 2 {
            let problem = format!("is above half of segment_bytes, which is {}", settings.segment_bytes);
            section.wrong("reserve_bytes", &problem, "make it smaller, or the segments larger");
        }
        if !settings.segment_bytes.is_multiple_of(4096) {
            section.wrong("segment_bytes", "is not a multiple of 4096", "use whole pages, as in 67108864");
        }
        settings
    }
}

/// Deduplication of commands.
#[derive(Clone, Debug)]
pub struct DedupeSettings {
    /// How many commands are remembered.
    pub window_commands: usize,
    /// For how long a command is remembered; one made earlier is refused, for it cannot be proved new.
    pub window_seconds: u64,
    /// How far in the future a command may have been made.
    pub clock_difference_ms_max: u32,
}

impl DedupeSettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        Self {
            window_commands: section.integer("window_commands", 262_144, 1_024..=67_108_864),
            window_seconds: section.integer("window_seconds", 86_400, 60..=2_592_000),
            clock_difference_ms_max: section.integer("clock_difference_ms_max", 1_000, 1..=60_000),
        }
    }
}

/// What is reserved at start and never grows.
#[derive(Clone, Debug)]
pub struct CapacitySettings {
    /// Most orders that are not final.
    pub open_orders_max: usize,
    /// How many final orders are remembered for questions and late reports.
    pub finished_orders_remembered: usize,
    /// Messages that a lane between two threads holds.
    pub lane_messages: usize,
    /// Of these, how many only cancels, closes and reports may use.
    pub lane_reserved: usize,
}

impl CapacitySettings {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let settings = Self {
            open_orders_max: section.integer("open_orders_max", 16_384, 16..=4_194_304),
            finished_orders_remembered: section.integer("finished_orders_remembered", 16_384, 0..=4_194_304),
            lane_messages: section.integer("lane_messages", 8_192, 64..=1_048_576),
            lane_reserved: section.integer("lane_reserved", 1_024, 16..=524_288),
        };
        if settings.lane_reserved >= settings.lane_messages {
            let problem = format!("is not below lane_messages, which is {}", settings.lane_messages);
            section.wrong("lane_reserved", &problem, "leave room for new orders: an eighth is usual");
        }
        settings
    }
}
