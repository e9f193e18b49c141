//! Whom the side port answers: those who asked for it by a name of its own.
//!
//! A page from elsewhere can make a browser ask any address, when the page's own name is led there (DNS rebinding). What
//! it then asks for is still that other name, and is refused.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Source, plain};

/// Characters of a wrong name that are repeated to who gave it.
const SHOWN_MAX: usize = 80;

/// The names it answers to.
pub(super) struct Hosts {
    /// Where it listens; unspecified for every address of the machine.
    own: IpAddr,
    /// As the settings name them, lower case.
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(own: IpAddr, names: &[String]) -> Self {
        Self { own: own.to_canonical(), names: names.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// True when `host`, as a request gives it with or without a port, is a name of the side port. An address leads
    /// nobody astray: who listens on all of them answers to all.
    fn answers(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let address = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = address.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || address == self.own || self.own.is_unspecified();
        }
        name == "localhost" || self.names.iter().any(|own| own == name)
    }
}

/// Refuses requests for somebody else's name. A request without any comes from no browser.
pub(super) async fn check(State(source): State<Arc<Source>>, request: Request, next: Next) -> Response {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let given = request.headers().get_all(header::HOST).iter().map(text);
    let in_target = request.uri().authority().map(|authority| authority.as_str().to_owned());
    match given.chain(in_target).find(|host| !source.hosts.answers(host)) {
        None => next.run(request).await,
        Some(host) => {
            let shown: String = host.chars().take(SHOWN_MAX).collect();
            let words = format!(
                "{shown:?} is no name of this side port; ask for it by its address, or add the name to side.hosts\n"
            );
            plain(StatusCode::MISDIRECTED_REQUEST, words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(own: [u8; 4], names: &[&str], host: &str) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(own.into(), &names).answers(host)
    }

    #[test]
    fn its_own_names_are_answered() {
        for host in ["localhost", "LOCALHOST:9091", "localhost.", "127.0.0.1:9091", "127.8.8.8", "[::1]:9091"]
        {
            assert!(answers([127, 0, 0, 1], &[], host), "{host}");
        }
        assert!(answers([10, 0, 0, 5], &[], "10.0.0.5:9091"));
        assert!(answers([10, 0, 0, 5], &["Gate.Internal"], "gate.internal:9091"));
        assert!(answers([0, 0, 0, 0], &[], "192.0.2.9"), "it listens on every address");
    }

    #[test]
    fn names_of_others_are_not() {
        let others = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.6",
            "",
            "a b",
            "x@localhost",
            "gate",
            "0x7f.1",
            "[::2]",
        ];
        for host in others {
            assert!(!answers([10, 0, 0, 5], &["gate.internal"], host), "{host}");
        }
        assert!(!answers([0, 0, 0, 0], &[], "evil.example"));
    }
}
