//! How commands reach a running gateway.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tollgate_protocol::logon::Welcome;

use crate::failure::Failure;
use crate::key_file::KeyFile;
use crate::moment;
use tollgate_client::Client;

/// Options of every command that logs on.
#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// The key file to log on with, as `tollgate init` and `tollgate keys add` write it.
    #[arg(long, global = true, env = "TOLLGATE_KEY_FILE", value_name = "FILE", help_heading = "Connection")]
    key: Option<PathBuf>,
    /// Where the gateway listens, in place of the address in the key file.
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Connection")]
    address: Option<String>,
    /// How long to wait for the connection and for the answer.
    #[arg(
        long, global = true, value_name = "TIME", default_value = "5s", value_parser = moment::parse_duration,
        help_heading = "Connection"
    )]
    timeout: Duration,
}

impl Connection {
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn key_file(&self) -> Result<KeyFile, Failure> {
        let path = self.key.as_ref().ok_or_else(|| {
            Failure::usage("no key file is given: use --key FILE, or set TOLLGATE_KEY_FILE to its path")
        })?;
        KeyFile::load(path).map_err(Failure::operating)
    }

    pub(crate) fn socket_address(&self, key: &KeyFile) -> Result<SocketAddr, Failure> {
        resolve(self.address.as_deref().unwrap_or(&key.gateway_address))
    }

    /// Connects and logs on.
    pub(crate) fn open(&self, resume_after: Option<u64>) -> Result<(Client, Welcome), Failure> {
        let key = self.key_file()?;
        let address = self.socket_address(&key)?;
        Ok(Client::connect(address, key.logon(resume_after), self.timeout)?)
    }
}

/// The address of a `HOST:PORT`.
pub(crate) fn resolve(text: &str) -> Result<SocketAddr, Failure> {
    let wrong = |problem: &dyn std::fmt::Display| {
        Failure::operating(format_args!("{text:?} is no address of a gateway: {problem}; give HOST:PORT"))
    };
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error))?;
    found.next().ok_or_else(|| wrong(&"the name has no address"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    #[test]
    fn key_address_and_timeout_say_how_to_reach_the_gateway() {
        let given: Connection = flags::arguments("--key a.toml --address host:7000 --timeout 250ms").unwrap();
        assert_eq!(given.key, Some(PathBuf::from("a.toml")));
        assert_eq!(given.address.as_deref(), Some("host:7000"));
        assert_eq!(given.timeout, Duration::from_millis(250));
        assert_eq!(flags::arguments::<Connection>("").unwrap().timeout, Duration::from_secs(5));
        assert!(flags::arguments::<Connection>("--timeout never").is_err());
    }
}
