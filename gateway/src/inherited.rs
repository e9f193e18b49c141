//! Listeners that the service manager opened and passed on (`LISTEN_FDS`): the gateway then needs no network of its
//! own, and its addresses stay open across a restart.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use listenfd::ListenFd;

/// Why what was passed on cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// It is no listening TCP socket, or the system says no.
    #[error("socket {at} of LISTEN_FDS cannot be used: {source}; give ListenStream= with a TCP address")]
    Socket {
        /// Which, from 0.
        at: usize,
        /// Why.
        source: io::Error,
    },
    /// It listens where the settings say nothing of.
    #[error(
        "socket {at} of LISTEN_FDS listens on {address}, and the settings say gateway.listen = {clients} and \
         side.listen = {side}: make ListenStream= and the settings agree"
    )]
    Address {
        /// Which, from 0.
        at: usize,
        /// Where it listens.
        address: SocketAddr,
        /// Where clients are expected.
        clients: SocketAddr,
        /// Where probes are expected.
        side: SocketAddr,
    },
}

/// Listeners that are open already. What is missing is opened by who needs it.
#[derive(Clone, Default, Debug)]
pub struct Inherited {
    /// For clients.
    pub clients: Option<Arc<TcpListener>>,
    /// For health, metrics and the page.
    pub side: Option<Arc<TcpListener>>,
}

impl Inherited {
    /// What the service manager passed on to this process; each listener is known by its address.
    pub fn from_environment(clients: SocketAddr, side: SocketAddr) -> Result<Self, InheritError> {
        let mut passed = ListenFd::from_env();
        let listeners = (0..passed.len()).map(|at| passed.take_tcp_listener(at));
        Self::sort(listeners.collect(), clients, side)
    }

    fn sort(
        listeners: Vec<io::Result<Option<TcpListener>>>,
        clients: SocketAddr,
        side: SocketAddr,
    ) -> Result<Self, InheritError> {
        let mut found = Self::default();
        for (at, listener) in listeners.into_iter().enumerate() {
            let failed = |source| InheritError::Socket { at, source };
            let Some(listener) = listener.map_err(failed)? else { continue };
            let address = listener.local_addr().map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let place = match address {
                address if address == clients => &mut found.clients,
                address if address == side => &mut found.side,
                address => return Err(InheritError::Address { at, address, clients, side }),
            };
            *place = Some(Arc::new(listener));
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn listeners_are_known_by_their_addresses() {
        let ((first, side), (second, clients)) = (listener(), listener());
        let found = Inherited::sort(vec![Ok(Some(first)), Ok(Some(second))], clients, side).unwrap();
        assert_eq!(found.clients.unwrap().local_addr().unwrap(), clients);
        assert_eq!(found.side.unwrap().local_addr().unwrap(), side);

        let (only, clients) = listener();
        let found = Inherited::sort(vec![Ok(Some(only))], clients, side).unwrap();
        assert!(found.clients.is_some() && found.side.is_none());
    }

    #[test]
    fn a_listener_elsewhere_is_refused() {
        let (stray, address) = listener();
        let settings = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
        let error = Inherited::sort(vec![Ok(Some(stray))], settings[0], settings[1]).unwrap_err().to_string();
        for part in [&address.to_string(), "gateway.listen = 127.0.0.1:1", "side.listen = 127.0.0.1:2"] {
            assert!(error.contains(part), "{error}");
        }
        let broken = vec![Err(io::Error::other("not a socket"))];
        let error = Inherited::sort(broken, settings[0], settings[1]).unwrap_err().to_string();
        assert!(error.contains("socket 0") && error.contains("not a socket"), "{error}");
    }

    #[test]
    fn without_a_service_manager_there_are_none() {
        let address = "127.0.0.1:1".parse().unwrap();
        let found = Inherited::from_environment(address, address).unwrap();
        assert!(found.clients.is_none() && found.side.is_none());
    }
}
