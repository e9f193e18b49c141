//! Which cores the measured thread and everything else are kept to.

use std::sync::OnceLock;

use clap::Args;
use core_affinity::CoreId;

/// The two cores of a measurement.
#[derive(Args, Clone, Copy)]
pub(crate) struct Cores {
    /// The core of the thread that is measured; best one that the kernel leaves alone.
    #[arg(long, global = true, default_value_t = 0, value_name = "CORE")]
    server_core: usize,
    /// The core of the client, and of the gateway's cold threads.
    #[arg(long, global = true, default_value_t = 1, value_name = "CORE")]
    client_core: usize,
}

static CORES: OnceLock<Cores> = OnceLock::new();

impl Cores {
    /// Holds for the rest of the process.
    pub(crate) fn choose(self) {
        CORES.get_or_init(|| self);
    }
}

fn chosen() -> Cores {
    *CORES.get_or_init(|| Cores { server_core: 0, client_core: 1 })
}

/// The core of the thread that is measured.
pub(crate) fn server() -> usize {
    chosen().server_core
}

/// The core of the client and of everything else.
pub(crate) fn client() -> usize {
    chosen().client_core
}

/// The choice, for a process that is started.
pub(crate) fn arguments() -> [String; 2] {
    [format!("--server-core={}", server()), format!("--client-core={}", client())]
}

/// Keeps this thread, and what it starts from here on, to a core.
pub(crate) fn pin(core: usize) -> Result<(), String> {
    if core_affinity::set_for_current(CoreId { id: core }) {
        return Ok(());
    }
    Err(format!(
        "core {core} is not there, or this process may not run on it: two cores are needed, choose them with --server-core \
         and --client-core"
    ))
}

/// The same for the client of a measurement; an error too when the server has no core of its own.
pub(crate) fn take_client() -> Result<(), String> {
    if server() == client() {
        return Err(format!("--server-core and --client-core are both {}: give two cores", server()));
    }
    pin(server())?;
    pin(client())
}
