//! A GET of the side port: HTTP/1.1, one request a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// More than the side port ever sends.
const RESPONSE_BYTES_MAX: u64 = 16 << 20;

/// What the side port said.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Fetches `path`, within `timeout` for each step.
pub(crate) fn get(address: SocketAddr, path: &str, timeout: Duration) -> Result<Response, String> {
    let failed = |error: std::io::Error| {
        format!("http://{address}{path}: {error}; is the gateway running, and is this its side.listen?")
    };
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(failed)?;
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut bytes = Vec::new();
    stream.take(RESPONSE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    parse(&bytes)
        .ok_or_else(|| format!("http://{address}{path}: the answer is not HTTP: is this the side port?"))
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let chunked = lines.any(|line| line.to_ascii_lowercase().replace(' ', "") == "transfer-encoding:chunked");
    let body = if chunked { join_chunks(body)? } else { body.to_owned() };
    Some(Response { status, body })
}

fn join_chunks(mut body: &str) -> Option<String> {
    let mut joined = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(joined);
        }
        joined.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_in_chunks() {
        let plain = parse(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (503, "no"));
        let chunked =
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((chunked.status, chunked.body.as_str()), (200, "abcde"));
    }

    #[test]
    fn what_is_not_http_is_none() {
        for bytes in [&b""[..], b"TG\x01", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n"] {
            assert!(parse(bytes).is_none());
        }
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc";
        assert!(parse(cut).is_none());
    }
}
